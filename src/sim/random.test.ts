import { describe, expect, it } from 'vitest';
import { Random, SEEDS, seedOf, testSeed, trainSeed, validationSeed } from './random.js';

describe('seeds', () => {
  it('of the splits are disjoint and positive 31-bit integers', () => {
    const ranges = Object.values(SEEDS).map(({ start, count }) => [start, start + count] as const);
    const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < sorted.length; i++) {
      expect((sorted[i] as readonly [number, number])[0]).toBeGreaterThanOrEqual(
        (sorted[i - 1] as readonly [number, number])[1],
      );
    }
    for (const [start, end] of ranges) {
      expect(start).toBeGreaterThanOrEqual(0);
      expect(end).toBeLessThan(2 ** 31);
    }
    expect(new Set([trainSeed(0), validationSeed(0), testSeed(0)]).size).toBe(3);
  });

  it('outside a split are refused', () => {
    expect(() => seedOf('test', SEEDS.test.count)).toThrow(/test seed/);
    expect(() => trainSeed(-1)).toThrow(/train seed -1/);
    expect(() => validationSeed(0.5)).toThrow(/validation seed 0.5/);
  });
});

describe('Random', () => {
  it('depends on seed and stream alone', () => {
    const draw = (seed: number, stream: string): number[] => {
      const random = new Random(seed, stream);
      return Array.from({ length: 8 }, () => random.float());
    };
    expect(draw(5, 'a')).toEqual(draw(5, 'a'));
    expect(draw(5, 'a')).not.toEqual(draw(5, 'b'));
    expect(draw(5, 'a')).not.toEqual(draw(6, 'a'));
  });

  it('is uniform and normal to statistical accuracy', () => {
    const random = new Random(1, 'moments');
    const n = 20000;
    const uniform = Array.from({ length: n }, () => random.float());
    const normal = Array.from({ length: n }, () => random.normal());
    const mean = (v: number[]): number => v.reduce((s, x) => s + x, 0) / v.length;
    expect(mean(uniform)).toBeCloseTo(0.5, 1);
    expect(mean(uniform.map((x) => (x - 0.5) ** 2))).toBeCloseTo(1 / 12, 2);
    expect(Math.abs(mean(normal))).toBeLessThan(0.03);
    expect(mean(normal.map((x) => x * x))).toBeCloseTo(1, 1);
    // Neighbouring seeds give unrelated first draws.
    const first = Array.from({ length: n }, (_, i) => new Random(i, 's').float());
    expect(Math.abs(mean(first) - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(mean(first.slice(1).map((x, i) => (x - 0.5) * ((first[i] as number) - 0.5))))).toBeLessThan(0.003);
  });

  it('shuffles without loss', () => {
    expect(new Random(1, 'x').shuffle([1, 2, 3, 4, 5]).sort()).toEqual([1, 2, 3, 4, 5]);
  });
});
