/**
 * Checks a LeRobot v3.0 data set against everything that the official loader relies on, and reads all of it: metadata, every row, every
 * picture or the times of every video. Reports problems as a list instead of stopping at the first.
 *
 * Knows nothing about what the data mean.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { type DatasetInfo, fillPath, STATS_FILE, TASKS_FILE } from './dataset-info.js';
import { VideoChecks } from './dataset-videos.js';
import { frameAt, validateEpisode } from './episode.js';
import { DataError } from './errors.js';
import {
  AUTOMATIC_FEATURES,
  type Feature,
  isNumeric,
  LANGUAGE_EVENTS_KEY,
  LANGUAGE_PERSISTENT_KEY,
  STATE_KEY,
} from './features.js';
import { LeRobotDataset, parquetPaths } from './lerobot-dataset.js';
import { featuresWithStats } from './lerobot-metadata-files.js';
import { ParquetFile } from './parquet-read.js';
import { dataSchema } from './parquet-schema.js';
import { QUANTILES } from './statistics.js';
import { SignalChecks } from './validate-signals.js';
import { checkDatasetStatistics, EpisodeStatisticsCheck } from './validate-statistics.js';
import { probeVideo } from './video.js';

export interface DatasetProblem {
  /** `error`: the official loader fails or gives wrong data; `warning`: it works, something is unusual. */
  readonly severity: 'error' | 'warning';
  /** What is checked, e.g. `tasks`, `columns`, `order`. */
  readonly check: string;
  readonly message: string;
  /** Relative to the data set's folder. */
  readonly file?: string | undefined;
  readonly episode?: number | undefined;
  readonly frame?: number | undefined;
  /** What mends it. */
  readonly fix: string;
}

/** Episodes whose video one process decodes. */
const CHECKED_TOGETHER = 64;

export interface ValidateOptions {
  /** Decode every picture; otherwise those of the first and last episode. */
  readonly decodeAll?: boolean;
}

export interface ValidationReport {
  readonly folder: string;
  readonly problems: readonly DatasetProblem[];
  readonly episodes: number;
  readonly frames: number;
}

/** Validates the data set in a folder. Never throws for broken data: what is wrong is in the report. */
export async function validateDataset(folder: string, options: ValidateOptions = {}): Promise<ValidationReport> {
  const root = resolve(folder);
  const problems: DatasetProblem[] = [];
  const report: Report = (severity, check, message, place = {}) => {
    const { file, episode, frame, fix = mendOf(check, place.episode) } = place;
    const name = file === undefined ? undefined : relative(root, file) || '.';
    problems.push({ severity, check, message, file: name, episode, frame, fix });
  };
  /** Runs a check; a named data error becomes a problem, anything else is a fault of ours and is thrown. */
  const attempt = async (check: string, run: () => Promise<void>): Promise<void> => {
    try {
      await run();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      const { file, episode, frame, hint } = error;
      // What these checks report by themselves can be mended; a data file that they cannot read cannot.
      const isUnreadable = check === 'columns' || check === 'order' || check === 'statistics';
      const own = isUnreadable ? mendOf('episodes', episode) : mendOf(check, episode);
      const fix = check === 'metadata' ? (hint ?? own) : own;
      report('error', check, `${error.name}: ${error.message}`, { file, episode, frame, fix });
    }
  };
  let dataset: LeRobotDataset | undefined;
  await attempt('metadata', async () => {
    dataset = await LeRobotDataset.open(root);
  });
  if (!dataset) return { folder: root, problems, episodes: 0, frames: 0 };
  const opened: LeRobotDataset = dataset;
  checkInfo(opened.info, report);
  await attempt('tasks', () => checkTasks(root, report));
  await attempt('columns', () => checkColumns(opened, report));
  await attempt('order', () => checkOrder(opened, report));
  await attempt('statistics', () => checkStats(opened, report));
  await attempt('videos', () => checkVideos(opened, report));
  const signals = new SignalChecks(opened.features[STATE_KEY]?.names);
  const statistics = new EpisodeStatisticsCheck(opened);
  const videos = new VideoChecks(opened, options.decodeAll ? CHECKED_TOGETHER : 1);
  for (const record of opened.episodes) {
    const decode = options.decodeAll || record.index === 0 || record.index === opened.numEpisodes - 1;
    await attempt('episodes', async () => {
      const episode = await opened.episode(record.index);
      const cameras = decode ? Object.keys(opened.cameras) : [];
      for (const camera of cameras) await opened.checkFrames(record, camera, videos);
      // Without pictures there is nothing to hold against the camera features.
      const features = decode
        ? opened.features
        : Object.fromEntries(Object.entries(opened.features).filter(([, feature]) => !isPicture(feature)));
      const bad = signals.add(episode);
      for (const { code, frame, message } of bad)
        report('error', code, message, { file: opened.dataPath(record), episode: record.index, frame });
      if (bad.length > 0) return;
      for (const { severity, message, file } of await statistics.problems(episode, record))
        report(severity, 'statistics', message, { file, episode: record.index });
      // Their own check has looked at the timestamps and says more.
      const { timestamps: _, ...rest } = episode;
      validateEpisode(rest, features, opened.fps, new Set(cameras));
      frameAt(episode, episode.length - 1);
    });
  }
  await videos.close();
  for (const { code, episode, frame, message } of signals.finish()) {
    const record = opened.episodes[episode];
    report('warning', code, message, { file: record && opened.dataPath(record), episode, frame });
  }
  return { folder: root, problems, episodes: opened.numEpisodes, frames: opened.numFrames };
}

