/**
 * Keys and values of the tokens a causal language model has already seen, layer by layer, so that generation runs one token
 * at a time. Inference only: nothing here is differentiable.
 *
 * Shapes: B batch, G key/value heads, S new tokens, T tokens so far, d head width.
 */
import { type Tensor, torch } from '../torch/index.js';

interface Layer {
  keys: Tensor;
  values: Tensor;
  length: number;
}

/** One cache serves one sequence batch from its prefill to its last token; dispose() frees it. */
export class KeyValueCache {
  readonly #layers: Layer[] = [];

  /** Tokens stored so far. */
  get length(): number {
    return this.#layers[0]?.length ?? 0;
  }

  /**
   * Stores the keys and values [B, G, S, d] of new tokens and returns those of all tokens so far, [B, G, T, d] (views).
   * Buffers grow by doubling, so T single steps copy O(T) tokens.
   */
  append(layer: number, keys_BGSd: Tensor, values_BGSd: Tensor): { keys: Tensor; values: Tensor } {
    if (keys_BGSd.requires_grad) {
      throw new Error(
        'KeyValueCache: keys carry gradients; the cache is for inference, call the model inside noGrad()',
      );
    }
    const [B = 0, G = 0, S = 0, d = 0] = keys_BGSd.shape;
    const entry = this.#layers[layer];
    const start = entry?.length ?? 0;
    const capacity = entry?.keys.shape[2] ?? 0;
    if (start + S > capacity) {
      const grow = (old: Tensor | undefined, like: Tensor): Tensor => {
        const size = Math.max(64, 2 ** Math.ceil(Math.log2(start + S)));
        const buffer = torch.empty([B, G, size, d], { dtype: like.dtype, device: like.device }).keep();
        if (old !== undefined) {
          buffer.narrow(2, 0, start).copy_(old.narrow(2, 0, start));
          old.dispose();
        }
        return buffer;
      };
      this.#layers[layer] = {
        keys: grow(entry?.keys, keys_BGSd),
        values: grow(entry?.values, values_BGSd),
        length: start,
      };
    }
    const current = this.#layers[layer] as Layer;
    current.keys.narrow(2, start, S).copy_(keys_BGSd);
    current.values.narrow(2, start, S).copy_(values_BGSd);
    current.length = start + S;
    return this.at(layer);
  }

  /** Keys and values of a layer so far, [B, G, T, d] (views). */
  at(layer: number): { keys: Tensor; values: Tensor } {
    const entry = this.#layers[layer];
    if (entry === undefined) throw new RangeError(`KeyValueCache: layer ${layer} has stored nothing`);
    return { keys: entry.keys.narrow(2, 0, entry.length), values: entry.values.narrow(2, 0, entry.length) };
  }

  /** Forgets all tokens from position `length` on (a prompt kept for several answers). */
  truncate(length: number): void {
    if (length > this.length) throw new RangeError(`KeyValueCache: cannot truncate ${this.length} tokens to ${length}`);
    for (const layer of this.#layers) layer.length = length;
  }

  dispose(): void {
    for (const { keys, values } of this.#layers) {
      keys.dispose();
      values.dispose();
    }
    this.#layers.length = 0;
  }
}
