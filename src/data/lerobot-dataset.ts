/**
 * Reader of LeRobot v3.0 data sets into Episodes: metadata at once, frames on demand, pictures from PNG columns or videos.
 *
 * Broken input is an error that names file, episode and field. Knows nothing about training.
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type DatasetInfo, fillPath, readInfo } from './dataset-info.js';
import { readVideoEpisodes, runsOf, VideoChecks, type VideoPictures } from './dataset-videos.js';
import type { Column, Episode, ImageSequence } from './episode.js';
import {
  type ColumnOrigin,
  contentColumns,
  decodeColumn,
  decodeEvents,
  decodeNumeric,
  decodePersistent,
  decodePictureBytes,
  numbersAs,
} from './episode-columns.js';
import { extentsOfRows } from './episode-extents.js';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';
import {
  ACTION_KEY,
  AUTOMATIC_FEATURES,
  cameraKeys,
  type Feature,
  type Features,
  featureSize,
  isNumeric,
  LANGUAGE_EVENTS_KEY,
  LANGUAGE_PERSISTENT_KEY,
  type NumericArray,
  type NumericDType,
  STATE_KEY,
} from './features.js';
import { decodeImage } from './image-codec.js';
import { checkTotals, readStats } from './lerobot-checks.js';
import { type EpisodeRecord, readEpisodes, readTasks } from './lerobot-metadata-files.js';
import { type ParquetFile, ParquetFiles } from './parquet-read.js';
import type { FeatureStats } from './statistics.js';
import { datasetState, partialFolder } from './writer-folder.js';

export interface ReadEpisodeOptions {
  /** Cameras whose pictures to decode; none by default, `true` for all. */
  readonly images?: readonly string[] | boolean;
  /** Scales pictures to a square of this size; their own size if absent. */
  readonly imageSize?: number;
}

/** Values of a column, one a row, or all numbers in a row. */
type Values = readonly unknown[] | NumericArray;

/** How pictures are read. */
export interface ImageOptions extends Partial<Pick<VideoPictures, 'filter' | 'threads'>> {
  /** Side to which they are scaled; default their own. Threads are those of each camera's decoder. */
  readonly imageSize?: number | undefined;
}

/** A run of consecutive episodes that lie in the same files, read together. */
export interface EpisodeRange {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

export class LeRobotDataset {
  readonly folder: string;
  readonly info: DatasetInfo;
  readonly features: Features;
  readonly tasks: readonly string[];
  readonly episodes: readonly EpisodeRecord[];
  /** Statistics of meta/stats.json by feature. */
  readonly stats: Readonly<Record<string, FeatureStats>>;
  /** Camera name -> feature key. */
  readonly cameras: Readonly<Record<string, string>>;
  readonly #files = new ParquetFiles();
  #fileStarts: Float64Array | undefined;

  private constructor(
    folder: string,
    info: DatasetInfo,
    tasks: readonly string[],
    episodes: readonly EpisodeRecord[],
    stats: Readonly<Record<string, FeatureStats>>,
  ) {
    this.folder = folder;
    this.info = info;
    this.features = info.features;
    this.tasks = tasks;
    this.episodes = episodes;
    this.stats = stats;
    this.cameras = cameraKeys(info.features);
  }

  /**
   * Opens a data set and checks that its metadata agree. Throws MissingDatasetError (no or unfinished data set), CorruptDatasetError,
   * UnsupportedDatasetError.
   */
  static async open(folder: string): Promise<LeRobotDataset> {
    const path = resolve(folder);
    if (!existsSync(path) && datasetState(path) === 'unfinished')
      throw new MissingDatasetError('This data set was never finished', {
        file: partialFolder(path),
        hint: 'Continue it with: dualvla data generate --resume',
      });
    const { info, tasks, episodes } = await LeRobotDataset.#readMetadata(path);
    checkTotals(path, info, tasks, episodes);
    return new LeRobotDataset(path, info, tasks, episodes, await readStats(path));
  }

  /**
   * Opens a data set whose metadata need not agree, to save what can be read of it; its statistics are not looked at. Where the episode table
   * contradicts itself or the number of rows, the rows say where their episode lies.
   */
  static async openDamaged(folder: string): Promise<LeRobotDataset> {
    const path = resolve(folder);
    const { info, tasks, episodes } = await LeRobotDataset.#readMetadata(path);
    const dataset = new LeRobotDataset(path, info, tasks, episodes, {});
    const files = await parquetPaths(join(path, 'data'));
    const extents = await extentsOfRows(episodes, files, (record) => dataset.dataPath(record));
    return extents === episodes ? dataset : new LeRobotDataset(path, info, tasks, extents, {});
  }

