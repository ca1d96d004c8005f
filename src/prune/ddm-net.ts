/**
 * DDM-Net, the scene layer's event boundary detector (paper Sec. 3.2.1; Tang et al., "Progressive Attention on Multi-Level Dense
 * Difference Maps for Generic Event Boundary Detection", CVPR 2022): is there an event boundary at the centre of a window of frames?
 *
 *   frames -> ResNet, layers 2, 3, 4, each globally pooled              appearance of every frame at three levels
 *   -> three temporal scales a level                                    nine sequences
 *   -> minus L2 distance of all pairs of frames, instance norm          nine T x T maps: the dense difference map
 *   -> small residual encoder, each row pooled by attention             a difference feature of every frame
 *   -> queries read each of the two (intra-modal transformers), then each other's (cross-modal) -> two-class logits, mixed by gates
 *
 * Parameter names are those of the released code (resnetGEBD), whose oddities are kept because its weights need them: the first operand of
 * a distance carries no gradient, the attention reads column t of the encoded map and weighs row t, `ddm_encoder.linear` and `pos2` are
 * never used. A batch of one works here, and any number of frames a side.
 *
 * `frame_features` is apart from `forward_features` because a frame is in many windows: its backbone pass is made once.
 *
 * Shapes: B windows, T frames a window, F frames, H x W pixels, C input channels, D = 8 width, L sequences (9), Q queries, N decoder layers.
 */
import { F, nn, noGrad, type Tensor, torch } from '../torch/index.js';
import { BatchNorm2d, conv, type FrameFeatures, InstanceNorm2d, ResNet, run } from './ddm-net-backbone.js';

export interface DdmNetConfig {
  /** Width of the ResNet's first layer; all others are multiples of it. Released: 64. */
  width: number;
  /** Bottleneck blocks of the four ResNet layers. Released: 3, 4, 6, 3 (ResNet-50). */
  blocks: readonly [number, number, number, number];
  /** k: a window has 2 k + 1 frames. Released: 5. */
  frames_per_side: number;
  /** Layers of each of the four transformers. Released: 6. */
  decoder_layers: number;
  heads: number;
  /** Q. Released: 5. */
  num_queries: number;
  dropout: number;
  /** C. Released: 3. */
  in_channels: number;
  /** First convolution's stride and whether a max pool follows. Released: 2 and yes, for 224-pixel images; small images lose too much. */
  stem_stride: 1 | 2;
  stem_pool: boolean;
}

export const RELEASED_DDM_NET: DdmNetConfig = {
  width: 64,
  blocks: [3, 4, 6, 3],
  frames_per_side: 5,
  decoder_layers: 6,
  heads: 8,
  num_queries: 5,
  dropout: 0.1,
  in_channels: 3,
  stem_stride: 2,
  stem_pool: true,
};

/** Every intermediate result that has a meaning of its own. */
export interface DdmNetOutput {
  /** [B, 9, T, D]: layer 2 short, middle, long; layer 3 ...; layer 4 ... */
  multi_level_features: Tensor;
  /** [B, 9, T, T]. */
  difference_map: Tensor;
  /** [B, D, T, T]. */
  ddm_encoder: Tensor;
  /** [B, T, T], before the softmax over the last axis. */
  frame_attention_scores: Tensor;
  /** [B, D, T]: before and after the decoder's convolutions. */
  ddm_decoder_in: Tensor;
  ddm_decoder: Tensor;
  /** [N, B, Q, D]. */
  intra_rgb: Tensor;
  intra_ddm: Tensor;
  cross_rgb: Tensor;
  cross_ddm: Tensor;
  /** [N, B, 2]: class 1 is "boundary". The last layer's are the answer; all are trained. */
  logits: Tensor;
  logits_rgb: Tensor;
  logits_ddm: Tensor;
}

