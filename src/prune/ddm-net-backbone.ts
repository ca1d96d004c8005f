/**
 * The backbone of DDM-Net: a ResNet of bottleneck blocks (He et al. 2015) whose layers 2, 3 and 4 are globally pooled, and the norms and
 * convolutions that the map encoder shares with it. Names are torchvision's.
 *
 * Shapes: F frames, C input channels, H x W pixels, D = 8 width.
 */
import { F, nn, noGrad, type Tensor, torch } from '../torch/index.js';
import type { DdmNetConfig } from './ddm-net.js';

/** Pooled features of single frames: [F, D], [F, 2 D], [F, 4 D] of layers 2, 3, 4. */
export type FrameFeatures = readonly [Tensor, Tensor, Tensor];

/** y = (x - mean) / sqrt(var + eps) * w + b by channel; batch statistics while training, running ones else. */
export class BatchNorm2d extends nn.Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: Tensor;
  readonly running_var: Tensor;

  constructor(channels: number) {
    super();
    this.weight = nn.param(torch.ones([channels]));
    this.bias = nn.param(torch.zeros([channels]));
    this.running_mean = nn.buffer(torch.zeros([channels]));
    this.running_var = nn.buffer(torch.ones([channels]));
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, running_mean, running_var, training } = this;
    return torch.batch_norm(x, weight, bias, running_mean, running_var, training, 0.1, 1e-5, true);
  }
}

/** Instance norm with scale and shift; it has no running statistics, in evaluation neither. */
export class InstanceNorm2d extends nn.Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(channels: number) {
    super();
    this.weight = nn.param(torch.ones([channels]));
    this.bias = nn.param(torch.zeros([channels]));
  }

  forward(x: Tensor): Tensor {
    return torch.instance_norm(x, this.weight, this.bias, null, null, true, 0.1, 1e-5, true);
  }
}

/** He et al. 2015, fan-out mode, as torchvision initialises its ResNets: a deep net from scratch needs it. */
export function conv(inputs: number, outputs: number, kernel: number, stride = 1): nn.Conv2d {
  const layer = new nn.Conv2d(inputs, outputs, kernel, { stride, padding: (kernel - 1) / 2, bias: false });
  noGrad(() => layer.weight.normal_(0, Math.sqrt(2 / (outputs * kernel * kernel))));
  return layer;
}

/** ResNet-50's block: 1x1, 3x3 (with the stride), 1x1 to four times the width. */
class Bottleneck extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: nn.Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: nn.Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: [nn.Conv2d, BatchNorm2d] | null;

  constructor(inputs: number, width: number, stride: number) {
    super();
    this.conv1 = conv(inputs, width, 1);
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = conv(width, width, 3, stride);
    this.bn2 = new BatchNorm2d(width);
    this.conv3 = conv(width, 4 * width, 1);
    this.bn3 = new BatchNorm2d(4 * width);
    const same = stride === 1 && inputs === 4 * width;
    this.downsample = same ? null : [conv(inputs, 4 * width, 1, stride), new BatchNorm2d(4 * width)];
  }

  forward(x: Tensor): Tensor {
    const shortcut = this.downsample ? this.downsample[1].forward(this.downsample[0].forward(x)) : x;
    const h = F.relu(this.bn2.forward(this.conv2.forward(F.relu(this.bn1.forward(this.conv1.forward(x))))));
    return F.relu(this.bn3.forward(this.conv3.forward(h)).add(shortcut));
  }
}

export class ResNet extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Bottleneck[];
  readonly layer2: Bottleneck[];
  readonly layer3: Bottleneck[];
  readonly layer4: Bottleneck[];

  constructor(readonly config: DdmNetConfig) {
    super();
    const { width, blocks, in_channels, stem_stride } = config;
    let inputs = width;
    const layer = (index: number): Bottleneck[] =>
      Array.from({ length: blocks[index] as number }, (_, i) => {
        const block = new Bottleneck(inputs, width << index, i === 0 && index > 0 ? 2 : 1);
        inputs = (4 * width) << index;
        return block;
      });
    this.conv1 = conv(in_channels, width, 7, stem_stride);
    this.bn1 = new BatchNorm2d(width);
    this.layer1 = layer(0);
    this.layer2 = layer(1);
    this.layer3 = layer(2);
    this.layer4 = layer(3);
  }

  /** [F, C, H, W] -> globally pooled layers 2, 3, 4. */
  forward(x: Tensor): FrameFeatures {
    const stem = F.relu(this.bn1.forward(this.conv1.forward(x)));
    const pooled = this.config.stem_pool ? stem.max_pool2d([3, 3], [2, 2], [1, 1]) : stem;
    const x2 = run(this.layer2, run(this.layer1, pooled));
    const x3 = run(this.layer3, x2);
    const x4 = run(this.layer4, x3);
    return [x2.mean([2, 3]), x3.mean([2, 3]), x4.mean([2, 3])];
  }
}

export function run<Block extends { forward(x: Tensor): Tensor }>(blocks: readonly Block[], x: Tensor): Tensor {
  return blocks.reduce((y, block) => block.forward(y), x);
}
