/** A data set that we write has the form of a real one that LeRobot wrote: every parquet schema, metadata, names of files, keys. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetMetadata } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readInfo } from './dataset-info.js';
import { LeRobotWriter } from './lerobot-writer.js';

const SAMPLE = fileURLToPath(new URL('../../../shared/data/so101-lerobot-v3', import.meta.url));
const LENGTHS = [5, 7];

let base = '';
let own = '';
beforeAll(async () => {
  if (!existsSync(SAMPLE)) return;
  base = mkdtempSync(join(tmpdir(), 'dualvla-sample-'));
  own = join(base, 'own');
  const { fps, robotType, features } = await readInfo(SAMPLE);
  if (robotType === null) throw new Error('the sample names its robot');
  const names = Object.entries(features).filter(([name]) => !/index$|^timestamp$/.test(name));
  const [width, height] = [64, 64];
  const small = names.map(([name, { dtype, shape, names: dims }]) => [
    name,
    { dtype, shape: dtype === 'video' ? [height, width, 3] : shape, names: dims },
  ]);
  const video = { codec: 'libsvtav1' } as const;
  const writer = await LeRobotWriter.create(own, { fps, robotType, features: Object.fromEntries(small), video });
  for (const [index, length] of LENGTHS.entries()) {
    const values = Float32Array.from({ length: length * 6 }, (_, i) => Math.sin(i + index));
    const picture = { width, height, data: new Uint8Array(length * width * height * 3).fill(90 + index) };
    await writer.addEpisode({
      index,
      length,
      fps,
      task: 'Pick the orange cube and place it in the box',
      state: values,
      stateDim: 6,
      action: values,
      actionDim: 6,
      images: { front: picture, top: picture },
      columns: {},
      languagePersistent: [],
      languageEvents: [],
    });
  }
  await writer.finish();
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const TASKS = 'meta/tasks.parquet';
const DATA = 'data/chunk-000/file-000.parquet';
const EPISODES = 'meta/episodes/chunk-000/file-000.parquet';

function parquet(folder: string, name: string) {
  const { buffer, byteOffset, byteLength } = readFileSync(join(folder, name));
  return parquetMetadata(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
}
const json = (folder: string, name: string) =>
  JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, Record<string, unknown>>;
const entry = (folder: string, name: string, key: string): string =>
  parquet(folder, name).key_value_metadata?.find((one) => one.key === key)?.value ?? '{}';
const shapeOf = (value: unknown): number[] => (Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : []);

describe.skipIf(!existsSync(SAMPLE))('the form of a real v3.0 data set (so101)', () => {
  it.each([DATA, EPISODES])('%s: names, types, nesting and compression of all columns', (name) => {
    const columns = (folder: string): Record<string, unknown> => {
      const { schema } = parquet(folder, name);
      const found: Record<string, unknown[]> = {};
      let column = '';
      let left = 0;
      for (const { name: node, type, repetition_type, converted_type, num_children = 0 } of schema.slice(1)) {
        if (left === 0) column = node;
        left = (left === 0 ? 0 : left - 1) + num_children;
        const own = node === column ? [] : [node];
        const nodes = found[column] ?? [];
        found[column] = [...nodes, [...own, type, repetition_type, converted_type, num_children]];
      }
      return found;
    };
    expect(columns(own)).toEqual(columns(SAMPLE));
    const codecs = (folder: string) => [
      ...new Set(parquet(folder, name).row_groups.flatMap((group) => group.columns.map((one) => one.meta_data?.codec))),
    ];
    expect(codecs(own)).toEqual(codecs(SAMPLE));
  });

  it('a row group an episode, and the types that the library datasets looks for', () => {
    expect(parquet(SAMPLE, DATA).row_groups).toHaveLength(4);
    expect(parquet(own, DATA).row_groups.map(({ num_rows }) => Number(num_rows))).toEqual(LENGTHS);
    const types = (folder: string) =>
      (JSON.parse(entry(folder, DATA, 'huggingface')) as { info?: { features?: object } }).info?.features;
    expect(types(own)).toBeDefined();
    expect(types(own)).toEqual(types(SAMPLE));
  });

  it('tasks by an index that pandas knows', () => {
    const pandas = (folder: string) =>
      JSON.parse(entry(folder, TASKS, 'pandas')) as { index_columns: string[]; columns: Record<string, unknown>[] };
    // Theirs has no name of its own; the reader gives it this one.
    expect(pandas(SAMPLE).index_columns).toEqual(['__index_level_0__']);
    expect(pandas(own).index_columns).toEqual(['task']);
    const types = (folder: string) =>
      pandas(folder).columns.map(({ pandas_type, numpy_type }) => [pandas_type, numpy_type]);
    expect(types(own)).toEqual(types(SAMPLE));
    const nodes = (folder: string) =>
      parquet(folder, TASKS)
        .schema.slice(1)
        .map(({ type, repetition_type, converted_type }) => [type, repetition_type, converted_type]);
    expect(nodes(own)).toEqual(nodes(SAMPLE));
  });

  it('keys of meta/info.json, of each feature, and of each statistic with its shape', () => {
    const [a, b] = [json(own, 'meta/info.json'), json(SAMPLE, 'meta/info.json')];
    expect(Object.keys(a).sort()).toEqual(Object.keys(b).sort());
    for (const key of ['codebase_version', 'chunks_size', 'data_files_size_in_mb', 'fps', 'data_path', 'video_path'])
      expect(a[key], key).toEqual(b[key]);
    const facts = (info: Record<string, unknown>) =>
      Object.fromEntries(
        Object.entries(info.features as Record<string, { dtype: string; names: unknown; info?: object }>)
          .sort(([x], [y]) => (x < y ? -1 : 1))
          .map(([name, { dtype, names, info: video }]) => [name, [dtype, names, Object.keys(video ?? {}).sort()]]),
      );
    expect(facts(a)).toEqual(facts(b));
    const stats = (folder: string) =>
      Object.fromEntries(
        Object.entries(json(folder, 'meta/stats.json')).map(([name, one]) => [
          name,
          Object.fromEntries(Object.entries(one).map(([key, value]) => [key, shapeOf(value)])),
        ]),
      );
    expect(stats(own)).toEqual(stats(SAMPLE));
  });

  it('names of files and folders', () => {
    const files = (folder: string) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(parquet|json|mp4)$/.test(name))
        .sort();
    const videos = ['front', 'top'].map((camera) => `videos/observation.images.${camera}/chunk-000/file-000.mp4`);
    // What a data set was made of, in a file of our own, which no reader looks for.
    expect(files(own)).toEqual([...files(SAMPLE), ...videos, 'meta/dualvla.json'].sort());
  });
});
