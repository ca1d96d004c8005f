import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiscreteActionTokens, IGNORED_LABEL } from './discrete-action-tokens.js';
import { goldenPresent, readGoldenJson } from './golden.test-support.js';

interface Golden {
  bins: number[];
  bin_centers: number[];
  nan_token_for_vocab_32000: number;
  decode_ids: { vocab_size: number; token_ids: number[]; decoded: number[] };
  cases: {
    name: string;
    vocab_size: number;
    action_token_begin_idx: number;
    actions: Nested;
    token_ids: Nested;
    decoded: Nested;
  }[];
}
type Nested = number[] | number[][];
const flat = (nested: Nested): number[] => nested.flat();

describe.skipIf(!goldenPresent)('DiscreteActionTokens against the released ActionTokenizer (golden 07b)', () => {
  const golden = goldenPresent
    ? readGoldenJson<Golden>('07b_action_tokenizer.json')
    : ({ cases: [] } as unknown as Golden);

  it('has the same edges and centres', () => {
    const tokens = new DiscreteActionTokens(32000);
    expect([...tokens.edges]).toEqual(golden.bins);
    expect(tokens.centers).toHaveLength(255);
    golden.bin_centers.forEach((center, i) => {
      expect(Math.abs((tokens.centers[i] as number) - center)).toBeLessThanOrEqual(1e-15);
    });
    expect(tokens.encode([Number.NaN])[0]).toBe(golden.nan_token_for_vocab_32000);
  });

  it('decodes ids outside the action range like the nearest one inside', () => {
    const { vocab_size, token_ids, decoded } = golden.decode_ids;
    const values = new DiscreteActionTokens(vocab_size).decode(token_ids);
    decoded.forEach((value, i) => {
      expect(Math.abs((values[i] as number) - value)).toBeLessThanOrEqual(1e-15);
    });
  });

  it.each(golden.cases)(
    '$name, vocabulary $vocab_size',
    ({ vocab_size, action_token_begin_idx, actions, token_ids, decoded }) => {
      const tokens = new DiscreteActionTokens(vocab_size);
      expect(tokens.firstId).toBe(action_token_begin_idx + 1);
      expect([...tokens.encode(flat(actions))]).toEqual(flat(token_ids));
      const values = tokens.decode(flat(token_ids));
      flat(decoded).forEach((value, i) => {
        expect(Math.abs((values[i] as number) - value)).toBeLessThanOrEqual(1e-15);
      });
    },
  );
});

describe('DiscreteActionTokens', () => {
  const tokens = new DiscreteActionTokens(1280);

  it('loses at most half a bin', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), (value) => {
        const [decoded = Number.NaN] = tokens.decode(tokens.encode([value]));
        expect(Math.abs(decoded - value)).toBeLessThanOrEqual(1 / 255 + 1e-12);
      }),
    );
  });

  it('labels the chunk and the end token, not the prompt', () => {
    const { input_ids, labels } = tokens.buildLabels([5, 6, 7], [-1, 0, 1], 2);
    expect([...input_ids]).toEqual([5, 6, 7, 1279, 1152, 1024, 2]);
    expect([...labels]).toEqual([IGNORED_LABEL, IGNORED_LABEL, IGNORED_LABEL, 1279, 1152, 1024, 2]);
  });

  it('reads a chunk out of generated ids and refuses text in it', () => {
    const chunk = Float64Array.from({ length: 14 }, (_, i) => i / 7 - 1);
    const ids = [...tokens.encode(chunk), 2];
    const decoded = tokens.decodeChunk(ids, 2, 7);
    decoded.forEach((value, i) => {
      expect(Math.abs(value - (chunk[i] as number))).toBeLessThan(1 / 254);
    });
    expect(() => tokens.decodeChunk([...ids.slice(0, 3), 12, ...ids.slice(4)], 2, 7)).toThrow('found id 12 at 3');
    expect(() => tokens.decodeChunk(ids.slice(0, 13), 2, 7)).toThrow('found only 13 ids');
  });

  it('refuses a vocabulary without room', () => {
    expect(() => new DiscreteActionTokens(200)).toThrow(RangeError);
  });
});
