/** Two policies over the same episodes of SimplerEnv, column by column. */
import {
  comparePairs,
  countPairs,
  meanPairedDifference,
  type PairedComparison,
  type PairedCounts,
} from '../success-comparison.js';
import type { Interval } from '../wilson.js';
import { type Column, OTHER_COLUMNS, PAPER_COLUMNS } from './columns.js';
import { episodeKey, type SimplerEpisode, type SimplerResults } from './episode-results.js';
import { SimplerEnvError } from './errors.js';

export interface SimplerComparison {
  /** Episodes that both have. */
  readonly pairs: number;
  /** By column; those without a shared episode are not there. Shared episodes count alike, so that partial columns are those of the shared ones. */
  readonly columns: Readonly<Record<string, PairedComparison>>;
  /** Mean over the nine columns; null where one has no shared episode. */
  readonly average: { readonly difference: number; readonly interval: Interval } | null;
  readonly notes: readonly string[];
}

/**
 * @returns the first policy's rates minus the second's
 * @throws SimplerEnvError where no episode was run by both
 */
export function compareSimpler(first: SimplerResults, second: SimplerResults): SimplerComparison {
  const others = new Map(second.episodes.map((episode) => [episodeKey(episode), episode]));
  const shared = first.episodes.flatMap((episode): [SimplerEpisode, SimplerEpisode][] => {
    const other = others.get(episodeKey(episode));
    return other ? [[episode, other]] : [];
  });
  if (shared.length === 0) throw new SimplerEnvError('The two results share no episode; nothing can be compared');
  const counts = new Map<string, PairedCounts>();
  for (const column of [...PAPER_COLUMNS, ...OTHER_COLUMNS]) {
    const runs = runsOf(column);
    const pairs = shared.filter(([{ run }]) => runs.has(run));
    if (pairs.length > 0) counts.set(column.name, countPairs(pairs.map(([a, b]) => [a.success, b.success])));
  }
  const nine = PAPER_COLUMNS.map(({ name }) => counts.get(name));
  const whole = nine.every((one) => one !== undefined);
  return {
    pairs: shared.length,
    columns: Object.fromEntries([...counts].map(([name, one]) => [name, comparePairs(one)])),
    average: whole ? meanPairedDifference(nine) : null,
    notes: notesOf(first, second, shared),
  };
}

const runsOf = ({ groups }: Column): Set<number> =>
  new Set(groups.flatMap(({ units }) => units.flatMap(({ runs }) => runs.map(({ run }) => run))));

function notesOf(
  first: SimplerResults,
  second: SimplerResults,
  shared: readonly (readonly [SimplerEpisode, SimplerEpisode])[],
): string[] {
  const notes: string[] = [];
  const alone = first.episodes.length + second.episodes.length - 2 * shared.length;
  if (alone > 0) notes.push(`${alone} episodes were run by one of the two only, and do not count.`);
  const unlike = shared.filter(([a, b]) => a.maxSteps !== b.maxSteps).length;
  if (unlike > 0) notes.push(`${unlike} episodes had other step limits for the one than for the other.`);
  return notes;
}
