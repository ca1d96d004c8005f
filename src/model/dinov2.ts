/**
 * DINOv2 vision transformer with registers (arXiv 2304.07193, 2309.16588) as timm names it, and its FiLM-conditioned form in
 * InstructVLA's action expert (FiLM: arXiv 1709.07871): the mean of the latent actions scales and shifts every token between
 * attention and MLP.
 *
 * Knows nothing about actions: normalised pixels and condition tokens in, patch features out.
 *
 * Shapes: B images, N patches, P prefix tokens (class and registers), S = P + N, D width, H heads, d = D / H, Q condition
 * tokens, L their width.
 */
import { F, nn, type Tensor, torch } from '../torch/index.js';
import { initializeWeights } from './initialization.js';

/** Keys as timm's. */
export interface DinoV2Config {
  img_size: number;
  patch_size: number;
  embed_dim: number;
  depth: number;
  num_heads: number;
  mlp_ratio: number;
  reg_tokens: number;
  /** LayerScale's start. */
  init_values: number;
  norm_eps: number;
}

class PatchEmbed extends nn.Module {
  readonly proj: nn.Conv2d;

  constructor({ embed_dim, patch_size }: DinoV2Config) {
    super();
    this.proj = new nn.Conv2d(3, embed_dim, patch_size, { stride: patch_size });
  }

  forward(pixels: Tensor): Tensor {
    return this.proj.forward(pixels).flatten(2).transpose(1, 2);
  }
}

class Attention extends nn.Module {
  readonly qkv: nn.Linear;
  readonly proj: nn.Linear;
  readonly #H: number;

  constructor({ embed_dim: D, num_heads }: DinoV2Config) {
    super();
    this.qkv = new nn.Linear(D, 3 * D);
    this.proj = new nn.Linear(D, D);
    this.#H = num_heads;
  }

  forward(x_BSD: Tensor): Tensor {
    const [B = 0, S = 0, D = 0] = x_BSD.shape;
    const qkv_3BHSd = this.qkv
      .forward(x_BSD)
      .view([B, S, 3, this.#H, D / this.#H])
      .permute([2, 0, 3, 1, 4]);
    const [q, k, v] = qkv_3BHSd.unbind(0) as [Tensor, Tensor, Tensor];
    return this.proj.forward(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape([B, S, D]));
  }
}

class MLP extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor({ embed_dim: D, mlp_ratio }: DinoV2Config) {
    super();
    this.fc1 = new nn.Linear(D, D * mlp_ratio);
    this.fc2 = new nn.Linear(D * mlp_ratio, D);
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(F.gelu(this.fc1.forward(x)));
  }
}

class LayerScale extends nn.Module {
  readonly gamma: Tensor;

  constructor({ embed_dim, init_values }: DinoV2Config) {
    super();
    this.gamma = nn.param(torch.full([embed_dim], init_values));
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.gamma);
  }
}

class Block extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: Attention;
  readonly ls1: LayerScale;
  readonly norm2: nn.LayerNorm;
  readonly mlp: MLP;
  readonly ls2: LayerScale;

  constructor(config: DinoV2Config) {
    super();
    this.norm1 = new nn.LayerNorm(config.embed_dim, { eps: config.norm_eps });
    this.attn = new Attention(config);
    this.ls1 = new LayerScale(config);
    this.norm2 = new nn.LayerNorm(config.embed_dim, { eps: config.norm_eps });
    this.mlp = new MLP(config);
    this.ls2 = new LayerScale(config);
  }

  attend(x_BSD: Tensor): Tensor {
    return x_BSD.add(this.ls1.forward(this.attn.forward(this.norm1.forward(x_BSD))));
  }

  transform(x_BSD: Tensor): Tensor {
    return x_BSD.add(this.ls2.forward(this.mlp.forward(this.norm2.forward(x_BSD))));
  }

  forward(x_BSD: Tensor): Tensor {
    return this.transform(this.attend(x_BSD));
  }
}

/** A block whose tokens, prefix included, become x (1 + scale(c)) + shift(c) between its two halves. */
class FilmBlock extends nn.Module {
  readonly block: Block;
  readonly scale: nn.Linear;
  readonly shift: nn.Linear;

  constructor(config: DinoV2Config, condition_width: number) {
    super();
    this.block = new Block(config);
    this.scale = new nn.Linear(condition_width, config.embed_dim);
    this.shift = new nn.Linear(condition_width, config.embed_dim);
  }

  forward(x_BSD: Tensor, condition_BL: Tensor): Tensor {
    const scale_B1D = this.scale.forward(condition_BL).add(1).unsqueeze(1);
    const shift_B1D = this.shift.forward(condition_BL).unsqueeze(1);
    return this.block.transform(torch.addcmul(shift_B1D, this.block.attend(x_BSD), scale_B1D));
  }
}