/** Residual block of the map encoder: instance norms, no strides. */
class MapBlock extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: InstanceNorm2d;
  readonly conv2: nn.Conv2d;
  readonly bn2: InstanceNorm2d;
  readonly shortcut: [nn.Conv2d, InstanceNorm2d] | null;

  constructor(inputs: number, width: number) {
    super();
    this.conv1 = conv(inputs, width, 3);
    this.bn1 = new InstanceNorm2d(width);
    this.conv2 = conv(width, width, 3);
    this.bn2 = new InstanceNorm2d(width);
    this.shortcut = inputs === width ? null : [conv(inputs, width, 1), new InstanceNorm2d(width)];
  }

  forward(x: Tensor): Tensor {
    const shortcut = this.shortcut ? this.shortcut[1].forward(this.shortcut[0].forward(x)) : x;
    const h = F.relu(this.bn1.forward(this.conv1.forward(x)));
    return F.relu(this.bn2.forward(this.conv2.forward(h)).add(shortcut));
  }
}

/** [B, 9, T, T] -> [B, D, T, T]. */
class MapEncoder extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: MapBlock[];
  readonly layer2: MapBlock[];
  readonly layer3: MapBlock[];
  readonly layer4: MapBlock[];
  readonly linear: nn.Linear;

  constructor(width: number) {
    super();
    this.conv1 = conv(9, width, 3);
    this.bn1 = new BatchNorm2d(width);
    this.layer1 = [new MapBlock(width, width)];
    this.layer2 = [new MapBlock(width, 2 * width)];
    this.layer3 = [new MapBlock(2 * width, 4 * width)];
    this.layer4 = [new MapBlock(4 * width, 8 * width)];
    this.linear = new nn.Linear(8 * width, 10);
  }

  forward(x: Tensor): Tensor {
    const h = F.relu(this.bn1.forward(this.conv1.forward(x)));
    return [this.layer1, this.layer2, this.layer3, this.layer4].reduce((y, layer) => run(layer, y), h);
  }
}

/** 1-D convolution over time that keeps the length; PyTorch's initial values. */
class Conv1d extends nn.Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    inputs: number,
    outputs: number,
    readonly kernel: number,
  ) {
    super();
    const bound = 1 / Math.sqrt(inputs * kernel);
    this.weight = nn.param(noGrad(() => torch.empty([outputs, inputs, kernel]).uniform_(-bound, bound)));
    this.bias = nn.param(noGrad(() => torch.empty([outputs]).uniform_(-bound, bound)));
  }

  forward(x: Tensor): Tensor {
    return torch.conv1d(x, this.weight, this.bias, [1], [(this.kernel - 1) / 2]);
  }
}

/** Layers with a ReLU between (and after, with `last`); the nulls hold the places of the ReLUs in the checkpoint's numbering. */
type Stack<Layer> = (Layer | null)[];
function runStack(stack: Stack<Conv1d | nn.Linear>, x: Tensor, last: boolean): Tensor {
  const layers = stack.filter((layer) => layer !== null);
  return layers.reduce(
    (y, layer, i) => (last || i + 1 < layers.length ? F.relu(layer.forward(y)) : layer.forward(y)),
    x,
  );
}

class MultiheadAttention extends nn.Module {
  readonly in_proj_weight: Tensor;
  readonly in_proj_bias: Tensor;
  readonly out_proj: nn.Linear;

  constructor(
    readonly dim: number,
    readonly heads: number,
    readonly dropout: number,
  ) {
    super();
    this.in_proj_weight = nn.param(xavier(torch.empty([3 * dim, dim])));
    this.in_proj_bias = nn.param(torch.zeros([3 * dim]));
    this.out_proj = new nn.Linear(dim, dim);
    xavier(this.out_proj.weight);
    noGrad(() => this.out_proj.bias?.zero_());
  }

  /** query [B, q, D], key and value [B, k, D] -> [B, q, D]. */
  forward(query: Tensor, key: Tensor, value: Tensor): Tensor {
    const { dim, heads } = this;
    const [B = 0, length = 0] = query.shape;
    const [q, k, v] = [query, key, value].map((x, i) => {
      const weight = this.in_proj_weight.narrow(0, i * dim, dim);
      const bias = this.in_proj_bias.narrow(0, i * dim, dim);
      return F.linear(x, weight, bias)
        .reshape([B, x.shape[1] as number, heads, dim / heads])
        .transpose(1, 2);
    }) as [Tensor, Tensor, Tensor];
    const read = F.scaled_dot_product_attention(q, k, v, { dropout_p: this.training ? this.dropout : 0 });
    return this.out_proj.forward(read.transpose(1, 2).reshape([B, length, dim]));
  }
}

