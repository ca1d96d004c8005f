/**
 * The layers that the models are made of, with PyTorch's names, parameters and initial values (the same seed gives the
 * same weights as in Python).
 */
import { noGrad } from './autograd.js';
import type { DType } from './dtype.js';
import * as F from './functional.js';
import { Module, param } from './module.js';
import type { Tensor } from './tensor.js';
import { torch } from './torch.js';

export { buffer, Module, param, type StateDict, StateDictError } from './module.js';

export interface LayerOptions {
  dtype?: DType;
  device?: string;
}

/** PyTorch's default for weights: uniform in +-1/sqrt(fan_in) (He et al. 2015 with a = sqrt(5)), to the last bit. */
function kaimingUniform_(weight: Tensor, fanIn: number): Tensor {
  const a = Math.sqrt(5);
  const std = Math.sqrt(2 / (1 + a * a)) / Math.sqrt(fanIn);
  const bound = Math.sqrt(3) * std;
  return noGrad(() => weight.uniform_(-bound, bound));
}

function uniform_(tensor: Tensor, bound: number): Tensor {
  return noGrad(() => tensor.uniform_(-bound, bound));
}

/** y = x W^T + b; weight [out, in], bias [out]. */
export class Linear extends Module {
  weight: Tensor;
  bias: Tensor | null = null;

  constructor(
    readonly in_features: number,
    readonly out_features: number,
    { bias = true, ...options }: LayerOptions & { bias?: boolean } = {},
  ) {
    super();
    this.weight = param(kaimingUniform_(torch.empty([out_features, in_features], options), in_features));
    if (bias) this.bias = param(uniform_(torch.empty([out_features], options), 1 / Math.sqrt(in_features)));
  }

  /** [..., in] -> [..., out] */
  forward(x: Tensor): Tensor {
    return torch.linear(x, this.weight, this.bias);
  }
}

/** Rows of a table; weight [num_embeddings, embedding_dim], normal initial values. */
export class Embedding extends Module {
  weight: Tensor;

  constructor(
    readonly num_embeddings: number,
    readonly embedding_dim: number,
    { padding_idx, ...options }: LayerOptions & { padding_idx?: number } = {},
  ) {
    super();
    const weight = noGrad(() => torch.empty([num_embeddings, embedding_dim], options).normal_(0, 1));
    if (padding_idx !== undefined) noGrad(() => weight.select(0, padding_idx).zero_());
    this.weight = param(weight);
  }

  /** int64 [...] -> [..., embedding_dim] */
  forward(indices: Tensor): Tensor {
    return torch.embedding(this.weight, indices);
  }
}

/** Normalises the last dimension to mean 0 and variance 1, then scales and shifts (Ba et al. 2016). */
export class LayerNorm extends Module {
  weight: Tensor | null = null;
  bias: Tensor | null = null;
  readonly eps: number;

  constructor(
    readonly dim: number,
    {
      eps = 1e-5,
      elementwise_affine = true,
      bias = true,
      ...options
    }: LayerOptions & { eps?: number; elementwise_affine?: boolean; bias?: boolean } = {},
  ) {
    super();
    this.eps = eps;
    if (elementwise_affine) this.weight = param(torch.ones([dim], options));
    if (elementwise_affine && bias) this.bias = param(torch.zeros([dim], options));
  }

  /** [..., dim] -> [..., dim] */
  forward(x: Tensor): Tensor {
    return F.layer_norm(x, [this.dim], this.weight, this.bias, this.eps);
  }
}

/** Divides the last dimension by its root mean square, then scales (Zhang & Sennrich 2019). Computed in float32. */
export class RMSNorm extends Module {
  weight: Tensor;
  readonly eps: number;

  constructor(
    readonly dim: number,
    { eps = 1e-6, ...options }: LayerOptions & { eps?: number } = {},
  ) {
    super();
    this.eps = eps;
    this.weight = param(torch.ones([dim], options));
  }

  /** [..., dim] -> [..., dim] */
  forward(x: Tensor): Tensor {
    return F.rms_norm(x, this.weight, this.eps);
  }
}

/** 2-D convolution; weight [out, in / groups, kernel height, kernel width], bias [out]. */
export class Conv2d extends Module {
  weight: Tensor;
  bias: Tensor | null = null;
  readonly options: F.ConvOptions;

  constructor(
    readonly in_channels: number,
    readonly out_channels: number,
    readonly kernel_size: number | readonly [number, number],
    {
      bias = true,
      stride = 1,
      padding = 0,
      dilation = 1,
      groups = 1,
      ...options
    }: LayerOptions & F.ConvOptions & { bias?: boolean } = {},
  ) {
    super();
    this.options = { stride, padding, dilation, groups };
    const [height, width] = typeof kernel_size === 'number' ? [kernel_size, kernel_size] : kernel_size;
    const perGroup = in_channels / groups;
    const fanIn = perGroup * height * width;
    this.weight = param(kaimingUniform_(torch.empty([out_channels, perGroup, height, width], options), fanIn));
    if (bias) this.bias = param(uniform_(torch.empty([out_channels], options), 1 / Math.sqrt(fanIn)));
  }

  /** [B, in, height, width] -> [B, out, height', width'] */
  forward(x: Tensor): Tensor {
    return F.conv2d(x, this.weight, this.bias, this.options);
  }
}

/** Zeroes elements with probability `p` while training. */
export class Dropout extends Module {
  constructor(readonly p = 0.5) {
    super();
  }

  forward(x: Tensor): Tensor {
    return F.dropout(x, { p: this.p, training: this.training });
  }
}
