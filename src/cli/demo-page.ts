/**
 * What the demo leaves behind for its readers: result.json, and the page's texts around numbers, films and curves.
 *
 * Knows nothing about how the stages ran.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { EpisodeRecord } from '../eval/episode-log.js';
import type { StageRecords } from '../eval/stage-record.js';
import type { SuccessTable } from '../eval/success-table.js';
import type { Recipe } from '../recipes/index.js';
import type { DemoPaths, DemoStage } from './demo-stages.js';

/** The contents of result.json. */
export interface DemoResult {
  recipe: string;
  seed: number;
  commit: string;
  engine: string;
  /** Work of all stages, over all interruptions. */
  seconds: number;
  models: Record<string, { success: SuccessTable }>;
}

interface ResultParts {
  recipe: Recipe;
  seed: number;
  stages: readonly DemoStage[];
  records: StageRecords;
  success: SuccessTable;
}

export async function resultOf({ recipe, seed, stages, records, success }: ResultParts): Promise<DemoResult> {
  const { torch } = await import('../torch/index.js');
  const seconds = stages.reduce((sum, { name }) => sum + (records.get(name)?.seconds ?? 0), 0);
  return {
    recipe: recipe.name,
    seed,
    // The commit that trained the model; editing a text between stages makes no other model.
    commit: records.get('training')?.commit ?? 'unknown',
    engine: `libtorch ${torch.version}`,
    seconds: Math.round(seconds),
    models: { specialist: { success } },
  };
}

interface Page {
  recipe: Recipe;
  paths: DemoPaths;
  records: StageRecords;
  stages: readonly DemoStage[];
  result: DemoResult;
  episodes: readonly EpisodeRecord[];
  signal: AbortSignal;
}

/** Films a few episodes and writes report.html. */
export async function writePage({ recipe, paths, records, stages, result, episodes, signal }: Page): Promise<void> {
  const { loadCheckpointPolicy } = await import('../eval/checkpoint-policy.js');
  const { chooseFilms, filmEpisodes, lossCurves } = await import('../eval/demo-report.js');
  const { machineName } = await import('../eval/provenance.js');
  const { renderReport } = await import('../eval/report.js');
  const policy = loadCheckpointPolicy(paths.train);
  const videos = [];
  for await (const video of filmEpisodes({ records: chooseFilms(episodes), policy, folder: paths.films, signal })) {
    videos.push(video);
  }
  videos.sort((a, b) => a.task.localeCompare(b.task) || Number(b.success) - Number(a.success));
  const limits = [...new Map(episodes.map(({ task, maxSteps }) => [task, maxSteps]))];
  const shown = (path: string): string => {
    const short = relative(process.cwd(), path);
    return short.startsWith('..') ? path : short;
  };
  const first = recipe.evaluation.tasks[0] ?? '';
  const html = renderReport({
    title: 'A small vision-language-action model learns to act',
    summary:
      'Demonstrations by a scripted expert, a specialist trained on them on this machine, and its success in closed loop on ' +
      'scenes that neither has seen.',
    facts: [
      { name: 'recipe', value: recipe.name },
      { name: 'seed', value: String(result.seed) },
      { name: 'commit', value: result.commit },
      { name: 'engine', value: result.engine },
      { name: 'machine', value: `${machineName()}, Node ${process.versions.node}` },
      { name: 'finished', value: new Date().toISOString() },
    ],
    stages: stages.map(({ name, what }) => {
      const { summary = '', seconds = 0 } = records.get(name) ?? {};
      return { name, what: `${what}: ${summary}`, seconds };
    }),
    models: Object.fromEntries(Object.entries(result.models).map(([name, { success }]) => [name, success])),
    protocol:
      `Test scenes 0 to ${recipe.evaluation.trials - 1} of each task, used for nothing else. An episode counts as failed after ` +
      `${limits.map(([task, limit]) => `${limit} control steps (${task})`).join(', ')}.`,
    videos,
    curves: lossCurves(paths.train),
    files: [
      { what: 'demonstrations, LeRobot v3.0', path: shown(paths.data) },
      { what: 'the trained model', path: `${shown(paths.train)}/checkpoints/last/pretrained_model` },
      { what: 'losses of every step', path: `${shown(paths.train)}/metrics.jsonl` },
      { what: 'every evaluated episode', path: shown(paths.episodes) },
      { what: 'the numbers of this page', path: shown(paths.result) },
    ],
    commands: [
      {
        what: 'Watch the specialist on other scenes:',
        command: `npx dualvla rollout --task ${first} --policy ${shown(paths.train)} --seed 1000 --episodes 5 --video specialist.mp4`,
      },
      {
        what: 'Evaluate it where looks change (lighting, table, background, distractors, camera):',
        command: `npx dualvla eval --policy ${shown(paths.train)} --tasks ${recipe.evaluation.tasks.join(',')} --variants va`,
      },
      { what: 'All eight tasks, hours of training:', command: 'npx dualvla demo --recipe full --output outputs/full' },
    ],
  });
  writeFileSync(paths.report, html);
}
