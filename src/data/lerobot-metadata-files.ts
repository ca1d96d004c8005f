/**
 * The parquet files under meta/ of a LeRobot v3.0 data set: tasks.parquet with pandas' index metadata, and the episode table with data
 * and video locations and per-episode statistics.
 *
 * Row i of tasks.parquet has task_index i; row i of the episode table has episode_index i.
 */
import { mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ColumnSource } from 'hyparquet-writer';
import { EPISODES_PATH, fillPath, TASKS_FILE } from './dataset-info.js';
import { syncFolder } from './durable-file.js';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';
import { type Features, isNumeric } from './features.js';
import { ParquetAppender } from './parquet-append.js';
import { ParquetFile } from './parquet-read.js';
import { leaf, list, root } from './parquet-schema.js';
import { QUANTILES } from './statistics.js';

/** Where in a video file an episode's frames lie. Times in seconds. */
export interface VideoLocation {
  readonly chunkIndex: number;
  readonly fileIndex: number;
  readonly fromTimestamp: number;
  readonly toTimestamp: number;
}

/** A row of the episode table. */
export interface EpisodeRecord {
  readonly index: number;
  readonly tasks: readonly string[];
  readonly length: number;
  /** Global frame indices [from, to). */
  readonly fromIndex: number;
  readonly toIndex: number;
  readonly dataChunk: number;
  readonly dataFile: number;
  /** By feature key. */
  readonly videos: Readonly<Record<string, VideoLocation>>;
}

/** Writes a table whose row groups are made one after the other. */
function writeTable(
  path: string,
  schema: ReturnType<typeof root>,
  rowGroups: Iterable<ColumnSource[]>,
  kv?: { key: string; value: string }[],
): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  const file = new ParquetAppender(temporary, schema, undefined, kv);
  for (const columns of rowGroups) if ((columns[0]?.data.length ?? 0) > 0) file.append(columns);
  file.close();
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Writes meta/tasks.parquet. The official loader reads it with pandas, which finds the index column through the `pandas` entry. */
export function writeTasks(rootFolder: string, tasks: readonly string[]): void {
  const describe = (name: string, type: string, numpy: string): unknown => ({
    name,
    field_name: name,
    pandas_type: type,
    numpy_type: numpy,
    metadata: null,
  });
  const pandas = {
    index_columns: ['task'],
    column_indexes: [
      { name: null, field_name: null, pandas_type: 'unicode', numpy_type: 'object', metadata: { encoding: 'UTF-8' } },
    ],
    columns: [describe('task_index', 'int64', 'int64'), describe('task', 'unicode', 'object')],
    creator: { library: 'dualvla', version: '1' },
    pandas_version: '2.2.0',
  };
  writeTable(
    join(rootFolder, TASKS_FILE),
    root([leaf('task_index', 'int64'), leaf('task', 'string')]),
    [
      [
        { name: 'task_index', data: tasks.map((_, i) => BigInt(i)) },
        { name: 'task', data: [...tasks] },
      ],
    ],
    [{ key: 'pandas', value: JSON.stringify(pandas) }],
  );
}

/** Reads meta/tasks.parquet: task_index -> task. Accepts pandas' unnamed index column. */
export async function readTasks(rootFolder: string): Promise<string[]> {
  const path = join(rootFolder, TASKS_FILE);
  const file = await ParquetFile.open(path);
  const column = ['task', '__index_level_0__'].find((name) => file.hasColumn(name));
  if (!column) throw new CorruptDatasetError('Neither a column "task" nor "__index_level_0__"', { file: path });
  const values = await file.read([column, 'task_index']);
  const tasks: string[] = [];
  values.get('task_index')?.forEach((index, row) => {
    const task = values.get(column)?.[row];
    if (typeof task !== 'string')
      throw new CorruptDatasetError(`Task ${String(index)} is not text`, { file: path, field: column });
    tasks[Number(index)] = task;
  });
  for (let i = 0; i < tasks.length; i++)
    if (tasks[i] === undefined)
      throw new CorruptDatasetError(`Task ${i} is missing`, { file: path, field: 'task_index' });
  return tasks;
}

const STAT_NAMES = ['min', 'max', 'mean', 'std', 'count', ...Object.keys(QUANTILES)];

/** Features that have statistics: everything but text and language. */
export function featuresWithStats(features: Features): string[] {
  return Object.entries(features)
    .filter(([, feature]) => isNumeric(feature) || feature.dtype === 'image' || feature.dtype === 'video')
    .map(([name]) => name);
}

type EpisodeStatsJson = Readonly<Record<string, unknown>>;

/** Episodes of a row group of the episode table. */
const TABLE_ROWS = 1000;

/** Writes the episode table in one file. `statsOf` gives an episode's statistics JSON by feature; it is asked for each once. */
export function writeEpisodes(
  rootFolder: string,
  features: Features,
  episodes: readonly EpisodeRecord[],
  statsOf: (episode: number) => EpisodeStatsJson,
): void {
  const rowGroup = (from: number): ReturnType<typeof episodeColumns> => {
    const part = episodes.slice(from, from + TABLE_ROWS);
    return episodeColumns(
      features,
      part,
      part.map(({ index }) => statsOf(index)),
    );
  };
  const path = join(rootFolder, fillPath(EPISODES_PATH, { chunk_index: 0, file_index: 0 }));
  const first = rowGroup(0);
  function* columns(): Generator<ColumnSource[]> {
    yield first.columns;
    for (let from = TABLE_ROWS; from < episodes.length; from += TABLE_ROWS) yield rowGroup(from).columns;
  }
  writeTable(path, root(first.nodes), columns());
}

