import { describe, expect, test } from 'vitest';
import { comparePairs, countPairs, mcNemarTest, meanPairedDifference, pairedInterval } from './success-comparison.js';

const counts = (both: number, onlyFirst: number, onlySecond: number, neither: number) => ({
  both,
  onlyFirst,
  onlySecond,
  neither,
});

describe('paired comparison', () => {
  // scipy.stats.binomtest(min(b, c), b + c).pvalue, scipy 1.17
  test.each([
    [0, 0, 1],
    [5, 1, 0.21875],
    [1, 7, 0.0703125],
    [10, 3, 0.09228515625],
    [40, 20, 0.01348929373119186],
  ])('exact McNemar test of %i against %i', (b, c, p) => {
    expect(mcNemarTest(counts(9, b, c, 9))).toBeCloseTo(p, 12);
  });

  test('is not lost in large counts', () => {
    expect(mcNemarTest(counts(0, 3000, 3000, 0))).toBe(1);
    expect(mcNemarTest(counts(0, 3000, 2000, 0))).toBeLessThan(1e-40);
  });

  test('counts pairs by who succeeds', () => {
    const pairs: [boolean, boolean][] = [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
      [true, false],
    ];
    expect(countPairs(pairs)).toEqual(counts(1, 2, 1, 1));
  });

  test('the interval turns with the order of the two and holds the difference', () => {
    const one = pairedInterval(counts(10, 6, 2, 6));
    const turned = pairedInterval(counts(10, 2, 6, 6));
    expect(one.low).toBeCloseTo(-turned.high, 14);
    expect(one.high).toBeCloseTo(-turned.low, 14);
    expect(one.low).toBeLessThan(4 / 24);
    expect(one.high).toBeGreaterThan(4 / 24);
  });

  test('agreeing pairs without a difference leave an interval around 0 that narrows with trials', () => {
    const few = pairedInterval(counts(12, 0, 0, 12));
    const many = pairedInterval(counts(120, 0, 0, 120));
    expect(few.low).toBeLessThan(0);
    expect(few.high).toBeGreaterThan(0);
    expect(many.high).toBeLessThan(few.high);
    // Twenty-four pairs that always agree: the two intervals are nearly the same one, which the correlation takes away.
    expect(few.high).toBeLessThan(0.15);
  });

  // Of every outcome of 24 pairs, how much probability lies where the interval holds the true difference.
  test.each([
    [0.4, 0.1, 0.1],
    [0.3, 0.25, 0.15],
    [0.6, 0.2, 0.05],
    [0.1, 0.05, 0.3],
  ])('covers 95 % of what 24 trials give: both %f, only first %f, only second %f', (pBoth, pFirst, pSecond) => {
    const n = 24;
    const logs = [pBoth, pFirst, pSecond, 1 - pBoth - pFirst - pSecond].map(Math.log);
    const logFactorial = Array.from({ length: n + 1 }, () => 0);
    for (let i = 1; i <= n; i++) logFactorial[i] = (logFactorial[i - 1] as number) + Math.log(i);
    let covered = 0;
    for (let a = 0; a <= n; a++) {
      for (let b = 0; a + b <= n; b++) {
        for (let c = 0; a + b + c <= n; c++) {
          const cells = [a, b, c, n - a - b - c];
          const { low, high } = pairedInterval(counts(a, b, c, n - a - b - c));
          const inside = low <= pFirst - pSecond && pFirst - pSecond <= high;
          const logs4 = cells.map((k, i) => k * (logs[i] as number) - (logFactorial[k] as number));
          if (inside) covered += Math.exp((logFactorial[n] as number) + logs4.reduce((sum, x) => sum + x, 0));
        }
      }
    }
    expect(covered).toBeGreaterThan(0.93);
    expect(covered).toBeLessThan(0.985);
  });

  test('the mean over columns is that of the differences', () => {
    const { difference, interval } = meanPairedDifference([counts(10, 6, 2, 6), counts(100, 20, 20, 100)]);
    expect(difference).toBeCloseTo((4 / 24 + 0) / 2, 14);
    expect(interval.low).toBeLessThan(0);
    expect(interval.high).toBeGreaterThan(difference);
    expect(() => meanPairedDifference([])).toThrow(RangeError);
    expect(() => comparePairs(counts(0, 0, 0, 0))).toThrow('no pair');
  });
});
