/**
 * Learned embeddings for dual retrieval: the vision encoder of one of our checkpoints, and CLIP (text and pictures). Loads the engine.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resizePixels } from '../data/index.js';
import { CLIP_MEAN, CLIP_STD, CLIP_VIT_B_32, type ClipConfig, ClipModel } from '../model/clip.js';
import { TextTokenizer } from '../model/tokenizer.js';
import { noGrad, safetensors, scope, type Tensor, torch } from '../torch/index.js';
import { findPretrained, loadPretrained } from '../train/pretrained.js';
import { type ImageEmbedder, normalized, type TextEmbedder } from './embedding.js';
import type { Picture } from './rollout.js';

/**
 * Pictures by the vision encoder of a checkpoint: the mean of its tokens.
 * @throws NoPretrainedModelError
 */
export function checkpointImageEmbedder(path: string, device = 'cpu'): ImageEmbedder {
  const { model, config } = loadPretrained(path, device);
  const side = config.vision.image_size;
  return {
    name: `checkpoint:${findPretrained(path)}`,
    embed: async (pictures) => {
      const pixels = await Promise.all(
        pictures.map(({ data, width, height }) => resizePixels(data, width, height, side, side)),
      );
      return pixels.map((one) =>
        run(() => {
          const image = torch.tensor(Float32Array.from(one, (v) => v / 127.5 - 1)).view([1, side, side, 3]);
          const pixels_BCHW = image.to({ device }).permute([0, 3, 1, 2]).contiguous();
          return model.vision.vision_model.forward(pixels_BCHW).last_hidden_state.mean([0, 1]);
        }),
      );
    },
  };
}

const CLIP_FILES = ['config.json', 'model.safetensors', 'tokenizer.json'] as const;

/**
 * Pictures and texts by a CLIP checkpoint: a folder with config.json, model.safetensors and tokenizer.json as Hugging Face releases them
 * (`openai/clip-vit-base-patch32`).
 * @throws ClipFolderError naming the file that is missing; StateDictError for weights of another shape
 */
export function clipEmbedders(folder: string, device = 'cpu'): { text: TextEmbedder; image: ImageEmbedder } {
  const missing = CLIP_FILES.find((name) => !existsSync(join(folder, name)));
  if (missing !== undefined)
    throw new ClipFolderError(`${folder} has no ${missing}; a CLIP folder has ${CLIP_FILES.join(', ')}`);
  const given = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Partial<ClipConfig>;
  const { vision_config, text_config } = CLIP_VIT_B_32;
  const model = new ClipModel({
    projection_dim: given.projection_dim ?? CLIP_VIT_B_32.projection_dim,
    vision_config: { ...vision_config, ...given.vision_config },
    text_config: { ...text_config, ...given.text_config },
  });
  scope(() => {
    const weights = Object.entries(safetensors.load(join(folder, 'model.safetensors')));
    model.load_state_dict(Object.fromEntries(weights.filter(([name]) => !name.endsWith('.position_ids'))));
  });
  model.to({ device });
  model.eval();
  const tokenizer = TextTokenizer.load(folder);
  const side = model.config.vision_config.image_size;
  const longest = model.config.text_config.max_position_embeddings;
  const [start, end] = [tokenizer.idOf('<|startoftext|>'), tokenizer.idOf('<|endoftext|>')];
  const name = `clip:${folder}`;
  return {
    text: {
      name,
      embed: async (texts) =>
        texts.map((text) => {
          const ids = [start, ...tokenizer.encode(text).slice(0, longest - 2), end];
          return run(() => model.embedTexts(torch.tensor([ids], { dtype: 'int64', device })));
        }),
    },
    image: {
      name,
      embed: async (pictures) => {
        const pixels = await Promise.all(pictures.map((picture) => squarePixels(picture, side)));
        return pixels.map((one) => run(() => model.embedImages(clipPixels(one, side).to({ device }))));
      },
    },
  };
}

/** A CLIP folder is not whole. */
export class ClipFolderError extends Error {
  override readonly name = 'ClipFolderError';
}

/** [1, P] as a unit vector. */
const run = (embed: () => Tensor): Float32Array =>
  scope(() =>
    noGrad(() =>
      normalized(Float32Array.from(embed().flatten().to({ device: 'cpu', dtype: 'float32' }).tolist() as number[])),
    ),
  );

/** The shorter side scaled to `side`, the middle cut out. */
async function squarePixels({ width, height, data }: Picture, side: number): Promise<Uint8Array> {
  const sharp = (await import('sharp')).default;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(side, side, { fit: 'cover', kernel: 'cubic' })
    .raw()
    .toBuffer();
}

/** uint8 RGB to [1, 3, side, side]. */
function clipPixels(pixels: Uint8Array, side: number): Tensor {
  const values = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    const c = i % 3;
    values[c * side * side + Math.floor(i / 3)] =
      ((pixels[i] as number) / 255 - (CLIP_MEAN[c] as number)) / (CLIP_STD[c] as number);
  }
  return torch.tensor(values, { shape: [1, 3, side, side] });
}