/** Post-norm transformer decoder layer; positions are added to queries and keys, never to values. */
class DecoderLayer extends nn.Module {
  readonly self_attn: MultiheadAttention;
  readonly multihead_attn: MultiheadAttention;
  readonly linear1: nn.Linear;
  readonly linear2: nn.Linear;
  readonly norm1: nn.LayerNorm;
  readonly norm2: nn.LayerNorm;
  readonly norm3: nn.LayerNorm;
  readonly dropout: nn.Dropout;

  constructor(dim: number, heads: number, dropout: number) {
    super();
    this.self_attn = new MultiheadAttention(dim, heads, dropout);
    this.multihead_attn = new MultiheadAttention(dim, heads, dropout);
    this.linear1 = new nn.Linear(dim, 4 * dim);
    this.linear2 = new nn.Linear(4 * dim, dim);
    for (const layer of [this.linear1, this.linear2]) xavier(layer.weight);
    this.norm1 = new nn.LayerNorm(dim);
    this.norm2 = new nn.LayerNorm(dim);
    this.norm3 = new nn.LayerNorm(dim);
    this.dropout = new nn.Dropout(dropout);
  }

  forward(target: Tensor, memory: Tensor, position: Tensor | null, queryPosition: Tensor | null): Tensor {
    const drop = (x: Tensor): Tensor => this.dropout.forward(x);
    const placed = (x: Tensor, where: Tensor | null): Tensor => (where ? x.add(where) : x);
    const own = placed(target, queryPosition);
    let h = this.norm1.forward(target.add(drop(this.self_attn.forward(own, own, target))));
    const read = this.multihead_attn.forward(placed(h, queryPosition), placed(memory, position), memory);
    h = this.norm2.forward(h.add(drop(read)));
    const wide = drop(F.relu(this.linear1.forward(h)));
    return this.norm3.forward(h.add(drop(this.linear2.forward(wide))));
  }
}

class Decoder extends nn.Module {
  readonly layers: DecoderLayer[];
  readonly norm: nn.LayerNorm;

  constructor({ width, decoder_layers, heads, dropout }: DdmNetConfig) {
    super();
    this.layers = Array.from({ length: decoder_layers }, () => new DecoderLayer(8 * width, heads, dropout));
    this.norm = new nn.LayerNorm(8 * width);
  }

  /** Every layer's normed output, [N, B, Q, D]. */
  forward(target: Tensor, memory: Tensor, position: Tensor | null, queryPosition: Tensor | null): Tensor {
    const outputs: Tensor[] = [];
    let h = target;
    for (const layer of this.layers) {
      h = layer.forward(h, memory, position, queryPosition);
      outputs.push(this.norm.forward(h));
    }
    return torch.stack(outputs);
  }
}

/** Learned queries read the frames of one modality. */
class IntraTransformer extends nn.Module {
  readonly decoder: Decoder;
  readonly query_embed: nn.Embedding;

  constructor(config: DdmNetConfig) {
    super();
    this.decoder = new Decoder(config);
    this.query_embed = new nn.Embedding(config.num_queries, 8 * config.width);
    xavier(this.query_embed.weight);
  }

  /** features [B, D, T], positions [1, T, D] -> [N, B, Q, D]. */
  forward(features: Tensor, position: Tensor): Tensor {
    const queries = this.query_embed.weight.unsqueeze(0).expand([features.shape[0] as number, -1, -1]);
    return this.decoder.forward(torch.zeros_like(queries), features.transpose(1, 2), position, queries);
  }
}

/** The queries of one modality (`target`) read those of the other. */
class CrossTransformer extends nn.Module {
  readonly decoder: Decoder;

  constructor(config: DdmNetConfig) {
    super();
    this.decoder = new Decoder(config);
  }

  forward(memory: Tensor, target: Tensor): Tensor {
    return this.decoder.forward(target, memory, null, null);
  }
}

/** Sine at even, cosine at odd dimensions, of position / 100^(2 floor(i / 2) / D). */
class PositionTable extends nn.Module {
  readonly position_table: Tensor;

