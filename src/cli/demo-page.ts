/**
 * What the demo leaves behind for its readers: result.json, the table on the terminal, and the page's texts around its numbers.
 *
 * Knows nothing about how the stages ran.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Measurement } from '../eval/measurement.js';
import type { StageRecords } from '../eval/stage-record.js';
import type { StudyDrawings } from '../eval/study-drawings.js';
import { studyPaths } from '../eval/study-folder.js';
import type { StudyResults } from '../eval/study-results.js';
import { familiesOf, guessedMean } from '../eval/study-tables.js';
import { meanRate } from '../eval/wilson.js';
import type { Study } from '../recipes/index.js';
import type { TaskId, Variant } from '../sim/index.js';
import type { StudyStep } from './study-plan.js';
import { formatInterval, formatRate, formatTable } from './terminal.js';

/** The contents of result.json. */
export interface DemoResult {
  recipe: string;
  seed: number;
  commit: string;
  engine: string;
  /** Work of all stages, over all interruptions. */
  seconds: number;
  models: Record<string, Pick<Measurement, 'success' | 'multimodal' | 'vlaScore' | 'thinking'>>;
  pruning: { frames: number; kept: number };
  /** Share of the questions that guessing answers, by family. */
  guessing: Record<string, number>;
}

interface ResultParts {
  study: Study;
  seed: number;
  steps: readonly StudyStep[];
  records: StageRecords;
  results: StudyResults;
  drawings: StudyDrawings;
}

export function demoResult({ study, seed, steps, records, results, drawings }: ResultParts): DemoResult {
  const measurements = results.models.flatMap(({ name, runs }) =>
    runs.map(({ measurement }) => ({ name, measurement })),
  );
  const [{ frames, kept } = { frames: 0, kept: 0 }] = Object.values(drawings.prunings);
  return {
    recipe: study.name,
    seed,
    // The commit that trained the last model; editing a text between stages makes no other model.
    commit: records.get(`seed-${seed}/train/dualvla`)?.commit ?? 'unknown',
    engine: measurements[0]?.measurement.engine ?? 'unknown',
    seconds: Math.round(steps.reduce((sum, { name }) => sum + (records.get(name)?.seconds ?? 0), 0)),
    models: Object.fromEntries(
      measurements.map(({ name, measurement: { success, multimodal, vlaScore, thinking } }) => [
        name,
        { success, multimodal, vlaScore, thinking },
      ]),
    ),
    pruning: { frames, kept },
    guessing: drawings.guessing,
  };
}

/** The models side by side, for the terminal. */
export function resultLines({ models }: StudyResults, { guessing }: StudyDrawings): string {
  const rows = models.flatMap(({ name, runs }) =>
    runs.map(({ measurement }) => {
      const { success, multimodal, vlaScore, thinking } = measurement;
      const counts = Object.values(success);
      const { rate, interval } = meanRate(counts);
      const families = Object.values(multimodal).filter(({ total }) => total > 0);
      const right = families.reduce((sum, { correct, total }) => sum + correct / total, 0) / families.length;
      const { secondsPerPrediction: time, reasoned, predictions } = thinking;
      return [
        name,
        formatRate(rate),
        String(counts.reduce((sum, { trials }) => sum + trials, 0)),
        formatInterval(interval),
        families.length === 0 ? '-' : formatRate(right),
        vlaScore.score.toFixed(1),
        formatRate(predictions === 0 ? 0 : reasoned / predictions),
        time === null ? '-' : `${(1000 * time).toFixed(1)} ms`,
      ];
    }),
  );
  const head = ['model', 'success', 'n', '95 %', 'questions', 'VLA Score', 'reasons', 'a prediction'];
  const guessed = guessedMean(familiesOf(models), guessing);
  const note = guessed === null ? '' : `\nguessing would answer ${formatRate(guessed)} of the questions`;
  return `${formatTable([head, ...rows], [1, 2, 3, 4, 5, 6, 7])}${note}`;
}

interface Page extends ResultParts {
  out: string;
  numbers: DemoResult;
  report: string;
  result: string;
  signal: AbortSignal;
}

