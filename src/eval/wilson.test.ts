import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { meanRate, wilsonInterval } from './wilson.js';

describe('wilsonInterval', () => {
  // The closed formula, evaluated in Python.
  test.each([
    [18, 24, 0.551, 0.88],
    [82, 100, 0.7333, 0.883],
    [0, 10, 0, 0.2775],
    [10, 10, 0.7225, 1],
    [1, 1, 0.2065, 1],
  ])('%i of %i', (successes, trials, low, high) => {
    const interval = wilsonInterval({ successes, trials });
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test('ends solve the score equation and hold the rate', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.double({ min: 0, max: 1, noNaN: true }), (trials, share) => {
        const successes = Math.round(share * trials);
        const { low, high } = wilsonInterval({ successes, trials }, 2);
        const rate = successes / trials;
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low).toBeLessThanOrEqual(rate);
        expect(high).toBeGreaterThanOrEqual(rate);
        for (const p of [low, high]) {
          if (p > 0 && p < 1) expect(Math.abs(rate - p)).toBeCloseTo(2 * Math.sqrt((p * (1 - p)) / trials), 9);
        }
      }),
    );
  });

  test('no trials say nothing; no counts are refused', () => {
    expect(wilsonInterval({ successes: 0, trials: 0 })).toEqual({ low: 0, high: 1 });
    expect(() => wilsonInterval({ successes: 3, trials: 2 })).toThrow(RangeError);
    expect(() => wilsonInterval({ successes: 0.5, trials: 2 })).toThrow(RangeError);
  });
});

describe('meanRate', () => {
  test('is unweighted, and its interval shrinks with more cells', () => {
    const one = meanRate([{ successes: 50, trials: 100 }]);
    expect(one.rate).toBe(0.5);
    expect(one.interval.high - one.interval.low).toBeCloseTo((2 * 1.96 * 0.5) / Math.sqrt(104), 4);
    const mixed = meanRate([
      { successes: 10, trials: 10 },
      { successes: 0, trials: 90 },
    ]);
    expect(mixed.rate).toBe(0.5);
    const four = meanRate(Array.from({ length: 4 }, () => ({ successes: 50, trials: 100 })));
    expect(four.interval.high - four.interval.low).toBeCloseTo((one.interval.high - one.interval.low) / 2, 6);
  });

  test('refuses nothing to average', () => {
    expect(() => meanRate([])).toThrow(RangeError);
    expect(() => meanRate([{ successes: 0, trials: 0 }])).toThrow(RangeError);
  });
});
