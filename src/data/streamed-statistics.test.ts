import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from './random.js';
import { numericStats } from './statistics.js';
import { streamedStats } from './streamed-statistics.js';

const inBlocks = (values: Float64Array, size: number, rows: number) =>
  async function* blocks(): AsyncGenerator<Float64Array> {
    for (let at = 0; at < values.length; at += rows * size) yield values.subarray(at, at + rows * size);
  };

describe('streamedStats', () => {
  it('gives what sorting everything gives', async () => {
    const value = fc
      .oneof(fc.double(), fc.integer({ min: -3, max: 3 }), fc.constantFrom(1e308, -1e308))
      .map((x) => x + 0);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 60 }), async (rows) => {
        const values = Float64Array.from(rows.flat());
        expect(await streamedStats(inBlocks(values, 2, 7), 2)).toEqual(numericStats(values, 2));
      }),
      { numRuns: 300 },
    );
  });

  it('also where histograms have to close in: many values, ties, far outliers', async () => {
    const random = new SeededRandom(1);
    const n = 400_000;
    const values = new Float64Array(n * 3);
    for (let t = 0; t < n; t++) {
      values[t * 3] = random.float();
      // Half of the values are one value, the rest lie within a billionth of it.
      values[t * 3 + 1] = random.float() < 0.5 ? 0.25 : 0.25 + random.float() * 1e-9;
      values[t * 3 + 2] = t === 5 ? 1e300 : random.float();
    }
    expect(await streamedStats(inBlocks(values, 3, 10_000), 3)).toEqual(numericStats(values, 3));
  });
});
