/**
 * SigLIP vision transformer (arXiv 2303.15343) and Eagle2's projector into the language model: pixel shuffle, which trades a
 * factor^2 of tokens for width, and `mlp1`. The vision side of the VLM under InstructVLA and DualVLA.
 *
 * `stem: 'conv'` replaces the patch projection, for small models trained from scratch on little data, by a few 3x3 stride-2
 * convolutions to the same grid: "Early Convolutions Help Transformers See Better" (Xiao et al., arXiv 2106.14881) finds
 * that a convolutional stem trains faster, is less sensitive to the optimiser and more accurate; with 64-pixel images it
 * also sees across patch borders, where a gripper that nearly touches lies.
 *
 * Knows nothing about text or prompts: normalised pixels in, tokens out.
 *
 * Shapes: B images, N = (image / patch)^2 tokens, D width, H heads, d = D / H, M MLP width, h, w token grid, L language width.
 */
import { F, nn, type Tensor, torch } from '../torch/index.js';
import { initializeWeights } from './initialization.js';

/** Keys as in a released vision_config, and `stem`. */
export interface SiglipConfig {
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  image_size: number;
  patch_size: number;
  /** Default 3. */
  num_channels?: number;
  layer_norm_eps: number;
  /** Attention-pooling head for pooler_output; Eagle2 has none. Default false. */
  vision_use_head?: boolean;
  /** Default 'patch'. 'conv' needs a patch size that is a power of two. */
  stem?: 'patch' | 'conv';
  /** Standard deviation of fresh weights; default 0.02. */
  initializer_range?: number;
}

export interface SiglipOutput {
  /** After post_layernorm, [B, N, D]. */
  last_hidden_state: Tensor;
  /** Embeddings and every layer's output, without post_layernorm: layers + 1 tensors [B, N, D]. */
  hidden_states: Tensor[];
  /** [B, D], with vision_use_head. */
  pooler_output?: Tensor;
}

/** 3x3 convolutions of stride 2, each but the last followed by a norm over channels and GELU: [B, 3, P h, P w] -> [B, D, h, w]. */
class ConvStem extends nn.Module {
  readonly convs: nn.Conv2d[];
  readonly norms: nn.LayerNorm[];

  constructor(channels: number, D: number, patch: number) {
    super();
    const depth = Math.log2(patch);
    if (!Number.isInteger(depth) || depth < 1)
      throw new RangeError(`stem 'conv' needs patch_size 2, 4, 8 ..., got ${patch}`);
    // Halving towards the image, in steps of 16 as vector units like it; the last one is D.
    const widths = Array.from({ length: depth }, (_, i) =>
      i < depth - 1 ? 16 * Math.ceil((D >> (depth - 1 - i)) / 16) : D,
    );
    const inputs = [channels, ...widths];
    this.convs = widths.map((out, i) => new nn.Conv2d(inputs[i] as number, out, 3, { stride: 2, padding: 1 }));
    this.norms = widths.slice(0, -1).map((width) => new nn.LayerNorm(width, { eps: 1e-6 }));
  }

  forward(pixels: Tensor): Tensor {
    // Channels last in memory (free if the pixels were): norms then read rows, and tokens come out without a copy.
    let x = pixels.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    for (const [i, conv] of this.convs.entries()) {
      x = conv.forward(x);
      const norm = this.norms[i];
      if (norm) x = F.gelu(norm.forward(x.permute([0, 2, 3, 1])), { approximate: 'tanh' }).permute([0, 3, 1, 2]);
    }
    return x;
  }
}

class Embeddings extends nn.Module {
  readonly patch_embedding: nn.Conv2d | ConvStem;
  readonly position_embedding: nn.Embedding;

  constructor(config: SiglipConfig) {
    super();
    const { hidden_size: D, patch_size: P, num_channels = 3 } = config;
    this.patch_embedding =
      config.stem === 'conv' ? new ConvStem(num_channels, D, P) : new nn.Conv2d(num_channels, D, P, { stride: P });
    this.position_embedding = new nn.Embedding(Math.floor(config.image_size / P) ** 2, D);
  }

  forward(pixels: Tensor): Tensor {
    const patches_BND = this.patch_embedding.forward(pixels).flatten(2).transpose(1, 2);
    return patches_BND.add(this.position_embedding.weight.to(patches_BND.dtype));
  }
}

class Attention extends nn.Module {
  readonly k_proj: nn.Linear;
  readonly v_proj: nn.Linear;
  readonly q_proj: nn.Linear;
  readonly out_proj: nn.Linear;
  readonly #H: number;