/** The parts both forms share; `blocks` are plain or FiLM-conditioned. */
abstract class VisionTransformer<B extends nn.Module> extends nn.Module {
  readonly cls_token: Tensor;
  readonly reg_token: Tensor;
  readonly pos_embed: Tensor;
  readonly patch_embed: PatchEmbed;
  readonly blocks: B[];
  readonly norm: nn.LayerNorm;

  constructor(
    readonly config: DinoV2Config,
    newBlock: () => B,
  ) {
    super();
    const { embed_dim: D, img_size, patch_size, reg_tokens, depth, norm_eps } = config;
    this.cls_token = nn.param(torch.zeros([1, 1, D]));
    this.reg_token = nn.param(torch.zeros([1, reg_tokens, D]));
    this.pos_embed = nn.param(torch.randn([1, Math.floor(img_size / patch_size) ** 2, D]).mul(0.02));
    this.patch_embed = new PatchEmbed(config);
    this.blocks = Array.from({ length: depth }, newBlock);
    this.norm = new nn.LayerNorm(D, { eps: norm_eps });
    initializeWeights(this, 0.02);
  }

  /** Tokens in front of the patches: class and registers. */
  get numPrefixTokens(): number {
    return 1 + this.config.reg_tokens;
  }

  /** pixels [B, 3, image, image] -> [class | registers | patches + positions], [B, S, D]. */
  embed(pixels: Tensor): Tensor {
    const patches_BND = this.patch_embed.forward(pixels);
    const { dtype } = patches_BND;
    const [B = 0, , D = 0] = patches_BND.shape;
    const prefix = [this.cls_token, this.reg_token].map((token) => token.to(dtype).expand([B, token.shape[1] ?? 0, D]));
    return torch.cat([...prefix, patches_BND.add(this.pos_embed.to(dtype))], 1);
  }
}

/** DINOv2 itself. */
export class DinoV2 extends VisionTransformer<Block> {
  constructor(config: DinoV2Config) {
    super(config, () => new Block(config));
  }

  /** The output of every block and the normed last one, [B, S, D] each. */
  forward(pixels: Tensor): { blocks: Tensor[]; normed: Tensor } {
    let x_BSD = this.embed(pixels);
    const blocks = this.blocks.map((block) => {
      x_BSD = block.forward(x_BSD);
      return x_BSD;
    });
    return { blocks, normed: this.norm.forward(x_BSD) };
  }
}

class FilmVisionTransformer extends VisionTransformer<FilmBlock> {
  constructor(config: DinoV2Config, condition_width: number) {
    super(config, () => new FilmBlock(config, condition_width));
  }
}

export interface FilmDinoV2Config extends DinoV2Config {
  /** Width L of the condition tokens. */
  condition_width: number;
  /**
   * Index of the block whose output is the feature map. Default 2, what the released action expert uses in effect at any
   * depth (it asks for several layers and takes the first of them); later blocks and the norm are in checkpoints, unused.
   */
  feature_block?: number;
}

/** DINOv2 conditioned on the mean of the latent actions. */
export class FilmDinoV2 extends nn.Module {
  readonly vision_model: FilmVisionTransformer;

  constructor(readonly config: FilmDinoV2Config) {
    super();
    this.vision_model = new FilmVisionTransformer(config, config.condition_width);
  }

  /** Outputs [B, S, D] of the blocks up to index `last`, conditioned on the mean of condition tokens [B, Q, L]. */
  blocks(pixels: Tensor, condition_BQL: Tensor, last: number = this.config.depth - 1): Tensor[] {
    const condition_BL = condition_BQL.mean([1]);
    let x_BSD = this.vision_model.embed(pixels);
    return this.vision_model.blocks.slice(0, last + 1).map((block) => {
      x_BSD = block.forward(x_BSD, condition_BL);
      return x_BSD;
    });
  }

  /** Patch features [B, N, D] of block `feature_block`, not normed. */
  forward(pixels: Tensor, condition_BQL: Tensor): Tensor {
    const features_BSD = this.blocks(pixels, condition_BQL, this.config.feature_block ?? 2).at(-1) as Tensor;
    const P = this.vision_model.numPrefixTokens;
    return features_BSD.narrow(1, P, (features_BSD.shape[1] ?? 0) - P);
  }
}

/** Position embeddings [1, n * n, D] of a checkpoint for a grid of side x side (bicubic with antialiasing, as timm does). */
export function resamplePositionEmbedding(pos_embed_1ND: Tensor, side: number): Tensor {
  const [, N = 0, D = 0] = pos_embed_1ND.shape;
  const old = Math.sqrt(N);
  if (old === side) return pos_embed_1ND;
  const grid_1Dhw = pos_embed_1ND.reshape([1, old, old, D]).permute([0, 3, 1, 2]);
  const resized = torch.call('_upsample_bicubic2d_aa', grid_1Dhw, [side, side], false) as Tensor;
  return resized.permute([0, 2, 3, 1]).reshape([1, side * side, D]);
}
