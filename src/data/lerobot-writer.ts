/**
 * Writer of LeRobot v3.0 data sets. While it works, everything lies in `<folder>.partial` with a journal; `finish` turns that into
 * `<folder>` by one rename. A writer killed at any moment loses the unfinished episode only: create it again with `resume: true`.
 *
 * One parquet row group an episode; files rotate at their size limits; statistics are computed from the data as stored.
 * Knows nothing about where episodes come from.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { SchemaElement } from 'hyparquet';
import {
  DATA_PATH,
  type DatasetInfo,
  fillPath,
  INFO_FILE,
  infoToJson,
  STATS_FILE,
  VIDEO_PATH,
} from './dataset-info.js';
import { numericDatasetStats } from './dataset-stats.js';
import { syncFolder, writeDurable } from './durable-file.js';
import { type Episode, validateEpisode } from './episode.js';
import { encodeColumns } from './episode-columns.js';
import { CorruptDatasetError, DatasetConflictError, InvalidEpisodeError } from './errors.js';
import { ACTION_KEY, AUTOMATIC_FEATURES, cameraKeys, type Features, featureSize, STATE_KEY } from './features.js';
import { encodePng } from './image-codec.js';
import { type EpisodeRecord, type VideoLocation, writeEpisodes, writeTasks } from './lerobot-metadata-files.js';
import { decodeRowGroup, encodeRowGroup, ParquetAppender } from './parquet-append.js';
import { dataSchema } from './parquet-schema.js';
import {
  addToHistogram,
  emptyHistogram,
  type FeatureStats,
  histogramStats,
  mergeHistograms,
  numericStats,
  type PixelHistogram,
  statsToJson,
} from './statistics.js';
import { concatVideos, encodeVideo, probeVideo, type VideoCodecOptions } from './video.js';
import {
  assertUnlocked,
  datasetState,
  JOURNAL_FILE,
  lock,
  partialFolder,
  publish,
  STAGING_FOLDER,
  unlock,
} from './writer-folder.js';
import { type JournalEpisode, type JsonValue, WriterJournal } from './writer-journal.js';

/** File with facts about how a data set came about: the writer's `provenance` and each episode's `note`. */
export const PROVENANCE_FILE = 'meta/dualvla.json';

export interface LeRobotWriterOptions {
  /** Frames a second, an integer. */
  readonly fps: number;
  readonly robotType: string;
  /** The columns, without the automatic ones; see `robotFeatures`. */
  readonly features: Features;
  readonly dataFilesSizeInMb?: number;
  readonly videoFilesSizeInMb?: number;
  readonly chunksSize?: number;
  /** How features stored as `video` are encoded. */
  readonly video?: VideoCodecOptions;
  /** Continue `<folder>.partial` if there is one. */
  readonly resume?: boolean;
  /** Replace an existing data set, and drop an unfinished one (unless `resume` is set too). */
  readonly overwrite?: boolean;
  /** Kept in meta/dualvla.json; a resumed writer must be given the same. */
  readonly provenance?: JsonValue;
}

export interface AddEpisodeOptions {
  /** Camera -> one PNG a frame, made from exactly the episode's pictures; saves the writer from encoding them. */
  readonly pngs?: Readonly<Record<string, readonly Uint8Array[]>>;
  /** Kept beside the episode in meta/dualvla.json and given back on resume. */
  readonly note?: JsonValue;
}

const MEGABYTE = 1024 * 1024;

export class LeRobotWriter {
  /** Where the finished data set will lie. */
  readonly folder: string;
  /** Where it is being written. */
  readonly partial: string;
  readonly features: Features;
  readonly #options: LeRobotWriterOptions;
  readonly #schema: SchemaElement[];
  readonly #journal: WriterJournal;
  readonly #episodes: JournalEpisode[];
  readonly #notes: JsonValue[];
  readonly #tasks: string[] = [];
  #appender: ParquetAppender | undefined;
  #dataFile = 0;
  #numFrames = 0;
  #open = true;

