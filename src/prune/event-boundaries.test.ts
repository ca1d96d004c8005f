import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Agreement, boundaryF1, pickBoundaries, pickExpected, relativeDistanceF1 } from './event-boundaries.js';
import { goldenPresent, readGoldenJson } from './golden.test-support.js';

interface PickCase {
  name: string;
  scores: number[];
  frame_indices: number[];
  scope: number;
  threshold: number;
  begin_ignore: number;
  end_ignore: number;
  boundaries: number[];
}
interface F1Fixture {
  rel_distances: number[];
  ground_truth: Record<string, { f1_consis_avg: number; video_duration: number; substages_timestamps: number[][] }>;
  predictions: Record<string, number[]>;
  results_all_videos: Agreement[];
  average_f1: number;
  results_per_video_alone: Record<string, Agreement[]>;
}

describe.skipIf(!goldenPresent)('as released', () => {
  it('picks the boundaries of fixture 08b', () => {
    const { cases } = readGoldenJson<{ cases: PickCase[] }>('08b_ddm_postprocess');
    expect(cases.length).toBeGreaterThan(40);
    for (const one of cases) {
      const { scores, scope, threshold, begin_ignore: beginIgnore, end_ignore: endIgnore } = one;
      const picked = pickBoundaries(scores, { scope, threshold, beginIgnore, endIgnore });
      expect(
        picked.map((i) => one.frame_indices[i]),
        one.name,
      ).toEqual(one.boundaries);
    }
  });

  it('gives the F1 of fixture 08c, all videos together and each alone', () => {
    const fixture = readGoldenJson<F1Fixture>('08c_ddm_f1');
    const videos = Object.fromEntries(
      Object.entries(fixture.ground_truth).map(([name, video]) => [
        name,
        { raters: video.substages_timestamps, duration: video.video_duration, consistency: video.f1_consis_avg },
      ]),
    );
    const check = (chosen: typeof videos, expected: Agreement[]): void => {
      fixture.rel_distances.forEach((distance, i) => {
        const result = relativeDistanceF1(chosen, fixture.predictions, distance);
        for (const key of ['precision', 'recall', 'f1'] as const)
          expect(result[key], `${Object.keys(chosen)} at ${distance}`).toBeCloseTo(expected[i]?.[key] as number, 12);
      });
    };
    check(videos, fixture.results_all_videos);
    for (const [name, expected] of Object.entries(fixture.results_per_video_alone))
      check({ [name]: videos[name]! }, expected);
    const mean =
      fixture.rel_distances.reduce((sum, d) => sum + relativeDistanceF1(videos, fixture.predictions, d).f1, 0) / 10;
    expect(mean).toBeCloseTo(fixture.average_f1, 12);
  });
});

describe('pickExpected', () => {
  it('finds as many as are expected, the most probable, at a distance', () => {
    const sure = [0.9, 0.1, 0.9, 0.8, 0, 0.3];
    // Without the first 2.1 are expected.
    expect(pickExpected(sure, { share: 1, scope: 0, beginIgnore: 1 })).toEqual([2, 3]);
    expect(pickExpected(sure, { share: 1, scope: 1, beginIgnore: 1 })).toEqual([2, 5]);
    expect(pickExpected(sure, { share: 0.5, scope: 0, beginIgnore: 1 })).toEqual([2]);
    // Where nothing is sure, something is still likely.
    expect(pickExpected([0.2, 0.4, 0.3, 0.2], { share: 1, scope: 0 })).toEqual([1]);
    // Each event seen three times.
    expect(pickExpected([0.5, 0.9, 0.8, 0.4, 0.2, 0.2], { share: 1, scope: 1, every: 3 })).toEqual([1]);
    expect(pickExpected([], { share: 1, scope: 0 })).toEqual([]);
  });
});

describe('boundaryF1', () => {
  it('matches one to one within the tolerance', () => {
    expect(boundaryF1([{ found: [3, 10], truth: [5, 6] }], 2)).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
    // 4 reaches both; taking 5 for it would lose 6.
    expect(boundaryF1([{ found: [4, 7], truth: [3, 5] }], 2).f1).toBe(1);
    expect(boundaryF1([{ found: [], truth: [1] }], 2)).toEqual({ precision: 0, recall: 0, f1: 0 });
  });

  it('finds the largest matching', () => {
    const frames = fc.uniqueArray(fc.integer({ min: 0, max: 12 }), { maxLength: 5 });
    const most = (found: readonly number[], truth: readonly number[]): number =>
      found.length === 0
        ? 0
        : Math.max(
            most(found.slice(1), truth),
            ...truth
              .filter((t) => Math.abs(t - found[0]!) <= 1)
              .map(
                (t) =>
                  1 +
                  most(
                    found.slice(1),
                    truth.filter((x) => x !== t),
                  ),
              ),
          );
    fc.assert(
      fc.property(frames, frames, (found, truth) => {
        fc.pre(found.length > 0);
        expect(boundaryF1([{ found, truth }], 1).precision).toBeCloseTo(most(found, truth) / found.length, 12);
      }),
    );
  });
});
