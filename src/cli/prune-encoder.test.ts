import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DinoV2, SiglipVisionModel } from '../model/index.js';
import { changePoints, encodedFeatures } from '../prune/index.js';
import { noGrad, safetensors, torch } from '../torch/index.js';
import { CommandError } from './errors.js';
import { openFrameEncoder } from './prune-encoder.js';

let base = '';
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-encoder-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const SIGLIP = {
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  image_size: 32,
  patch_size: 8,
  layer_norm_eps: 1e-6,
};
/** Frames of 32 pixels: dark, then bright. */
const frames = Uint8Array.from({ length: 6 * 32 * 32 * 3 }, (_, i) => (i < 3 * 32 * 32 * 3 ? 20 : 230) + (i % 7));

describe('vision encoders from safetensors', () => {
  it('SigLIP as Hugging Face stores it, with and without its head, and within a larger model', async () => {
    torch.manual_seed(1);
    for (const vision_use_head of [false, true]) {
      const folder = join(base, `siglip-${vision_use_head}`);
      mkdirSync(folder);
      const model = new SiglipVisionModel({ ...SIGLIP, vision_use_head }).eval();
      const text = { 'text_model.embeddings.weight': torch.zeros([2, 2]) };
      safetensors.save(join(folder, 'model.safetensors'), { ...model.state_dict(), ...text });
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ model_type: 'siglip', vision_config: SIGLIP }));
      const encoder = await openFrameEncoder(folder);
      expect(encoder.imageSize).toBe(32);
      const { values, size } = encodedFeatures(encoder, frames, 6, 4);
      expect(size).toBe(16);
      const pixels = torch.tensor(frames.slice(0, 32 * 32 * 3), { shape: [1, 32, 32, 3] }).permute([0, 3, 1, 2]);
      const expected = noGrad(() => {
        const { pooler_output, last_hidden_state } = model.forward(pixels.to('float32').div(127.5).sub(1));
        return (pooler_output ?? last_hidden_state.mean([1])).tolist() as number[][];
      });
      expected[0]?.forEach((value, d) => {
        expect(values[d]).toBeCloseTo(value, 4);
      });
      expect(changePoints(values, 6, { penalty: 0.3 })).toEqual([3]);
    }
  });

  it('DINOv2 as timm stores it: its sizes follow from the weights', async () => {
    torch.manual_seed(2);
    const folder = join(base, 'dino');
    mkdirSync(folder);
    const model = new DinoV2({
      img_size: 32,
      patch_size: 8,
      embed_dim: 64,
      depth: 2,
      num_heads: 1,
      mlp_ratio: 2,
      reg_tokens: 4,
      init_values: 1,
      norm_eps: 1e-6,
    });
    safetensors.save(join(folder, 'model.safetensors'), { ...model.state_dict(), 'head.weight': torch.zeros([1]) });
    const encoder = await openFrameEncoder(folder);
    expect(encoder.imageSize).toBe(32);
    const { values, size } = encoder.encode(frames, 6);
    expect(size).toBe(64);
    expect(changePoints(values, 6, { penalty: 0.3 })).toEqual([3]);
  });

  it('that are none are named', async () => {
    const refuse = async (folder: string, message: RegExp): Promise<void> => {
      await expect(openFrameEncoder(folder)).rejects.toThrow(CommandError);
      await expect(openFrameEncoder(folder)).rejects.toThrow(message);
    };
    await refuse(base, /holds no model\.safetensors; next: give --features pixels/);
    const other = join(base, 'other');
    mkdirSync(other);
    safetensors.save(join(other, 'model.safetensors'), { 'lm_head.weight': torch.zeros([1]) });
    await refuse(other, /no encoder that is known here.*lm_head\.weight/);
    const broken = join(base, 'broken');
    mkdirSync(broken);
    const model = new SiglipVisionModel(SIGLIP);
    safetensors.save(join(broken, 'model.safetensors'), model.state_dict());
    await refuse(broken, /config\.json is missing or not JSON/);
    writeFileSync(join(broken, 'config.json'), JSON.stringify({ ...SIGLIP, hidden_size: 32 }));
    await refuse(broken, /do not fit its configuration/);
  });
});
