import { describe, expect, it } from 'vitest';
import { ReasoningCounter } from './reasoning-statistics.js';

const count = (...episodes: string[][]): ReturnType<ReasoningCounter['statistics']> => {
  const counter = new ReasoningCounter();
  for (const texts of episodes) counter.add(texts);
  return counter.statistics();
};

describe('reasoning statistics', () => {
  it('counts words, entropy and repetition, worked by hand', () => {
    // Words a a b b: one bit a word; pairs "a b" twice, of 2.
    expect(count(['a b', 'A, b!'])).toEqual({
      frames: 2,
      words: 4,
      wordsPerFrame: 2,
      unigramEntropy: 1,
      repeated: 0,
      sameWords: 1,
      distinct1: 0.5,
      distinct2: 0.5,
    });
  });

  it('compares with the frame before that has reasoning, and never across episodes', () => {
    expect(count(['x', '', 'x', 'y']).repeated).toBe(0.5);
    expect(count(['x'], ['x'])).toMatchObject({ repeated: 0, sameWords: 0, frames: 2 });
  });

  it('has zeros for nothing', () => {
    expect(count(['', ''])).toMatchObject({ frames: 0, words: 0, unigramEntropy: 0, repeated: 0, distinct2: 0 });
  });
});
