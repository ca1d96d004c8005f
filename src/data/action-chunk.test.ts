import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ActionRepresentation,
  type ActionSequence,
  chunkStatsFromJson,
  chunkStatsToJson,
  computeChunkStats,
  decodeChunk,
  encodeChunk,
  normaliseChunk,
  rawChunk,
  unnormaliseChunk,
} from './action-chunk.js';

const A = 7;
const delta = fc.float({ min: Math.fround(-0.05), max: Math.fround(0.05), noNaN: true });

/** Episodes of 1 to 12 steps with moving dims and a binary gripper. */
const episode: fc.Arbitrary<ActionSequence> = fc
  .array(fc.tuple(fc.array(delta, { minLength: A - 1, maxLength: A - 1 }), fc.boolean()), {
    minLength: 1,
    maxLength: 12,
  })
  .map((steps) => ({
    action: Float32Array.from(steps.flatMap(([deltas, open]) => [...deltas, open ? 1 : 0])),
    length: steps.length,
    actionDim: A,
  }));
const representation = fc.constantFrom<ActionRepresentation>('cumulative', 'delta');

describe('rawChunk', () => {
  const actions: ActionSequence = {
    action: Float32Array.from([1, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0]),
    length: 3,
    actionDim: 7,
  };

  it('sums deltas from its start and keeps the gripper absolute', () => {
    const chunkCA = new Float32Array(3 * 7);
    const maskC = new Uint8Array(3);
    rawChunk(actions, 0, { chunk: 3, representation: 'cumulative' }, chunkCA, maskC);
    expect([0, 7, 14].map((i) => chunkCA[i])).toEqual([1, 3, 7]);
    expect([6, 13, 20].map((i) => chunkCA[i])).toEqual([1, 1, 0]);
    expect([...maskC]).toEqual([1, 1, 1]);
  });

  it('holds the pose past the end of the episode and masks it', () => {
    const chunkCA = new Float32Array(4 * 7);
    const maskC = new Uint8Array(4);
    rawChunk(actions, 1, { chunk: 4, representation: 'cumulative' }, chunkCA, maskC);
    expect([0, 7, 14, 21].map((i) => chunkCA[i])).toEqual([2, 6, 6, 6]);
    expect([6, 13, 20, 27].map((i) => chunkCA[i])).toEqual([1, 0, 0, 0]);
    expect([...maskC]).toEqual([1, 1, 0, 0]);
    rawChunk(actions, 1, { chunk: 4, representation: 'delta' }, chunkCA, maskC);
    expect([0, 7, 14, 21].map((i) => chunkCA[i])).toEqual([2, 4, 0, 0]);
  });
});

describe('disturbed steps', () => {
  it('end what can be learned from a chunk that began before them, and stay out of the statistics', () => {
    // Step 1 was executed otherwise; step 2 makes up for it.
    const action = Float32Array.from([1, 1, 50, 1].flatMap((x) => [x, 0, 0, 0, 0, 0, 1]));
    const disturbed = Uint8Array.of(0, 1, 0, 0);
    const one = { action, length: 4, actionDim: 7, disturbed };
    const options = { chunk: 3, representation: 'cumulative' } as const;
    const masks = [0, 1, 2, 3].map((t) => {
      const maskC = new Uint8Array(3);
      rawChunk(one, t, options, new Float32Array(21), maskC);
      return [...maskC];
    });
    expect(masks).toEqual([
      [1, 1, 0],
      [1, 0, 0],
      [1, 1, 0],
      [1, 0, 0],
    ]);
    // Second steps: 1 + 1 from frame 0 and 50 + 1 from frame 2; never 1 + 50.
    const stats = computeChunkStats([one], options);
    expect([stats.q01[7], stats.q99[7]].map((value) => Math.round(value ?? 0))).toEqual([2, 51]);
  });
});