interface Place {
  readonly file?: string | undefined;
  readonly episode?: number | undefined;
  readonly frame?: number | undefined;
  readonly fix?: string;
}
type Report = (severity: DatasetProblem['severity'], check: string, message: string, place?: Place) => void;

const FIX = 'dualvla data validate DIR --fix OUT';
const MENDS: Readonly<Record<string, string>> = {
  metadata: 'Fetch or generate the data set again',
  info: 'Correct meta/info.json',
  splits: `${FIX} writes the ranges anew`,
  tasks: `${FIX} writes the tasks anew, in order`,
  columns: `${FIX} leaves out what is not declared; to keep it, declare it in meta/info.json`,
  'row groups': 'dualvla data convert DIR --output NEW writes a row group an episode',
  order: `${FIX} numbers frames and episodes anew`,
  timestamps: `${FIX} sets every timestamp to frame / fps`,
  statistics: `${FIX} computes the statistics from the data`,
  jump: 'Look at the frame; leave the episode out with: dualvla data split DIR --episodes ...',
  stuck: 'Look at the episode; leave it out with: dualvla data split DIR --episodes ...',
};

/** What mends a problem: damaged episodes are left out. */
function mendOf(check: string, episode: number | undefined): string {
  const leaveOut = `${FIX} leaves the ${episode === undefined ? 'damaged episodes' : 'episode'} out`;
  return episode !== undefined && (check === 'columns' || check === 'metadata') ? leaveOut : (MENDS[check] ?? leaveOut);
}

const isPicture = (feature: Feature): boolean => feature.dtype === 'image' || feature.dtype === 'video';

function checkInfo(info: DatasetInfo, report: Report): void {
  if (!Number.isInteger(info.fps)) report('error', 'info', `fps is ${info.fps}, the official loader wants an integer`);
  for (const [name, wanted] of Object.entries(AUTOMATIC_FEATURES)) {
    const feature = info.features[name];
    if (!feature) report('error', 'info', `the automatic feature ${name} is missing from meta/info.json`);
    else if (feature.dtype !== wanted.dtype || feature.shape.join() !== '1')
      report(
        'error',
        'info',
        `${name} is declared as ${feature.dtype} [${feature.shape.join()}], it must be ${wanted.dtype} [1]`,
      );
  }
  for (const [name, feature] of Object.entries(info.features)) {
    if (isPicture(feature) && feature.shape.length !== 3)
      report('error', 'info', `${name}: pictures need three sizes, declared are [${feature.shape.join()}]`);
    const isLanguage = name === LANGUAGE_PERSISTENT_KEY || name === LANGUAGE_EVENTS_KEY;
    if (isLanguage !== (feature.dtype === 'language'))
      report('error', 'info', `${name}: dtype language belongs to the two language columns and to them alone`);
    if (feature.dtype === 'video' && !feature.info)
      report('warning', 'info', `${name}: the facts of the video (info) are missing`);
  }
  const needsVideoPath = Object.values(info.features).some((feature) => feature.dtype === 'video');
  if (needsVideoPath && !info.videoPath)
    report('error', 'info', 'video_path is missing though there are video features');
  if (!/^0:\d+$/.test(info.splits.train ?? '')) report('warning', 'info', 'splits has no train range');
  for (const [name, range] of Object.entries(info.splits)) {
    const [, from, to] = /^(\d+):(\d+)$/.exec(range) ?? [];
    if (to !== undefined && (Number(to) > info.totalEpisodes || Number(from) > Number(to)))
      report('error', 'splits', `split ${name} is ${range}, the data set has ${info.totalEpisodes} episodes`);
  }
}

