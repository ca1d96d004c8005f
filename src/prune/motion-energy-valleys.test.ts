import { describe, expect, it } from 'vitest';
import { PruneError } from './errors.js';
import { energyValleys, motionEnergy } from './motion-energy-valleys.js';

/** A textured blob at given columns of a grey picture. */
function film(columns: readonly number[], size = 64): Uint8Array {
  const data = new Uint8Array(columns.length * size * size * 3).fill(100);
  columns.forEach((column, t) => {
    for (let y = 20; y < 44; y++)
      for (let x = 0; x < size; x++) {
        const value = 100 + 80 * Math.exp(-(((x - column) / 5) ** 2) - ((y - 32) / 6) ** 2);
        data.fill(value, ((t * size + y) * size + x) * 3, ((t * size + y) * size + x + 1) * 3);
      }
  });
  return data;
}

describe('motion energy', () => {
  it('grows with the motion and is nothing at rest', () => {
    const energy = motionEnergy(film([20, 20, 21, 23, 23]), 5, 64);
    expect(energy[1]).toBe(0);
    expect(energy[0]).toBe(energy[1]);
    expect(energy[2]).toBeGreaterThan(0.3);
    expect(energy[3]).toBeGreaterThan(1.3 * (energy[2] as number));
    expect(energy[4]).toBe(0);
  });

  it('needs pictures that divide into its grid', () => {
    expect(() => motionEnergy(film([1], 64), 1, 65)).toThrow(PruneError);
  });

  it('finds the rest between two motions', () => {
    const columns = [10, 12, 14, 16, 18, 20, 20.2, 20.3, 22, 24, 26, 28, 30];
    const energy = motionEnergy(film(columns), columns.length, 64);
    expect(energyValleys(energy, { fps: 5 })).toContain(7);
    expect(energy[7]).toBeLessThan(0.3 * (energy[4] as number));
  });
});

describe('valleys', () => {
  it('keep their distance, the deepest first', () => {
    const energy = [9, 9, 2, 5, 1, 9, 9, 9, 9, 3, 9];
    expect(energyValleys(energy, { fps: 5, smoothSeconds: 0 })).toEqual([2, 4, 9]);
    expect(energyValleys(energy, { fps: 10, smoothSeconds: 0 })).toEqual([4, 9]);
  });

  it('are none in constant motion and none without frames', () => {
    expect(energyValleys(new Array(20).fill(3), { fps: 5 })).toEqual([]);
    expect(energyValleys([], { fps: 5 })).toEqual([]);
  });
});
