/**
 * Weights of a ResNet trained elsewhere, as the backbone that DDM-Net starts from (the released code starts from an ImageNet ResNet-50).
 * Names as torchvision and timm have them: conv1.weight, bn1.*, layer1.0.conv1.weight ... layer4.*.downsample.0.weight.
 *
 * Knows nothing about training.
 */
import { noGrad, safetensors, type Tensor, torch } from '../torch/index.js';
import type { DdmNet, DdmNetConfig } from './ddm-net.js';
import { PruneError } from './errors.js';

type Weights = ReturnType<typeof safetensors.open>;

function openResNet(file: string): { readonly weights: Weights; readonly prefix: string } {
  let weights: Weights;
  try {
    weights = safetensors.open(file);
  } catch (cause) {
    throw new PruneError(`The weights cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      file,
      cause,
    });
  }
  const first = weights.keys.find((key) => /(^|\.)layer1\.0\.conv1\.weight$/.test(key));
  if (first === undefined)
    throw new PruneError('These are no weights of a ResNet: there is no layer1.0.conv1.weight', {
      file,
      hint: `It holds ${weights.keys.slice(0, 3).join(', ')} ...`,
    });
  const prefix = first.slice(0, -'layer1.0.conv1.weight'.length);
  if (!weights.keys.includes(`${prefix}layer1.0.conv3.weight`))
    throw new PruneError('A ResNet of bottleneck blocks is needed (ResNet-50, 101, 152); this one has basic blocks', {
      file,
    });
  return { weights, prefix };
}

/** A network whose backbone is as wide and as deep as the ResNet in `file`; the rest of it widens with it. Throws PruneError. */
export function backboneConfig(file: string, net: DdmNetConfig): DdmNetConfig {
  const { weights, prefix } = openResNet(file);
  const count = (layer: number): number =>
    new Set(
      weights.keys.flatMap((key) =>
        key.startsWith(`${prefix}layer${layer}.`) ? [key.slice(prefix.length).split('.')[1]] : [],
      ),
    ).size;
  const width = weights.get(`${prefix}layer1.0.conv1.weight`).shape[0] as number;
  return { ...net, width, blocks: [count(1), count(2), count(3), count(4)], stem_stride: 2, stem_pool: true };
}

/**
 * Copies a ResNet's weights into the backbone. Its first layer sees RGB: further cameras take the same weights (divided by their number), motion
 * channels begin with none. Throws PruneError naming a tensor that is missing or of another shape.
 */
export function loadBackbone(model: DdmNet, file: string, cameras = 1): void {
  const { weights, prefix } = openResNet(file);
  const own = model.backbone.state_dict();
  const state: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(own)) {
    if (name.endsWith('.num_batches_tracked')) continue;
    const key = `${prefix}${name}`;
    if (!weights.keys.includes(key)) throw new PruneError('A tensor is missing', { file, field: key });
    const given = weights.get(key).to('float32');
    const fitted = name === 'conv1.weight' ? spread(given, tensor.shape[1] as number, cameras) : given;
    if (String(fitted.shape) !== String(tensor.shape))
      throw new PruneError(`The tensor is [${given.shape}], the network has [${tensor.shape}]`, { file, field: key });
    state[name] = fitted;
  }
  model.backbone.load_state_dict(state);
}

/** [O, 3, k, k] -> [O, channels, k, k]: the cameras' pictures first, then motion or nothing. */
function spread(rgb: Tensor, channels: number, cameras: number): Tensor {
  const [O = 0, , k = 0] = rgb.shape;
  return noGrad(() => {
    const parts = Array.from({ length: cameras }, () => rgb.div(cameras));
    const rest = channels - 3 * cameras;
    return torch.cat(rest > 0 ? [...parts, torch.zeros([O, rest, k, k])] : parts, 1);
  });
}
