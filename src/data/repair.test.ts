import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Episode } from './episode.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { ParquetAppender } from './parquet-append.js';
import { ParquetFile } from './parquet-read.js';
import { root } from './parquet-schema.js';
import { repairDataset } from './repair-dataset.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
import { type DatasetProblem, validateDataset } from './validate-dataset.js';
import { SignalChecks } from './validate-signals.js';

let base = '';
const sound: Record<string, string> = {};
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-repair-'));
  for (const imageStorage of ['image', 'video'] as const) {
    sound[imageStorage] = join(base, imageStorage);
    const features = syntheticFeatures({ cameras: ['third'], imageStorage, imageSize: 32 });
    const options = {
      fps: 5,
      robotType: 'test',
      features,
      dataFilesSizeInMb: 0.001,
      video: { codec: 'libx264' as const },
    };
    const writer = await LeRobotWriter.create(sound[imageStorage], { ...options, videoFilesSizeInMb: 0.001 });
    for (let i = 0; i < 4; i++)
      await writer.addEpisode(syntheticEpisode(i, { cameras: ['third'], length: 12, imageSize: 32 }));
    await writer.finish();
  }
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

let copies = 0;
function copy(kind: 'image' | 'video' = 'image'): string {
  const folder = join(base, `copy-${copies++}`);
  cpSync(sound[kind] as string, folder, { recursive: true });
  return folder;
}

/** Rewrites a parquet file with values changed by column; row groups become one. */
async function edit(path: string, change: (name: string, values: unknown[]) => unknown[]): Promise<void> {
  const file = await ParquetFile.open(path);
  const values = await file.read(file.columns);
  const kv = file.metadata.key_value_metadata?.map(({ key, value }) => ({ key, value: value ?? '' }));
  const columns = file.columns.map((name) => ({ name, data: change(name, values.get(name) ?? []) }));
  const writer = new ParquetAppender(path, root(file.columns.map((name) => file.schemaOf(name))), undefined, kv);
  writer.append(columns);
  writer.close();
}
async function fileOf(folder: string, episode: number): Promise<{ path: string; first: number }> {
  const dataset = await LeRobotDataset.openDamaged(folder);
  const record = dataset.episodes[episode];
  if (!record) throw new Error('no such episode');
  return { path: dataset.dataPath(record), first: dataset.firstRowOf(record) };
}
const errors = async (folder: string): Promise<DatasetProblem[]> =>
  (await validateDataset(folder, { decodeAll: true })).problems.filter(({ severity }) => severity === 'error');

