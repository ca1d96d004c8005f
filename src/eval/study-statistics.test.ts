import { describe, expect, test } from 'vitest';
import { estimateMean, studentCdf, studentQuantile } from './study-statistics.js';

describe("Student's t", () => {
  // Tables of the t distribution (e.g. NIST/SEMATECH e-Handbook 1.3.6.7.2), p = 0.975.
  test.each([
    [1, 12.7062],
    [2, 4.3027],
    [4, 2.7764],
    [7, 2.3646],
    [11, 2.201],
    [30, 2.0423],
    [100, 1.984],
  ])('0.975 quantile with %d degrees of freedom is %d', (degrees, expected) => {
    expect(studentQuantile(0.975, degrees)).toBeCloseTo(expected, 4);
    expect(studentQuantile(0.025, degrees)).toBeCloseTo(-expected, 4);
  });

  test('other probabilities, and the normal distribution as its limit', () => {
    expect(studentQuantile(0.95, 5)).toBeCloseTo(2.01505, 5);
    expect(studentQuantile(0.995, 10)).toBeCloseTo(3.16927, 5);
    expect(studentQuantile(0.975, 1e6)).toBeCloseTo(1.95997, 4);
  });

  test('closed forms of the distribution function', () => {
    // One degree of freedom is Cauchy's distribution; two: 1/2 + t / (2 sqrt(2 + t^2)).
    for (const t of [-3, -0.2, 0, 0.7, 5]) {
      expect(studentCdf(t, 1)).toBeCloseTo(0.5 + Math.atan(t) / Math.PI, 12);
      expect(studentCdf(t, 2)).toBeCloseTo(0.5 + t / (2 * Math.sqrt(2 + t * t)), 12);
    }
  });

  test('refuses what is no probability', () => {
    expect(() => studentQuantile(1, 3)).toThrow(RangeError);
    expect(() => studentQuantile(0.5, 0)).toThrow(RangeError);
  });
});

describe('mean over seeds', () => {
  test('a worked example', () => {
    // Mean 5, s = sqrt(20 / 3), half width 3.1824 * s / 2.
    const { mean, interval, n } = estimateMean([2, 4, 6, 8]);
    expect([mean, n]).toEqual([5, 4]);
    const half = (3.182446 * Math.sqrt(20 / 3)) / 2;
    expect(interval?.[0]).toBeCloseTo(5 - half, 5);
    expect(interval?.[1]).toBeCloseTo(5 + half, 5);
  });

  test('one value has no interval, none no mean', () => {
    expect(estimateMean([3])).toEqual({ mean: 3, interval: null, n: 1 });
    expect(() => estimateMean([])).toThrow(RangeError);
  });

  test('equal values are not certain', () => {
    expect(estimateMean([3, 3, 3])).toEqual({ mean: 3, interval: null, n: 3 });
  });
});
