/**
 * What every causal language model here takes and gives, its attention mask and its loss. The models themselves
 * (qwen2.ts, llama.ts) do not know each other; generate.ts and the policies know only this interface.
 *
 * Shapes: B batch, S new tokens, T = cached + new tokens, D hidden width, N chosen positions, W vocabulary.
 */
import { F, type nn, type Tensor, torch } from '../torch/index.js';
import type { KeyValueCache } from './key-value-cache.js';
import type { RotaryAngles } from './rotary-embedding.js';

export interface CausalLanguageModelInputs {
  /** Token ids [B, S], int64; either these or inputs_embeds. */
  input_ids?: Tensor;
  /** Embeddings [B, S, D] in place of ids (image tokens, latent queries). */
  inputs_embeds?: Tensor;
  /**
   * Padding mask [B, T], 1 = token, 0 = padding, over cached and new tokens. Leave it out for batches padded on the right
   * whose padding outputs are ignored: causal attention never looks at them, and attention is faster without a mask.
   */
  attention_mask?: Tensor;
  /** Additive attention bias, broadcastable to [B, heads, S, T], in place of the causal one (-inf = not allowed). */
  attention_bias?: Tensor;
  /** RoPE positions [B, S]; default cached, cached + 1, ... for every row. */
  position_ids?: Tensor;
  cache?: KeyValueCache;
  /**
   * Only these rows of hidden_BSD are wanted: indices [B * Q] into the flattened B * S, Q for every batch item in order. The
   * last layer then computes nothing else and hidden_BSD is [B, Q, D], to which `logits` refers. Not with a cache.
   */
  rows?: Tensor;
  /** Positions to compute logits for: all (default), none, the last of each row, or indices [N] into the flattened B * S. */
  logits?: 'all' | 'none' | 'last' | Tensor;
  output_hidden_states?: boolean;
}

export interface CausalLanguageModelOutput {
  /** Hidden states after the final norm, [B, S, D] (the latents of the action expert are rows of it). */
  hidden_BSD: Tensor;
  /** [B, S, W] for 'all', [B, 1, W] for 'last', [N, W] for chosen positions; absent for 'none'. */
  logits?: Tensor;
  /** Embeddings, then the output of every layer, the last one after the final norm: layers + 1 tensors [B, S, D]. */
  hidden_states?: Tensor[];
}

export interface CausalLanguageModel extends nn.Module {
  forward(inputs: CausalLanguageModelInputs): CausalLanguageModelOutput;
}

/** What all layers of one forward pass share. */
export interface ForwardPass {
  angles: RotaryAngles;
  mask: AttentionMask;
  cache: KeyValueCache | undefined;
}

/** How a layer's attention is masked; {} = every new token sees everything. */
export interface AttentionMask {
  attn_mask?: Tensor;
  is_causal?: boolean;
}

/**
 * The causal mask for S new tokens after `cached` ones. A padding key is hidden from every query but itself, so that a
 * padding row is never empty (a softmax over nothing is NaN and would spread).
 */
export function causalMask(S: number, cached: number, inputs: CausalLanguageModelInputs, like: Tensor): AttentionMask {
  if (inputs.attention_bias !== undefined) return { attn_mask: inputs.attention_bias };
  if (inputs.attention_mask === undefined) {
    if (S === 1) return {};
    if (cached === 0) return { is_causal: true };
  }
  const device = like.device;
  const T = cached + S;
  const key_T = torch.arange(T, { device });
  const query_S1 = torch.arange(cached, T, { device }).unsqueeze(1);
  let allowed = key_T.le(query_S1);
  if (inputs.attention_mask !== undefined) {
    if (inputs.attention_mask.shape[1] !== T) {
      throw new RangeError(
        `attention_mask covers ${inputs.attention_mask.shape[1]} tokens, but ${cached} cached + ${S} new were given`,
      );
    }
    const valid_B11T = inputs.attention_mask.ne(0).unsqueeze(1).unsqueeze(1);
    allowed = allowed.logical_and(valid_B11T.logical_or(key_T.eq(query_S1)));
  }
  return {
    attn_mask: torch.zeros(allowed.shape, { dtype: like.dtype, device }).masked_fill(allowed.logical_not(), -Infinity),
  };
}

/** What the last layer needs to compute only some rows: which they are, their angles and the mask of their attention. */
export interface RowSelection {
  /** [B, S, ...] -> [B, Q, ...] */
  select: (x: Tensor) => Tensor;
  angles: RotaryAngles;
  mask: AttentionMask;
}

/** The selection of inputs.rows; its queries see what causalMask() lets them see. `angles` are those of all S tokens. */
export function selectRows(
  B: number,
  S: number,
  inputs: CausalLanguageModelInputs,
  angles: RotaryAngles,
): RowSelection | undefined {
  const { rows, cache, attention_bias, attention_mask } = inputs;
  if (rows === undefined) return undefined;
  if (cache !== undefined || attention_bias !== undefined)
    throw new TypeError('rows: not together with cache or attention_bias');
  const position = rows.remainder(S);
  const pick = (x: Tensor, index: Tensor): Tensor => x.index_select(0, index).view([B, -1, x.shape.at(-1) ?? 0]);
  const select = (x: Tensor): Tensor => pick(x.flatten(0, 1), rows);
  const selectAngle = (table: Tensor): Tensor => (table.dim() === 3 ? select(table) : pick(table, position));

  const key_S = torch.arange(S, { device: rows.device });
  const query_B1Q1 = position.view([B, 1, -1, 1]);
  let attn_mask = key_S.le(query_B1Q1);
  if (attention_mask !== undefined) {
    const valid_B11S = attention_mask.ne(0).unsqueeze(1).unsqueeze(1);
    attn_mask = attn_mask.logical_and(valid_B11S.logical_or(key_S.eq(query_B1Q1)));
  }
  return { select, angles: { cos: selectAngle(angles.cos), sin: selectAngle(angles.sin) }, mask: { attn_mask } };
}

/** Rows of hidden_BSD [B, S, D] whose logits are wanted: [B, S, D], [B, 1, D], [N, D] or none. */
export function selectForLogits(hidden_BSD: Tensor, logits: CausalLanguageModelInputs['logits']): Tensor | undefined {
  if (logits === 'none') return undefined;
  if (logits === undefined || logits === 'all') return hidden_BSD;
  if (logits === 'last') return hidden_BSD.narrow(1, (hidden_BSD.shape[1] ?? 0) - 1, 1);
  return hidden_BSD.flatten(0, 1).index_select(0, logits);
}

/** Mean cross entropy of predicting labels [B, S] one position ahead from logits [B, S, W]; -100 is ignored. */
export function nextTokenLoss(logits_BSW: Tensor, labels_BS: Tensor): Tensor {
  const S = labels_BS.shape[1] ?? 0;
  const logits = logits_BSW.narrow(1, 0, S - 1).flatten(0, 1);
  return F.cross_entropy(logits.to('float32'), labels_BS.narrow(1, 1, S - 1).flatten(), { ignore_index: -100 });
}
