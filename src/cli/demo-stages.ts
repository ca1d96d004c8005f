/**
 * The demo's stages: demonstrations, training, evaluation. Each continues what an interrupted run of the same settings
 * left behind, and starts anew when settings changed; the folder holds nothing but the demo's own output.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { EpisodeLog } from '../eval/episode-log.js';
import { cellsOfAll, type EvaluateOptions } from '../eval/evaluate.js';
import { hashOf, type StageState } from '../eval/stage-record.js';
import type { Recipe } from '../recipes/index.js';
import { resolveTrainConfig } from '../train/config-sources.js';
import { formatTrainEvent } from '../train/progress-line.js';
import { holdsRun } from '../train/run-directory.js';
import { demonstrationOptions, runDemonstrations } from './demonstrations.js';
import { runEvaluation } from './evaluation.js';
import { findTasks, findVariants } from './policies.js';

/** Where the demo's output lies. */
export interface DemoPaths {
  data: string;
  train: string;
  episodes: string;
  films: string;
  stages: string;
  result: string;
  report: string;
}

export function demoPaths(out: string): DemoPaths {
  return {
    data: join(out, 'data'),
    train: join(out, 'train'),
    episodes: join(out, 'evaluation', 'episodes.jsonl'),
    films: join(out, 'films'),
    stages: join(out, 'stages.json'),
    result: join(out, 'result.json'),
    report: join(out, 'report.html'),
  };
}

/** One stage, ready to run. */
export interface DemoStage {
  name: string;
  /** What is about to be done, with its size. */
  what: string;
  /** About how long it takes on two cores, seconds. */
  estimate: number;
  /** Hash of the settings, those of the stages before included. */
  hash: string;
  /** @returns one line about what came out */
  run(state: StageState, signal: AbortSignal): Promise<string>;
}

/** The stages of a recipe, in order. */
export async function demoStages(
  recipe: Recipe,
  seed: number,
  paths: DemoPaths,
  workers: number,
): Promise<DemoStage[]> {
  const demonstrations = demonstrationStage(recipe, seed, paths, workers);
  const training = trainingStage(recipe, seed, paths, demonstrations.hash);
  return [demonstrations, training, await evaluationStage(recipe, paths, training.hash, workers)];
}

function demonstrationStage(recipe: Recipe, seed: number, paths: DemoPaths, workers: number): DemoStage {
  const options = demonstrationOptions(recipe.demonstrations, paths.data, seed);
  const { tasks, episodesPerTask } = options;
  return {
    name: 'demonstrations',
    what: `the scripted expert solves ${tasks.length} task${tasks.length === 1 ? '' : 's'}, ${episodesPerTask} times each`,
    estimate: 5 + 0.08 * tasks.length * episodesPerTask,
    hash: hashOf(recipe.demonstrations, seed),
    run: async (state, signal) => {
      // A new or changed stage replaces whatever lies there; a begun one is continued.
      if (state !== 'begun')
        for (const folder of [paths.data, `${paths.data}.partial`]) rmSync(folder, { recursive: true, force: true });
      const summaries = await runDemonstrations({ ...options, workers, signal, resume: true });
      const sum = (of: 'episodes' | 'frames'): number => summaries.reduce((total, summary) => total + summary[of], 0);
      return `${sum('episodes')} episodes, ${sum('frames')} frames`;
    },
  };
}

function trainingStage(recipe: Recipe, seed: number, paths: DemoPaths, dataHash: string): DemoStage {
  const config = resolveTrainConfig({
    recipe: { name: recipe.name, config: recipe.train },
    overrides: [
      { key: 'dataset.root', value: paths.data },
      { key: 'output_dir', value: paths.train },
      { key: 'seed', value: String(seed) },
    ],
  });
  const { dataset, output_dir, ...settings } = config;
  const length = config.time_budget_s === null ? `${config.steps} steps` : `${Math.round(config.time_budget_s)} s`;
  return {
    name: 'training',
    what: `a specialist learns from them, ${length}`,
    estimate: config.time_budget_s ?? 5 + 0.1 * config.steps,
    hash: hashOf(dataHash, settings, { ...dataset, root: '' }),
    run: async (state, signal) => {
      const { trainInWorker } = await import('../train/trainer.js');
      const resume = state === 'begun' && holdsRun(paths.train);
      const mode = resume
        ? ({ kind: 'resume', path: paths.train } as const)
        : ({ kind: 'new', overwrite: true } as const);
      let shown = Number.NEGATIVE_INFINITY;
      let summary = '';
      let size = '';
      const waits: number[] = [];
      for await (const event of trainInWorker(config, mode, signal)) {
        const now = performance.now();
        if (event.type === 'start') size = `${(event.parameters / 1e6).toFixed(2)} M parameters`;
        if (event.type === 'step') waits.push(event.dataWait);
        const tooSoon = now - shown < 10_000;
        if (event.type === 'checkpoint' || (event.type === 'step' && tooSoon)) continue;
        if (event.type === 'step') shown = now;
        if (event.type !== 'end') process.stderr.write(`  ${formatTrainEvent(event)}\n`);
        if (event.type === 'end') {
          if (event.reason === 'stopped') throw new DOMException('training was stopped', 'AbortError');
          const wait = (100 * waits.reduce((sum, share) => sum + share, 0)) / Math.max(1, waits.length);
          const samples = event.step * config.batch_size * config.grad_accumulation;
          summary =
            `${size}, ${event.step} steps, ${samples} samples in ${Math.round(event.elapsedSeconds)} s ` +
            `(${wait.toFixed(1)} % waiting for data)`;
        }
      }
      return summary;
    },
  };
}

async function evaluationStage(
  recipe: Recipe,
  paths: DemoPaths,
  trainHash: string,
  workers: number,
): Promise<DemoStage> {
  const { trials } = recipe.evaluation;
  const cells = await evaluationCells(recipe);
  return {
    name: 'evaluation',
    what: `the specialist tries ${cells.length * trials} test scenes it has never seen, in closed loop`,
    estimate: 5 + 0.4 * cells.length * trials,
    hash: hashOf(trainHash, recipe.evaluation),
    run: async (state, signal) => {
      const log = new EpisodeLog(paths.episodes);
      if (state !== 'begun') log.clear();
      const { loadCheckpointPolicy } = await import('../eval/checkpoint-policy.js');
      const policy = loadCheckpointPolicy(paths.train);
      await runEvaluation({ cells, trials, split: 'test', policy, log, workers, signal }, 'specialist');
      return `${log.records.length} episodes, ${log.records.filter(({ success }) => success).length} successes`;
    },
  };
}

/** The cells of a recipe's evaluation. */
export async function evaluationCells({ evaluation }: Recipe): Promise<EvaluateOptions['cells']> {
  return cellsOfAll(await findTasks(evaluation.tasks), await findVariants(evaluation.variants));
}