async function checkTasks(root: string, report: Report): Promise<void> {
  const file = await ParquetFile.open(join(root, TASKS_FILE));
  const index = pandasIndex(file);
  if (typeof index !== 'string' || !file.hasColumn(index))
    report(
      'error',
      'tasks',
      'tasks.parquet has no pandas index column: the official loader would not find the instructions',
      { file: file.path },
    );
  const indices = (await file.read(['task_index'])).get('task_index') ?? [];
  if (indices.some((value, row) => Number(value) !== row))
    report('error', 'tasks', 'row i of tasks.parquet must have task_index i', { file: file.path });
}

/** The column that pandas takes for the index, as far as the file says so. */
function pandasIndex(file: ParquetFile): unknown {
  const text = file.metadata.key_value_metadata?.find(({ key }) => key === 'pandas')?.value;
  try {
    return (JSON.parse(text ?? '{}') as { index_columns?: unknown[] } | null)?.index_columns?.[0];
  } catch {
    // Damaged: pandas would not find it either.
    return undefined;
  }
}

/** Every column declared, every declared one present, the physical types those of the declaration, one schema in all files. */
async function checkColumns(dataset: LeRobotDataset, report: Report): Promise<void> {
  const wanted = dataSchema(dataset.features);
  const expected = Object.entries(dataset.features)
    .filter(([, feature]) => feature.dtype !== 'video')
    .map(([name]) => name);
  const paths = await parquetPaths(join(dataset.folder, 'data'));
  const known = new Set(dataset.episodes.map((episode) => dataset.dataPath(episode)));
  for (const path of paths) {
    const name = relative(dataset.folder, path);
    const place = { file: path };
    if (!known.has(path))
      report(
        'error',
        'columns',
        `${name} belongs to no episode: the official loader reads every parquet file below data/`,
        { file: path, fix: `Remove the file, or ${FIX} leaves it out` },
      );
    const file = await ParquetFile.open(path);
    for (const column of file.columns)
      if (!expected.includes(column))
        report('error', 'columns', `${name}: column ${column} is not declared in meta/info.json`, place);
    for (const column of expected) {
      if (!file.hasColumn(column)) {
        report(
          'error',
          'columns',
          `${name}: column ${column} is declared and missing, the official loader would fill it with nulls`,
          { file: path, fix: 'Take the column out of meta/info.json, or fetch the file again' },
        );
        continue;
      }
      const leafOf = (schema: { type?: string | undefined }[]): string =>
        schema
          .filter(({ type }) => type !== undefined)
          .map(({ type }) => type)
          .join();
      const start = wanted.findIndex((element) => element.name === column);
      const feature = dataset.features[column] as Feature;
      // Official writers let Arrow infer the types of language rows.
      if (feature.dtype === 'language' || start < 0) continue;
      const actual = leafOf(file.schemaOf(column));
      const declared = leafOf(wanted.slice(start, start + file.schemaOf(column).length));
      if (isNumeric(feature) && actual !== declared)
        report(
          'warning',
          'columns',
          `${name}: column ${column} is stored as ${actual}, declared as ${feature.dtype}`,
          place,
        );
    }
    if (file.numRowGroups < dataset.episodes.filter((episode) => dataset.dataPath(episode) === path).length)
      report(
        'warning',
        'row groups',
        `${name}: fewer row groups than episodes; reading one episode reads its neighbours too`,
        { file: path, fix: `${FIX} writes one for each` },
      );
  }
}