/** Films a few scenes and writes report.html. */
export async function writeDemoReport(page: Page): Promise<void> {
  const { out, study, seed, results, drawings, numbers, report, signal } = page;
  const { renderReport } = await import('../eval/demo-report.js');
  const { machineName } = await import('../eval/provenance.js');
  const { readPruneTimeline } = await import('../eval/prune-timeline.js');
  const paths = studyPaths(out);
  const [pruning] = Object.keys(study.prunings);
  const source = { data: paths.data, labels: paths.labels(pruning ?? ''), scene: paths.scene };
  const limits = new Map(
    results.models.flatMap(({ runs }) => runs.flatMap(({ scenes }) => scenes.map((s) => [s.task, s.maxSteps]))),
  );
  const steps = [...limits].map(([task, limit]) => `${limit} control steps (${task})`);
  const html = renderReport({
    title: 'Reasoning, acting, and both: a small run of DualVLA',
    lead: leadOf(study),
    results,
    timeline: existsSync(source.labels) && existsSync(source.scene) ? await readPruneTimeline(source) : null,
    drawings,
    pairs: await filmPairs(page, signal),
    stages: page.steps.map(({ name, what }) => ({
      name: name.replace(/^seed-\d+\//, '').replace(/^test\//, 'measure/'),
      what,
      seconds: page.records.get(name)?.seconds ?? 0,
    })),
    protocol:
      `Test scenes 0 to ${study.evaluation.trials - 1} of each task, the same for each model and used for nothing else. An episode counts ` +
      `as failed after ${steps.join(', ')}.`,
    files: filesOf(page),
    commands: commandsOf(page),
    facts: [
      { name: 'recipe', value: study.name },
      { name: 'seed', value: String(seed) },
      { name: 'commit', value: numbers.commit },
      { name: 'engine', value: numbers.engine },
      {
        name: 'judge of VLA Score',
        value: [...new Set(Object.values(numbers.models).map((m) => m.vlaScore.judge))].join(', '),
      },
      { name: 'machine', value: `${machineName()}, Node ${process.versions.node}` },
      { name: 'finished', value: new Date().toISOString() },
    ],
  });
  writeFileSync(report, html);
}

/** The story in two sentences. */
function leadOf({ models }: Study): string {
  const story =
    'A specialist learns to act from demonstrations; a reasoning VLA is made from it; pruned reasoning and two teachers make DualVLA.';
  const ships = models.some(({ name, checkpoint }) => name === 'specialist' && checkpoint !== undefined);
  return ships
    ? `${story} The specialist came with the program; the other two were trained, and all three measured, on this machine, on scenes that none of them has seen.`
    : `${story} All three were trained and measured on this machine, on scenes that none of them has seen.`;
}

/** Base and DualVLA on the first scene of each task. */
async function filmPairs({ out, study, seed }: Page, signal: AbortSignal) {
  const { filmScenes } = await import('../eval/demo-films.js');
  const { loadCheckpointPolicy } = await import('../eval/checkpoint-policy.js');
  const { findTasks, findVariants } = await import('./policies.js');
  const paths = studyPaths(out);
  const [variant] = (await findVariants(study.evaluation.variants)) as [Variant];
  const tasks: TaskId[] = await findTasks(study.evaluation.tasks);
  return filmScenes({
    scenes: tasks.map((task) => ({ task, variant, split: 'test', index: 0 })),
    policies: ['base', 'dualvla'].map((name) => ({ name, policy: loadCheckpointPolicy(paths.run(seed, name)) })),
    folder: join(out, 'films'),
    signal,
  });
}

const shown = (path: string): string => {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
};

function filesOf({ out, seed, result }: Page): { what: string; path: string }[] {
  const paths = studyPaths(out);
  return [
    { what: 'demonstrations, LeRobot v3.0', path: shown(paths.data) },
    { what: 'questions about pictures, LLaVA JSON and TSV', path: shown(paths.questions) },
    { what: 'frames that keep their reasoning', path: shown(join(out, 'labels')) },
    { what: 'the models', path: `${shown(paths.run(seed, '<model>'))}/checkpoints/last/pretrained_model` },
    { what: 'losses of every step', path: `${shown(paths.run(seed, '<model>'))}/metrics.jsonl` },
    { what: 'every evaluated episode, step by step', path: shown(paths.measure(seed, '<model>', 'test')) },
    { what: "each stage's command and output", path: shown(join(out, 'logs')) },
    { what: 'the numbers of this page', path: shown(result) },
  ];
}

function commandsOf({ out, study, seed }: Page): { what: string; command: string }[] {
  const run = shown(studyPaths(out).run(seed, 'dualvla'));
  const [first = ''] = study.evaluation.tasks;
  return [
    {
      what: 'Watch DualVLA on other scenes:',
      command: `npx dualvla rollout --task ${first} --policy ${run} --seed 1000 --episodes 5 --video dualvla.mp4`,
    },
    {
      what: 'Evaluate it where looks change (lighting, table, background, distractors, camera):',
      command: `npx dualvla eval --policy ${run} --tasks ${study.evaluation.tasks.join(',')} --variants va`,
    },
    {
      what: "All of the paper's models and ablations, several seeds, many hours:",
      command: 'npx dualvla study run paper-discrete --output outputs/paper-discrete --seeds 1-8',
    },
  ];
}
