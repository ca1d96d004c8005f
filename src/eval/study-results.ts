/**
 * What a study found: measurements of several training seeds, their means with intervals, paired differences, and an answer to each
 * hypothesis of docs/replication.md.
 *
 * The unit is the training seed, a whole chain of models. With one seed there is no verdict: only differences with intervals over
 * scenes, which say nothing about training again.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Study } from '../recipes/index.js';
import { EpisodeLog, type EpisodeRecord } from './episode-log.js';
import type { Measurement } from './measurement.js';
import { readStudyRecord, seedOf, studyPaths } from './study-folder.js';
import { type Estimate, estimateMean } from './study-statistics.js';
import { cellKey, type SuccessTable } from './success-table.js';
import { type Count, meanRate, Z_95 } from './wilson.js';

/** One model of one seed. */
export interface SeedResult {
  seed: number;
  measurement: Measurement;
  /** Every evaluated scene. */
  scenes: EpisodeRecord[];
}

export interface ModelResults {
  name: string;
  role: string;
  /** Trained and measured once: its one run stands for every seed. */
  once: boolean;
  /** In order of their seeds. */
  runs: SeedResult[];
}

export interface StudyResults {
  folder: string;
  study: Study;
  split: string;
  /** Models that are measured, in the study's order. */
  models: ModelResults[];
}

/** A number that models are compared by. */
export interface Measure {
  label: string;
  unit: string;
  digits: number;
  /** Null where it was not measured. */
  of(measurement: Measurement): number | null;
}

const percent = (value: number | null): number | null => (value === null ? null : 100 * value);
const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

const rates = (counts: readonly Count[]): number[] =>
  counts.filter(({ trials }) => trials > 0).map(({ successes, trials }) => successes / trials);

/** Success over the cells whose name begins so, in %. */
export function successOf(table: SuccessTable, robot = ''): number | null {
  return percent(mean(rates(Object.entries(table).flatMap(([key, count]) => (key.startsWith(robot) ? count : [])))));
}

const familyCounts = ({ multimodal }: Measurement): Count[] =>
  Object.values(multimodal).map(({ correct, total }) => ({ successes: correct, trials: total }));

export const MEASURES = {
  success: { label: 'success', unit: '%', digits: 1, of: ({ success }) => successOf(success) },
  multimodal: { label: 'multimodal accuracy', unit: '%', digits: 1, of: (m) => percent(mean(rates(familyCounts(m)))) },
  vlaScore: { label: 'VLA Score', unit: '', digits: 1, of: ({ vlaScore }) => vlaScore.score },
  actionError: {
    label: 'action error on held-out demonstrations',
    unit: '',
    digits: 4,
    of: ({ actionError }) => actionError?.own.motion ?? null,
  },
  secondsPerPrediction: {
    label: 'time a prediction',
    unit: 'ms',
    digits: 1,
    of: ({ thinking }) => (thinking.secondsPerPrediction === null ? null : 1000 * thinking.secondsPerPrediction),
  },
  tokensPerPrediction: {
    label: 'reasoning tokens a prediction',
    unit: '',
    digits: 1,
    of: ({ thinking }) => (thinking.predictions === 0 ? null : thinking.tokens / thinking.predictions),
  },
  reasoned: {
    label: 'predictions with reasoning',
    unit: '%',
    digits: 0,
    of: ({ thinking }) => (thinking.predictions === 0 ? null : (100 * thinking.reasoned) / thinking.predictions),
  },
} as const satisfies Record<string, Measure>;
export type MeasureKey = keyof typeof MEASURES;

/** Model a minus model b. */
export interface Comparison {
  a: string;
  b: string;
  measure: MeasureKey;
}

/** A comparison that a hypothesis says something about. */
export interface Prediction extends Comparison {
  /** Where the difference should lie. */
  side: 'above' | 'below';
  /** How far it may lie on the other side (non-inferiority); default 0. */
  margin?: number;
}

export interface Hypothesis {
  id: string;
  claim: string;
  /** All have to hold. */
  parts: Prediction[];
  /** Reported with it, without a say in the verdict. */
  beside: Comparison[];
}