  constructor(config: SiglipConfig) {
    super();
    const D = config.hidden_size;
    this.#H = config.num_attention_heads;
    this.k_proj = new nn.Linear(D, D);
    this.v_proj = new nn.Linear(D, D);
    this.q_proj = new nn.Linear(D, D);
    this.out_proj = new nn.Linear(D, D);
  }

  forward(x_BND: Tensor): Tensor {
    const [B = 0, N = 0, D = 0] = x_BND.shape;
    const heads = (x: Tensor): Tensor => x.view([B, N, this.#H, D / this.#H]).transpose(1, 2);
    const [q, k, v] = [this.q_proj.forward(x_BND), this.k_proj.forward(x_BND), this.v_proj.forward(x_BND)];
    const y_BHNd = F.scaled_dot_product_attention(heads(q), heads(k), heads(v));
    return this.out_proj.forward(y_BHNd.transpose(1, 2).reshape([B, N, D]));
  }
}

class MLP extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor(config: SiglipConfig) {
    super();
    this.fc1 = new nn.Linear(config.hidden_size, config.intermediate_size);
    this.fc2 = new nn.Linear(config.intermediate_size, config.hidden_size);
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(F.gelu(this.fc1.forward(x), { approximate: 'tanh' }));
  }
}

class EncoderLayer extends nn.Module {
  readonly layer_norm1: nn.LayerNorm;
  readonly self_attn: Attention;
  readonly layer_norm2: nn.LayerNorm;
  readonly mlp: MLP;

  constructor(config: SiglipConfig) {
    super();
    this.layer_norm1 = new nn.LayerNorm(config.hidden_size, { eps: config.layer_norm_eps });
    this.self_attn = new Attention(config);
    this.layer_norm2 = new nn.LayerNorm(config.hidden_size, { eps: config.layer_norm_eps });
    this.mlp = new MLP(config);
  }

  forward(x_BND: Tensor): Tensor {
    const h_BND = x_BND.add(this.self_attn.forward(this.layer_norm1.forward(x_BND)));
    return h_BND.add(this.mlp.forward(this.layer_norm2.forward(h_BND)));
  }
}

class Encoder extends nn.Module {
  readonly layers: EncoderLayer[];

  constructor(config: SiglipConfig) {
    super();
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new EncoderLayer(config));
  }
}

/** torch.nn.MultiheadAttention of one query over the tokens, under its fused parameter names. */
class ProbeAttention extends nn.Module {
  readonly in_proj_weight: Tensor;
  readonly in_proj_bias: Tensor;
  readonly out_proj: nn.Linear;
  readonly #H: number;

  constructor(D: number, H: number) {
    super();
    this.in_proj_weight = nn.param(torch.zeros([3 * D, D]));
    this.in_proj_bias = nn.param(torch.zeros([3 * D]));
    this.out_proj = new nn.Linear(D, D);
    this.#H = H;
  }