  static async #readMetadata(path: string): Promise<Pick<LeRobotDataset, 'info' | 'tasks' | 'episodes'>> {
    const info = await readInfo(path);
    const tasks = await readTasks(path);
    const episodes = await readEpisodes(path, await parquetPaths(join(path, 'meta/episodes')), info.features);
    return { info, tasks, episodes };
  }

  get numEpisodes(): number {
    return this.episodes.length;
  }

  get numFrames(): number {
    return this.info.totalFrames;
  }

  get fps(): number {
    return this.info.fps;
  }

  /** The parquet file of an episode's frames. */
  dataPath(episode: EpisodeRecord): string {
    const values = { chunk_index: episode.dataChunk, file_index: episode.dataFile };
    return join(this.folder, fillPath(this.info.dataPath, values));
  }

  /** The video file of an episode's camera. Throws CorruptDatasetError when the metadata name none. */
  videoPath(episode: EpisodeRecord, key: string): string {
    const location = episode.videos[key];
    if (!this.info.videoPath || !location)
      throw new CorruptDatasetError('The metadata give no video for this camera', {
        file: this.folder,
        episode: episode.index,
        field: key,
      });
    const values = { video_key: key, chunk_index: location.chunkIndex, file_index: location.fileIndex };
    return join(this.folder, fillPath(this.info.videoPath, values));
  }

  /** Reads one episode. Throws RangeError for an index outside the data set. */
  async episode(index: number, options: ReadEpisodeOptions = {}): Promise<Episode> {
    const [episode] = await this.readEpisodes({ from: index, to: index + 1 }, options);
    return episode as Episode;
  }

  /** Every episode in turn. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Episode> {
    for (const record of this.episodes) yield await this.episode(record.index, { images: true });
  }

  /** Reads consecutive episodes; those in one file are read, and their videos decoded, in one go. */
  async readEpisodes(range: EpisodeRange, options: ReadEpisodeOptions = {}): Promise<Episode[]> {
    const wanted = this.#records(range);
    // What is read from files never waits: without a turn for signals and timers Ctrl-C would not be heard.
    await nextTurn();
    const episodes: Episode[] = [];
    for (const records of runsOf(wanted, (a, b) => this.dataPath(a) === this.dataPath(b))) {
      const first = records[0] as EpisodeRecord;
      const file = await this.#files.open(this.dataPath(first));
      const rowStart = await this.#firstRow(first);
      await this.#firstRow(records.at(-1) as EpisodeRecord);
      const total = records.reduce((sum, record) => sum + record.length, 0);
      const columns = await this.#readContent(file, rowStart, rowStart + total);
      let at = 0;
      for (const record of records) {
        const slice = new Map(
          [...columns].map(([name, values]) => {
            const size = values.length / total;
            return [name, values.slice(at * size, (at + record.length) * size)];
          }),
        );
        episodes.push(this.#assemble(record, slice, file.path));
        at += record.length;
      }
    }
    const cameras =
      options.images === true ? Object.keys(this.cameras) : options.images === false ? [] : (options.images ?? []);
    const images = await this.readImages(range, cameras, options.imageSize);
    return episodes.map((episode, i) => ({ ...episode, images: images[i] ?? {} }));
  }

  /** Rows of all columns without pictures: numbers at once where that goes, the rest value by value. */
  async #readContent(file: ParquetFile, rowStart: number, rowEnd: number): Promise<Map<string, Values>> {
    const columns = new Map<string, Values>();
    const others: string[] = [];
    for (const name of contentColumns(this.features)) {
      const feature = this.features[name] as Feature;
      if (feature.dtype === 'video') continue;
      const numbers = isNumeric(feature) ? numbersAs(feature, file.readNumbers(name, rowStart, rowEnd)) : undefined;
      if (numbers) columns.set(name, numbers);
      else others.push(name);
    }
    for (const [name, values] of await file.read(others, rowStart, rowEnd)) columns.set(name, values);
    return columns;
  }

  /** Values of the named columns over the whole data set, in frame order; for cheap access to a few columns. */
  async readColumns(names: readonly string[]): Promise<Map<string, unknown[]>> {
    const result = new Map<string, unknown[]>(names.map((name) => [name, []]));
    for (const records of runsOf(this.episodes, (a, b) => this.dataPath(a) === this.dataPath(b))) {
      const first = records[0] as EpisodeRecord;
      const last = records.at(-1) as EpisodeRecord;
      const file = await this.#files.open(this.dataPath(first));
      const rowStart = await this.#firstRow(first);
      await this.#firstRow(last);
      const columns = await file.read(names, rowStart, rowStart + last.toIndex - first.fromIndex);
      for (const name of names) for (const value of columns.get(name) ?? []) result.get(name)?.push(value);
    }
    return result;
  }