function episodeColumns(
  features: Features,
  episodes: readonly EpisodeRecord[],
  stats: readonly EpisodeStatsJson[],
): { readonly nodes: Parameters<typeof root>[0][number][]; readonly columns: ColumnSource[] } {
  const nodes: Parameters<typeof root>[0][number][] = [];
  const columns: ColumnSource[] = [];
  const ints = (name: string, values: readonly number[]): void => {
    nodes.push(leaf(name, 'int64'));
    columns.push({ name, data: values.map(BigInt) });
  };
  const doubles = (name: string, values: readonly number[]): void => {
    nodes.push(leaf(name, 'float64'));
    columns.push({ name, data: [...values] });
  };
  ints(
    'episode_index',
    episodes.map((episode) => episode.index),
  );
  nodes.push(list('tasks', leaf('element', 'string')));
  columns.push({ name: 'tasks', data: episodes.map((episode) => [...episode.tasks]) });
  ints(
    'length',
    episodes.map((episode) => episode.length),
  );
  ints(
    'data/chunk_index',
    episodes.map((episode) => episode.dataChunk),
  );
  ints(
    'data/file_index',
    episodes.map((episode) => episode.dataFile),
  );
  ints(
    'dataset_from_index',
    episodes.map((episode) => episode.fromIndex),
  );
  ints(
    'dataset_to_index',
    episodes.map((episode) => episode.toIndex),
  );
  for (const [key, feature] of Object.entries(features)) {
    if (feature.dtype !== 'video') continue;
    const at = episodes.map((episode) => episode.videos[key] as VideoLocation);
    ints(
      `videos/${key}/chunk_index`,
      at.map((location) => location.chunkIndex),
    );
    ints(
      `videos/${key}/file_index`,
      at.map((location) => location.fileIndex),
    );
    doubles(
      `videos/${key}/from_timestamp`,
      at.map((location) => location.fromTimestamp),
    );
    doubles(
      `videos/${key}/to_timestamp`,
      at.map((location) => location.toTimestamp),
    );
  }
  for (const key of featuresWithStats(features)) {
    const image = !isNumeric(features[key] as Features[string]);
    for (const name of STAT_NAMES) {
      const column = `stats/${key}/${name}`;
      const values = stats.map((episode) => (episode[key] as Record<string, unknown>)[name]);
      // As numpy has them: the least and greatest int64 are int64.
      const isInteger = name === 'count' || (features[key]?.dtype === 'int64' && /^m(in|ax)$/.test(name));
      if (isInteger) {
        nodes.push(list(column, leaf('element', 'int64')));
        columns.push({ name: column, data: values.map((value) => (value as number[]).map(BigInt)) });
        continue;
      }
      const inner = leaf('element', 'float64');
      nodes.push(list(column, image ? list('element', list('element', inner)) : inner));
      columns.push({ name: column, data: values });
    }
  }
  ints(
    'meta/episodes/chunk_index',
    episodes.map(() => 0),
  );
  ints(
    'meta/episodes/file_index',
    episodes.map(() => 0),
  );
  return { nodes, columns };
}

/** Reads every file of the episode table, in order of the episode index. Throws when an episode is missing or given twice. */
export async function readEpisodes(
  rootFolder: string,
  paths: readonly string[],
  features: Features,
): Promise<EpisodeRecord[]> {
  if (paths.length === 0)
    throw new MissingDatasetError('The episode table is missing', { file: join(rootFolder, 'meta/episodes') });
  const videoKeys = Object.keys(features).filter((key) => features[key]?.dtype === 'video');
  const names = [
    'episode_index',
    'tasks',
    'length',
    'data/chunk_index',
    'data/file_index',
    'dataset_from_index',
    'dataset_to_index',
  ];
  for (const key of videoKeys)
    for (const name of ['chunk_index', 'file_index', 'from_timestamp', 'to_timestamp'])
      names.push(`videos/${key}/${name}`);
  const episodes: EpisodeRecord[] = [];
  for (const path of paths) {
    const file = await ParquetFile.open(path);
    const columns = await file.read(names);
    for (let row = 0; row < file.numRows; row++) {
      const number = (name: string): number => {
        const value = columns.get(name)?.[row];
        if (typeof value !== 'number' && typeof value !== 'bigint')
          throw new CorruptDatasetError(`Row ${row} of the episode table has no number here`, {
            file: path,
            field: name,
          });
        return Number(value);
      };
      const index = number('episode_index');
      if (episodes[index])
        throw new CorruptDatasetError('The episode is in the table twice', { file: path, episode: index });
      const videos: Record<string, VideoLocation> = {};
      for (const key of videoKeys) {
        videos[key] = {
          chunkIndex: number(`videos/${key}/chunk_index`),
          fileIndex: number(`videos/${key}/file_index`),
          fromTimestamp: number(`videos/${key}/from_timestamp`),
          toTimestamp: number(`videos/${key}/to_timestamp`),
        };
      }
      const tasks = columns.get('tasks')?.[row];
      episodes[index] = {
        index,
        tasks: Array.isArray(tasks) ? tasks.map(String) : [],
        length: number('length'),
        fromIndex: number('dataset_from_index'),
        toIndex: number('dataset_to_index'),
        dataChunk: number('data/chunk_index'),
        dataFile: number('data/file_index'),
        videos,
      };
    }
  }
  for (let index = 0; index < episodes.length; index++)
    if (!episodes[index])
      throw new CorruptDatasetError('The episode is missing from the table', { file: paths[0], episode: index });
  return episodes;
}
