/**
 * Seeded random numbers for shuffling and augmentation: xoshiro128** (Blackman and Vigna 2018) seeded by SplitMix32. The same words give
 * the same stream on every machine.
 */
export class SeededRandom {
  readonly #s: Uint32Array;

  /** `words` are integers; streams of different word lists are independent for all practical purposes. */
  constructor(...words: number[]) {
    let state = 0x9e3779b9;
    for (const word of words) {
      state = mix((state ^ (word | 0)) + 0x9e3779b9);
      state = mix(state ^ Math.floor(word / 2 ** 32));
    }
    this.#s = Uint32Array.from({ length: 4 }, () => {
      state = (state + 0x9e3779b9) | 0;
      return mix(state);
    });
  }

  /** Uniform 32-bit integer. */
  uint32(): number {
    const s = this.#s;
    const [a, b, c, d] = s as unknown as [number, number, number, number];
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    s[2] = c ^ a;
    s[3] = d ^ b;
    s[1] = b ^ (s[2] as number);
    s[0] = a ^ (s[3] as number);
    s[2] = (s[2] as number) ^ (b << 9);
    s[3] = rotate(s[3] as number, 11);
    return result;
  }

  /** Uniform integer in [0, n), without bias. */
  below(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const value = this.uint32();
      if (value < limit) return value % n;
    }
  }

  /** Uniform in [0, 1). */
  float(): number {
    return this.uint32() / 2 ** 32;
  }

  /** Fisher-Yates in place over [from, to). */
  shuffle(values: Int32Array, from = 0, to = values.length): void {
    for (let i = to - 1; i > from; i--) {
      const j = from + this.below(i - from + 1);
      const swap = values[i] as number;
      values[i] = values[j] as number;
      values[j] = swap;
    }
  }
}

function rotate(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

function mix(z: number): number {
  let x = z | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