  /** An episode's pictures as they are stored, one a frame, of a feature stored as `image`. */
  async encodedPictures(record: EpisodeRecord, key: string): Promise<Uint8Array[]> {
    const file = await this.#files.open(this.dataPath(record));
    const row = await this.#firstRow(record);
    const rows = (await file.read([key], row, row + record.length)).get(key) ?? [];
    return decodePictureBytes(rows, key, { file: file.path, episode: record.index });
  }

  /** Pictures of consecutive episodes by camera, for all of their frames. */
  async readImages(
    range: EpisodeRange,
    cameras: readonly string[],
    imageSize?: number,
  ): Promise<Record<string, ImageSequence>[]> {
    const result = [];
    for await (const images of this.imagesOf(range, cameras, { imageSize })) result.push(images);
    return result;
  }

  /** The same episode by episode, as they are decoded. */
  async *imagesOf(
    range: EpisodeRange,
    cameras: readonly string[],
    options: ImageOptions = {},
  ): AsyncGenerator<Record<string, ImageSequence>> {
    const records = this.#records(range);
    const sequences = cameras.map((camera) => this.#sequences(records, camera, options));
    try {
      for (let i = 0; i < records.length; i++) {
        const images: Record<string, ImageSequence> = {};
        for (const [c, sequence] of sequences.entries())
          images[cameras[c] as string] = (await sequence.next()).value as ImageSequence;
        yield images;
      }
      // A video's end is looked at when nothing more is asked of it.
      for (const sequence of sequences) await sequence.next();
    } finally {
      for (const sequence of sequences) await sequence.return(undefined);
    }
  }

  async *#sequences(
    records: readonly EpisodeRecord[],
    camera: string,
    { imageSize, ...how }: ImageOptions,
  ): AsyncGenerator<ImageSequence> {
    const key = this.cameras[camera];
    const feature = key === undefined ? undefined : this.features[key];
    if (key === undefined || !feature)
      throw new RangeError(
        `No camera "${camera}" in ${this.folder}; it has: ${Object.keys(this.cameras).join(', ') || 'none'}`,
      );
    const [ownHeight = 0, ownWidth = 0] = pictureSize(feature);
    const size: VideoPictures = { width: imageSize ?? ownWidth, height: imageSize ?? ownHeight, ...how };
    const all =
      feature.dtype === 'video' ? readVideoEpisodes(this, records, key, size) : this.#readPictures(records, key, size);
    for await (const data of all) yield { width: size.width, height: size.height, data };
  }

  /**
   * Decodes an episode's frames of one camera at their own size and lets go of them: throws what `readImages` throws where one does not decode.
   * Memory is that of a few frames, however long the episode. @param videos shared by episodes checked in order
   */
  async checkFrames(record: EpisodeRecord, camera: string, videos = new VideoChecks(this, 1)): Promise<void> {
    const key = this.cameras[camera] as string;
    if (this.features[key]?.dtype === 'video') return videos.check(record, key);
    const [height, width] = pictureSize(this.features[key] as Feature);
    const encoded = await this.encodedPictures(record, key);
    for (const [frame, bytes] of encoded.entries())
      await this.#decodePicture(bytes, { record, key, frame, width, height });
  }

