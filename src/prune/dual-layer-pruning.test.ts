import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combineLayers, type EpisodeLayers, sceneLabels } from './dual-layer-pruning.js';
import { PruneError } from './errors.js';
import { bitsToText } from './keep-labels.js';

const episode: EpisodeLayers = { numFrames: 8, boundaries: [2, 6], motion: Uint8Array.from([0, 1, 1, 0, 1, 0, 0, 1]) };
const keep = (options: Parameters<typeof combineLayers>[1]): string =>
  bitsToText(combineLayers([episode], { firstFrame: 'label', ...options })[0]!.keep);
const ones = (text: string): number => [...text].filter((bit) => bit === '1').length;

describe('combineLayers', () => {
  it('keeps what both layers say, and by each ablation what its rule says', () => {
    expect(keep({})).toBe('00100000');
    expect(keep({ combine: 'or' })).toBe('01101011');
    expect(keep({ combine: 'scene' })).toBe('00100010');
    expect(keep({ combine: 'motion' })).toBe('01101001');
  });

  it('widens the scene label by the tolerance, not beyond the ends', () => {
    expect(keep({ tolerance: 1 })).toBe('01100001');
    expect(keep({ tolerance: 1, combine: 'scene' })).toBe('01110111');
    expect(bitsToText(sceneLabels([0, 7], 8, 2))).toBe('11100111');
  });

  it('keeps the first frame by policy', () => {
    expect(keep({ firstFrame: 'keep' })).toBe('10100000');
    expect(keep({ firstFrame: 'keep', combine: 'motion' })).toBe('11101001');
  });

  it('names the layer that is missing', () => {
    expect(() => combineLayers([{ ...episode, boundaries: null }])).toThrow(/scene layer.*--combine motion/);
    expect(() => combineLayers([{ ...episode, motion: null }], { combine: 'or' })).toThrow(
      /motion layer.*--combine scene/,
    );
    expect(() => combineLayers([episode], { tolerance: -1 })).toThrow(PruneError);
    expect(bitsToText(combineLayers([{ ...episode, motion: null }], { combine: 'scene' })[0]!.keep)).toBe('10100010');
  });

  it('keeps at random exactly as many, first frames by the same policy, the same ones for a seed', () => {
    const layers = fc.array(
      fc.integer({ min: 1, max: 12 }).chain((numFrames) =>
        fc.record({
          numFrames: fc.constant(numFrames),
          boundaries: fc.uniqueArray(fc.nat(numFrames - 1)),
          motion: fc
            .array(fc.constantFrom(0, 1), { minLength: numFrames, maxLength: numFrames })
            .map((bits) => Uint8Array.from(bits)),
        }),
      ),
      { minLength: 1, maxLength: 8 },
    );
    const texts = (episodes: EpisodeLayers[], options: Parameters<typeof combineLayers>[1]): string =>
      combineLayers(episodes, options)
        .map((one) => bitsToText(one.keep))
        .join(' ');
    fc.assert(
      fc.property(layers, fc.nat(9), fc.constantFrom('keep', 'label'), (episodes, seed, firstFrame) => {
        const and = texts(episodes, { firstFrame });
        const random = texts(episodes, { combine: 'random', seed, firstFrame });
        expect(ones(random)).toBe(ones(and));
        expect(random.split(' ').map((text) => text.length)).toEqual(episodes.map(({ numFrames }) => numFrames));
        if (firstFrame === 'keep') for (const text of random.split(' ')) expect(text[0]).toBe('1');
        expect(texts(episodes, { combine: 'random', seed, firstFrame })).toBe(random);
      }),
    );
    const long = [
      { numFrames: 400, boundaries: Array.from({ length: 100 }, (_, i) => 4 * i), motion: new Uint8Array(400).fill(1) },
    ];
    expect(texts(long, { combine: 'random', seed: 1 })).not.toBe(texts(long, { combine: 'random', seed: 2 }));
  });
});
