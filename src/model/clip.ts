/**
 * CLIP (Radford et al., arXiv 2103.00020), both towers: a picture and a text as vectors of one space, as the paper's scene retrieval takes ViT-B/32 (Sec. 3.3).
 * Pre-norm transformers with quick GELU; the picture's class token, and the text's state at its end token, each normed and projected. Parameter names are those
 * of released Hugging Face checkpoints ("pre_layrnorm" included).
 *
 * Knows nothing of resizing or tokenization: normalised pixels and ids in, projected embeddings out, not yet of length 1.
 *
 * Shapes: B items, S tokens, D width, H heads, d = D / H, P projection.
 */
import { F, nn, type Tensor, torch } from '../torch/index.js';

export interface ClipTowerConfig {
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  /** Default 1e-5. */
  layer_norm_eps?: number;
}

/** Keys as in a released config.json. */
export interface ClipConfig {
  projection_dim: number;
  vision_config: ClipTowerConfig & { image_size: number; patch_size: number };
  text_config: ClipTowerConfig & { vocab_size: number; max_position_embeddings: number };
}

/** ViT-B/32 as released; configs leave out what equals it. */
export const CLIP_VIT_B_32: ClipConfig = {
  projection_dim: 512,
  vision_config: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    image_size: 224,
    patch_size: 32,
  },
  text_config: {
    hidden_size: 512,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 8,
    vocab_size: 49408,
    max_position_embeddings: 77,
  },
};

/** Means and standard deviations of the pixels (0 to 1) that CLIP was trained on. */
export const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
export const CLIP_STD = [0.26862954, 0.26130258, 0.27577711] as const;

class Attention extends nn.Module {
  readonly k_proj: nn.Linear;
  readonly v_proj: nn.Linear;
  readonly q_proj: nn.Linear;
  readonly out_proj: nn.Linear;
  readonly #H: number;

  constructor({ hidden_size: D, num_attention_heads }: ClipTowerConfig) {
    super();
    this.#H = num_attention_heads;
    this.k_proj = new nn.Linear(D, D);
    this.v_proj = new nn.Linear(D, D);
    this.q_proj = new nn.Linear(D, D);
    this.out_proj = new nn.Linear(D, D);
  }

  forward(x_BSD: Tensor, causal = false): Tensor {
    const [B = 0, S = 0, D = 0] = x_BSD.shape;
    const heads = (x: Tensor): Tensor => x.view([B, S, this.#H, D / this.#H]).transpose(1, 2);
    const [q, k, v] = [this.q_proj.forward(x_BSD), this.k_proj.forward(x_BSD), this.v_proj.forward(x_BSD)];
    const y_BHSd = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), { is_causal: causal });
    return this.out_proj.forward(y_BHSd.transpose(1, 2).reshape([B, S, D]));
  }
}

class MLP extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor({ hidden_size, intermediate_size }: ClipTowerConfig) {
    super();
    this.fc1 = new nn.Linear(hidden_size, intermediate_size);
    this.fc2 = new nn.Linear(intermediate_size, hidden_size);
  }

  forward(x: Tensor): Tensor {
    const h = this.fc1.forward(x);
    return this.fc2.forward(h.mul(h.mul(1.702).sigmoid()));
  }
}

class EncoderLayer extends nn.Module {
  readonly self_attn: Attention;
  readonly layer_norm1: nn.LayerNorm;
  readonly mlp: MLP;
  readonly layer_norm2: nn.LayerNorm;

  constructor(config: ClipTowerConfig) {
    super();
    const eps = config.layer_norm_eps ?? 1e-5;
    this.self_attn = new Attention(config);
    this.layer_norm1 = new nn.LayerNorm(config.hidden_size, { eps });
    this.mlp = new MLP(config);
    this.layer_norm2 = new nn.LayerNorm(config.hidden_size, { eps });
  }

  forward(x_BSD: Tensor, causal = false): Tensor {
    const h_BSD = x_BSD.add(this.self_attn.forward(this.layer_norm1.forward(x_BSD), causal));
    return h_BSD.add(this.mlp.forward(this.layer_norm2.forward(h_BSD)));
  }
}

class Encoder extends nn.Module {
  readonly layers: EncoderLayer[];

  constructor(config: ClipTowerConfig) {
    super();
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new EncoderLayer(config));
  }

  forward(x_BSD: Tensor, causal = false): Tensor {
    return this.layers.reduce((x, layer) => layer.forward(x, causal), x_BSD);
  }
}

