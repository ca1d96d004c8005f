/**
 * Text (or discrete action tokens) out of a causal language model, one token at a time with a key/value cache: greedy, or
 * sampled with temperature, top-k and top-p from a seeded generator. Batches are padded on the left.
 *
 * Knows nothing about prompts or tokenizers: ids in, ids out.
 *
 * Shapes: B batch, S prompt, W vocabulary.
 */
import { type Generator, noGrad, scope, type Tensor, torch } from '../torch/index.js';
import type { CausalLanguageModel } from './causal-language-model.js';
import { KeyValueCache } from './key-value-cache.js';

export interface GenerateOptions {
  maxNewTokens: number;
  /** A row ends after one of these (kept in its tokens); default: none, all rows run to maxNewTokens. */
  stopIds?: readonly number[];
  /** 0 (default) = the most likely token; otherwise softmax(logits / temperature) is sampled. */
  temperature?: number;
  /** Sample among the k most likely tokens. */
  topK?: number;
  /** Sample among the fewest most likely tokens that together have this probability. */
  topP?: number;
  generator?: Generator;
  /** Only ids first .. last (both included) may follow, as for action tokens; default all. */
  allowed?: { first: number; last: number };
  /** Cache to fill, for going on from the answer; the caller disposes of it. Default: a private one. */
  cache?: KeyValueCache;
  /** Called with the logits [B, W] of every step, before they are restricted. */
  onLogits?: (logits_BW: Tensor, step: number) => void;
}

/**
 * Continues the prompt and returns each row's new tokens, the stop token included.
 * @param prompt ids [B, S] or embeddings [B, S, D], with a mask [B, S] if rows are padded (on the left)
 * @throws RangeError if a row is padded on the right
 */
export function generate(
  model: CausalLanguageModel,
  prompt: { input_ids: Tensor; attention_mask?: Tensor } | { inputs_embeds: Tensor; attention_mask?: Tensor },
  options: GenerateOptions,
): number[][] {
  const first = 'input_ids' in prompt ? prompt.input_ids : prompt.inputs_embeds;
  const [B = 0, S = 0] = first.shape;
  const device = first.device;
  const stop = new Set(options.stopIds);
  const rows: number[][] = Array.from({ length: B }, () => []);
  const running = new Set(rows);
  const cache = options.cache ?? new KeyValueCache();

  const step = (index: number, previous: number[]): number[] =>
    scope(() => {
      const padding = prompt.attention_mask && paddingInputs(prompt.attention_mask, index);
      const inputs =
        index === 0 ? prompt : { input_ids: torch.tensor(previous, { dtype: 'int64', device }).view([B, 1]) };
      const { logits } = model.forward({ ...inputs, ...padding, cache, logits: 'last' });
      const logits_BW = (logits as Tensor).select(1, 0).to('float32');
      options.onLogits?.(logits_BW, index);
      return chooseTokens(logits_BW, options).tolist() as number[];
    });

  return noGrad(() => {
    try {
      let tokens: number[] = [];
      for (let index = 0; index < options.maxNewTokens && running.size > 0; index++) {
        tokens = step(index, tokens);
        for (const [b, row] of rows.entries()) {
          if (!running.has(row)) continue;
          row.push(tokens[b] as number);
          if (stop.has(tokens[b] as number)) running.delete(row);
        }
      }
      return rows;
    } finally {
      if (options.cache === undefined) cache.dispose();
    }
  });

  /** Mask over prompt and answer so far, and RoPE positions that count real tokens (padding: 1), as transformers does. */
  function paddingInputs(mask_BS: Tensor, index: number): { attention_mask: Tensor; position_ids: Tensor } {
    if (index === 0) {
      if (
        mask_BS
          .select(1, S - 1)
          .ne(0)
          .all()
          .item() !== 1
      )
        throw new RangeError('generate: pad prompts on the left, not on the right');
      const position_ids = mask_BS.cumsum(1).sub(1).masked_fill(mask_BS.eq(0), 1);
      return { attention_mask: mask_BS, position_ids };
    }
    const answer = torch.ones([B, index], { dtype: mask_BS.dtype, device });
    const position_ids = mask_BS.sum([1], true).add(index - 1);
    return { attention_mask: torch.cat([mask_BS, answer], 1), position_ids };
  }
}

/** Next tokens [B] of logits [B, W]. */
function chooseTokens(logits_BW: Tensor, options: GenerateOptions): Tensor {
  const { temperature = 0, topK, topP, allowed } = options;
  const offset = allowed?.first ?? 0;
  const logits = allowed ? logits_BW.narrow(1, offset, allowed.last - offset + 1) : logits_BW;
  if (temperature === 0) return logits.argmax(-1).add(offset);
  const [values, order] = logits.div(temperature).sort(-1, true) as [Tensor, Tensor];
  const probabilities = values.softmax(-1);
  const numIds = values.shape[1] ?? 0;
  let excluded = torch.arange(numIds, { device: values.device }).ge(topK ?? numIds);
  // The token that crosses topP still belongs to the set.
  if (topP !== undefined) excluded = excluded.logical_or(probabilities.cumsum(-1).sub(probabilities).ge(topP));
  const kept = probabilities.masked_fill(excluded, 0);
  const random = options.generator ? { generator: options.generator } : {};
  const pick_B1 = torch.multinomial(kept, 1, false, random);
  return order.gather(1, pick_B1).squeeze(1).add(offset);
}
