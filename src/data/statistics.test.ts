import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addToHistogram,
  emptyHistogram,
  histogramStats,
  mergeHistograms,
  mergeStats,
  numericStats,
  quantileOfSorted,
  robustRange,
  sampleFrames,
  statsFromJson,
  statsToJson,
} from './statistics.js';

const finite = fc.float({ min: -1000, max: 1000, noNaN: true });

describe('quantiles', () => {
  it('interpolates like NumPy', () => {
    // numpy.quantile([1, 2, 4, 8], [0, .01, .1, .5, .9, .99, 1])
    const values = [1, 2, 4, 8];
    expect([0, 0.01, 0.1, 0.5, 0.9, 0.99, 1].map((q) => quantileOfSorted(values, q))).toEqual(
      [1, 1.03, 1.3, 3, 6.8, 7.88, 8].map((value) => expect.closeTo(value, 12)),
    );
  });

  it('is between minimum and maximum and grows with q', () => {
    fc.assert(
      fc.property(
        fc.array(finite, { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, p, q) => {
          const sorted = Float64Array.from(values).sort();
          const [low, high] = [quantileOfSorted(sorted, Math.min(p, q)), quantileOfSorted(sorted, Math.max(p, q))];
          expect(low).toBeLessThanOrEqual(high + 1e-9);
          expect(low).toBeGreaterThanOrEqual((sorted[0] as number) - 1e-9);
          expect(high).toBeLessThanOrEqual((sorted.at(-1) as number) + 1e-9);
        },
      ),
    );
  });

  it('widens a range whose rare values lie far out', () => {
    const sorted = Float64Array.from({ length: 1000 }, (_, i) => (i === 999 ? 1 : 0)).sort();
    expect(robustRange(sorted)).toEqual([-0.125, 0.125]);
    expect(robustRange(Float64Array.from({ length: 101 }, (_, i) => i))).toEqual([1, 99]);
  });
});

describe('numericStats', () => {
  it('gives min, max, mean, population std and count for each dimension', () => {
    const stats = numericStats(Float32Array.from([1, 10, 2, 10, 3, 10, 6, 10]), 2);
    expect(stats.min).toEqual([1, 10]);
    expect(stats.max).toEqual([6, 10]);
    expect(stats.mean).toEqual([3, 10]);
    expect(stats.std[0]).toBeCloseTo(Math.sqrt((4 + 1 + 0 + 9) / 4), 12);
    expect(stats.std[1]).toBe(0);
    expect(stats.count).toBe(4);
    expect(stats.quantiles?.q50).toEqual([2.5, 10]);
  });

  it('merges to what the whole gives, and does not pretend to know its quantiles', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(finite, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 6 }),
        (parts) => {
          const merged = mergeStats(parts.map((part) => numericStats(Float64Array.from(part), 1)));
          const whole = numericStats(Float64Array.from(parts.flat()), 1);
          expect(merged.count).toBe(whole.count);
          expect(merged.min).toEqual(whole.min);
          expect(merged.max).toEqual(whole.max);
          expect(merged.mean[0]).toBeCloseTo(whole.mean[0] as number, 6);
          expect(merged.std[0]).toBeCloseTo(whole.std[0] as number, 4);
          expect(merged.quantiles).toBeUndefined();
        },
      ),
    );
  });

  it('refuses nothing and different dimensions', () => {
    expect(() => mergeStats([])).toThrow(RangeError);
    expect(() => mergeStats([numericStats(Float32Array.of(1), 1), numericStats(Float32Array.of(1, 2), 2)])).toThrow(
      'different dimensions',
    );
  });
});

describe('picture statistics', () => {
  it('equal those of the pixel values themselves', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4 * 3, maxLength: 4 * 3 }), (data) => {
        const histogram = emptyHistogram();
        addToHistogram(histogram, { width: 2, height: 2, data });
        const stats = histogramStats(histogram);
        const expected = numericStats(
          Float64Array.from(data, (value) => value / 255),
          3,
        );
        for (const key of ['min', 'max', 'mean', 'std'] as const)
          stats[key].forEach((value, c) => {
            expect(value).toBeCloseTo(expected[key][c] as number, 10);
          });
        stats.quantiles?.q99.forEach((value, c) => {
          expect(value).toBeCloseTo(expected.quantiles?.q99[c] as number, 10);
        });
        expect(stats.count).toBe(1);
      }),
    );
  });

  it('add up over episodes without loss', () => {
    const one = { width: 1, height: 1, data: Uint8Array.of(10, 20, 30) };
    const two = { width: 1, height: 1, data: Uint8Array.of(50, 60, 70, 90, 100, 110) };
    const parts = [one, two].map((images) => {
      const histogram = emptyHistogram();
      addToHistogram(histogram, images);
      return histogram;
    });
    const stats = histogramStats(mergeHistograms(parts));
    expect(stats.count).toBe(3);
    expect(stats.mean.map((value) => value * 255)).toEqual([50, 60, 70].map((value) => expect.closeTo(value, 9)));
    expect(stats.max.map((value) => value * 255)).toEqual([90, 100, 110].map((value) => expect.closeTo(value, 9)));
  });

  it('sample as many frames as LeRobot does', () => {
    expect(sampleFrames(1)).toEqual([0]);
    expect(sampleFrames(20)).toEqual(Array.from({ length: 20 }, (_, t) => t));
    expect(sampleFrames(300)).toHaveLength(100);
    expect(sampleFrames(1000)).toHaveLength(177);
    expect(sampleFrames(5000)).toHaveLength(594);
    expect(sampleFrames(1000).at(-1)).toBe(999);
  });
});

describe('statistics as JSON', () => {
  it('come back, pictures in the shape (3, 1, 1)', () => {
    const stats = numericStats(Float32Array.from([1, 2, 3, 4, 5, 6]), 3);
    expect(statsFromJson(statsToJson(stats, false))).toEqual(stats);
    const json = statsToJson(stats, true);
    expect(json.mean).toEqual([[[2.5]], [[3.5]], [[4.5]]]);
    expect(statsFromJson(json)).toEqual(stats);
    expect(statsFromJson({ mean: [1] })).toBeUndefined();
    expect(statsFromJson(null)).toBeUndefined();
  });
});