  private constructor(
    folder: string,
    options: LeRobotWriterOptions,
    features: Features,
    journal: WriterJournal,
    entries: readonly (JournalEpisode | { kind: 'note'; note: JsonValue })[],
  ) {
    this.folder = folder;
    this.partial = partialFolder(folder);
    this.#options = options;
    this.features = features;
    this.#schema = dataSchema(features);
    this.#journal = journal;
    this.#episodes = entries.filter((entry) => entry.kind === 'episode');
    this.#notes = entries.filter((entry) => entry.kind === 'note').map((entry) => entry.note);
    for (const episode of this.#episodes) {
      this.#numFrames += episode.length;
      for (const task of episode.tasks) this.#taskIndex(task);
    }
    this.#reopenDataFile();
  }

  /**
   * Starts a data set, or continues one. Throws DatasetConflictError when the folder exists (without `overwrite`), when an unfinished
   * one exists (without `resume` or `overwrite`), when it was begun with other options, or when another process is writing it.
   */
  static async create(folder: string, options: LeRobotWriterOptions): Promise<LeRobotWriter> {
    const target = resolve(folder);
    const partial = partialFolder(target);
    const features: Features = { ...options.features, ...AUTOMATIC_FEATURES };
    if (!Number.isInteger(options.fps) || options.fps < 1)
      throw new InvalidEpisodeError(`fps must be a positive integer, got ${options.fps}`);
    if (datasetState(target) === 'finished' && !options.overwrite)
      throw new DatasetConflictError('The output folder exists already', {
        file: target,
        hint: 'Give another one, or --overwrite',
      });
    if (existsSync(partial) && !options.resume) {
      if (!options.overwrite)
        throw new DatasetConflictError('An unfinished data set lies here', {
          file: partial,
          hint: 'Continue it with --resume, or drop it with --overwrite',
        });
      assertUnlocked(partial);
      rmSync(partial, { recursive: true });
    }
    mkdirSync(partial, { recursive: true });
    lock(partial);
    const journalPath = join(partial, JOURNAL_FILE);
    const wanted = JSON.parse(JSON.stringify(comparableOptions(options, features))) as JsonValue;
    if (existsSync(journalPath)) {
      const { journal, header, entries } = WriterJournal.resume(journalPath);
      if (header) {
        if (!isDeepStrictEqual(header.options, wanted)) {
          journal.close();
          unlock(partial);
          throw new DatasetConflictError(
            `The unfinished data set was begun with other options: ${firstDifference(header.options, wanted)}`,
            {
              file: partial,
              hint: 'Use the same options, or drop it with --overwrite',
            },
          );
        }
        return new LeRobotWriter(target, options, features, journal, entries);
      }
      journal.close();
    }
    return new LeRobotWriter(target, options, features, WriterJournal.create(journalPath, wanted), []);
  }

  get numEpisodes(): number {
    return this.#episodes.length;
  }

  get numFrames(): number {
    return this.#numFrames;
  }

  /** Notes of the finished episodes, in order. */
  get episodeNotes(): readonly JsonValue[] {
    return this.#episodes.map((episode) => episode.note);
  }

  /** Free notes (`addNote`), in order. */
  get notes(): readonly JsonValue[] {
    return this.#notes;
  }

  /** Remembers something that outlives a crash, e.g. which seeds were tried in vain. */
  addNote(note: JsonValue): void {
    this.#assertOpen();
    this.#journal.append({ kind: 'note', note });
    this.#notes.push(note);
  }