  constructor(D: number, numPositions: number) {
    super();
    const table = Array.from({ length: numPositions }, (_, position) =>
      Array.from({ length: D }, (_, i) => {
        const angle = position / 100 ** ((2 * Math.floor(i / 2)) / D);
        return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
      }),
    );
    this.position_table = nn.buffer(torch.tensor([table]));
  }
}

/** Distances of all pairs of frames, [B, L, T, D] -> [B, L, T, T]; before the norm. */
export function pairwiseDistance(x_BLTD: Tensor): Tensor {
  const difference = x_BLTD.detach().unsqueeze(3).sub(x_BLTD.unsqueeze(2));
  return difference.square().sum([-1]).add(1e-8).sqrt();
}

export class DdmNet extends nn.Module {
  readonly alpha: Tensor;
  readonly backbone: ResNet;
  readonly fc: nn.Linear;
  readonly fc2: nn.Linear;
  readonly ddm_encoder: MapEncoder;
  readonly short_conv: Stack<Conv1d>[];
  readonly middle_conv: Stack<Conv1d>[];
  readonly long_conv: Stack<Conv1d>[];
  readonly ddm_decoder: Stack<Conv1d>;
  readonly proj_rgb: Stack<nn.Linear>;
  readonly proj_ddm: Stack<nn.Linear>;
  readonly proj_v: Stack<nn.Linear>;
  readonly x3_out: Stack<Conv1d>;
  readonly x4_out: Stack<Conv1d>;
  readonly intra_transformer1: IntraTransformer;
  readonly intra_transformer2: IntraTransformer;
  readonly cross_transformer1: CrossTransformer;
  readonly cross_transformer2: CrossTransformer;
  readonly pos: PositionTable;
  readonly pos2: PositionTable;

  constructor(readonly config: DdmNetConfig) {
    super();
    const { width, frames_per_side, num_queries, decoder_layers, heads } = config;
    const D = 8 * width;
    if (D % heads !== 0) throw new RangeError(`${heads} heads do not divide the width ${D}`);
    const scales = (kernel: number): Stack<Conv1d>[] =>
      [0, 1, 2].map(() => [new Conv1d(D, D, kernel), null, new Conv1d(D, D, kernel)]);
    this.alpha = nn.param(torch.zeros([decoder_layers]));
    this.backbone = new ResNet(config);
    this.fc = new nn.Linear(D, 2);
    this.fc2 = new nn.Linear(D, 2);
    this.ddm_encoder = new MapEncoder(width);
    this.short_conv = scales(1);
    this.middle_conv = scales(3);
    this.long_conv = scales(3);
    this.ddm_decoder = [
      new Conv1d(D, D, 5),
      null,
      new Conv1d(D, D, 5),
      null,
      new Conv1d(D, D, 1),
      null,
      new Conv1d(D, D, 1),
    ];
    this.proj_rgb = [new nn.Linear(D, D)];
    this.proj_ddm = [new nn.Linear(D, D)];
    this.proj_v = [new nn.Linear(D, 1)];
    this.x3_out = [new Conv1d(2 * D, D, 1), null, new Conv1d(D, D, 1)];
    this.x4_out = [new Conv1d(4 * D, D, 1), null, new Conv1d(D, D, 1)];
    this.intra_transformer1 = new IntraTransformer(config);
    this.intra_transformer2 = new IntraTransformer(config);
    this.cross_transformer1 = new CrossTransformer(config);
    this.cross_transformer2 = new CrossTransformer(config);
    this.pos = new PositionTable(D, 2 * frames_per_side + 1);
    this.pos2 = new PositionTable(D, num_queries);
  }

  /** Normalised pixels [F, C, H, W] -> pooled features of every frame. */
  frame_features(frames: Tensor): FrameFeatures {
    return this.backbone.forward(frames);
  }

