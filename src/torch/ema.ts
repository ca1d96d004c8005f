/**
 * Exponential moving average of parameters (Polyak & Juditsky 1992): shadow = decay * shadow + (1 - decay) * parameter,
 * kept in float32.
 *
 * Knows nothing about training; call `update()` after each optimizer step.
 */
import { noGrad, synchronous } from './autograd.js';
import { type Module, StateDictError } from './module.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';
import { torch } from './torch.js';

export class EMA {
  readonly decay: number;
  /** With it, the decay starts low: min(decay, (1 + updates) / (10 + updates)). */
  readonly warmup: boolean;
  num_updates = 0;
  readonly #names: string[];
  readonly #params: Tensor[];
  readonly #shadows: Tensor[];

  constructor(model: Module, decay: number, { warmup = false }: { warmup?: boolean } = {}) {
    this.decay = decay;
    this.warmup = warmup;
    const named = model.named_parameters();
    this.#names = named.map(([name]) => name);
    this.#params = named.map(([, p]) => p);
    this.#shadows = noGrad(() => this.#params.map((p) => p.detach().to({ dtype: 'float32', copy: true }).keep()));
  }

  /** Draws the average towards the parameters as they are now. */
  update(): void {
    const warm = this.warmup ? (1 + this.num_updates) / (10 + this.num_updates) : 1;
    const decay = Math.min(this.decay, warm);
    this.num_updates++;
    noGrad(() =>
      scope(() => {
        const params = this.#params.map((p) => (p.dtype === 'float32' ? p : p.detach().float()));
        torch._foreach_mul_(this.#shadows, decay);
        torch._foreach_add_(this.#shadows, params, { alpha: 1 - decay });
      }),
    );
  }

  /** Runs `body` with the average in the place of the parameters, and puts them back. `body` must be synchronous. */
  swapped<T>(body: () => T): T {
    this.#exchange();
    try {
      return synchronous(body(), 'EMA.swapped');
    } finally {
      this.#exchange();
    }
  }

  /** The live tensors of the average by parameter name. */
  state_dict(): { shadow: Record<string, Tensor>; num_updates: number } {
    const shadow = Object.fromEntries(this.#names.map((name, i) => [name, this.#shadows[i] as Tensor]));
    return { shadow, num_updates: this.num_updates };
  }

  /** @throws StateDictError naming missing, unexpected and mis-shaped keys */
  load_state_dict(saved: { shadow: Readonly<Record<string, Tensor>>; num_updates: number }): void {
    const missing = this.#names.filter((name) => !(name in saved.shadow));
    const unexpected = Object.keys(saved.shadow).filter((name) => !this.#names.includes(name));
    const shapes = (i: number): string => (this.#shadows[i] as Tensor).shape.join(', ');
    const mismatched = this.#names.filter(
      (n, i) => n in saved.shadow && saved.shadow[n]?.shape.join(', ') !== shapes(i),
    );
    if (missing.length + unexpected.length + mismatched.length > 0) {
      throw new StateDictError('the moving average', missing, unexpected, mismatched);
    }
    noGrad(() => {
      for (const [i, name] of this.#names.entries()) (this.#shadows[i] as Tensor).copy_(saved.shadow[name] as Tensor);
    });
    this.num_updates = saved.num_updates;
  }

  #exchange(): void {
    noGrad(() =>
      scope(() => {
        for (const [i, p] of this.#params.entries()) {
          const shadow = this.#shadows[i] as Tensor;
          const before = p.detach().to({ dtype: 'float32', copy: true });
          p.copy_(shadow);
          shadow.copy_(before);
        }
      }),
    );
  }
}