interface Case {
  readonly kind?: 'image' | 'video';
  readonly damage: (folder: string) => Promise<void> | void;
  readonly found: Partial<DatasetProblem>;
  /** Episodes that a mended data set lacks. */
  readonly lost: readonly number[];
}
const cases: Record<string, Case> = {
  'a NaN in an action': {
    damage: async (folder) => {
      const { path, first } = await fileOf(folder, 2);
      await edit(path, (name, values) => {
        if (name !== 'action') return values;
        const rows = values.map((row) => [...(row as number[])]);
        (rows[first + 7] as number[])[3] = Number.NaN;
        return rows;
      });
    },
    found: { check: 'not-finite', episode: 2, frame: 7 },
    lost: [2],
  },
  'a gap in the timestamps': {
    damage: async (folder) => {
      const { path, first } = await fileOf(folder, 1);
      await edit(path, (name, values) =>
        name === 'timestamp'
          ? values.map((value, row) => (row >= first + 5 && row < first + 12 ? Number(value) + 1 : value))
          : values,
      );
    },
    found: {
      check: 'timestamps',
      episode: 1,
      frame: 5,
      message: expect.stringContaining('a gap of 1.2000 s') as never,
    },
    lost: [],
  },
  'tasks out of order': {
    damage: (folder) => edit(join(folder, 'meta/tasks.parquet'), (_, values) => [...values].reverse()),
    found: { check: 'tasks', file: 'meta/tasks.parquet' },
    lost: [],
  },
  'wrong statistics': {
    damage: (folder) => {
      const path = join(folder, 'meta/stats.json');
      const stats = JSON.parse(readFileSync(path, 'utf8')) as Record<string, { mean: number[] }>;
      if (stats.action) stats.action.mean[1] = 9;
      writeFileSync(path, JSON.stringify(stats));
    },
    found: { check: 'statistics', file: 'meta/stats.json' },
    lost: [],
  },
  'a parquet file cut off': {
    damage: async (folder) => truncateSync((await fileOf(folder, 3)).path, 2000),
    found: {
      check: 'episodes',
      episode: undefined as never,
      file: expect.stringMatching(/^data\/.*parquet$/) as never,
    },
    lost: [3],
  },
  'a wrong total': {
    damage: (folder) => {
      const path = join(folder, 'meta/info.json');
      writeFileSync(path, readFileSync(path, 'utf8').replace('"total_frames": 48', '"total_frames": 47'));
    },
    found: { check: 'metadata', file: 'meta/info.json' },
    lost: [],
  },
  'a wrong length in the episode table': {
    damage: (folder) =>
      edit(join(folder, 'meta/episodes/chunk-000/file-000.parquet'), (name, values) =>
        name === 'length' ? values.map((value, row) => (row === 1 ? 5n : value)) : values,
      ),
    found: { check: 'metadata', episode: 1, fix: expect.stringContaining('--fix') as never },
    lost: [],
  },
  'an episode cut short in the episode table': {
    damage: (folder) =>
      edit(join(folder, 'meta/episodes/chunk-000/file-000.parquet'), (name, values) =>
        name === 'length' || name === 'dataset_to_index'
          ? values.map((value, row) => (row === 3 ? (value as bigint) - 4n : value))
          : values,
      ),
    found: { check: 'metadata', file: 'meta/info.json' },
    lost: [],
  },
  'wrong statistics of an episode': {
    damage: (folder) =>
      edit(join(folder, 'meta/episodes/chunk-000/file-000.parquet'), (name, values) =>
        name === 'stats/action/max'
          ? values.map((value, row) => (row === 2 ? (value as number[]).map((v) => v + 1) : value))
          : values,
      ),
    found: { check: 'statistics', episode: 2, message: expect.stringContaining('action: max[0]') as never },
    lost: [],
  },
  'a split beyond the end': {
    damage: (folder) => {
      const path = join(folder, 'meta/info.json');
      writeFileSync(path, readFileSync(path, 'utf8').replace('"train": "0:4"', '"train": "0:9"'));
    },
    found: { check: 'splits', message: expect.stringContaining('0:9') as never },
    lost: [],
  },
  'a missing video': {
    kind: 'video',
    damage: (folder) => unlinkSync(join(folder, 'videos/observation.images.third/chunk-000/file-001.mp4')),
    found: { check: 'videos', file: 'videos/observation.images.third/chunk-000/file-001.mp4' },
    lost: [1],
  },
  'a short video': {
    kind: 'video',
    damage: (folder) => {
      const name = (i: number): string => join(folder, `videos/observation.images.third/chunk-000/file-00${i}.mp4`);
      const other = syntheticEpisode(0, { cameras: ['third'], length: 5, imageSize: 32 }).images.third;
      if (!other) throw new Error('no camera');
      return import('./video.js').then(({ encodeVideo }) =>
        encodeVideo({ path: name(2), frames: other.data, width: 32, height: 32, fps: 5, codec: 'libx264' }),
      );
    },
    found: { check: 'videos', episode: 2, message: expect.stringContaining('has 5 frames') as never },
    lost: [2],
  },
};

describe('damage', () => {
  it.each(Object.entries(cases))(
    '%s is found, and mended into a new data set',
    async (_, { kind, damage, found, lost }) => {
      const [folder, target] = [copy(kind), join(base, `mended-${copies}`)];
      expect(await errors(folder)).toEqual([]);
      await damage(folder);
      const problems = await errors(folder);
      const wanted = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
      expect(problems).toContainEqual(expect.objectContaining(wanted));
      for (const { fix } of problems) expect(fix).not.toBe('');
      const summary = await repairDataset(folder, target);
      const left = [0, 1, 2, 3].filter((episode) => !lost.includes(episode));
      expect(summary.leftOut.map(({ episode }) => episode)).toEqual(lost);
      expect(await errors(target)).toEqual([]);
      const mended = await LeRobotDataset.open(target);
      expect(mended.numEpisodes).toBe(left.length);
      for (const [i, e] of left.entries())
        expect((await mended.episode(i)).state).toEqual(syntheticEpisode(e, { length: 12 }).state);
      expect(existsSync(folder)).toBe(true);
    },
  );
});

describe('signals', () => {
  const states = (index: number, value: (t: number) => number): Episode => {
    const one = syntheticEpisode(index, { cameras: [], length: 30 });
    return { ...one, state: Float32Array.from({ length: 30 }, (_, t) => value(t)), stateDim: 1 };
  };
  const check = (episodes: Episode[]): unknown[] => {
    const checks = new SignalChecks(['elbow']);
    for (const episode of episodes) expect(checks.add(episode)).toEqual([]);
    return checks.finish();
  };
  const smooth = (i: number): Episode => states(i, (t) => Math.sin(t / 10 + i));

  it('that are smooth, or switches, are not odd', () => {
    expect(check([0, 1, 2].map(smooth))).toEqual([]);
    expect(check([0, 1].map((i) => states(i, (t) => (t > 12 + i ? 1 : 0))))).toEqual([]);
  });

  it('that jump or are stuck are named', () => {
    const jumping = states(1, (t) => Math.sin(t / 10) + (t === 17 ? 5 : 0));
    expect(check([smooth(0), jumping, smooth(2)])).toMatchObject([{ code: 'jump', episode: 1, frame: 17 }]);
    const many = Array.from({ length: 10 }, (_, i) => smooth(i));
    expect(check([...many, states(10, () => 0.5)])).toMatchObject([
      { code: 'stuck', episode: 10, message: expect.stringContaining('elbow') },
    ]);
  });
});
