/**
 * Functions of layers without state, by the names of `torch.nn.functional`. On the CPU the chains that decide a training
 * step's speed run as the addon's fused operators (native/fused_*.cpp); elsewhere, and where a second derivative or
 * another dtype is needed, as libtorch's own.
 *
 * Knows nothing about parameters. Shapes: B batch, H heads, L query tokens, S key tokens, E size of a head, N rows, C classes.
 */

import { noGrad } from './autograd.js';
import type { DType } from './dtype.js';
import { ArgumentError } from './errors.js';
import type { Tensor } from './tensor.js';
import { torch } from './torch.js';

export type Reduction = 'none' | 'mean' | 'sum';
const reductions: Record<Reduction, number> = { none: 0, mean: 1, sum: 2 };

/** Whether the fused operators of the addon take this tensor. */
function isFusable(x: Tensor): boolean {
  if (x.device !== 'cpu') return false;
  const dtype = x.dtype;
  return dtype === 'float32' || dtype === 'bfloat16';
}

/** x W^T + b. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return torch.linear(x, weight, bias);
}

/** Rows of `weight` at integer positions. */
export function embedding(indices: Tensor, weight: Tensor): Tensor {
  return torch.embedding(weight, indices);
}

/** max(x, 0) */
export function relu(x: Tensor): Tensor {
  return x.relu();
}

/** x / (1 + e^-x) */
export function silu(x: Tensor): Tensor {
  return x.silu();
}

/** silu(gate) * up, the gated unit of Qwen2 and Llama (Shazeer 2020). Both inputs of one shape. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  if (isFusable(gate) && gate.dtype === up.dtype) return torch.call('dualvla::swiglu', gate, up) as Tensor;
  return gate.silu().mul(up);
}

/** GELU with the error function, or its tanh approximation. */
export function gelu(x: Tensor, { approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  if (approximate === 'tanh' && isFusable(x)) return torch.call('dualvla::gelu_tanh', x) as Tensor;
  return torch.gelu(x, { approximate });
}

export function softmax(x: Tensor, dim: number): Tensor {
  return x.softmax(dim);
}

export function log_softmax(x: Tensor, dim: number): Tensor {
  return x.log_softmax(dim);
}

/** Zeroes elements with probability `p` and scales the rest by 1 / (1 - p), while training. */
export function dropout(x: Tensor, { p = 0.5, training = true }: { p?: number; training?: boolean } = {}): Tensor {
  return training && p > 0 ? torch.dropout(x, p, true) : x;
}

/** (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, those of `normalized_shape`. */
export function layer_norm(
  x: Tensor,
  normalized_shape: readonly number[],
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  eps = 1e-5,
): Tensor {
  const isLast = normalized_shape.length === 1;
  if (isLast && weight !== null && bias !== null && isFusable(x)) {
    return torch.call('dualvla::layer_norm', x, weight, bias, eps) as Tensor;
  }
  return torch.layer_norm(x, normalized_shape, weight, bias, eps);
}

/** x / sqrt(mean(x^2) + eps) * weight over the last dimension, in float32; the result has the dtype of `x`. */
export function rms_norm(x: Tensor, weight: Tensor, eps = 1e-6): Tensor {
  if (isFusable(x)) return torch.call('dualvla::rms_norm', x, weight, eps) as Tensor;
  const wide = x.dtype === 'float64' ? x : x.float();
  const normed = wide.mul(wide.square().mean([-1], true).add(eps).rsqrt()).mul(weight);
  return normed.to(x.dtype);
}

/**
 * Rotary positions in the halves layout (Su et al. 2021, as in Llama and Qwen2), together with the transposition that
 * attention wants.
 * @param x [B, tokens, H, E]
 * @param cos, sin [tokens, E] or [B, tokens, E], each angle twice (first half, second half)
 * @returns [B, H, tokens, E], contiguous
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  if (isFusable(x)) return torch.call('dualvla::rope', x, cos, sin) as Tensor;
  const batched = cos.dim() === 3;
  const c = (batched ? cos.unsqueeze(1) : cos).to(x.dtype);
  const s = (batched ? sin.unsqueeze(1) : sin).to(x.dtype);
  const headed = x.transpose(1, 2);
  const [first, second] = headed.chunk(2, -1) as [Tensor, Tensor];
  return headed.mul(c).add(torch.cat([second.neg(), first], -1).mul(s));
}

export interface AttentionOptions {
  /** Broadcastable to [B, H, L, S]: boolean (true: attend) or a float that is added to the scores. */
  attn_mask?: Tensor | null | undefined;
  /** Each query sees the keys up to its own position (counted from the start of both). Not together with `attn_mask`. */
  is_causal?: boolean | undefined;
  dropout_p?: number | undefined;
  /** Factor of the scores; 1 / sqrt(E) by default. */
  scale?: number | undefined;
}

