/**
 * Closed-loop evaluation of one policy over tasks and variants: a number of episodes a cell, those in the log left out, so
 * that an evaluation that was stopped continues.
 *
 * Knows nothing about how the numbers are shown.
 */
import type { Split, TaskId, Variant } from '../sim/index.js';
import type { EpisodeLog, EpisodeRecord } from './episode-log.js';
import { type RolloutPolicy, rollout } from './rollout.js';
import { type SuccessTable, tallySuccess } from './success-table.js';
import type { EpisodeTrace } from './trace.js';

export interface EvaluateOptions {
  cells: readonly { task: TaskId; variant: Variant }[];
  /** Episodes a cell: numbers `first` to `first + trials - 1` of the split. */
  trials: number;
  first?: number;
  split: Split;
  policy: RolloutPolicy;
  /** Finished episodes; new ones are added. */
  log: EpisodeLog;
  /** Record what happens at every step; the events then have it. */
  trace?: boolean;
  workers?: number;
  signal?: AbortSignal;
}

/** An episode that has just finished. */
export interface EvaluateEvent {
  record: EpisodeRecord;
  trace?: EpisodeTrace;
  /** Episodes finished so far, those found in the log included, of how many. */
  done: number;
  total: number;
}

/** Every task with every variant, tasks first. */
export function cellsOfAll(tasks: readonly TaskId[], variants: readonly Variant[]): EvaluateOptions['cells'] {
  return tasks.flatMap((task) => variants.map((variant) => ({ task, variant })));
}

/** Runs what is missing. @throws what `rollout` throws; AbortError when stopped */
export async function* evaluate(options: EvaluateOptions): AsyncGenerator<EvaluateEvent, void> {
  const { cells, split, log, policy, trace: tracing = false, workers, signal } = options;
  const numbers = episodeNumbers(options);
  const missing = cells.map(({ task, variant }) => ({
    task,
    variant,
    episodes: numbers.filter((index) => !log.has({ task, variant, split, index })),
  }));
  const total = cells.length * numbers.length;
  let done = total - missing.reduce((sum, { episodes }) => sum + episodes.length, 0);
  for (const cell of missing) {
    const limits = { ...(workers === undefined ? {} : { workers }), ...(signal === undefined ? {} : { signal }) };
    for await (const { record, trace } of rollout({ ...cell, split, policy, trace: tracing, ...limits })) {
      log.add(record);
      done++;
      yield { record, ...(trace === undefined ? {} : { trace }), done, total };
    }
  }
}

/** The table of exactly the episodes that the options ask for, as far as they are in the log. */
export function successTableOf(
  options: Pick<EvaluateOptions, 'cells' | 'trials' | 'first' | 'split' | 'log'>,
): SuccessTable {
  const { cells, split, log } = options;
  const records = cells.flatMap(({ task, variant }) =>
    episodeNumbers(options).flatMap((index) => log.get({ task, variant, split, index }) ?? []),
  );
  return tallySuccess(records);
}

function episodeNumbers({ first = 0, trials }: Pick<EvaluateOptions, 'first' | 'trials'>): number[] {
  return Array.from({ length: trials }, (_, i) => first + i);
}