  /** Windows as rows of frame numbers, int64 [B, T], into the features of their frames. */
  forward_features(features: FrameFeatures, windows: Tensor): DdmNetOutput {
    const [B = 0, T = 0] = windows.shape;
    const flat = windows.reshape([-1]);
    const [x2, raw3, raw4] = features.map((x) => x.index_select(0, flat).reshape([B, T, -1]).transpose(1, 2)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const x3 = runStack(this.x3_out, raw3, false);
    const x4 = runStack(this.x4_out, raw4, false);
    const mean = (stack: Stack<Conv1d>, x: Tensor): Tensor => runStack(stack, x, true).add(x).mul(0.5);
    const sequences = [x2, x3, x4].flatMap((x, level) => {
      const middle = mean(this.middle_conv[level] as Stack<Conv1d>, x);
      return [
        mean(this.short_conv[level] as Stack<Conv1d>, x),
        middle,
        mean(this.long_conv[level] as Stack<Conv1d>, middle),
      ];
    });
    const multi_level_features = torch.stack(sequences, 1).transpose(2, 3);
    const distance = pairwiseDistance(multi_level_features);
    const difference_map = torch.instance_norm(distance, null, null, null, null, true, 0.1, 1e-5, true).neg();

    const E_BDTT = this.ddm_encoder.forward(difference_map);
    const rgb_BT1D = runStack(this.proj_rgb, x4.transpose(1, 2), true).unsqueeze(2);
    // [B, column, row, D]: the scores of frame t read column t ...
    const column_BTTD = runStack(this.proj_ddm, E_BDTT.permute([0, 3, 2, 1]), true);
    const frame_attention_scores = runStack(this.proj_v, rgb_BT1D.add(column_BTTD).tanh(), true).squeeze(-1);
    // ... and weigh row t.
    const ddm_decoder_in = E_BDTT.mul(frame_attention_scores.softmax(-1).unsqueeze(1)).sum([3]);
    const ddm_decoder = runStack(this.ddm_decoder, ddm_decoder_in, false);

    const intra_rgb = this.intra_transformer1.forward(x4, this.pos.position_table);
    const intra_ddm = this.intra_transformer2.forward(ddm_decoder, this.pos.position_table);
    const [rgb, ddm] = [intra_rgb.select(0, -1), intra_ddm.select(0, -1)];
    const cross_rgb = this.cross_transformer1.forward(rgb, ddm);
    const cross_ddm = this.cross_transformer2.forward(ddm, rgb);
    const logits_rgb = this.fc.forward(cross_rgb.mean([2]));
    const logits_ddm = this.fc2.forward(cross_ddm.mean([2]));
    const gate = this.alpha.sigmoid().reshape([-1, 1, 1]);
    const logits = logits_rgb.mul(gate.neg().add(1)).add(logits_ddm.mul(gate));
    return {
      multi_level_features,
      difference_map,
      ddm_encoder: E_BDTT,
      frame_attention_scores,
      ddm_decoder_in,
      ddm_decoder,
      intra_rgb,
      intra_ddm,
      cross_rgb,
      cross_ddm,
      logits,
      logits_rgb,
      logits_ddm,
    };
  }

  /** Normalised pixels [B, T, C, H, W], T = 2 k + 1. */
  forward(frames: Tensor): DdmNetOutput {
    const [B = 0, T = 0, ...rest] = frames.shape;
    const windows = torch.arange(0, B * T).reshape([B, T]);
    return this.forward_features(this.frame_features(frames.reshape([B * T, ...rest])), windows);
  }

  /** Cross entropy over every layer's mixed, RGB and difference logits, averaged; `labels` int64 [B]. */
  loss({ logits, logits_rgb, logits_ddm }: DdmNetOutput, labels: Tensor): Tensor {
    const all = torch.cat([logits, logits_rgb, logits_ddm], 0);
    const [N = 0] = all.shape;
    return F.cross_entropy(all.reshape([-1, 2]), labels.repeat([N]));
  }
}

/** Probability of a boundary at each window's centre, [B]. */
export function boundaryProbability({ logits }: Pick<DdmNetOutput, 'logits'>): Tensor {
  return logits.select(0, -1).softmax(-1).select(1, 1);
}

function xavier(weight: Tensor): Tensor {
  const [rows = 1, columns = 1] = weight.shape;
  const bound = Math.sqrt(6 / (rows + columns));
  return noGrad(() => weight.uniform_(-bound, bound));
}