/** The files in sorted order give index 0..N-1; frame_index, timestamp and episode_index fit the episode table. */
async function checkOrder(dataset: LeRobotDataset, report: Report): Promise<void> {
  const names = ['index', 'frame_index', 'episode_index', 'timestamp'];
  let next = 0;
  const late = new Set<number>();
  let at = 0;
  for (const path of await parquetPaths(join(dataset.folder, 'data'))) {
    const file = await ParquetFile.open(path);
    for (const [from, to] of file.rowBlocks(65_536)) {
      const columns = await file.read(names, from, to);
      for (let row = from; row < to; row++, next++) {
        const value = (name: string): number => Number(columns.get(name)?.[row - from]);
        while (next >= (dataset.episodes[at]?.toIndex ?? Infinity)) at++;
        const record = dataset.episodes[at];
        const frame = next - (record?.fromIndex ?? 0);
        const where = `${relative(dataset.folder, path)}, row ${row}`;
        const place = { file: path, episode: record?.index, frame };
        if (value('index') !== next)
          return report('error', 'order', `${where}: index is ${value('index')}, expected ${next}`, place);
        if (value('episode_index') !== record?.index)
          return report(
            'error',
            'order',
            `${where}: episode_index is ${value('episode_index')}, the episode table says ${record?.index}`,
            place,
          );
        if (value('frame_index') !== frame)
          return report('error', 'order', `${where}: frame_index is ${value('frame_index')}, expected ${frame}`, place);
        const off = value('timestamp') - frame / dataset.fps;
        if (!(Math.abs(off) < 1e-4 + frame * 1e-6) && !late.has(record.index)) {
          late.add(record.index);
          const gap = frame > 0 && off > 0 ? `, a gap of ${(off + 1 / dataset.fps).toFixed(4)} s` : '';
          const expected = `timestamp is ${value('timestamp')} s, expected ${frame / dataset.fps} s${gap}`;
          report('error', 'timestamps', `${where}: ${expected}`, place);
        }
      }
    }
  }
  if (next !== dataset.numFrames)
    report('error', 'order', `the data files have ${next} rows, meta/info.json says ${dataset.numFrames}`);
}

async function checkStats(dataset: LeRobotDataset, report: Report): Promise<void> {
  if (!existsSync(join(dataset.folder, STATS_FILE))) return report('error', 'statistics', 'meta/stats.json is missing');
  const json = JSON.parse(readFileSync(join(dataset.folder, STATS_FILE), 'utf8')) as Record<
    string,
    Record<string, unknown>
  >;
  for (const key of featuresWithStats(dataset.features)) {
    const stats = json[key];
    if (!stats) {
      report('error', 'statistics', `${key} has no statistics`);
      continue;
    }
    for (const name of ['min', 'max', 'mean', 'std', 'count'].concat(Object.keys(QUANTILES))) {
      if (!(name in stats)) report(name.startsWith('q') ? 'warning' : 'error', 'statistics', `${key} has no ${name}`);
      else if (isPicture(dataset.features[key] as Feature) && name !== 'count') {
        const isList = (value: unknown, length: number): value is unknown[] =>
          Array.isArray(value) && value.length === length;
        const value = stats[name];
        if (!(isList(value, 3) && value.every((channel) => isList(channel, 1) && isList(channel[0], 1))))
          report('error', 'statistics', `${key}: ${name} must have the shape (3, 1, 1)`);
      }
    }
  }
  for (const { severity, message, file, finite } of await checkDatasetStatistics(dataset))
    report(severity, 'statistics', message, { file, ...(!finite && { fix: mendOf('episodes', undefined) }) });
}

async function checkVideos(dataset: LeRobotDataset, report: Report): Promise<void> {
  for (const [key, feature] of Object.entries(dataset.features)) {
    if (feature.dtype !== 'video' || !dataset.info.videoPath) continue;
    const wanted = new Map<string, { episode: number; frames: number }[]>();
    for (const episode of dataset.episodes) {
      const location = episode.videos[key];
      if (!location) continue;
      const values = { video_key: key, chunk_index: location.chunkIndex, file_index: location.fileIndex };
      const file = join(dataset.folder, fillPath(dataset.info.videoPath, values));
      const list = wanted.get(file) ?? [];
      wanted.set(file, list);
      list.push({ episode: episode.index, frames: Math.round(location.toTimestamp * dataset.fps) });
      const seconds = location.toTimestamp - location.fromTimestamp;
      if (Math.abs(seconds - episode.length / dataset.fps) > 0.5 / dataset.fps)
        report(
          'error',
          'videos',
          `${key}: episode ${episode.index} has ${episode.length} frames in ${seconds.toFixed(4)} s of video`,
          { file, episode: episode.index },
        );
    }
    for (const [file, episodes] of wanted) {
      const name = relative(dataset.folder, file);
      if (!existsSync(file)) {
        const [first] = episodes;
        report('error', 'videos', `${name} is missing, with the pictures of ${episodes.length} episodes`, {
          file,
          episode: first?.episode,
          fix: `Fetch it; ${FIX} leaves its episodes out`,
        });
        continue;
      }
      const facts = await probeVideo(file);
      const short = episodes.find(({ frames }) => facts.numFrames < frames);
      if (short)
        report('error', 'videos', `${name} has ${facts.numFrames} frames, the episode table wants ${short.frames}`, {
          file,
          episode: short.episode,
        });
    }
  }
}
