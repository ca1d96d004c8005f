/** Disks, folders and tools that refuse: a sentence each. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { mergeDatasets, splitDataset } from './convert-edit.js';
import { StorageError, VideoError } from './errors.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { repairDataset } from './repair-dataset.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
import { validateDataset } from './validate-dataset.js';

let base = '';
beforeEach(() => {
  base = join(mkdtempSync(join(tmpdir(), 'dualvla-storage-')), "with spaces, ü and 'quotes'");
  mkdirSync(base);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(join(base, '..'), { recursive: true, force: true });
});

async function write(folder: string, imageStorage: 'image' | 'video'): Promise<void> {
  const features = syntheticFeatures({ cameras: ['third'], imageStorage });
  const video = { codec: 'libx264' as const };
  const writer = await LeRobotWriter.create(folder, { fps: 5, robotType: 'test', features, video });
  for (let i = 0; i < 2; i++) await writer.addEpisode(syntheticEpisode(i, { cameras: ['third'], length: 4 }));
  await writer.finish();
}

describe('places and tools that refuse', () => {
  it('an output below a file, or where nothing can be made', async () => {
    writeFileSync(join(base, 'file'), '');
    await expect(write(join(base, 'file', 'set'), 'image')).rejects.toThrow(StorageError);
    await expect(write(join(base, 'file', 'set'), 'image')).rejects.toThrow(
      /The output cannot be written.*Choose a place/,
    );
  });

  it('ffmpeg that is not there: for writing, reading and checking', async () => {
    const sound = join(base, 'sound');
    await write(sound, 'video');
    vi.stubEnv('FFMPEG', join(base, 'no', 'ffmpeg'));
    await expect(write(join(base, 'other'), 'video')).rejects.toThrow(VideoError);
    const dataset = await LeRobotDataset.open(sound);
    await expect(dataset.episode(0, { images: true })).rejects.toThrow(/cannot be started.*apt-get install ffmpeg/);
    const { problems } = await validateDataset(sound);
    expect(problems.map(({ message }) => message).join()).toMatch(/ffprobe cannot be started/);
    // Numbers can be read all the same.
    expect((await dataset.episode(0)).length).toBe(4);
  });

  it('paths of all kinds: merged, split and mended with videos', async () => {
    const sound = join(base, 'sound');
    await write(sound, 'video');
    await mergeDatasets([sound, sound], join(base, 'merged'));
    await splitDataset(join(base, 'merged'), [{ name: 'part', episodes: [3, 0] }], join(base, 'parts'));
    const { episodes } = await repairDataset(join(base, 'parts', 'part'), join(base, 'mended'));
    expect(episodes).toBe(2);
    expect((await validateDataset(join(base, 'mended'), { decodeAll: true })).problems).toEqual([]);
    expect(readdirSync(base).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });
});