  #records({ from, to }: EpisodeRange): EpisodeRecord[] {
    if (!(Number.isInteger(from) && from >= 0 && to <= this.episodes.length && from < to))
      throw new RangeError(`Episodes [${from}, ${to}) are outside ${this.folder}, which has ${this.episodes.length}`);
    return this.episodes.slice(from, to);
  }

  /** Row of its file at which an episode begins: the file's first episode begins at row 0. */
  firstRowOf(record: EpisodeRecord): number {
    this.#fileStarts ??= fileStarts(this.episodes);
    return record.fromIndex - (this.#fileStarts[record.index] ?? 0);
  }

  /** `firstRowOf`, and checks that the file is long enough. */
  async #firstRow(record: EpisodeRecord): Promise<number> {
    const row = this.firstRowOf(record);
    const path = this.dataPath(record);
    const file = await this.#files.open(path);
    if (row + record.length > file.numRows)
      throw new CorruptDatasetError(
        `The file has ${file.numRows} rows, the episode table wants ${row + record.length}`,
        {
          file: path,
          episode: record.index,
        },
      );
    return row;
  }

  #assemble(record: EpisodeRecord, columns: ReadonlyMap<string, Values>, file: string): Episode {
    const origin: ColumnOrigin = { file, episode: record.index };
    const rows = (name: string): Values => columns.get(name) ?? [];
    const numeric = (name: string, feature: Feature): NumericArray => {
      const values = rows(name);
      return ArrayBuffer.isView(values) ? values : decodeNumeric(values, name, feature, origin);
    };
    const numbers = (name: string): Float32Array => {
      const feature = this.features[name];
      const values = feature ? numeric(name, feature) : new Float32Array(0);
      return values instanceof Float32Array ? values : Float32Array.from(values, Number);
    };
    const indices = numeric('episode_index', AUTOMATIC_FEATURES.episode_index as Feature);
    const stray = indices.findIndex((value) => Number(value) !== record.index);
    if (stray >= 0)
      throw new CorruptDatasetError(
        `The row belongs to episode ${indices[stray]}: the episode table does not fit the data`,
        { ...origin, frame: stray },
      );
    const taskRows = numeric('task_index', AUTOMATIC_FEATURES.task_index as Feature);
    const frameTasks = Array.from(taskRows as ArrayLike<number | bigint>, (value, frame) => {
      const task = this.tasks[Number(value)];
      if (task === undefined)
        throw new CorruptDatasetError(`No task ${value} in meta/tasks.parquet`, {
          ...origin,
          frame,
          field: 'task_index',
        });
      return task;
    });
    const extra: Record<string, Column> = {};
    for (const [name, feature] of Object.entries(this.features)) {
      if (name in AUTOMATIC_FEATURES || name === STATE_KEY || name === ACTION_KEY) continue;
      if (feature.dtype === 'image' || feature.dtype === 'video' || feature.dtype === 'language') continue;
      const values = rows(name);
      extra[name] = ArrayBuffer.isView(values)
        ? { dtype: feature.dtype as NumericDType, shape: feature.shape, values }
        : decodeColumn(values, name, feature, origin);
    }
    const size = (name: string): number => (this.features[name] ? featureSize(this.features[name]) : 0);
    const task = frameTasks[0] ?? '';
    return {
      index: record.index,
      task,
      fps: this.fps,
      length: record.length,
      state: numbers(STATE_KEY),
      stateDim: size(STATE_KEY),
      action: numbers(ACTION_KEY),
      actionDim: size(ACTION_KEY),
      images: {},
      columns: extra,
      languagePersistent:
        LANGUAGE_PERSISTENT_KEY in this.features
          ? decodePersistent(rows(LANGUAGE_PERSISTENT_KEY) as readonly unknown[], origin)
          : [],
      languageEvents:
        LANGUAGE_EVENTS_KEY in this.features
          ? decodeEvents(rows(LANGUAGE_EVENTS_KEY) as readonly unknown[], origin)
          : [],
      timestamps: numbers('timestamp'),
      ...(frameTasks.some((other) => other !== task) ? { frameTasks } : {}),
    };
  }

  async *#readPictures(
    records: readonly EpisodeRecord[],
    key: string,
    { width, height }: VideoPictures,
  ): AsyncGenerator<Uint8Array> {
    const size = width * height * 3;
    for (const record of records) {
      const encoded = await this.encodedPictures(record, key);
      let data = new Uint8Array(0);
      for (const [t, bytes] of encoded.entries()) {
        const pixels = await this.#decodePicture(bytes, { record, key, frame: t, width, height });
        // Only once a picture has shown that the declared size is meant.
        if (t === 0) data = new Uint8Array(record.length * size);
        data.set(pixels, t * size);
      }
      yield data;
    }
  }

  /** One picture's pixels. Throws CorruptDatasetError naming the frame. */
  async #decodePicture(
    bytes: Uint8Array,
    place: { record: EpisodeRecord; key: string; frame: number; width: number; height: number },
  ): Promise<Uint8Array> {
    const { record, key: field, frame, width, height } = place;
    try {
      return await decodeImage(bytes, width, height);
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      const origin = { file: this.dataPath(record), episode: record.index };
      throw new CorruptDatasetError(what, { ...origin, frame, field, cause });
    }
  }
}

/** Index of the first frame of the file in which each episode lies. */
function fileStarts(episodes: readonly EpisodeRecord[]): Float64Array {
  const starts = new Float64Array(episodes.length);
  for (const [i, { dataChunk, dataFile, fromIndex }] of episodes.entries()) {
    const before = episodes[i - 1];
    const continues = before?.dataChunk === dataChunk && before.dataFile === dataFile;
    starts[i] = continues ? (starts[i - 1] as number) : fromIndex;
  }
  return starts;
}

/** [height, width] of a picture feature, whatever order its names give. */
export function pictureSize(feature: Feature): [number, number] {
  const names = Array.isArray(feature.names) ? feature.names : [];
  const channelsFirst =
    names[0] === 'channels' || names[0] === 'channel' || (feature.shape[0] === 3 && feature.shape[2] !== 3);
  const [a = 0, b = 0, c = 0] = feature.shape;
  return channelsFirst ? [b, c] : [a, b];
}

/** Sorted parquet files of one folder and those below it. */
export async function parquetPaths(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return (
    entries
      // A data set from the Hub is a folder of links.
      .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && entry.name.endsWith('.parquet'))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  );
}
