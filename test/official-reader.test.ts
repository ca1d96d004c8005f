/**
 * What we write, read by the steps of LeRobot's own reader with the libraries that do its work (datasets, pandas, PyAV), where there is a
 * Python that has them: `python3` on the path, or what DUALVLA_PYTHON names. Skipped elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  convertDataset,
  LeRobotDataset,
  LeRobotWriter,
  mergeDatasets,
  RldsDataset,
  repairDataset,
  rldsSource,
  splitDataset,
  syntheticEpisode,
  syntheticFeatures,
} from 'dualvla/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PYTHON = process.env.DUALVLA_PYTHON ?? 'python3';
const READER = fileURLToPath(new URL('fixtures/lerobot_reader.py', import.meta.url));
const BRIDGE = fileURLToPath(new URL('../../shared/data/bridge-rlds/1.0.0', import.meta.url));
const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const has = (modules: string): boolean => spawnSync(PYTHON, ['-c', `import ${modules}`]).status === 0;
const canRead = has('datasets, pandas, PIL; datasets.List');
const canReadVideos = canRead && has('av');

interface Read {
  readonly rows: number;
  readonly index: boolean;
  readonly tasks: string[];
  readonly task_index: number[];
  readonly episodes: [string[], number, number][];
  readonly columns: Record<string, (number | string | number[])[]>;
  readonly stats: Record<string, Record<string, number[]>>;
  readonly video: number | null;
}

let base = '';
const at = (name: string): string => join(base, name);
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-official-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

function read(folder: string): Read {
  const env = { ...process.env, HF_HOME: at('cache'), HF_HUB_OFFLINE: '1' };
  const { status, stdout, stderr } = spawnSync(PYTHON, [READER, folder], { env, encoding: 'utf8', maxBuffer: 1 << 28 });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as Read;
}

async function write(
  folder: string,
  episodes: number,
  imageStorage: 'image' | 'video',
  codec: 'libx264' | 'libsvtav1',
) {
  const features = syntheticFeatures({ cameras: ['third', 'wrist'], imageStorage, imageSize: 64 });
  // Small files, so that there are several.
  const limits = { dataFilesSizeInMb: 0.02, videoFilesSizeInMb: 0.01 };
  const writer = await LeRobotWriter.create(folder, {
    fps: 15,
    robotType: 'test',
    features,
    video: { codec },
    ...limits,
  });
  for (let i = 0; i < episodes; i++) {
    // At 15 Hz in place of 5, where joined videos could drift.
    const episode = syntheticEpisode(i, { cameras: ['third', 'wrist'], imageSize: 64 });
    const languagePersistent = episode.languagePersistent?.map((row) => ({ ...row, timestamp: row.timestamp / 3 }));
    await writer.addEpisode({ ...episode, fps: 15, ...(languagePersistent ? { languagePersistent } : {}) });
  }
  await writer.finish();
}

/** That Python saw the episodes, rows and values that we see. */
async function compare(folder: string): Promise<Read> {
  const dataset = await LeRobotDataset.open(folder);
  const seen = read(folder);
  expect(seen).toMatchObject({ rows: dataset.numFrames, index: true, tasks: dataset.tasks });
  expect(seen.task_index).toEqual(dataset.tasks.map((_, i) => i));
  expect(seen.episodes).toHaveLength(dataset.numEpisodes);
  let first = 0;
  for (let e = 0; e < dataset.numEpisodes; e++) {
    const episode = await dataset.episode(e, { images: true });
    expect(seen.episodes[e]).toEqual([[episode.task], episode.length, first]);
    const sums = (values: ArrayLike<number>): number[] =>
      Array.from({ length: episode.length }, (_, t) => {
        const size = values.length / episode.length;
        return Array.from({ length: size }, (_, d) => values[t * size + d] as number).reduce((a, b) => a + b, 0);
      });
    const rows = (key: string) => seen.columns[key]?.slice(first, first + episode.length) as number[];
    sums(episode.state).forEach((sum, t) => {
      expect(rows('observation.state')[t]).toBeCloseTo(sum, 4);
    });
    for (const [key, column] of Object.entries(episode.columns)) {
      if (column.dtype === 'string') expect(rows(key)).toEqual(column.values);
      else
        expect(rows(key), key).toEqual(sums(column.values as ArrayLike<number>).map((sum) => expect.closeTo(sum, 4)));
    }
    for (const [camera, { width, height, data }] of Object.entries(episode.images)) {
      const key = `observation.images.${camera}`;
      if (dataset.features[key]?.dtype === 'image')
        expect(rows(key)).toEqual(sums(data).map((sum) => [width, height, sum]));
    }
    if (dataset.features.language_persistent && episode.languagePersistent)
      expect(rows('language_persistent')).toEqual(Array(episode.length).fill(episode.languagePersistent.length));
    first += episode.length;
  }
  for (const [key, { dtype, shape }] of Object.entries(dataset.features)) {
    if (dtype === 'string' || dtype === 'language') continue;
    const size = dtype === 'image' || dtype === 'video' ? [3, 1, 1] : shape;
    for (const name of ['min', 'max', 'mean', 'std', 'q01', 'q10', 'q50', 'q90', 'q99'])
      expect(seen.stats[key]?.[name], `${key} ${name}`).toEqual(size);
    expect(seen.stats[key]?.count).toEqual([1]);
  }
  return seen;
}

describe.skipIf(!canRead)("LeRobot's way of reading (needs Python with datasets and pandas)", () => {
  it('a written data set of pictures, also merged, split, mended and pruned', { timeout: 400_000 }, async () => {
    await write(at('pictures'), 5, 'image', 'libx264');
    await compare(at('pictures'));
    await mergeDatasets([at('pictures'), at('pictures')], at('merged'));
    await splitDataset(at('merged'), [{ name: 'part', episodes: [7, 2, 0] }], at('parts'));
    await repairDataset(join(at('parts'), 'part'), at('mended'));
    const prune = [bin, 'prune', at('pictures'), '--scene', 'labels', '--out', at('pruned')];
    expect(spawnSync(process.execPath, prune).status).toBe(0);
    for (const name of ['merged', 'mended', 'pruned']) await compare(at(name));
  });

  it.skipIf(!canReadVideos)('videos, every frame within 1e-4 s, also after a merge', { timeout: 400_000 }, async () => {
    for (const codec of ['libx264', 'libsvtav1'] as const) {
      await write(at(codec), 4, 'video', codec);
      await mergeDatasets([at(codec), at(codec)], at(`${codec}-merged`));
      for (const name of [codec, `${codec}-merged`]) expect((await compare(at(name))).video).toBeLessThan(1e-4);
    }
  });

  it.skipIf(!existsSync(BRIDGE))('the real Bridge sample, converted', { timeout: 400_000 }, async () => {
    await convertDataset({ sources: [rldsSource(RldsDataset.open(BRIDGE))], target: at('bridge') });
    expect(await compare(at('bridge'))).toMatchObject({ rows: 200 });
  });
});
