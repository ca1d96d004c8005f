/**
 * Seeded random numbers for scenes, and the seed ranges of the train, validation and test splits.
 * Every use has its own stream `(seed, name)`, so that adding a draw in one place (say lighting) changes nothing elsewhere.
 */
import { SimOptionError } from './errors.js';

/** A small counter-free generator (sfc32) seeded from an integer and a stream name. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, stream: string) {
    let hash = 0x811c9dc5 ^ seed;
    const mix = (value: number): void => {
      hash = Math.imul(hash ^ value, 0x01000193);
      hash ^= hash >>> 15;
    };
    mix(seed & 0xffff);
    mix(seed >>> 16);
    for (let i = 0; i < stream.length; i++) mix(stream.charCodeAt(i));
    this.#a = hash;
    this.#b = Math.imul(hash, 0x85ebca6b) ^ seed;
    this.#c = Math.imul(hash ^ 0x9e3779b9, 0xc2b2ae35);
    for (let i = 0; i < 15; i++) this.float();
  }

  /** Uniform in [0, 1). */
  float(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 4294967296;
  }

  /** Uniform in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.float();
  }

  /** Uniform integer in [0, count). */
  int(count: number): number {
    return Math.floor(this.float() * count);
  }

  /** One element of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.float() < probability;
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.float())) * Math.cos(2 * Math.PI * this.float());
  }

  /** A shuffled copy. */
  shuffle<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}

/** A half-open range of scene seeds. */
export interface SeedRange {
  readonly start: number;
  readonly count: number;
}

/** Disjoint ranges: nothing is ever tuned on test seeds. */
export const SEEDS = {
  train: { start: 100_000_000, count: 100_000_000 },
  validation: { start: 200_000_000, count: 1_000_000 },
  test: { start: 300_000_000, count: 1_000_000 },
} as const satisfies Record<string, SeedRange>;

/** Name of a split. */
export type Split = keyof typeof SEEDS;

/** The i-th seed of a split; throws a {@link SimOptionError} outside the range. */
export function seedOf(split: Split, i: number): number {
  const { start, count } = SEEDS[split];
  if (!Number.isInteger(i) || i < 0 || i >= count) {
    throw new SimOptionError(`${split} seed ${i} is outside 0..${count - 1}; use an index inside the split`);
  }
  return start + i;
}

export const trainSeed = (i: number): number => seedOf('train', i);
export const validationSeed = (i: number): number => seedOf('validation', i);
export const testSeed = (i: number): number => seedOf('test', i);
