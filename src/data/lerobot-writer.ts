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
import type { KeyValue, SchemaElement } from 'hyparquet';
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
import { makeFolder, syncFolder, writeDurable } from './durable-file.js';
import { type Episode, type ImageSequence, validateEpisode } from './episode.js';
import { encodeColumns } from './episode-columns.js';
import { CorruptDatasetError, DataError, DatasetConflictError, InvalidEpisodeError, StorageError } from './errors.js';
import { AUTOMATIC_FEATURES, cameraKeys, type Features } from './features.js';
import { encodePngs } from './image-codec.js';
import { type EpisodeRecord, type VideoLocation, writeEpisodes, writeTasks } from './lerobot-metadata-files.js';
import { decodeRowGroup, encodeRowGroup, ParquetAppender } from './parquet-append.js';
import { dataSchema, huggingFaceMetadata } from './parquet-schema.js';
import {
  addToHistogram,
  emptyHistogram,
  histogramStats,
  mergeHistograms,
  type PixelHistogram,
  statsToJson,
} from './statistics.js';
import { encodeVideo } from './video.js';
import { assertUnlocked, datasetState, JOURNAL_FILE, lock, partialFolder, publish, unlock } from './writer-folder.js';
import { type JournalEpisode, type JournalPlace, type JsonValue, WriterJournal } from './writer-journal.js';
import { comparableOptions, firstDifference, type LeRobotWriterOptions } from './writer-options.js';
import { episodeStats, packHistogram, unpackHistogram } from './writer-statistics.js';
import { joinVideos, stagedVideo, stageVideo } from './writer-videos.js';

/** File with facts about how a data set came about: the writer's `provenance` and each episode's `note`. */
export const PROVENANCE_FILE = 'meta/dualvla.json';

export interface AddEpisodeOptions {
  /** Camera -> one PNG a frame, made from exactly the episode's pictures; saves the writer from encoding them. */
  readonly pngs?: Readonly<Record<string, readonly Uint8Array[]>>;
  /** Camera -> frames that are encoded already and stored as they are; the episode then needs no pixels of that camera. */
  readonly encoded?: Readonly<Record<string, EncodedFrames>>;
  /** Kept beside the episode in meta/dualvla.json and given back on resume. */
  readonly note?: JsonValue;
}

/** An episode's frames of one camera, encoded elsewhere and known to decode to the feature's size. */
export interface EncodedFrames {
  /** One encoded picture a frame, for a feature stored as `image`. */
  readonly pictures?: readonly Uint8Array[];
  /** An mp4 file of exactly the episode's frames, frame k at k / fps, for a feature stored as `video`. It is copied. */
  readonly video?: string;
  /** Of the frames that count for statistics. */
  readonly histogram: PixelHistogram;
}

const MEGABYTE = 1024 * 1024;

/** What is kept in memory of an episode; the rest is read from the journal when the data set is finished. */
interface WrittenEpisode extends Pick<JournalEpisode, 'index' | 'length' | 'tasks' | 'dataFile' | 'bytes' | 'note'> {
  readonly place: JournalPlace;
}

/** What a journal held. */
class Written {
  readonly episodes: WrittenEpisode[] = [];
  readonly notes: JsonValue[] = [];
  /** Feature -> pixels of all episodes. */
  readonly histograms: Record<string, PixelHistogram> = {};
  /** Row groups of the last data file. */
  rowGroups: unknown[] = [];

  add(entry: JournalEpisode, place: JournalPlace): void {
    const { index, length, tasks, dataFile, bytes, note } = entry;
    this.episodes.push({ index, length, tasks, dataFile, bytes, note, place });
    for (const [key, packed] of Object.entries(entry.histograms)) {
      const known = this.histograms[key];
      const own = unpackHistogram(packed);
      this.histograms[key] = known ? mergeHistograms([known, own]) : own;
    }
  }
}