  forward(probe_B1D: Tensor, x_BND: Tensor): Tensor {
    const [B = 0, , D = 0] = x_BND.shape;
    const [wq, wk, wv] = this.in_proj_weight.chunk(3, 0) as [Tensor, Tensor, Tensor];
    const [bq, bk, bv] = this.in_proj_bias.chunk(3, 0) as [Tensor, Tensor, Tensor];
    const heads = (x: Tensor): Tensor => x.view([B, -1, this.#H, D / this.#H]).transpose(1, 2);
    const y_BH1d = F.scaled_dot_product_attention(
      heads(F.linear(probe_B1D, wq, bq)),
      heads(F.linear(x_BND, wk, bk)),
      heads(F.linear(x_BND, wv, bv)),
    );
    return this.out_proj.forward(y_BH1d.transpose(1, 2).reshape([B, 1, D]));
  }
}

class PoolingHead extends nn.Module {
  readonly probe: Tensor;
  readonly attention: ProbeAttention;
  readonly layernorm: nn.LayerNorm;
  readonly mlp: MLP;

  constructor(config: SiglipConfig) {
    super();
    const D = config.hidden_size;
    this.probe = nn.param(torch.randn([1, 1, D]));
    this.attention = new ProbeAttention(D, config.num_attention_heads);
    this.layernorm = new nn.LayerNorm(D, { eps: config.layer_norm_eps });
    this.mlp = new MLP(config);
  }

  forward(x_BND: Tensor): Tensor {
    const [B = 0, , D = 0] = x_BND.shape;
    const h_B1D = this.attention.forward(this.probe.expand([B, 1, D]), x_BND);
    return h_B1D.add(this.mlp.forward(this.layernorm.forward(h_B1D))).select(1, 0);
  }
}

class SiglipVisionTransformer extends nn.Module {
  readonly embeddings: Embeddings;
  readonly encoder: Encoder;
  readonly post_layernorm: nn.LayerNorm;
  readonly head?: PoolingHead;

  constructor(config: SiglipConfig) {
    super();
    this.embeddings = new Embeddings(config);
    this.encoder = new Encoder(config);
    this.post_layernorm = new nn.LayerNorm(config.hidden_size, { eps: config.layer_norm_eps });
    if (config.vision_use_head) this.head = new PoolingHead(config);
  }

  forward(pixels: Tensor): SiglipOutput {
    let x_BND = this.embeddings.forward(pixels);
    const hidden_states = [x_BND];
    for (const layer of this.encoder.layers) {
      x_BND = layer.forward(x_BND);
      hidden_states.push(x_BND);
    }
    const last_hidden_state = this.post_layernorm.forward(x_BND);
    return {
      last_hidden_state,
      hidden_states,
      ...(this.head && { pooler_output: this.head.forward(last_hidden_state) }),
    };
  }
}

export class SiglipVisionModel extends nn.Module {
  readonly vision_model: SiglipVisionTransformer;

  constructor(readonly config: SiglipConfig) {
    super();
    this.vision_model = new SiglipVisionTransformer(config);
    initializeWeights(this, config.initializer_range ?? 0.02);
  }

  /** pixels [B, channels, image, image], normalised as (x / 255 - 0.5) / 0.5. */
  forward(pixels: Tensor): SiglipOutput {
    return this.vision_model.forward(pixels);
  }
}

/**
 * Eagle2's pixel shuffle, version 2: [B, h, w, D] -> [B, h * factor, w * factor, D / factor^2] (factor 0.5: half the grid,
 * four times the width), in the released element order.
 */
export function pixelShuffle(x_BhwD: Tensor, factor: number): Tensor {
  const [B = 0, h = 0, w = 0, D = 0] = x_BhwD.shape;
  return x_BhwD
    .reshape([B, h, w * factor, D / factor])
    .permute([0, 2, 1, 3])
    .reshape([B, w * factor, h * factor, D / factor ** 2])
    .permute([0, 2, 1, 3]);
}

/** mlp1: LayerNorm, Linear, GELU (exact), Linear, under the released Sequential's indices. */
class Projector extends nn.Module {
  readonly 0: nn.LayerNorm;
  readonly 1: nn.Linear;
  readonly 3: nn.Linear;

  constructor(input: number, L: number) {
    super();
    this[0] = new nn.LayerNorm(input, { eps: 1e-5 });
    this[1] = new nn.Linear(input, L);
    this[3] = new nn.Linear(L, L);
  }

  forward(x: Tensor): Tensor {
    return this[3].forward(F.gelu(this[1].forward(this[0].forward(x))));
  }
}

export interface EagleVisionConfig {
  vision: SiglipConfig;
  /** Pixel shuffle factor: 0.5 in Eagle2; 1 keeps the grid. */
  downsample_ratio: number;
  /** Which SigLIP output is projected: -1 the normed last one, -2 the layer before it, unnormed. */
  select_layer: number;
  /** Width L of the language model's embeddings. */
  llm_hidden_size: number;
}

/** SigLIP -> pixel shuffle -> mlp1: images as tokens of the language model. */
export class EagleVision extends nn.Module {
  readonly vision_model: SiglipVisionModel;
  readonly mlp1: Projector;

  constructor(readonly config: EagleVisionConfig) {
    super();
    this.vision_model = new SiglipVisionModel(config.vision);
    this.mlp1 = new Projector(config.vision.hidden_size / config.downsample_ratio ** 2, config.llm_hidden_size);
  }

  /** Tokens an image becomes. */
  get numTokens(): number {
    const { image_size, patch_size } = this.config.vision;
    return (Math.floor(image_size / patch_size) * this.config.downsample_ratio) ** 2;
  }

  /** pixels [B, channels, image, image] -> language tokens [B, numTokens, L]. */
  forward(pixels: Tensor): Tensor {
    const { select_layer, downsample_ratio } = this.config;
    const { last_hidden_state, hidden_states } = this.vision_model.forward(pixels);
    const x_BND = select_layer === -1 ? last_hidden_state : (hidden_states.at(select_layer) as Tensor);
    if (downsample_ratio === 1) return this.mlp1.forward(x_BND);
    const [B = 0, N = 0, D = 0] = x_BND.shape;
    const side = Math.sqrt(N);
    const shuffled = pixelShuffle(x_BND.reshape([B, side, side, D]), downsample_ratio);
    return this.mlp1.forward(shuffled.flatten(1, 2));
  }
}