/**
 * softmax(q k^T * scale + mask) v. Key and value may have fewer heads than the query, of which they divide the number
 * (grouped queries): head h of the query uses head floor(h / (H / Hkv)).
 *
 * A row whose keys are all masked attends to all of them alike, instead of giving NaN.
 * @param q [B, H, L, E] @param k [B, Hkv, S, E] @param v [B, Hkv, S, Ev] @returns [B, H, L, Ev]
 */
export function scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { attn_mask = null, is_causal = false, dropout_p = 0 } = options;
  const [B, H, L, E] = q.shape as [number, number, number, number];
  const [, Hkv, S] = k.shape as [number, number, number];
  if (q.dim() !== 4 || k.dim() !== 4 || v.dim() !== 4)
    throw new ArgumentError('attention takes [B, heads, tokens, size]');
  if (H % Hkv !== 0) throw new ArgumentError(`${Hkv} key heads do not divide ${H} query heads`);
  if (is_causal && attn_mask !== null) throw new ArgumentError('is_causal and attn_mask exclude each other');
  const scale = options.scale ?? 1 / Math.sqrt(E);
  if (hasFusedAttention()) {
    const groups = H / Hkv;
    const spread = (x: Tensor): Tensor => (groups === 1 ? x : x.repeat_interleave(groups, 1));
    // Engines before 2.1 have no `scale`: put the difference to the default into the query.
    const scaled = options.scale === undefined ? q : q.mul(scale * Math.sqrt(E));
    const mask = attn_mask === null ? null : additive(attn_mask, q.dtype);
    return torch.call(
      'aten::scaled_dot_product_attention',
      ...[scaled, spread(k), spread(v), mask, dropout_p, is_causal],
    ) as Tensor;
  }
  // The queries that share a key head become rows of one matrix, so that keys and values need not be repeated.
  const G = H / Hkv;
  const q3 = q.reshape([B * Hkv, G * L, E]);
  const k3 = k.reshape([B * Hkv, S, E]);
  const v3 = v.reshape([B * Hkv, S, v.shape[3] as number]);
  const mask = is_causal ? causalMask(L, S, q) : attn_mask;
  // Not baddbmm, which could take scale and mask along: on small matrices and with beta 0 libtorch 1.13 multiplies memory
  // that it has not initialised by that 0, and with a mask it copies it for every head.
  const scores = torch.bmm(q3, k3.transpose(1, 2));
  const rows = mask === null ? null : rowsOfMask(additive(mask, scores.dtype), B, Hkv, G, L, S);
  let weights: Tensor;
  if (isFusable(scores) && rows?.requires_grad !== true) {
    weights = torch.call('dualvla::scaled_masked_softmax', scores, rows ?? torch.empty([0]), scale) as Tensor;
  } else {
    const scaled = scores.mul(scale);
    weights = (rows === null ? scaled : scaled.add(rows)).softmax(-1);
  }
  if (dropout_p > 0) weights = torch.dropout(weights, dropout_p, true);
  return torch.bmm(weights, v3).view([B, H, L, -1]);
}

let fusedAttention: boolean | undefined;
function hasFusedAttention(): boolean {
  fusedAttention ??= torch.has('aten::scaled_dot_product_attention');
  return fusedAttention;
}

