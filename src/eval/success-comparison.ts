/**
 * Two policies over the same scenes: only scenes where one succeeds and the other fails tell them apart, so that pairs say more than two rates beside
 * each other.
 *
 * Knows nothing about policies or benchmarks.
 */
import { type Interval, wilsonInterval, Z_95 } from './wilson.js';

/** Scenes by outcome of the first and of the second policy. */
export interface PairedCounts {
  readonly both: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly neither: number;
}

export interface PairedComparison extends PairedCounts {
  readonly pairs: number;
  /** First rate minus second rate, -1 to 1. */
  readonly difference: number;
  /** 95 % interval of the difference. */
  readonly interval: Interval;
  /** Two-sided p value of the exact McNemar test; 1 where no pair differs. */
  readonly p: number;
}

/** Counts pairs of outcomes. */
export function countPairs(pairs: Iterable<readonly [first: boolean, second: boolean]>): PairedCounts {
  const counts = { both: 0, onlyFirst: 0, onlySecond: 0, neither: 0 };
  for (const [first, second] of pairs) {
    counts[first ? (second ? 'both' : 'onlyFirst') : second ? 'onlySecond' : 'neither']++;
  }
  return counts;
}

/** @throws RangeError without a pair */
export function comparePairs(counts: PairedCounts): PairedComparison {
  const pairs = counts.both + counts.onlyFirst + counts.onlySecond + counts.neither;
  if (pairs === 0) throw new RangeError('no pair to compare');
  return {
    ...counts,
    pairs,
    difference: (counts.onlyFirst - counts.onlySecond) / pairs,
    interval: pairedInterval(counts),
    p: mcNemarTest(counts),
  };
}

/**
 * Exact McNemar test (1947): with n discordant pairs, twice the binomial tail P(X <= min(b, c)) at 1/2, at most 1.
 * @returns the two-sided p value
 */
export function mcNemarTest({ onlyFirst, onlySecond }: PairedCounts): number {
  const n = onlyFirst + onlySecond;
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= Math.min(onlyFirst, onlySecond); k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}

/**
 * 95 % interval of a difference of paired proportions: Newcombe's hybrid of two Wilson intervals with continuity-corrected correlation (Newcombe 1998,
 * "Improved confidence intervals for the difference between binomial proportions based on paired data", method 10).
 */
export function pairedInterval({ both, onlyFirst, onlySecond, neither }: PairedCounts): Interval {
  const trials = both + onlyFirst + onlySecond + neither;
  const [s1, s2] = [both + onlyFirst, both + onlySecond];
  const [p1, p2] = [s1 / trials, s2 / trials];
  const one = wilsonInterval({ successes: s1, trials });
  const two = wilsonInterval({ successes: s2, trials });
  const phi = correlation({ both, onlyFirst, onlySecond, neither });
  const half = (a: number, b: number): number => Math.sqrt(Math.max(0, a * a - 2 * phi * a * b + b * b));
  const difference = p1 - p2;
  return {
    low: Math.max(-1, difference - half(p1 - one.low, two.high - p2)),
    high: Math.min(1, difference + half(one.high - p1, p2 - two.low)),
  };
}

/** Phi of the 2 x 2 table, its numerator reduced by n/2 where it is positive; 0 where a margin is empty. */
function correlation({ both: a, onlyFirst: b, onlySecond: c, neither: d }: PairedCounts): number {
  const margins = (a + b) * (c + d) * (a + c) * (b + d);
  if (margins === 0) return 0;
  const n = a + b + c + d;
  const product = a * d - b * c;
  const corrected = product > n / 2 ? product - n / 2 : Math.min(product, 0);
  return corrected / Math.sqrt(margins);
}

/**
 * Mean of the differences of several tables, unweighted, as columns are averaged: the normal interval, each column's variance after half a pair is added
 * to every cell (Agresti and Min 2005), so that columns without a differing pair do not count as certain.
 *
 * @throws RangeError without a table
 */
export function meanPairedDifference(tables: readonly PairedCounts[]): { difference: number; interval: Interval } {
  if (tables.length === 0) throw new RangeError('the mean of no comparison');
  let difference = 0;
  let variance = 0;
  for (const counts of tables) {
    const { pairs, difference: raw } = comparePairs(counts);
    const n = pairs + 2;
    const [b, c] = [(counts.onlyFirst + 0.5) / n, (counts.onlySecond + 0.5) / n];
    difference += raw / tables.length;
    variance += (b + c - (b - c) ** 2) / n / tables.length ** 2;
  }
  const half = Z_95 * Math.sqrt(variance);
  return { difference, interval: { low: Math.max(-1, difference - half), high: Math.min(1, difference + half) } };
}