export class LeRobotWriter {
  /** Where the finished data set will lie. */
  readonly folder: string;
  /** Where it is being written. */
  readonly partial: string;
  readonly features: Features;
  readonly #options: LeRobotWriterOptions;
  readonly #schema: SchemaElement[];
  readonly #metadata: KeyValue[];
  readonly #journal: WriterJournal;
  readonly #written: Written;
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
    written: Written,
  ) {
    this.folder = folder;
    this.partial = partialFolder(folder);
    this.#options = options;
    this.features = features;
    this.#schema = dataSchema(features);
    this.#metadata = huggingFaceMetadata(features);
    this.#journal = journal;
    this.#written = written;
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
    begin(partial);
    const journalPath = join(partial, JOURNAL_FILE);
    const wanted = JSON.parse(JSON.stringify(comparableOptions(options, features))) as JsonValue;
    if (existsSync(journalPath)) {
      const written = new Written();
      const { journal, header } = WriterJournal.resume(journalPath, (entry, place) => {
        if (entry.kind === 'note') written.notes.push(entry.note);
        else {
          if (entry.dataFile !== written.episodes.at(-1)?.dataFile) written.rowGroups = [];
          written.rowGroups.push(entry.rowGroup);
          written.add(entry, place);
        }
      });
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
        return new LeRobotWriter(target, options, features, journal, written);
      }
      journal.close();
    }
    return new LeRobotWriter(target, options, features, WriterJournal.create(journalPath, wanted), new Written());
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
    return this.#written.notes;
  }

  /** Remembers something that outlives a crash, e.g. which seeds were tried in vain. */
  addNote(note: JsonValue): void {
    this.#assertOpen();
    this.#journal.append({ kind: 'note', note });
    this.#written.notes.push(note);
  }

  /**
   * Appends an episode; it is on disk when the promise resolves. Its index is the number of episodes so far, whatever `episode.index` says.
   * Throws InvalidEpisodeError when it does not fit the features. After a StorageError (disk full) the writer is closed; what was added
   * before is safe, and `create` with `resume` continues.
   */
  async addEpisode(episode: Episode, options: AddEpisodeOptions = {}): Promise<number> {
    this.#assertOpen();
    validateEpisode(episode, this.features, this.#options.fps, new Set(Object.keys(options.encoded ?? {})));
    this.#checkEncoded(episode, options.encoded ?? {});
    for (const [camera, pngs] of Object.entries(options.pngs ?? {})) {
      if (pngs.length !== episode.length)
        throw new InvalidEpisodeError(`${pngs.length} encoded pictures for ${episode.length} frames`, {
          episode: this.numEpisodes,
          field: camera,
        });
    }
    try {
      return await this.#store(episode, options);
    } catch (cause) {
      this.close();
      if (cause instanceof DataError) throw cause;
      throw new StorageError(
        `The episode cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          file: this.partial,
          episode: this.numEpisodes,
          hint: 'Make room or mend the disk, then continue with --resume',
          cause,
        },
      );
    }
  }

  #checkEncoded(episode: Episode, encoded: Readonly<Record<string, EncodedFrames>>): void {
    for (const [camera, { pictures, video }] of Object.entries(encoded)) {
      const key = cameraKeys(this.features)[camera];
      const stored = key === undefined ? undefined : this.features[key]?.dtype;
      const fits = stored === 'image' ? pictures?.length === episode.length : stored === 'video' && video !== undefined;
      if (!fits)
        throw new InvalidEpisodeError(`The encoded frames do not fit a camera stored as ${stored ?? 'nothing'}`, {
          episode: this.numEpisodes,
          field: camera,
        });
    }
  }

  async #store(episode: Episode, options: AddEpisodeOptions): Promise<number> {
    const index = this.numEpisodes;
    const pictures: Record<string, readonly Uint8Array[]> = {};
    const histograms: Record<string, PixelHistogram> = {};
    for (const [camera, key] of Object.entries(cameraKeys(this.features))) {
      const encoded = options.encoded?.[camera];
      if (encoded) {
        histograms[key] = encoded.histogram;
        if (encoded.pictures) pictures[key] = encoded.pictures;
        else if (encoded.video) stageVideo(encoded.video, stagedVideo(this.partial, key, index));
        continue;
      }
      const images = episode.images[camera] as ImageSequence;
      const histogram = emptyHistogram();
      addToHistogram(histogram, images);
      histograms[key] = histogram;
      if (this.features[key]?.dtype === 'image') pictures[key] = options.pngs?.[camera] ?? encodePngs(images);
      else {
        const { width, height, data: frames } = images;
        const path = stagedVideo(this.partial, key, index);
        await encodeVideo({ ...this.#options.video, path, frames, width, height, fps: episode.fps });
      }
    }
    const shared = {
      features: this.features,
      episodeIndex: index,
      firstIndex: this.#numFrames,
      taskIndex: (task: string) => this.#taskIndex(task),
    };
    const stats = episodeStats(episode, { ...shared, histograms });
    const written = this.#appenderForNext().append(encodeColumns(episode, { ...shared, pictures }));
    const entry: JournalEpisode = {
      kind: 'episode',
      index,
      length: episode.length,
      tasks: [...new Set(episode.frameTasks ?? [episode.task])],
      dataFile: this.#dataFile,
      bytes: written.bytes,
      rowGroup: encodeRowGroup(written.rowGroup),
      stats,
      histograms: Object.fromEntries(
        Object.entries(histograms).map(([key, histogram]) => [key, packHistogram(histogram)]),
      ),
      note: options.note ?? null,
    };
    this.#written.add(entry, this.#journal.append(entry));
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
    const { fps, robotType, dataFilesSizeInMb = 100, videoFilesSizeInMb = 200, provenance = null } = this.#options;
    const videos = await joinVideos({
      partial,
      features: this.features,
      fps,
      lengths: this.#episodes.map((episode) => episode.length),
      maxBytes: videoFilesSizeInMb * MEGABYTE,
      chunksSize: this.#chunksSize,
    });
    writeTasks(partial, this.#tasks);
    writeEpisodes(partial, this.features, this.#records(videos.locations), (episode) => this.#statsOf(episode));
    writeDurable(join(partial, STATS_FILE), `${JSON.stringify(await this.#datasetStats(), null, 4)}\n`);
    const history = { provenance, episodes: this.episodeNotes, notes: this.#written.notes };
    writeDurable(join(partial, PROVENANCE_FILE), `${JSON.stringify(history)}\n`);
    const info: DatasetInfo = {
      robotType,
      fps,
      totalEpisodes: this.#episodes.length,
      totalFrames: this.#numFrames,
      totalTasks: this.#tasks.length,
      chunksSize: this.#chunksSize,
      dataFilesSizeInMb,
      videoFilesSizeInMb,
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

  get #episodes(): readonly WrittenEpisode[] {
    return this.#written.episodes;
  }

  #statsOf(episode: number): JournalEpisode['stats'] {
    const { place } = this.#episodes[episode] as WrittenEpisode;
    return (this.#journal.read(place) as JournalEpisode).stats;
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

  /** The episode table. */
  #records(locations: Readonly<Record<string, readonly VideoLocation[]>>): EpisodeRecord[] {
    let from = 0;
    return this.#episodes.map(({ index, tasks, length, dataFile }) => {
      const { chunk_index: dataChunk, file_index } = this.#place(dataFile);
      const videos = Object.fromEntries(
        Object.entries(locations).map(([key, list]) => [key, list[index] as VideoLocation]),
      );
      const record = {
        index,
        tasks,
        length,
        fromIndex: from,
        toIndex: from + length,
        dataChunk,
        dataFile: file_index,
        videos,
      };
      from += length;
      return record;
    });
  }

  /** meta/stats.json: numbers from the data files as they are, pictures from the episodes' histograms. */
  async #datasetStats(): Promise<Record<string, unknown>> {
    const numFiles = (this.#episodes.at(-1)?.dataFile ?? 0) + 1;
    const paths = Array.from({ length: numFiles }, (_, file) => this.#dataPath(file));
    const numeric = await numericDatasetStats(paths, this.features);
    const images = new Set(Object.values(cameraKeys(this.features)));
    const json: Record<string, unknown> = {};
    for (const key of Object.keys(this.features)) {
      const histogram = this.#written.histograms[key] ?? emptyHistogram();
      const stats = images.has(key) ? histogramStats(histogram) : numeric[key];
      if (stats) json[key] = statsToJson(stats, images.has(key));
    }
    return json;
  }

  /** After a restart: cut the last data file back to its last journalled episode and drop files that no journalled episode is in. */
  #reopenDataFile(): void {
    const last = this.#episodes.at(-1);
    const known = new Set(this.#episodes.map((episode) => this.#dataPath(episode.dataFile)));
    for (const path of filesBelow(join(this.partial, 'data'))) if (!known.has(path)) rmSync(path);
    if (!last) return;
    this.#dataFile = last.dataFile;
    const path = this.#dataPath(last.dataFile);
    if (!existsSync(path) || statSync(path).size < last.bytes)
      throw new CorruptDatasetError(`The data file is shorter than its journal says (${last.bytes} bytes)`, {
        file: path,
        hint: 'Start again with --overwrite',
      });
    const rowGroups = this.#written.rowGroups.map(decodeRowGroup);
    this.#appender = new ParquetAppender(path, this.#schema, { bytes: last.bytes, rowGroups }, this.#metadata);
    // The open file keeps them itself.
    this.#written.rowGroups = [];
  }

  /** The open data file, or the next one when it has reached its size. */
  #appenderForNext(): ParquetAppender {
    const { dataFilesSizeInMb = 100, dataFileEpisodes = 1024 } = this.#options;
    const limit = dataFilesSizeInMb * MEGABYTE;
    const full = (file: ParquetAppender): boolean => file.bytes >= limit || file.numRowGroups >= dataFileEpisodes;
    if (this.#appender && full(this.#appender)) {
      this.#appender.close();
      this.#appender = undefined;
      this.#dataFile++;
    }
    if (!this.#appender) {
      const path = this.#dataPath(this.#dataFile);
      mkdirSync(dirname(path), { recursive: true });
      this.#appender = new ParquetAppender(path, this.#schema, undefined, this.#metadata);
      syncFolder(dirname(path));
    }
    return this.#appender;
  }
}

/** Makes the folder and takes its lock. */
function begin(partial: string): void {
  try {
    makeFolder(partial);
    lock(partial);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new StorageError(`The output cannot be written: ${(cause as Error).message}`, {
      file: partial,
      hint: 'Choose a place that can be written',
      cause,
    });
  }
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}