/** [L, S] of 0 where the key is not after the query and a large negative number elsewhere. */
function causalMask(L: number, S: number, like: Tensor): Tensor {
  return torch.full([L, S], lowest(like.dtype), { dtype: like.dtype, device: like.device }).triu(1);
}

/** A mask as a float to add, in the dtype of the scores. */
function additive(mask: Tensor, dtype: DType): Tensor {
  if (mask.dtype !== 'bool') return mask.to(dtype);
  return torch.zeros(mask.shape, { dtype, device: mask.device }).masked_fill(mask.logical_not(), lowest(dtype));
}

/** Finite, so that a row without any key stays without NaN. */
function lowest(dtype: DType): number {
  return dtype === 'float16' ? -65504 : -1e30;
}

/** A mask that broadcasts to [B, H, L, S] in the shape in which it broadcasts to [B * Hkv, G * L, S]. */
function rowsOfMask(mask: Tensor, B: number, Hkv: number, G: number, L: number, S: number): Tensor {
  const shape = [1, 1, 1, 1, ...mask.shape].slice(-4) as [number, number, number, number];
  const [batch, heads, rows, keys] = shape;
  const perHead = heads === 1 ? mask.view([batch, 1, 1, rows, keys]) : mask.view([batch, Hkv, G, rows, keys]);
  if (batch === 1 && heads === 1) return perHead.expand([1, 1, G, L, S]).reshape([1, G * L, S]);
  return perHead.expand([B, Hkv, G, L, S]).reshape([B * Hkv, G * L, S]);
}

export interface CrossEntropyOptions {
  /** Rows with this target count nothing. */
  ignore_index?: number | undefined;
  reduction?: Reduction | undefined;
  label_smoothing?: number | undefined;
  /** Weight of each class. */
  weight?: Tensor | null | undefined;
}

/**
 * Cross entropy of logits [N, C] (or [N, C, d1, ...]) and classes [N] (or [N, d1, ...]). The mean is over the rows that
 * are not ignored, NaN if there is none.
 */
export function cross_entropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { ignore_index = -100, reduction = 'mean', label_smoothing = 0, weight = null } = options;
  const plain = label_smoothing === 0 && weight === null && logits.dim() === 2 && target.dtype === 'int64';
  if (plain && isFusable(logits)) {
    const [losses] = torch.call('dualvla::cross_entropy_rows', logits, target, ignore_index) as [Tensor, Tensor];
    if (reduction === 'none') return losses;
    const sum = losses.sum();
    return reduction === 'sum' ? sum : sum.div(noGrad(() => target.ne(ignore_index).sum()));
  }
  return torch.cross_entropy_loss(logits, target, weight, reductions[reduction], ignore_index, label_smoothing);
}

/** (input - target)^2 */
export function mse_loss(
  input: Tensor,
  target: Tensor,
  { reduction = 'mean' }: { reduction?: Reduction } = {},
): Tensor {
  return torch.mse_loss(input, target, reductions[reduction]);
}

/**
 * target * (log target - input) with `input` as log-probabilities, and `target` too where `log_target`.
 * `batchmean` divides the sum by the FIRST dimension only; `mean` divides by the number of elements.
 */
export function kl_div(
  input: Tensor,
  target: Tensor,
  { reduction = 'mean', log_target = false }: { reduction?: Reduction | 'batchmean'; log_target?: boolean } = {},
): Tensor {
  if (reduction === 'batchmean') {
    return torch.kl_div(input, target, reductions.sum, { log_target }).div(input.shape[0] as number);
  }
  return torch.kl_div(input, target, reductions[reduction], { log_target });
}

/** 1 at the class of each element and 0 elsewhere, int64 [..., num_classes]. */
export function one_hot(classes: Tensor, num_classes = -1): Tensor {
  return torch.one_hot(classes, num_classes);
}

export interface ConvOptions {
  stride?: number | readonly number[] | undefined;
  padding?: number | readonly number[] | undefined;
  dilation?: number | readonly number[] | undefined;
  groups?: number | undefined;
}

/** Convolution of [B, C, height, width] with [out, C / groups, kernel height, kernel width]. */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: ConvOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return torch.conv2d(x, weight, bias, stride, padding, dilation, groups);
}
