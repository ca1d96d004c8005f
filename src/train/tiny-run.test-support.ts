/** Data sets and a configuration so small that a training step takes milliseconds, for tests of training. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LeRobotWriter } from '../data/lerobot-writer.js';
import { encodePng } from '../data/png.js';
import { syntheticEpisode, syntheticFeatures } from '../data/synthetic-episode.js';
import type { TrainConfigInput } from './config.js';

const imageSize = 16;

/** Writes a LeRobot data set of made-up episodes into `folder`. */
export async function writeTinyDataset(folder: string, { numEpisodes = 6, firstEpisode = 0 } = {}): Promise<void> {
  const writer = await LeRobotWriter.create(folder, {
    fps: 5,
    robotType: 'widowx',
    features: syntheticFeatures({ imageSize, cameras: ['third'] }),
  });
  for (let i = 0; i < numEpisodes; i++) {
    const episode = syntheticEpisode(firstEpisode + i, { imageSize, cameras: ['third'] });
    await writer.addEpisode({ ...episode, index: i });
  }
  await writer.finish();
}

/** Writes ten questions about grey pictures into `folder`. */
export function writeTinyQuestions(folder: string): void {
  mkdirSync(join(folder, 'images'), { recursive: true });
  const entries = Array.from({ length: 10 }, (_, id) => {
    const image = `images/${id}.png`;
    const pixels = new Uint8Array(imageSize * imageSize * 3).fill(id * 20);
    writeFileSync(join(folder, image), encodePng(pixels, imageSize, imageSize));
    const conversations = [
      { from: 'human', value: `<image>\nhow bright is it?` },
      { from: 'gpt', value: id < 5 ? 'dark' : 'bright' },
    ];
    return { id: String(id), image, conversations };
  });
  writeFileSync(join(folder, 'train.json'), JSON.stringify(entries));
}

/** Configuration of a model of some thousand parameters on such a data set. */
export function tinyConfig(root: string, outputDir: string, steps: number): TrainConfigInput {
  return {
    job_name: 'tiny',
    output_dir: outputDir,
    steps,
    threads: 1,
    batch_size: 4,
    log_every: 1,
    save_every: 5,
    dataset: { root, shift_pixels: 1, cache_mb: 16 },
    tokenizer: { vocab_size: 320 },
    policy: {
      chunk_size: 2,
      num_latent_queries: 2,
      num_execute: 1,
      vision: { image_size: imageSize, patch_size: 8, hidden_size: 16, intermediate_size: 16, num_attention_heads: 2 },
      language: {
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
      },
      action: {
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_flow_samples: 2,
      },
    },
  };
}
