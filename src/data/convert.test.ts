import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertDataset } from './convert.js';
import { mergeDatasets, partsByShare, splitDataset } from './convert-edit.js';
import { leRobotSource } from './convert-source.js';
import type { Episode } from './episode.js';
import { CorruptDatasetError, DataError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { LeRobotV2Dataset, leRobotV2Source } from './lerobot-v2.js';
import { writeV2 } from './lerobot-v2.test-support.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
import { validateDataset } from './validate-dataset.js';

let base = '';
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla convert ü '));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));
let sets = 0;
const newFolder = (): string => join(base, `set-${sets++}`);

async function writeV3(
  numEpisodes: number,
  imageStorage: 'image' | 'video' = 'image',
  first = 0,
  fps = 5,
  size = 32,
): Promise<string> {
  const folder = newFolder();
  const features = syntheticFeatures({ imageStorage, cameras: ['third'], imageSize: size });
  const writer = await LeRobotWriter.create(folder, {
    fps,
    robotType: 'test',
    features,
    video: { codec: 'libx264', gop: 7 },
  });
  for (let i = 0; i < numEpisodes; i++)
    await writer.addEpisode(syntheticEpisode(first + i, { cameras: ['third'], imageSize: size, fps }));
  await writer.finish();
  return folder;
}
const errorsOf = async (folder: string): Promise<string[]> =>
  (await validateDataset(folder, { decodeAll: true })).problems
    .filter(({ severity }) => severity === 'error')
    .map(({ message }) => message);
const episodesOf = async (folder: string): Promise<Episode[]> => {
  const dataset = await LeRobotDataset.open(folder);
  const episodes = await dataset.readEpisodes({ from: 0, to: dataset.numEpisodes }, { images: true });
  // Pixels may lie in a Buffer or in a plain array.
  const plain = (images: Episode['images']): Episode['images'] =>
    Object.fromEntries(Object.entries(images).map(([name, one]) => [name, { ...one, data: new Uint8Array(one.data) }]));
  return episodes.map((episode) => ({ ...episode, images: plain(episode.images) }));
};
const asRead = (episodes: Episode[]): object[] => episodes.map(({ index: _, timestamps: __, ...rest }) => rest);

describe('LeRobot v2', () => {
  it.each([
    ['v2.0', 'image'],
    ['v2.1', 'image'],
    ['v2.1', 'video'],
  ] as const)('%s with %s columns becomes a valid v3.0 data set of the same content', async (version, imageStorage) => {
    const [folder, target] = [newFolder(), newFolder()];
    await writeV2(folder, { version, imageStorage });
    const summary = await convertDataset({ sources: [leRobotV2Source(LeRobotV2Dataset.open(folder))], target });
    expect(summary).toMatchObject({ episodes: 3, leftOut: [] });
    expect(await errorsOf(target)).toEqual([]);
    for (const [i, read] of (await episodesOf(target)).entries()) {
      const given = syntheticEpisode(i, { cameras: ['third'], imageSize: 32 });
      expect(read.task).toBe(given.task);
      expect(read.state).toEqual(given.state);
      expect(read.action).toEqual(given.action);
      expect(read.columns).toEqual(given.columns);
      const [was, is] = [given.images.third?.data ?? [], read.images.third?.data ?? []];
      expect(is.length).toBe(was.length);
      const off = Array.from(is, (value, k) => Math.abs(value - (was[k] as number)));
      if (imageStorage === 'image') expect(Math.max(...off)).toBe(0);
      else expect(off.reduce((sum, value) => sum + value, 0) / off.length).toBeLessThan(16);
    }
  });

  it('keeps the video stream: frames are those that the old files decode to', async () => {
    const folder = await writeV3(3, 'video');
    const [merged] = [newFolder()];
    await mergeDatasets([folder, folder], merged);
    const [old, joined] = [await episodesOf(folder), await episodesOf(merged)];
    expect(joined.map(({ images }) => images)).toEqual([...old, ...old].map(({ images }) => images));
  });

  it.each([
    [
      'a missing video',
      (f: string) => unlinkSync(join(f, 'videos/chunk-000/observation.images.third/episode_000001.mp4')),
      MissingDatasetError,
      /video is missing.*episode 1/,
    ],
    [
      'a parquet file cut off',
      (f: string) => truncateSync(join(f, 'data/chunk-000/episode_000001.parquet'), 900),
      CorruptDatasetError,
      /episode_000001/,
    ],
    [
      'a broken line',
      (f: string) => writeFileSync(join(f, 'meta/tasks.jsonl'), '{"task_index":0}\n'),
      CorruptDatasetError,
      /Line 1 is wrong/,
    ],
    [
      'an episode too few',
      (f: string) => writeFileSync(join(f, 'meta/episodes.jsonl'), ''),
      CorruptDatasetError,
      /0 episodes are listed/,
    ],
  ] as const)('with %s is refused by name, or mended by leaving the episode out', async (_, damage, type, message) => {
    const [folder, target] = [newFolder(), newFolder()];
    await writeV2(folder, { imageStorage: 'video' });
    damage(folder);
    const convert = async (skipDamaged: boolean): Promise<object> =>
      convertDataset({
        sources: [leRobotV2Source(LeRobotV2Dataset.open(folder), { skipDamaged })],
        target,
        skipDamaged,
        resume: true,
      });
    await expect(convert(false)).rejects.toThrow(type);
    await expect(convert(false)).rejects.toThrow(message);
    expect(existsSync(target)).toBe(false);
    if (!message.source.includes('episode')) return;
    if (message.source.includes('listed')) return;
    expect(await convert(true)).toMatchObject({ episodes: 2, leftOut: [{ episode: 1 }] });
    expect(await errorsOf(target)).toEqual([]);
  });

  it('ends in a named error or a result for any damage to its metadata', async () => {
    const folder = newFolder();
    await writeV2(folder, { episodes: 1 });
    const files = ['meta/info.json', 'meta/tasks.jsonl', 'meta/episodes.jsonl'].map((name) => join(folder, name));
    const whole = files.map((file) => readFileSync(file));
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.nat(), fc.integer({ min: 1, max: 255 }), async (which, at, flip) => {
        const [file, bytes] = [files[which] as string, Buffer.from(whole[which] as Buffer)];
        bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ flip;
        writeFileSync(file, bytes);
        try {
          await LeRobotV2Dataset.open(folder).read(0);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        } finally {
          writeFileSync(file, whole[which] as Buffer);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('merge and split', () => {
  it('merged data are those of the parts, with tasks united and statistics of all', async () => {
    const [a, b, whole, target] = [await writeV3(2), await writeV3(3, 'image', 2), await writeV3(5), newFolder()];
    expect(await mergeDatasets([a, b], target)).toMatchObject({ episodes: 5, leftOut: [] });
    expect(await errorsOf(target)).toEqual([]);
    expect(asRead(await episodesOf(target))).toEqual(asRead(await episodesOf(whole)));
    expect(readFileSync(join(target, 'meta/stats.json'), 'utf8')).toBe(
      readFileSync(join(whole, 'meta/stats.json'), 'utf8'),
    );
    expect((await LeRobotDataset.open(target)).tasks).toEqual(['lift the block', 'push the block']);
  });

  it('parts of a split data set, merged again, are the data set byte for byte', async () => {
    const [folder, target, again] = [await writeV3(5), newFolder(), newFolder()];
    const parts = partsByShare(5, { train: 0.8, val: 0.2 });
    expect(parts.map(({ episodes }) => episodes)).toEqual([[0, 1, 2, 3], [4]]);
    await splitDataset(folder, parts, target);
    expect(readdirSync(target).sort()).toEqual(['train', 'val']);
    expect(await errorsOf(join(target, 'val'))).toEqual([]);
    await mergeDatasets(
      ['train', 'val'].map((name) => join(target, name)),
      again,
    );
    for (const name of ['data/chunk-000/file-000.parquet', 'meta/stats.json', 'meta/info.json', 'meta/tasks.parquet'])
      expect(readFileSync(join(again, name)).equals(readFileSync(join(folder, name))), name).toBe(true);
  });

  it('videos are cut at any episode', async () => {
    const [folder, target] = [await writeV3(4, 'video'), newFolder()];
    await splitDataset(folder, [{ name: 'some', episodes: [2, 0] }], target);
    const [all, some] = [await episodesOf(folder), await episodesOf(join(target, 'some'))];
    expect(asRead(some)).toEqual(asRead([all[2] as Episode, all[0] as Episode]));
    expect(await errorsOf(join(target, 'some'))).toEqual([]);
  });

  it.each(['libx265', 'libsvtav1'] as const)('videos of %s are cut and joined as well', async (codec) => {
    // SVT-AV1 takes no smaller pictures.
    const [folder, encoded, target] = [await writeV3(3, 'image', 0, 5, 64), newFolder(), newFolder()];
    const sources = [leRobotSource(await LeRobotDataset.open(folder))];
    await convertDataset({ sources, target: encoded, images: 'video', video: { codec } });
    await splitDataset(encoded, [{ name: 'last', episodes: [1, 2] }], target);
    const [all, last] = [await episodesOf(encoded), await episodesOf(join(target, 'last'))];
    expect(asRead(last)).toEqual(asRead(all.slice(1)));
    expect(await errorsOf(join(target, 'last'))).toEqual([]);
  });

  it('says that depth pictures are ignored', async () => {
    const folder = newFolder();
    await writeV2(folder, { episodes: 1 });
    const path = join(folder, 'meta/info.json');
    const info = JSON.parse(readFileSync(path, 'utf8')) as { features: Record<string, object> };
    info.features['observation.images.depth'] = {
      dtype: 'video',
      shape: [8, 8, 1],
      names: null,
      info: { 'video.is_depth_map': true },
    };
    writeFileSync(path, JSON.stringify(info));
    const target = newFolder();
    const summary = await convertDataset({ sources: [leRobotV2Source(LeRobotV2Dataset.open(folder))], target });
    expect(summary.ignored).toEqual({ 'observation.images.depth': 'depth pictures are not used' });
    expect(await errorsOf(target)).toEqual([]);
  });

  it('refuses what does not fit together', async () => {
    const [a, b] = [await writeV3(1), await writeV3(1, 'image', 0, 10)];
    await expect(mergeDatasets([a, b], newFolder())).rejects.toThrow(/fps was 5, now 10/);
    await expect(mergeDatasets([a, await writeV3(1, 'video')], newFolder())).rejects.toThrow(UnsupportedDatasetError);
    await expect(splitDataset(a, [{ name: 'x', episodes: [3] }], newFolder())).rejects.toThrow(RangeError);
    await expect(splitDataset(a, [{ name: '../x', episodes: [0] }], newFolder())).rejects.toThrow(DataError);
    expect(() => partsByShare(1, { a: 0.5, b: 0.5 })).toThrow(RangeError);
  });

  it('pictures change into videos and back on request', async () => {
    const [folder, video, image] = [await writeV3(2), newFolder(), newFolder()];
    const source = async (from: string) => [leRobotSource(await LeRobotDataset.open(from))];
    await convertDataset({
      sources: await source(folder),
      target: video,
      images: 'video',
      video: { codec: 'libx264' },
    });
    expect(await errorsOf(video)).toEqual([]);
    await convertDataset({ sources: await source(video), target: image, images: 'image' });
    expect((await episodesOf(image)).map(({ images }) => images)).toEqual(
      (await episodesOf(video)).map(({ images }) => images),
    );
  });

  it('that write nothing leave nothing behind, and say what can be done', async () => {
    const [folder, target] = [await writeV3(1, 'video'), newFolder()];
    unlinkSync(join(folder, 'videos/observation.images.third/chunk-000/file-000.mp4'));
    const convert = async (skipDamaged: boolean) => {
      const sources = [leRobotSource(await LeRobotDataset.open(folder), { skipDamaged })];
      return convertDataset({ sources, target, skipDamaged });
    };
    await expect(convert(false)).rejects.toThrow(/The video is missing.*--skip-damaged leaves such episodes out/);
    // With other options it is no continuation.
    await expect(convert(true)).rejects.toThrow(/No episode is left/);
    expect(readdirSync(base).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });
});
