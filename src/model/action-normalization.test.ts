import { describe, expect, it } from 'vitest';
import { type ActionStatistics, normalizeActions, unnormalizeActions } from './action-normalization.js';
import { goldenPresent, readGoldenJson } from './golden.test-support.js';

interface Golden {
  normalized_input_float32: number[][];
  raw_input_float32: number[][];
  cases: {
    name: string;
    statistics: ActionStatistics;
    instructvla_actions: number[][];
    plain_actions: number[][];
    normalised_from_raw_float32: number[][];
  }[];
}

describe.skipIf(!goldenPresent)('against the released normalisation (golden 07c)', () => {
  const golden = goldenPresent ? readGoldenJson<Golden>('07c_unnormalize.json') : ({ cases: [] } as unknown as Golden);

  it.each(golden.cases)('$name', ({ statistics, instructvla_actions, plain_actions, normalised_from_raw_float32 }) => {
    const input = golden.normalized_input_float32.flat();
    const near = (actual: ArrayLike<number>, expected: number[], relative: number, absolute: number): void => {
      expect(actual).toHaveLength(expected.length);
      expected.forEach((value, i) => {
        expect(Math.abs((actual[i] as number) - value)).toBeLessThanOrEqual(absolute + relative * Math.abs(value));
      });
    };
    near(unnormalizeActions(input, statistics, { clip: true, binaryDim: 6 }), instructvla_actions.flat(), 1e-12, 1e-24);
    near(unnormalizeActions(input, statistics), plain_actions.flat(), 1e-12, 1e-24);
    near(normalizeActions(golden.raw_input_float32.flat(), statistics), normalised_from_raw_float32.flat(), 0, 1e-6);
  });
});

describe('action normalisation', () => {
  const statistics = { q01: [-0.1, 0], q99: [0.3, 1], mask: [true, false] };

  it('maps the quantiles to -1 and 1, clips beyond, and passes masked-out dimensions through', () => {
    const normalized = normalizeActions([-0.1, 0.25, 0.3, 1, 9, 0, 0.1, 7], statistics);
    [-1, 0.25, 1, 1, 1, 0, 0, 7].forEach((value, i) => {
      expect(normalized[i]).toBeCloseTo(value, 6);
    });
    const back = unnormalizeActions(normalized, statistics);
    [-0.1, 0.25, 0.3, 1, 0.3, 0, 0.1, 7].forEach((value, i) => {
      expect(back[i]).toBeCloseTo(value, 6);
    });
  });

  it('names statistics that do not fit', () => {
    expect(() => normalizeActions([1, 2, 3], statistics)).toThrow(
      '3 action values do not fit statistics of 2 (q01) and 2 (q99) dimensions',
    );
  });
});