export const HYPOTHESES: readonly Hypothesis[] = [
  {
    id: 'H1',
    claim: 'action degeneration: the reasoning base acts worse than both controls',
    parts: [
      { a: 'base', b: 'continued', measure: 'success', side: 'below' },
      { a: 'base', b: 'no-text', measure: 'success', side: 'below' },
    ],
    beside: [
      { a: 'base', b: 'specialist', measure: 'success' },
      { a: 'base', b: 'continued', measure: 'actionError' },
      { a: 'base', b: 'no-text', measure: 'actionError' },
    ],
  },
  {
    id: 'H2',
    claim: 'DualVLA acts better than the reasoning base',
    parts: [{ a: 'dualvla', b: 'base', measure: 'success', side: 'above' }],
    beside: [
      { a: 'dualvla', b: 'plain', measure: 'success' },
      { a: 'dualvla', b: 'plain', measure: 'actionError' },
      { a: 'dualvla', b: 'base', measure: 'actionError' },
    ],
  },
  {
    id: 'H3',
    claim: 'DualVLA acts as well as the specialist (3 points allowed)',
    parts: [{ a: 'dualvla', b: 'specialist', measure: 'success', side: 'above', margin: 3 }],
    beside: [
      { a: 'dualvla', b: 'continued', measure: 'success' },
      { a: 'dualvla', b: 'specialist', measure: 'actionError' },
    ],
  },
  {
    id: 'H3-long',
    claim: 'the same with twice the steps in the last stage',
    parts: [{ a: 'dualvla-long', b: 'specialist', measure: 'success', side: 'above', margin: 3 }],
    beside: [
      { a: 'dualvla-long', b: 'continued', measure: 'success' },
      { a: 'dualvla-long', b: 'dualvla', measure: 'success' },
      { a: 'dualvla-long', b: 'specialist', measure: 'actionError' },
    ],
  },
  {
    id: 'H4',
    claim: 'dual-layer pruning is better than random pruning in the same proportion',
    parts: [{ a: 'dualvla', b: 'random-pruning', measure: 'success', side: 'above' }],
    beside: [
      { a: 'dualvla', b: 'random-pruning', measure: 'actionError' },
      { a: 'dualvla', b: 'no-pruning', measure: 'success' },
      { a: 'dualvla', b: 'no-scene', measure: 'success' },
      { a: 'dualvla', b: 'no-motion', measure: 'success' },
    ],
  },
  {
    id: 'H4-drawn',
    claim: 'the same where both draw whether to think',
    parts: [{ a: 'dualvla-drawn', b: 'random-drawn', measure: 'success', side: 'above' }],
    beside: [
      { a: 'dualvla-drawn', b: 'random-drawn', measure: 'actionError' },
      { a: 'dualvla-drawn', b: 'random-drawn', measure: 'reasoned' },
    ],
  },
  {
    id: 'H5',
    claim: 'without the reasoning teacher multimodal accuracy falls',
    parts: [{ a: 'no-reasoning-teacher', b: 'dualvla', measure: 'multimodal', side: 'below' }],
    beside: [{ a: 'dualvla', b: 'base', measure: 'multimodal' }],
  },
  {
    id: 'H5-one',
    claim: 'with one teacher for everything, the action teacher, multimodal accuracy falls',
    parts: [{ a: 'action-teacher-alone', b: 'dualvla', measure: 'multimodal', side: 'below' }],
    beside: [
      { a: 'action-teacher-alone', b: 'no-reasoning-teacher', measure: 'multimodal' },
      { a: 'action-teacher-alone', b: 'dualvla', measure: 'success' },
    ],
  },
  {
    id: 'H5-vlm',
    claim: 'with the VLM as the reasoning teacher: without it multimodal accuracy falls',
    parts: [{ a: 'no-reasoning-teacher', b: 'dualvla-vlm', measure: 'multimodal', side: 'below' }],
    beside: [
      { a: 'dualvla-vlm', b: 'vlm', measure: 'multimodal' },
      { a: 'dualvla-vlm', b: 'dualvla', measure: 'multimodal' },
      { a: 'dualvla-vlm', b: 'dualvla', measure: 'success' },
    ],
  },
  {
    id: 'H5-few',
    claim: 'the same where the last stage has few questions and can forget',
    parts: [{ a: 'no-reasoning-teacher-few', b: 'dualvla-few', measure: 'multimodal', side: 'below' }],
    beside: [
      { a: 'dualvla-few', b: 'base', measure: 'multimodal' },
      { a: 'no-reasoning-teacher-few', b: 'base', measure: 'multimodal' },
    ],
  },
  {
    id: 'H6',
    claim: 'skipped reasoning makes inference faster',
    parts: [{ a: 'dualvla', b: 'base', measure: 'secondsPerPrediction', side: 'below' }],
    beside: [
      { a: 'dualvla', b: 'base', measure: 'tokensPerPrediction' },
      { a: 'dualvla', b: 'base', measure: 'reasoned' },
    ],
  },
];

