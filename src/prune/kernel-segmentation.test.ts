import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PruneError } from './errors.js';
import { encodedFeatures, pixelFeatures } from './frame-features.js';
import { changePoints, MAX_KERNEL_FRAMES } from './kernel-segmentation.js';

/** Segments of constant features with a little noise. */
function sequence(lengths: readonly number[]): number[] {
  return lengths.flatMap((length, s) =>
    Array.from({ length }, (_, t) => [10 * (s % 3), 5 * s, 0.1 * Math.sin(7 * t + s)]).flat(),
  );
}
/** The definition: what a choice of change points costs, and the least over all choices. */
function costs(
  features: readonly number[],
  n: number,
  penalty: number,
): { of(points: readonly number[]): number; least: number } {
  const size = features.length / n;
  const square = (i: number, j: number): number =>
    Array.from({ length: size }, (_, d) => (features[i * size + d]! - features[j * size + d]!) ** 2).reduce(
      (a, b) => a + b,
      0,
    );
  const distances = Array.from({ length: n }, (_, i) => Array.from({ length: i }, (_, j) => square(i, j)))
    .flat()
    .sort((a, b) => a - b);
  const median = distances[distances.length >> 1]!;
  const scatter = (i: number, j: number): number => {
    let sum = 0;
    for (let s = i; s < j; s++) for (let t = i; t < j; t++) sum += Math.exp(-square(s, t) / (2 * median));
    return j - i - sum / (j - i);
  };
  const of = (points: readonly number[]): number => {
    const m = points.length;
    const ends = [0, ...points, n];
    const cost = ends.slice(1).reduce((sum, end, k) => sum + scatter(ends[k]!, end), 0) / n;
    return cost + (m === 0 ? 0 : penalty * (m / (2 * n)) * (Math.log(n / m) + 1));
  };
  const places = Array.from({ length: n - 1 }, (_, i) => i + 1);
  const all = Array.from({ length: 1 << (n - 1) }, (_, mask) => places.filter((p) => mask & (1 << (p - 1))));
  return { of, least: Math.min(...all.map(of)) };
}

describe('kernel temporal segmentation', () => {
  it('finds where the features change, and nothing in what stays', () => {
    expect(changePoints(sequence([6, 9, 4, 7]), 26)).toEqual([6, 15, 19]);
    expect(changePoints(new Array(20).fill(1), 20)).toEqual([]);
    expect(changePoints([1, 2], 1)).toEqual([]);
    expect(changePoints([], 0)).toEqual([]);
  });

  it('is the minimum of its definition', () => {
    const value = fc.integer({ min: -300, max: 300 });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 16, maxLength: 16 }),
        fc.constantFrom(0.3, 1, 2),
        (features, penalty) => {
          // Half of the frames the same has no median distance.
          fc.pre(new Set(features).size > 12);
          const { of, least } = costs(features, 8, penalty);
          expect(of(changePoints(features, 8, { penalty }))).toBeCloseTo(least, 9);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a higher penalty finds fewer, and segments keep their least length', () => {
    const features = sequence([3, 3, 3, 3, 3, 3]);
    const many = changePoints(features, 18, { penalty: 0.2 });
    expect(many).toEqual([3, 6, 9, 12, 15]);
    expect(changePoints(features, 18, { penalty: 8 }).length).toBeLessThan(many.length);
    for (const [i, point] of changePoints(features, 18, { minFrames: 5 }).entries())
      expect(point).toBeGreaterThanOrEqual(5 * (i + 1));
    expect(() => changePoints(features, 18, { penalty: 0 })).toThrow(PruneError);
  });

  it('looks at every other frame of long episodes', () => {
    const n = MAX_KERNEL_FRAMES + 200;
    const points = changePoints(sequence([900, n - 900]), n);
    expect(points).toEqual([900]);
  }, 60_000);
});

describe('frame features', () => {
  /** A bright bar of 8 pixels, one column further in frame 2. */
  const frames = Uint8Array.from({ length: 4 * 64 * 64 * 3 }, (_, i) => {
    const t = Math.floor(i / (64 * 64 * 3));
    const x = (Math.floor(i / 3) % 64) - (t < 2 ? 0 : 1);
    return x >= 8 && x < 16 ? 200 : 20;
  });

  it('of pixels see the picture, of flow its motion', () => {
    const pixels = pixelFeatures('pixels', frames, 4, 64);
    expect(pixels.size).toBe(256);
    expect(pixels.values[0]).toBeCloseTo(20, 3);
    expect(pixels.values[2]).toBeCloseTo(200, 3);
    expect(pixels.values[3 * 256 + 2]).toBeCloseTo((3 * 200 + 20) / 4, 3);
    expect(changePoints(pixels.values, 4, { penalty: 0.2 })).toEqual([2]);
    const flow = pixelFeatures('flow', frames, 4, 64);
    expect(flow.size).toBe(128);
    const norm = (t: number): number => Math.hypot(...flow.values.subarray(t * 128, (t + 1) * 128));
    expect([0, 1, 3].map(norm)).toEqual([0, 0, 0]);
    // To the right by a pixel, seen by the cells at the bar's edges.
    expect(Math.max(...flow.values.subarray(2 * 128))).toBeGreaterThan(0.5);
    expect(pixelFeatures('flow', frames.subarray(0, 64 * 64 * 3), 1, 64).values).toHaveLength(128);
    expect(() => pixelFeatures('flow', frames, 4, 60)).toThrow(/multiple of 64/);
  });

  it('of an encoder come from it, whatever the batch', () => {
    const encoder = {
      name: 'mean',
      imageSize: 64,
      encode: (data: Uint8Array, numFrames: number) => ({
        size: 2,
        values: Float32Array.from({ length: 2 * numFrames }, (_, i) => data[(i >> 1) * 64 * 64 * 3] as number),
      }),
    };
    const counted = frames.map((value, i) => (i % (64 * 64 * 3) === 0 ? i / (64 * 64 * 3) : value));
    expect([...encodedFeatures(encoder, counted, 4, 3).values]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    const broken = { ...encoder, encode: () => ({ size: 1, values: Float32Array.of(1, Number.NaN, 1) }) };
    expect(() => encodedFeatures(broken, frames, 3)).toThrow(/encoder mean gives NaN.*frame 1/);
  });
});
