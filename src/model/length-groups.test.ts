import { describe, expect, it } from 'vitest';
import { groupByLength } from './length-groups.js';

describe('groupByLength', () => {
  it('keeps similar rows together, in their order', () => {
    expect(groupByLength([50, 55, 52, 60])).toEqual([[0, 1, 2, 3]]);
    expect(groupByLength([7])).toEqual([[0]]);
    expect(groupByLength([])).toEqual([]);
  });

  it('parts rows that reason from rows that act at once', () => {
    expect(groupByLength([57, 130, 55, 57, 128])).toEqual([
      [1, 4],
      [0, 2, 3],
    ]);
  });

  it('wastes at most a fifth of each group, and no row is lost', () => {
    let state = 1;
    const random = (): number => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    for (let trial = 0; trial < 200; trial++) {
      const lengths = Array.from({ length: 1 + Math.floor(64 * random()) }, () => 1 + Math.floor(150 * random() ** 2));
      const groups = groupByLength(lengths);
      expect(groups.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, row) => row));
      for (const group of groups) {
        const own = group.map((row) => lengths[row] as number);
        expect(Math.min(...own)).toBeGreaterThanOrEqual(0.8 * Math.max(...own));
      }
    }
  });
});