/** `null`: too few seeds for an answer. */
export type Verdict = 'shown' | 'not shown' | 'reversed' | null;

/** a - b over the seeds that have both. */
export interface Difference extends Comparison {
  seeds: number[];
  estimate: Estimate;
  /** With one seed: 95 % interval over what was tried with both models; null where single trials are not known. */
  withinSeed: { interval: readonly [number, number]; over: 'paired scenes' | 'questions, unpaired' } | null;
}

export interface Answer {
  hypothesis: Hypothesis;
  verdict: Verdict;
  /** Null where a model is missing. */
  parts: (Difference | null)[];
  beside: (Difference | null)[];
}

/** Reads every measurement of a study's folder. @throws NoStudyError */
export function readStudyResults(folder: string, split: string): StudyResults {
  const { study, seeds } = readStudyRecord(folder);
  const paths = studyPaths(folder);
  const models = study.models.flatMap((model): ModelResults[] => {
    const { name, role, once = false } = model;
    const own = [...new Set(seeds.map((seed) => seedOf(model, seed)))];
    const runs = own.flatMap((seed) => readMeasurement(paths.measure(seed, name, split), seed) ?? []);
    return runs.length === 0 ? [] : [{ name, role, once, runs }];
  });
  return { folder, study, split, models };
}

/** What `dualvla measure` left in a directory; null before it is finished. */
export function readMeasurement(directory: string, seed: number): SeedResult | null {
  const path = join(directory, 'measurement.json');
  if (!existsSync(path)) return null;
  const measurement = JSON.parse(readFileSync(path, 'utf8')) as Measurement;
  return { seed, measurement, scenes: new EpisodeLog(join(directory, 'episodes.jsonl')).records };
}

/** Mean of a measure over a model's seeds; null where no seed has it. */
export function estimateOfModel({ runs }: ModelResults, of: Measure['of']): Estimate | null {
  const values = runs.flatMap(({ measurement }) => of(measurement) ?? []);
  return values.length === 0 ? null : estimateMean(values);
}

/** Successes and trials of a cell over all seeds. */
export function pooledCounts({ runs }: ModelResults): SuccessTable {
  const pooled: SuccessTable = {};
  for (const { measurement } of runs) {
    for (const [cell, { successes, trials }] of Object.entries(measurement.success)) {
      const sum = pooled[cell] ?? { successes: 0, trials: 0 };
      pooled[cell] = { successes: sum.successes + successes, trials: sum.trials + trials };
    }
  }
  return pooled;
}

