/** A study's folder with made-up measurements, as `dualvla study run` leaves it; no result of the project comes from it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { paper, type Study } from '../recipes/index.js';
import type { EpisodeRecord } from './episode-log.js';
import type { Measurement } from './measurement.js';
import { studyPaths, writeStudyRecord } from './study-folder.js';
import { tallySuccess } from './success-table.js';

export interface MadeUpModel {
  /** Successes of 20 scenes in each of the study's tasks, by seed. */
  successes: readonly number[];
  /** Questions right of 50 in each family, by seed. */
  correct: readonly number[];
  reasons: boolean;
  /** Seconds a prediction. */
  time: number;
}

const FAMILIES = ['attribute', 'chart', 'counting', 'open'];
const SCENES = 20;

/** Writes measurements of seeds `first`, `first` + 1 ... and training metrics. */
export function writeMadeUpStudy(
  folder: string,
  models: Record<string, MadeUpModel>,
  { study = paper('flow'), first = 0 }: { study?: Study; first?: number } = {},
): void {
  const all = Object.values(models).flatMap(({ successes }) => successes.map((_, i) => first + i));
  writeStudyRecord(folder, { study, seeds: [...new Set(all)] });
  const paths = studyPaths(folder);
  for (const [name, model] of Object.entries(models)) {
    for (const [i, successes] of model.successes.entries()) {
      const seed = first + i;
      const directory = paths.measure(seed, name, 'test');
      mkdirSync(directory, { recursive: true });
      const scenes = study.evaluation.tasks.flatMap((task) =>
        Array.from({ length: SCENES }, (_, index) => scene(task, index, index < successes)),
      );
      writeFileSync(join(directory, 'episodes.jsonl'), scenes.map((one) => `${JSON.stringify(one)}\n`).join(''));
      writeFileSync(join(directory, 'measurement.json'), JSON.stringify(measurement(name, model, { seed, i }, scenes)));
      const run = paths.run(seed, name);
      mkdirSync(run, { recursive: true });
      writeFileSync(join(run, 'metrics.jsonl'), metrics(model, seed));
    }
  }
}

function scene(task: string, index: number, success: boolean): EpisodeRecord {
  const common = { variant: 'vm', split: 'test', index, seed: index, steps: 20, maxSteps: 60 } as const;
  return { ...common, task: task as EpisodeRecord['task'], success, instruction: 'do it' };
}

function measurement(
  name: string,
  { reasons, time, correct }: MadeUpModel,
  { seed, i }: { seed: number; i: number },
  scenes: EpisodeRecord[],
): Measurement {
  const right = correct[i] ?? 0;
  const marks = { A: 60 + (seed % 3), I: 70, RA: reasons ? 45 : 100, ...(reasons ? { R: 72 } : {}) };
  return {
    ...{ recipe: 'paper-flow', model: name, seed, commit: 'made-up', engine: 'none', split: 'test', trials: SCENES },
    success: tallySuccess(scenes),
    multimodal: Object.fromEntries(FAMILIES.map((family) => [family, { correct: right, total: 50 }])),
    vlaScore: {
      ...marks,
      score: 40,
      interval: [35, 45],
      trials: scenes.length,
      judge: 'made-up',
    } as Measurement['vlaScore'],
    reasoning: reasons ? { subtask: 0.8, objects: 0.7 } : null,
    thinking: {
      predictions: 100,
      reasoned: reasons ? 80 : 0,
      tokens: reasons ? 4000 : 0,
      secondsPerPrediction: time * (1 + seed / 100),
    },
    actionError: {
      own: { motion: 0.05, gripper: 0.02 },
      plain: { motion: 0.06, gripper: 0.02 },
      byPhase: {
        reach: { motion: 0.04, gripper: 0.01, frames: 60 },
        grasp: { motion: 0.06 + time, gripper: 0.03, frames: 40 },
      },
    },
    seconds: 1,
  };
}

function metrics({ reasons }: MadeUpModel, seed: number): string {
  const lines = Array.from({ length: 200 }, (_, i) => ({
    step: i + 1,
    loss: 2 / (1 + i / 30) + 0.02 * Math.sin(i + seed),
    lr: 1e-3,
    ...(reasons && i % 10 === 0 ? { cosine_text: 0.3 * Math.cos(i / 40 + seed), cosine_multimodal: 0.1 } : {}),
  }));
  const passes = [50, 100, 150, 200].map((step) => ({ step, loss: 1 / step, action_error: 0.1 + 2 / step }));
  return [...lines, ...passes].map((line) => `${JSON.stringify(line)}\n`).join('');
}
