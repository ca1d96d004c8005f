/**
 * Random number generators. The same seed gives the numbers that Python's torch gives.
 *
 * The default generator belongs to the process: Workers that use it at the same time take numbers from each other. What has
 * to be repeatable beside other Workers uses a Generator of its own.
 */
import { loadAddon } from './addon.js';
import { ArgumentError } from './errors.js';
import { adoptHandle } from './scope.js';
import { Tensor } from './tensor.js';

/** A seed of 64 bits: a whole number or bigint, negative ones as two's complement. */
export type Seed = number | bigint;

function halves(seed: Seed): [high: number, low: number] {
  if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed)) {
    throw new ArgumentError(`a seed must be a whole number or bigint, not ${typeof seed} ${String(seed)}`);
  }
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
}

/**
 * A stream of random numbers on the CPU, apart from the default one: `torch.randn([3], { generator })`.
 * Its state is small and freed by `dispose()`.
 */
export class Generator {
  /** Number in the addon's table; 0 is the default generator of the CPU. */
  readonly handle: number;

  constructor(seed: Seed = 67280421310721n) {
    this.handle = loadAddon().newGenerator(...halves(seed));
  }

  manual_seed(seed: Seed): this {
    loadAddon().seedGenerator(this.handle, ...halves(seed));
    return this;
  }

  /** State as a uint8 tensor, the bytes that Python's `get_state()` gives. */
  get_state(): Tensor {
    return adoptHandle(new Tensor(loadAddon().generatorState(this.handle)));
  }

  set_state(state: Tensor): this {
    loadAddon().setGeneratorState(this.handle, state.handle);
    return this;
  }

  dispose(): void {
    loadAddon().freeGenerator(this.handle);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Seeds the default generators of the CPU and of all GPUs. */
export function manual_seed(seed: Seed): void {
  loadAddon().manualSeed(...halves(seed));
}

/** State of the default generator of the CPU. */
export function get_rng_state(): Tensor {
  return adoptHandle(new Tensor(loadAddon().generatorState(0)));
}

export function set_rng_state(state: Tensor): void {
  loadAddon().setGeneratorState(0, state.handle);
}
