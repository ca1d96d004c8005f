/** Learned embeddings, from small models with random weights written as released ones are. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainBpe } from '../model/bpe-trainer.js';
import { type ClipConfig, ClipModel } from '../model/clip.js';
import { latentActionTokens, SPECIAL_TOKENS, TextTokenizer } from '../model/tokenizer.js';
import { Vla } from '../model/vla.js';
import { parseVlaConfig } from '../model/vla-config.js';
import { type nn, noGrad, safetensors, torch } from '../torch/index.js';
import { writePretrainedParts } from '../train/pretrained.js';
import { tinyConfig } from '../train/tiny-run.test-support.js';
import { similarity } from './embedding.js';
import { ClipFolderError, checkpointImageEmbedder, clipEmbedders } from './embedding-models.js';
import type { Picture } from './rollout.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'embedding-models-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plain = (colour: readonly number[], width = 20, height = 10): Picture => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => colour[i % 3] as number),
});
const length = (vector: Float32Array | undefined): number => Math.hypot(...(vector as Float32Array));

/** Fresh modules of CLIP start at zero here and there; these are drawn. */
function drawn(model: nn.Module): Record<string, ReturnType<typeof torch.randn>> {
  torch.manual_seed(1);
  return noGrad(() =>
    Object.fromEntries(
      Object.entries(model.state_dict()).map(([name, { shape }]) => [name, torch.randn(shape).mul(0.3)]),
    ),
  );
}

describe('CLIP', () => {
  const config: ClipConfig = {
    projection_dim: 8,
    vision_config: {
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      image_size: 32,
      patch_size: 16,
    },
    text_config: {
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      vocab_size: 300,
      max_position_embeddings: 12,
    },
  };

  it('is read from a folder as released, whatever buffers it brings along', async () => {
    const path = join(folder, 'clip');
    mkdirSync(path);
    expect(() => clipEmbedders(path)).toThrow(ClipFolderError);
    writeFileSync(join(path, 'config.json'), JSON.stringify(config));
    const tokens = trainBpe(['pick the can up'], {
      vocabularySize: 258,
      specialTokens: ['<|startoftext|>', '<|endoftext|>'],
    });
    new TextTokenizer(tokens).save(path);
    const ids = torch.tensor(Int32Array.from({ length: 12 }, (_, i) => i)).to('int64');
    const weights = { ...drawn(new ClipModel(config)), 'text_model.embeddings.position_ids': ids };
    safetensors.save(join(path, 'model.safetensors'), weights);
    const { text, image } = clipEmbedders(path);
    const [a, b, long] = await text.embed(['pick the can', 'close it', 'word '.repeat(100)]);
    expect(a).toHaveLength(8);
    for (const vector of [a, b, long]) expect(length(vector)).toBeCloseTo(1, 5);
    expect(similarity(a as Float32Array, b as Float32Array)).toBeLessThan(0.999);
    const [red, same, blue] = (await image.embed([
      plain([250, 0, 0]),
      plain([250, 0, 0], 64, 64),
      plain([0, 0, 250]),
    ])) as [Float32Array, Float32Array, Float32Array];
    expect(length(red)).toBeCloseTo(1, 5);
    expect(similarity(red, same)).toBeCloseTo(1, 5);
    expect(similarity(red, blue)).toBeLessThan(0.999);
  });
});

describe('a checkpoint', () => {
  it('embeds pictures by its vision encoder', async () => {
    const path = join(folder, 'pretrained_model');
    mkdirSync(path);
    const specialTokens = [...Object.values(SPECIAL_TOKENS), ...latentActionTokens(2)];
    const tokenizer = new TextTokenizer(trainBpe(['pick it'], { vocabularySize: 300, specialTokens }));
    const { policy } = tinyConfig('', '', 1);
    const config = parseVlaConfig(policy, { cameras: ['third'], vocab_size: tokenizer.vocabularySize });
    const seven = (value: number): Float32Array => new Float32Array(7).fill(value);
    const limits = { q01: new Float32Array(14).fill(-1), q99: new Float32Array(14).fill(1) };
    const chunk = { chunk: 2, representation: 'cumulative', actionDim: 7, ...limits } as const;
    writePretrainedParts(path, {
      config,
      tokenizer,
      statistics: { chunk, state: { q01: seven(-1), q99: seven(1) }, numFrames: 1 },
    });
    safetensors.save(join(path, 'model.safetensors'), new Vla(config).state_dict());
    const embedder = checkpointImageEmbedder(folder);
    expect(embedder.name).toBe(`checkpoint:${path}`);
    const [red, again, blue] = (await embedder.embed([plain([250, 0, 0]), plain([250, 0, 0]), plain([0, 0, 250])])) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect(length(red)).toBeCloseTo(1, 5);
    expect(similarity(red, again)).toBeCloseTo(1, 6);
    expect(similarity(red, blue)).toBeLessThan(0.999);
  });
});
