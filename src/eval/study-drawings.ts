/**
 * What a study's page draws beside its measurements: curves over training, what the prunings left, what guessing would answer. Logs of
 * training stay where a model was trained; what is drawn of them travels with the results (drawings.json), so that sittings on other
 * machines keep it.
 *
 * Knows nothing about how it is drawn.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PruneReport } from '../prune/index.js';
import type { MultimodalInfo } from '../sim/index.js';
import { type MetricsRecord, readMetrics } from '../train/metrics-log.js';
import { studyPaths } from './study-folder.js';
import type { ModelResults, StudyResults } from './study-results.js';

/** Curves over training: the metric, and whether it is of optimiser steps or of validation passes. */
export const TRAINING_CURVES = {
  loss: { metric: 'loss', trained: true },
  cosineText: { metric: 'cosine_text', trained: true },
  cosineMultimodal: { metric: 'cosine_multimodal', trained: true },
  heldOutActionError: { metric: 'action_error', trained: false },
  heldOutLoss: { metric: 'loss', trained: false },
} as const;
export type TrainingCurve = keyof typeof TRAINING_CURVES;

/** A mean over training seeds, at the steps that all of them have. */
export interface MeanCurve {
  seeds: number[];
  /** [step, value] */
  points: [number, number][];
}

export interface StudyDrawings {
  /** By model. */
  curves: Record<string, Partial<Record<TrainingCurve, MeanCurve>>>;
  /** The summaries that `dualvla prune --report` left, by pruning. */
  prunings: Record<string, PruneReport>;
  /** Share of the questions that guessing answers, by family; empty where the questions are not there. */
  guessing: Record<string, number>;
}

/** More is not seen in a drawing. */
const MOST_POINTS = 200;

/** What lies in the study's folder. */
export function readDrawings(results: StudyResults): StudyDrawings {
  const names = Object.keys(TRAINING_CURVES) as TrainingCurve[];
  const curves = results.models.flatMap((model) => {
    const own = names.flatMap((name) => {
      const curve = curveOf(results.folder, model, name);
      return curve === null ? [] : [[name, curve] as const];
    });
    return own.length === 0 ? [] : [[model.name, Object.fromEntries(own)] as const];
  });
  return { curves: Object.fromEntries(curves), prunings: readPruneReports(results), guessing: readGuessing(results) };
}

function readGuessing({ folder, split }: StudyResults): Record<string, number> {
  const path = join(studyPaths(folder).questions, 'info.json');
  if (!existsSync(path)) return {};
  const { splits } = JSON.parse(readFileSync(path, 'utf8')) as MultimodalInfo;
  const families = splits[split as keyof typeof splits]?.families ?? {};
  return Object.fromEntries(Object.entries(families).map(([family, { chance }]) => [family, chance]));
}

function readPruneReports({ folder, study }: Pick<StudyResults, 'folder' | 'study'>): Record<string, PruneReport> {
  const found = Object.keys(study.prunings).flatMap((name): [string, PruneReport][] => {
    const path = studyPaths(folder).pruneReport(name);
    return existsSync(path) ? [[name, JSON.parse(readFileSync(path, 'utf8')) as PruneReport]] : [];
  });
  return Object.fromEntries(found);
}

/** Over the seeds whose logs are here; null where none is. */
function curveOf(folder: string, { name, runs }: ModelResults, curve: TrainingCurve): MeanCurve | null {
  const { metric, trained } = TRAINING_CURVES[curve];
  const series = runs.flatMap(({ seed }): MeanCurve[] => {
    const points = pointsOf(readMetrics(studyPaths(folder).run(seed, name)), metric, trained);
    return points.length === 0 ? [] : [{ seeds: [seed], points }];
  });
  const [first, ...others] = series;
  if (first === undefined) return null;
  const { seeds, points } = others.reduce(together, first);
  const stride = Math.max(1, Math.ceil(points.length / MOST_POINTS));
  const drawn = points.filter((_, i) => i % stride === 0 || i === points.length - 1);
  return { seeds, points: drawn.map(([step, value]) => [step, Number(value.toPrecision(5))]) };
}

/** Only optimiser steps have a learning rate; the other lines are validation passes. */
function pointsOf(records: readonly MetricsRecord[], metric: string, trained: boolean): [number, number][] {
  return records.flatMap((record): [number, number][] => {
    const value = record[metric];
    return typeof value === 'number' && (record.lr !== undefined) === trained ? [[record.step, value]] : [];
  });
}

/** The mean over the seeds of both, at their common steps. */
function together(a: MeanCurve, b: MeanCurve): MeanCurve {
  const other = new Map(b.points);
  const [n, m] = [a.seeds.length, b.seeds.length];
  const points = a.points.flatMap(([step, value]): [number, number][] => {
    const beside = other.get(step);
    return beside === undefined ? [] : [[step, (n * value + m * beside) / (n + m)]];
  });
  return { seeds: [...a.seeds, ...b.seeds].sort((x, y) => x - y), points };
}

/** Adds what an earlier sitting drew: other seeds into the mean; where seeds are the same, the curve of more seeds stays. */
export function withEarlierDrawings(own: StudyDrawings, earlier: StudyDrawings | undefined): StudyDrawings {
  if (earlier === undefined) return own;
  const models = [...new Set([...Object.keys(earlier.curves), ...Object.keys(own.curves)])];
  const curves = models.map((model) => {
    const [a, b] = [own.curves[model] ?? {}, earlier.curves[model] ?? {}];
    const names = [...new Set([...Object.keys(b), ...Object.keys(a)])] as TrainingCurve[];
    const merged = names.flatMap((name) => {
      const curve = joined(a[name], b[name]);
      return curve === undefined ? [] : [[name, curve] as const];
    });
    return [model, Object.fromEntries(merged)] as const;
  });
  return {
    curves: Object.fromEntries(curves),
    prunings: { ...earlier.prunings, ...own.prunings },
    guessing: { ...earlier.guessing, ...own.guessing },
  };
}

function joined(own: MeanCurve | undefined, earlier: MeanCurve | undefined): MeanCurve | undefined {
  if (own === undefined || earlier === undefined) return own ?? earlier;
  if (!own.seeds.some((seed) => earlier.seeds.includes(seed))) return together(earlier, own);
  return own.seeds.length >= earlier.seeds.length ? own : earlier;
}