class VisionEmbeddings extends nn.Module {
  readonly class_embedding: Tensor;
  readonly patch_embedding: nn.Conv2d;
  readonly position_embedding: nn.Embedding;

  constructor({ hidden_size: D, image_size, patch_size: P }: ClipConfig['vision_config']) {
    super();
    this.class_embedding = nn.param(torch.zeros([D]));
    this.patch_embedding = new nn.Conv2d(3, D, P, { stride: P, bias: false });
    this.position_embedding = new nn.Embedding(Math.floor(image_size / P) ** 2 + 1, D);
  }

  forward(pixels: Tensor): Tensor {
    const patches_BND = this.patch_embedding.forward(pixels).flatten(2).transpose(1, 2);
    const [B = 0, , D = 0] = patches_BND.shape;
    return torch.cat([this.class_embedding.expand([B, 1, D]), patches_BND], 1).add(this.position_embedding.weight);
  }
}

class VisionTransformer extends nn.Module {
  readonly embeddings: VisionEmbeddings;
  readonly pre_layrnorm: nn.LayerNorm;
  readonly encoder: Encoder;
  readonly post_layernorm: nn.LayerNorm;

  constructor(config: ClipConfig['vision_config']) {
    super();
    const eps = config.layer_norm_eps ?? 1e-5;
    this.embeddings = new VisionEmbeddings(config);
    this.pre_layrnorm = new nn.LayerNorm(config.hidden_size, { eps });
    this.encoder = new Encoder(config);
    this.post_layernorm = new nn.LayerNorm(config.hidden_size, { eps });
  }

  forward(pixels: Tensor): Tensor {
    const x_BSD = this.encoder.forward(this.pre_layrnorm.forward(this.embeddings.forward(pixels)));
    return this.post_layernorm.forward(x_BSD.select(1, 0));
  }
}

class TextEmbeddings extends nn.Module {
  readonly token_embedding: nn.Embedding;
  readonly position_embedding: nn.Embedding;

  constructor({ vocab_size, max_position_embeddings, hidden_size }: ClipConfig['text_config']) {
    super();
    this.token_embedding = new nn.Embedding(vocab_size, hidden_size);
    this.position_embedding = new nn.Embedding(max_position_embeddings, hidden_size);
  }

  forward(ids_BS: Tensor): Tensor {
    const places = this.position_embedding.weight.narrow(0, 0, ids_BS.shape[1] ?? 0);
    return this.token_embedding.forward(ids_BS).add(places);
  }
}

class TextTransformer extends nn.Module {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Encoder;
  readonly final_layer_norm: nn.LayerNorm;

  constructor(config: ClipConfig['text_config']) {
    super();
    this.embeddings = new TextEmbeddings(config);
    this.encoder = new Encoder(config);
    this.final_layer_norm = new nn.LayerNorm(config.hidden_size, { eps: config.layer_norm_eps ?? 1e-5 });
  }

  /** The state of the last token, which is the end token. */
  forward(ids_BS: Tensor): Tensor {
    const S = ids_BS.shape[1] ?? 0;
    const x_BSD = this.encoder.forward(this.embeddings.forward(ids_BS), true);
    return this.final_layer_norm.forward(x_BSD.select(1, S - 1));
  }
}

export class ClipModel extends nn.Module {
  readonly logit_scale: Tensor;
  readonly text_model: TextTransformer;
  readonly vision_model: VisionTransformer;
  readonly visual_projection: nn.Linear;
  readonly text_projection: nn.Linear;

  constructor(readonly config: ClipConfig) {
    super();
    const { projection_dim: P, vision_config, text_config } = config;
    this.logit_scale = nn.param(torch.zeros([]));
    this.text_model = new TextTransformer(text_config);
    this.vision_model = new VisionTransformer(vision_config);
    this.visual_projection = new nn.Linear(vision_config.hidden_size, P, { bias: false });
    this.text_projection = new nn.Linear(text_config.hidden_size, P, { bias: false });
  }

  /** pixels [B, 3, image, image], normalised by CLIP_MEAN and CLIP_STD -> [B, P]. */
  embedImages(pixels: Tensor): Tensor {
    return this.visual_projection.forward(this.vision_model.forward(pixels));
  }

  /** ids [B, S] of texts of one length, start and end token included -> [B, P]. */
  embedTexts(ids_BS: Tensor): Tensor {
    return this.text_projection.forward(this.text_model.forward(ids_BS));
  }
}
