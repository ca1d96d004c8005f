/**
 * Generation behind the prompts of a vision-language-action model, a whole batch at a time: reasoning, then whatever acts on
 * it. Rows have prompts of different lengths and think for different numbers of tokens; each row keeps its own positions, and a mask
 * hides padding from it, so that a row gives the same answer whatever runs beside it.
 *
 * Knows nothing about text or action values: ids in, ids and logits out.
 *
 * Shapes: B batch, S new tokens, T tokens so far with padding, D language width, W vocabulary.
 */
import { scope, type Tensor, torch } from '../torch/index.js';
import { KeyValueCache } from './key-value-cache.js';
import type { Qwen2ForCausalLM } from './qwen2.js';

export class VlaDecoder {
  readonly #cache = new KeyValueCache();
  /** Per row, 1 for a token and 0 for padding. */
  readonly #mask: number[][];
  /** Tokens of each row so far, padding excluded. */
  readonly #lengths: number[];
  readonly #device: string;
  #padded: boolean;
  #logits_BW: Tensor;

  /**
   * Reads the prompts.
   * @param inputs_embeds [B, S, D], padded on the right
   * @param lengths real tokens of each row
   */
  constructor(
    readonly model: Qwen2ForCausalLM,
    inputs_embeds: Tensor,
    lengths: readonly number[],
  ) {
    const [B = 0, S = 0] = inputs_embeds.shape;
    this.#device = inputs_embeds.device;
    this.#lengths = [...lengths];
    this.#mask = lengths.map((length) => Array.from({ length: S }, (_, t) => (t < length ? 1 : 0)));
    const last = torch.tensor(
      lengths.map((length, b) => b * S + length - 1),
      { dtype: 'int64', device: this.#device },
    );
    this.#padded = lengths.some((length) => length < S);
    // Padding is on the right here: causal attention needs no mask yet.
    const { logits } = model.forward({ inputs_embeds, cache: this.#cache, logits: last });
    this.#logits_BW = (logits as Tensor).view([B, -1]).to('float32').keep();
  }

  /** Logits [B, W] of each row's next token, float32. */
  get logits(): Tensor {
    return this.#logits_BW;
  }

  /**
   * Appends the next tokens of every row, [B][S] ids; null for rows that have nothing to append.
   * @returns hidden states [B, S, D]; those of null rows mean nothing
   */
  append(ids: readonly (readonly number[] | null)[]): Tensor {
    const B = ids.length;
    const S = Math.max(...ids.map((row) => row?.length ?? 0));
    const device = this.#device;
    const tokens = new BigInt64Array(B * S);
    const positions = new BigInt64Array(B * S);
    for (const [b, row] of ids.entries()) {
      const length = this.#lengths[b] as number;
      for (let s = 0; s < S; s++) {
        tokens[b * S + s] = BigInt(row?.[s] ?? 0);
        positions[b * S + s] = BigInt(length + s);
        (this.#mask[b] as number[]).push(row === null ? 0 : 1);
      }
      if (row === null) this.#padded = true;
      else this.#lengths[b] = length + S;
    }
    const T = this.#mask[0]?.length ?? 0;
    const hidden_BSD = scope(() => {
      const int64 = (values: BigInt64Array): Tensor => torch.tensor(values, { shape: [B, S], dtype: 'int64', device });
      const attention_mask = this.#padded
        ? torch.tensor(Uint8Array.from(this.#mask.flat()), { shape: [B, T], dtype: 'uint8', device })
        : undefined;
      const { hidden_BSD } = this.model.forward({
        input_ids: int64(tokens),
        position_ids: int64(positions),
        ...(attention_mask && { attention_mask }),
        cache: this.#cache,
        logits: 'none',
      });
      return hidden_BSD;
    });
    // A row that has nothing to append still waits for the token after its last one.
    const waiting = ids.map((row) => row === null);
    const previous = this.#logits_BW;
    this.#logits_BW = scope(() => {
      const next_BW = this.model.head(hidden_BSD.select(1, S - 1)).to('float32');
      if (!waiting.includes(true)) return next_BW;
      const keep_B1 = torch.tensor(Uint8Array.from(waiting, Number), { shape: [B, 1], dtype: 'uint8', device }).ne(0);
      return torch.where(keep_B1, previous, next_BW);
    }).keep();
    previous.dispose();
    return hidden_BSD;
  }

  dispose(): void {
    this.#cache.dispose();
    this.#logits_BW.dispose();
  }
}

/** What ends a text: one token, or a range of them (the first action token ends reasoning). */
export interface StopIds {
  first: number;
  last: number;
}

export interface TextOptions {
  /** Most tokens of a text; a row that has not ended by then is cut. */
  maxTokens: number;
  stop: StopIds;
  /** Per row, stops before the first token if the probability of a stop is above it; default: the likelier of the two. */
  skipAbove?: readonly number[];
}

/**
 * Greedy text of every row, without the token that ends it; [] for a row that stops at once. The stop tokens count as one:
 * 256 action tokens share their probability, and the likeliest of them alone would be no fair vote for acting.
 */
export function decodeText(decoder: VlaDecoder, { maxTokens, stop, skipAbove }: TextOptions): number[][] {
  const [B = 0] = decoder.logits.shape;
  const rows: number[][] = Array.from({ length: B }, () => []);
  const running = new Set(rows.keys());
  for (let i = 0; i < maxTokens; i++) {
    const { stop: stops, best, text } = readChoice(decoder.logits, stop);
    for (const b of [...running]) {
      const limit = (i === 0 ? skipAbove?.[b] : undefined) ?? (best[b] as number);
      if ((stops[b] as number) > limit) running.delete(b);
    }
    if (running.size === 0) break;
    for (const b of running) rows[b]?.push(text[b] as number);
    scope(() => void decoder.append(rows.map((_, b) => (running.has(b) ? [text[b] as number] : null))));
  }
  return rows;
}

/** For each row the probability of a stop, and the likeliest other token with its probability. */
function readChoice(logits_BW: Tensor, { first, last }: StopIds): { stop: number[]; best: number[]; text: number[] } {
  return scope(() => {
    const probabilities = logits_BW.softmax(-1);
    const stops = probabilities.narrow(-1, first, last - first + 1);
    const stop = stops.sum([-1]).tolist() as number[];
    stops.fill_(0);
    const [best, text] = probabilities.max(-1) as [Tensor, Tensor];
    return { stop, best: best.tolist() as number[], text: text.to('int32').tolist() as number[] };
  });
}