/** a - b, paired by seed; null where no seed has both. A model that is trained once stands beside every seed of the other. */
export function compare({ models }: Pick<StudyResults, 'models'>, comparison: Comparison): Difference | null {
  const { a, b, measure } = comparison;
  const [one, other] = [a, b].map((name) => models.find((model) => model.name === name));
  if (one === undefined || other === undefined) return null;
  const { of }: Measure = MEASURES[measure];
  const runOf = ({ once, runs }: ModelResults, seed: number): SeedResult | undefined =>
    once ? runs[0] : runs.find((run) => run.seed === seed);
  const seeds = (one.once ? other : one).runs.map(({ seed }) => seed);
  const pairs = seeds.flatMap((seed) => {
    const [left, right] = [runOf(one, seed), runOf(other, seed)];
    if (left === undefined || right === undefined) return [];
    const [x, y] = [of(left.measurement), of(right.measurement)];
    return x === null || y === null ? [] : [{ seed, left, right, value: x - y }];
  });
  const [first] = pairs;
  if (first === undefined) return null;
  return {
    ...{ a, b, measure },
    seeds: pairs.map(({ seed }) => seed),
    estimate: estimateMean(pairs.map(({ value }) => value)),
    withinSeed: pairs.length > 1 ? null : withinSeed(first.left, first.right, measure, first.value),
  };
}

/** Every hypothesis that the measured models can speak about. */
export function answer(results: Pick<StudyResults, 'models'>): Answer[] {
  return HYPOTHESES.map((hypothesis): Answer => {
    const parts = hypothesis.parts.map((part) => compare(results, part));
    const verdicts = hypothesis.parts.map((part, i) => verdictOf(part, parts[i] ?? null));
    const plain = hypothesis.beside.map((part) => compare(results, part));
    return { hypothesis, verdict: together(verdicts), parts, beside: plain };
  }).filter(({ parts }) => parts.some((part) => part !== null));
}

/** Shown: the interval lies on the predicted side (of the margin); reversed: on the other side of zero. */
export function verdictOf({ side, margin = 0 }: Prediction, difference: Pick<Difference, 'estimate'> | null): Verdict {
  const interval = difference?.estimate.interval;
  if (!interval) return null;
  const [low, high] = side === 'above' ? interval : [-interval[1], -interval[0]];
  if (low > -margin) return 'shown';
  return high < 0 ? 'reversed' : 'not shown';
}

/** A claim of several parts is shown if all are, reversed if all are. */
function together(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes(null)) return null;
  const [first] = verdicts;
  return first !== undefined && verdicts.every((verdict) => verdict === first) ? first : 'not shown';
}

function withinSeed(a: SeedResult, b: SeedResult, measure: MeasureKey, value: number): Difference['withinSeed'] {
  if (measure === 'success') {
    const half = pairedHalfWidth(a.scenes, b.scenes);
    return half === null ? null : { interval: [value - 100 * half, value + 100 * half], over: 'paired scenes' };
  }
  if (measure !== 'multimodal') return null;
  const widths = [a, b].map(({ measurement }) => {
    const { interval } = meanRate(familyCounts(measurement));
    return (interval.high - interval.low) / 2;
  });
  const half = 100 * Math.hypot(...widths);
  return { interval: [value - half, value + half], over: 'questions, unpaired' };
}

/**
 * Half of the 95 % interval of a mean over cells of success differences, scene by scene: matched pairs with half a trial added to each
 * of the four outcomes (Agresti and Min 2005), so that few or equal scenes do not count as certain. Null without common scenes.
 */
export function pairedHalfWidth(a: readonly EpisodeRecord[], b: readonly EpisodeRecord[]): number | null {
  const nameOf = ({ task, variant, index }: EpisodeRecord): string => `${cellKey(task, variant)} ${index}`;
  const others = new Map(b.map((scene) => [nameOf(scene), scene]));
  const cells = new Map<string, { n: number; onlyA: number; onlyB: number }>();
  for (const scene of a) {
    const other = others.get(nameOf(scene));
    if (other === undefined) continue;
    const key = cellKey(scene.task, scene.variant);
    const cell = cells.get(key) ?? { n: 0, onlyA: 0, onlyB: 0 };
    cells.set(key, cell);
    cell.n++;
    if (scene.success && !other.success) cell.onlyA++;
    if (!scene.success && other.success) cell.onlyB++;
  }
  if (cells.size === 0) return null;
  let variance = 0;
  for (const { n, onlyA, onlyB } of cells.values()) {
    const pairs = n + 2;
    variance += (onlyA + onlyB + 1 - (onlyA - onlyB) ** 2 / pairs) / pairs ** 2 / cells.size ** 2;
  }
  return Z_95 * Math.sqrt(variance);
}