  /**
   * Appends an episode; it is on disk when the promise resolves. Its index is the number of episodes so far, whatever `episode.index` says.
   * Throws InvalidEpisodeError when it does not fit the features.
   */
  async addEpisode(episode: Episode, options: AddEpisodeOptions = {}): Promise<number> {
    this.#assertOpen();
    const index = this.#episodes.length;
    validateEpisode(episode, this.features, this.#options.fps);
    const cameras = cameraKeys(this.features);
    const pictures: Record<string, readonly Uint8Array[]> = {};
    const histograms: Record<string, PixelHistogram> = {};
    for (const [camera, key] of Object.entries(cameras)) {
      const images = episode.images[camera];
      if (!images) continue;
      const histogram = emptyHistogram();
      addToHistogram(histogram, images);
      histograms[key] = histogram;
      if (this.features[key]?.dtype === 'image') {
        const given = options.pngs?.[camera];
        if (given && given.length !== episode.length)
          throw new InvalidEpisodeError(`${given.length} encoded pictures for ${episode.length} frames`, {
            episode: index,
            field: key,
          });
        const size = images.width * images.height * 3;
        pictures[key] =
          given ??
          Array.from({ length: episode.length }, (_, t) =>
            encodePng(images.data.subarray(t * size, (t + 1) * size), images.width, images.height),
          );
      } else {
        const { codec, crf, gop, pixelFormat } = this.#options.video ?? {};
        await encodeVideo({
          path: this.#stagedVideo(key, index),
          frames: images.data,
          width: images.width,
          height: images.height,
          fps: episode.fps,
          ...(codec ? { codec } : {}),
          ...(crf === undefined ? {} : { crf }),
          ...(gop === undefined ? {} : { gop }),
          ...(pixelFormat ? { pixelFormat } : {}),
        });
      }
    }
    const tasks = [...new Set(episode.frameTasks ?? [episode.task])];
    const appender = this.#appenderForNext();
    const written = appender.append(
      encodeColumns(episode, {
        features: this.features,
        episodeIndex: index,
        firstIndex: this.#numFrames,
        taskIndex: (task) => this.#taskIndex(task),
        pictures,
      }),
    );
    const entry: JournalEpisode = {
      kind: 'episode',
      index,
      length: episode.length,
      tasks,
      dataFile: this.#dataFile,
      bytes: written.bytes,
      rowGroup: encodeRowGroup(written.rowGroup),
      stats: this.#episodeStats(episode, index, histograms),
      histograms: Object.fromEntries(
        Object.entries(histograms).map(([key, histogram]) => [key, packHistogram(histogram)]),
      ),
      note: options.note ?? null,
    };
    this.#journal.append(entry);
    this.#episodes.push(entry);
    this.#numFrames += episode.length;
    return index;
  }

  /** Completes the data set and moves it to its folder. Throws InvalidEpisodeError if it has no episode. */
  async finish(): Promise<DatasetInfo> {
    this.#assertOpen();
    if (this.#episodes.length === 0)
      throw new InvalidEpisodeError('A data set needs at least one episode', { file: this.partial });
    this.#appender?.close();
    this.#appender = undefined;
    const { partial } = this;
    const videos = await this.#joinVideos();
    const numDataFiles = (this.#episodes.at(-1)?.dataFile ?? 0) + 1;
    const paths = Array.from({ length: numDataFiles }, (_, file) => this.#dataPath(file));
    const stats: Record<string, FeatureStats> = await numericDatasetStats(paths, this.features);
    for (const key of Object.values(cameraKeys(this.features)))
      stats[key] = histogramStats(
        mergeHistograms(this.#episodes.map((episode) => unpackHistogram(episode.histograms[key]))),
      );
    const images = new Set(Object.values(cameraKeys(this.features)));
    const statsJson = Object.fromEntries(
      Object.keys(this.features).flatMap((key) =>
        stats[key] ? [[key, statsToJson(stats[key], images.has(key))]] : [],
      ),
    );
    writeTasks(partial, this.#tasks);
    let from = 0;
    const records = this.#episodes.map((episode, i): EpisodeRecord => {
      const record: EpisodeRecord = {
        index: episode.index,
        tasks: episode.tasks,
        length: episode.length,
        fromIndex: from,
        toIndex: from + episode.length,
        dataChunk: Math.floor(episode.dataFile / this.#chunksSize),
        dataFile: episode.dataFile % this.#chunksSize,
        videos: Object.fromEntries(
          Object.entries(videos.locations).map(([key, list]) => [key, list[i] as VideoLocation]),
        ),
      };
      from += episode.length;
      return record;
    });
    writeEpisodes(
      partial,
      this.features,
      records,
      this.#episodes.map((episode) => episode.stats),
    );
    writeDurable(join(partial, STATS_FILE), `${JSON.stringify(statsJson, null, 4)}\n`);
    const provenance = {
      provenance: this.#options.provenance ?? null,
      episodes: this.episodeNotes,
      notes: this.#notes,
    };
    writeDurable(join(partial, PROVENANCE_FILE), `${JSON.stringify(provenance)}\n`);
    const info: DatasetInfo = {
      robotType: this.#options.robotType,
      fps: this.#options.fps,
      totalEpisodes: this.#episodes.length,
      totalFrames: this.#numFrames,
      totalTasks: this.#tasks.length,
      chunksSize: this.#chunksSize,
      dataFilesSizeInMb: this.#options.dataFilesSizeInMb ?? 100,
      videoFilesSizeInMb: this.#options.videoFilesSizeInMb ?? 200,
      dataPath: DATA_PATH,
      videoPath: Object.keys(videos.locations).length > 0 ? VIDEO_PATH : null,
      splits: { train: `0:${this.#episodes.length}` },
      features: videos.features,
    };
    writeDurable(join(partial, INFO_FILE), `${JSON.stringify(infoToJson(info), null, 4)}\n`);
    this.#journal.close();
    this.#open = false;
    publish(partial, this.folder);
    return info;
  }

  /** Stops without finishing; `create` with `resume` continues here. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#appender?.abandon();
    this.#journal.close();
    unlock(this.partial);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #chunksSize(): number {
    return this.#options.chunksSize ?? 1000;
  }

  #assertOpen(): void {
    if (!this.#open) throw new DatasetConflictError('The writer is closed', { file: this.folder });
  }

  #taskIndex(task: string): number {
    const known = this.#tasks.indexOf(task);
    return known >= 0 ? known : this.#tasks.push(task) - 1;
  }

  #dataPath(file: number): string {
    return join(this.partial, fillPath(DATA_PATH, this.#place(file)));
  }

  #place(file: number): { chunk_index: number; file_index: number } {
    return { chunk_index: Math.floor(file / this.#chunksSize), file_index: file % this.#chunksSize };
  }

  #stagedVideo(key: string, episode: number): string {
    return join(this.partial, STAGING_FOLDER, key, `episode-${String(episode).padStart(6, '0')}.mp4`);
  }

  /** After a restart: cut the last data file back to its last journalled episode and drop files that no journalled episode is in. */
  #reopenDataFile(): void {
    const last = this.#episodes.at(-1);
    const known = new Set(this.#episodes.map((episode) => this.#dataPath(episode.dataFile)));
    for (const path of parquetFilesBelow(join(this.partial, 'data'))) if (!known.has(path)) rmSync(path);
    if (!last) return;
    this.#dataFile = last.dataFile;
    const path = this.#dataPath(last.dataFile);
    if (!existsSync(path) || statSync(path).size < last.bytes)
      throw new CorruptDatasetError(`The data file is shorter than its journal says (${last.bytes} bytes)`, {
        file: path,
        hint: 'Start again with --overwrite',
      });
    const rowGroups = this.#episodes
      .filter((episode) => episode.dataFile === last.dataFile)
      .map((episode) => decodeRowGroup(episode.rowGroup));
    this.#appender = new ParquetAppender(path, this.#schema, { bytes: last.bytes, rowGroups });
  }

  /** The open data file, or the next one when it has reached its size. */
  #appenderForNext(): ParquetAppender {
    const limit = (this.#options.dataFilesSizeInMb ?? 100) * MEGABYTE;
    if (this.#appender && this.#appender.bytes >= limit) {
      this.#appender.close();
      this.#appender = undefined;
      this.#dataFile++;
    }
    if (!this.#appender) {
      const path = this.#dataPath(this.#dataFile);
      mkdirSync(dirname(path), { recursive: true });
      this.#appender = new ParquetAppender(path, this.#schema);
      syncFolder(dirname(path));
    }
    return this.#appender;
  }

  #episodeStats(
    episode: Episode,
    index: number,
    histograms: Readonly<Record<string, PixelHistogram>>,
  ): Record<string, unknown> {
    const frames = Array.from({ length: episode.length }, (_, t) => t);
    const automatic: Record<string, Float64Array> = {
      timestamp: Float64Array.from(frames, (t) => Math.fround(episode.timestamps?.[t] ?? t / episode.fps)),
      frame_index: Float64Array.from(frames),
      episode_index: new Float64Array(episode.length).fill(index),
      index: Float64Array.from(frames, (t) => this.#numFrames + t),
      task_index: Float64Array.from(frames, (t) => this.#taskIndex(episode.frameTasks?.[t] ?? episode.task)),
    };
    const stats: Record<string, unknown> = {};
    for (const [key, feature] of Object.entries(this.features)) {
      const histogram = histograms[key];
      if (histogram) {
        stats[key] = statsToJson(histogramStats(histogram), true);
        continue;
      }
      const column = episode.columns[key];
      const values =
        automatic[key] ??
        (key === STATE_KEY
          ? episode.state
          : key === ACTION_KEY
            ? episode.action
            : column && column.dtype !== 'string'
              ? column.values
              : undefined);
      if (values) stats[key] = statsToJson(numericStats(values, featureSize(feature)), false);
    }
    return stats;
  }

  /** Joins the staged videos into files of the wanted size; repeatable, since the staged ones stay. */
  async #joinVideos(): Promise<{ features: Features; locations: Record<string, VideoLocation[]> }> {
    const locations: Record<string, VideoLocation[]> = {};
    const features: Record<string, Features[string]> = { ...this.features };
    const limit = (this.#options.videoFilesSizeInMb ?? 200) * MEGABYTE;
    const { fps } = this.#options;
    for (const [key, feature] of Object.entries(this.features)) {
      if (feature.dtype !== 'video') continue;
      const list: VideoLocation[] = [];
      let batch: { path: string; numFrames: number }[] = [];
      let bytes = 0;
      let frames = 0;
      let file = 0;
      const flush = async (): Promise<void> => {
        if (batch.length === 0) return;
        await concatVideos(
          batch,
          join(this.partial, fillPath(VIDEO_PATH, { video_key: key, ...this.#place(file) })),
          fps,
        );
        batch = [];
        bytes = 0;
        frames = 0;
        file++;
      };
      for (const episode of this.#episodes) {
        const path = this.#stagedVideo(key, episode.index);
        const { size } = statSync(path);
        if (bytes + size > limit) await flush();
        const place = this.#place(file);
        list.push({
          chunkIndex: place.chunk_index,
          fileIndex: place.file_index,
          fromTimestamp: frames / fps,
          toTimestamp: (frames + episode.length) / fps,
        });
        batch.push({ path, numFrames: episode.length });
        bytes += size;
        frames += episode.length;
      }
      await flush();
      locations[key] = list;
      const facts = await probeVideo(this.#stagedVideo(key, 0));
      features[key] = {
        ...feature,
        info: {
          'video.height': facts.height,
          'video.width': facts.width,
          'video.codec': facts.codec,
          'video.pix_fmt': facts.pixelFormat,
          'video.is_depth_map': false,
          'video.fps': fps,
          'video.channels': 3,
          has_audio: false,
        },
      };
    }
    return { features, locations };
  }
}

/** Everything that a resumed writer must have in common with the one before. */
function comparableOptions(options: LeRobotWriterOptions, features: Features): Record<string, unknown> {
  const {
    fps,
    robotType,
    dataFilesSizeInMb = 100,
    videoFilesSizeInMb = 200,
    chunksSize = 1000,
    video = {},
    provenance = null,
  } = options;
  return { fps, robotType, dataFilesSizeInMb, videoFilesSizeInMb, chunksSize, video, provenance, features };
}

/** The path at which two JSON values differ first, with both values. */
function firstDifference(a: unknown, b: unknown, path = ''): string {
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    const left = a as Record<string, unknown>;
    const right = b as Record<string, unknown>;
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
      if (!isDeepStrictEqual(left[key], right[key]))
        return firstDifference(left[key], right[key], path ? `${path}.${key}` : key);
  }
  return `${path} was ${JSON.stringify(a)}, now ${JSON.stringify(b)}`;
}

function parquetFilesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function packHistogram({ counts, numFrames }: PixelHistogram): { counts: string; numFrames: number } {
  return { counts: Buffer.from(Uint32Array.from(counts).buffer).toString('base64'), numFrames };
}

function unpackHistogram(packed: { readonly counts: string; readonly numFrames: number } | undefined): PixelHistogram {
  if (!packed) return emptyHistogram();
  const bytes = Uint8Array.from(Buffer.from(packed.counts, 'base64'));
  return { counts: Float64Array.from(new Uint32Array(bytes.buffer)), numFrames: packed.numFrames };
}
