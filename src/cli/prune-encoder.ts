/**
 * A vision encoder from a folder of safetensors, as features of frames for kernel segmentation: SigLIP as Hugging Face stores it
 * (`config.json`, `model.safetensors`), DINOv2 with registers as timm does (`model.safetensors`). Brings src/model, which comes later in
 * the order of modules, to src/prune.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DinoV2Config, SiglipConfig } from '../model/index.js';
import type { FrameEncoder } from '../prune/index.js';
import type { Tensor } from '../torch/index.js';
import { CommandError } from './errors.js';

/** Means and deviations of pixels (0 to 1) by which a model was trained. */
interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}
const HALF: Normalization = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
const IMAGENET: Normalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

interface Loaded {
  readonly imageSize: number;
  readonly normalization: Normalization;
  /** Normalised pixels [B, 3, H, W] -> [B, D]. */
  forward(pixels: Tensor): Tensor;
}

/** Opens an encoder. Throws CommandError naming what is missing or not understood. */
export async function openFrameEncoder(folder: string): Promise<FrameEncoder> {
  const weights = join(folder, 'model.safetensors');
  if (!existsSync(weights))
    throw new CommandError(
      `${folder} holds no model.safetensors; next: give --features pixels, flow, or the folder of a SigLIP or DINOv2 encoder`,
    );
  const { noGrad, safetensors, scope, torch } = await import('../torch/index.js');
  const file = safetensors.open(weights);
  const siglip = file.keys.find((key) => key.endsWith('embeddings.patch_embedding.weight'));
  const model = siglip
    ? await loadSiglip(folder, siglip.slice(0, siglip.indexOf('embeddings.')), file)
    : file.keys.includes('patch_embed.proj.weight')
      ? await loadDinoV2(folder, file)
      : null;
  if (!model)
    throw new CommandError(
      `${weights} is no encoder that is known here (SigLIP of Hugging Face, DINOv2 of timm); its first tensors: ${file.keys.slice(0, 3).join(', ')}`,
    );
  const { imageSize, normalization, forward } = model;
  return {
    name: folder,
    imageSize,
    encode: (frames, numFrames) =>
      scope(() =>
        noGrad(() => {
          const bytes = torch.tensor(frames.slice(), { shape: [numFrames, imageSize, imageSize, 3] });
          const [mean, std] = [normalization.mean, normalization.std].map((values) =>
            torch.tensor([...values]).reshape([1, 3, 1, 1]),
          ) as [Tensor, Tensor];
          const pixels = bytes.permute([0, 3, 1, 2]).to('float32').div(255).sub(mean).div(std);
          const features = forward(pixels);
          return {
            values: features.to('float32').contiguous().data<Float32Array>().slice(),
            size: features.shape[1] as number,
          };
        }),
      ),
  };
}

type Weights = { readonly keys: readonly string[]; get(key: string): Tensor };

async function loadSiglip(folder: string, prefix: string, file: Weights): Promise<Loaded> {
  const { SiglipVisionModel } = await import('../model/index.js');
  const raw = readConfig(folder);
  // Hugging Face leaves out what has its default: SigLIP base.
  const config: SiglipConfig = {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    image_size: 224,
    patch_size: 16,
    layer_norm_eps: 1e-6,
    ...((raw.vision_config ?? raw) as object),
    vision_use_head: file.keys.includes(`${prefix}head.probe`),
  };
  const model = new SiglipVisionModel(config);
  load(folder, model, file, (key) =>
    key.startsWith(prefix) && !key.endsWith('position_ids') ? `vision_model.${key.slice(prefix.length)}` : null,
  );
  return {
    imageSize: config.image_size,
    normalization: HALF,
    forward: (pixels) => {
      const { pooler_output, last_hidden_state } = model.forward(pixels);
      return pooler_output ?? last_hidden_state.mean([1]);
    },
  };
}

async function loadDinoV2(folder: string, file: Weights): Promise<Loaded> {
  const { DinoV2 } = await import('../model/index.js');
  const shape = (key: string): readonly number[] => (file.keys.includes(key) ? file.get(key).shape : []);
  const [embed_dim = 0, , patch_size = 0] = shape('patch_embed.proj.weight');
  const side = Math.round(Math.sqrt(shape('pos_embed')[1] ?? 0));
  const depth = new Set(file.keys.flatMap((key) => /^blocks\.(\d+)\./.exec(key)?.[1] ?? [])).size;
  const config: DinoV2Config = {
    img_size: side * patch_size,
    patch_size,
    embed_dim,
    depth,
    // Of all released sizes.
    num_heads: embed_dim / 64,
    mlp_ratio: (shape('blocks.0.mlp.fc1.weight')[0] ?? 0) / embed_dim,
    reg_tokens: shape('reg_token')[1] ?? 0,
    init_values: 1e-5,
    norm_eps: 1e-6,
    ...(existsSync(join(folder, 'config.json')) ? (readConfig(folder).model_args as object | undefined) : {}),
  };
  const model = new DinoV2(config);
  load(folder, model, file, (key) => (/^(head|fc_norm|mask_token)/.test(key) ? null : key));
  return {
    imageSize: config.img_size,
    normalization: IMAGENET,
    forward: (pixels) => model.forward(pixels).normed.select(1, 0),
  };
}

function readConfig(folder: string): Record<string, unknown> {
  const path = join(folder, 'config.json');
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch {
    throw new CommandError(
      `${path} is missing or not JSON; next: put the encoder's config.json beside its model.safetensors`,
    );
  }
}

/** @param rename the model's name of a tensor of the file, or null for one that is not used */
function load(
  folder: string,
  model: { load_state_dict(state: Record<string, Tensor>): unknown; eval(): unknown },
  file: Weights,
  rename: (key: string) => string | null,
): void {
  const entries = file.keys.flatMap((key): [string, Tensor][] => {
    const name = rename(key);
    return name === null ? [] : [[name, file.get(key)]];
  });
  try {
    model.load_state_dict(Object.fromEntries(entries));
  } catch (error) {
    const what = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new CommandError(`the weights in ${folder} do not fit its configuration: ${what}`);
  }
  model.eval();
}