describe('chunk statistics', () => {
  it('are the quantiles of every step and dimension over all real steps', () => {
    const action = Float32Array.from({ length: 101 * 7 }, (_, i) => (i % 7 === 0 ? Math.floor(i / 7) : 0));
    const stats = computeChunkStats([{ action, length: 101, actionDim: 7 }], { chunk: 2, representation: 'delta' });
    expect(stats.q01[0]).toBeCloseTo(1, 5);
    expect(stats.q99[0]).toBeCloseTo(99, 5);
    // The second step never sees the first action: values 1..100.
    expect(stats.q01[7]).toBeCloseTo(1.99, 5);
    expect(stats.q99[7]).toBeCloseTo(99.01, 5);
  });

  it('refuse an empty list', () => {
    expect(() => computeChunkStats([], { chunk: 2, representation: 'delta' })).toThrow('No episode');
  });

  it('survive JSON, and name what is wrong with other JSON', () => {
    const stats = computeChunkStats(
      [{ action: Float32Array.from({ length: 70 }, (_, i) => i), length: 10, actionDim: 7 }],
      {
        chunk: 3,
        representation: 'cumulative',
      },
    );
    expect(chunkStatsFromJson(JSON.parse(JSON.stringify(chunkStatsToJson(stats))))).toEqual(stats);
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(() => chunkStatsFromJson(json)).toThrow(RangeError);
      }),
    );
  });
});

describe('normalised chunks', () => {
  it('map the gripper 0 and 1 to -1 and 1 exactly', () => {
    fc.assert(
      fc.property(fc.array(episode, { minLength: 1, maxLength: 4 }), representation, (episodes, kind) => {
        const stats = computeChunkStats(episodes, { chunk: 4, representation: kind });
        const chunkCA = new Float32Array(4 * A);
        for (const one of episodes) {
          for (let t = 0; t < one.length; t++) {
            encodeChunk(one, t, stats, chunkCA);
            for (let k = 0; k < 4; k++) {
              const source = one.action[Math.min(t + k, one.length - 1) * A + 6];
              expect(chunkCA[k * A + 6]).toBe(source === 1 ? 1 : -1);
            }
          }
        }
      }),
    );
  });

  it('normalise and come back', () => {
    fc.assert(
      fc.property(
        fc.array(episode, { minLength: 1, maxLength: 4 }),
        representation,
        fc.integer({ min: 1, max: 6 }),
        (episodes, kind, chunk) => {
          const stats = computeChunkStats(episodes, { chunk, representation: kind });
          const chunkCA = new Float32Array(chunk * A);
          const maskC = new Uint8Array(chunk);
          for (const one of episodes) {
            rawChunk(one, 0, { chunk, representation: kind }, chunkCA, maskC);
            const raw = Float32Array.from(chunkCA);
            normaliseChunk(chunkCA, stats);
            unnormaliseChunk(chunkCA, stats);
            raw.forEach((value, i) => {
              // Constants come back as the middle of their range; a padded step may lie outside the range of real ones.
              if (maskC[Math.floor(i / A)] === 1) expect(Math.abs((chunkCA[i] as number) - value)).toBeLessThan(2e-5);
            });
          }
        },
      ),
    );
  });

  it('decode to the actions they were made of', () => {
    fc.assert(
      fc.property(fc.array(episode, { minLength: 1, maxLength: 4 }), representation, (episodes, kind) => {
        const chunk = 5;
        const stats = computeChunkStats(episodes, { chunk, representation: kind });
        const chunkCA = new Float32Array(chunk * A);
        for (const one of episodes) {
          for (let t = 0; t < one.length; t++) {
            encodeChunk(one, t, stats, chunkCA);
            const decoded = decodeChunk(chunkCA, stats);
            for (let k = 0; k < chunk && t + k < one.length; k++) {
              for (let d = 0; d < A; d++)
                expect(Math.abs((decoded[k * A + d] as number) - (one.action[(t + k) * A + d] as number))).toBeLessThan(
                  d === 6 ? 1e-9 : 4e-5,
                );
            }
          }
        }
      }),
    );
  });

  it('keep almost all real values within -1..1 and rare ones within about 8', () => {
    // One step in 400 turns by half a radian: far outside q01..q99, which are both 0.
    const length = 4000;
    const action = Float32Array.from({ length: length * 7 }, (_, i) =>
      i % 7 === 5 && Math.floor(i / 7) % 400 === 7 ? 0.5 : 0,
    );
    const one = { action, length, actionDim: 7 };
    const stats = computeChunkStats([one], { chunk: 1, representation: 'delta' });
    const chunkCA = new Float32Array(7);
    encodeChunk(one, 7, stats, chunkCA);
    expect(chunkCA[5]).toBeCloseTo(8, 4);
    encodeChunk(one, 8, stats, chunkCA);
    expect(chunkCA[5]).toBeCloseTo(0, 4);
  });

  it('refuse a chunk of another size', () => {
    const stats = computeChunkStats([{ action: new Float32Array(14), length: 2, actionDim: 7 }], {
      chunk: 2,
      representation: 'delta',
    });
    expect(() => decodeChunk(new Float32Array(7), stats)).toThrow('2 x 7');
  });
});
