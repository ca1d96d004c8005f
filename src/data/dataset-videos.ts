/**
 * The videos of a LeRobot v3.0 data set by episode: consecutive episodes of a file are decoded in one go, and come as they are decoded.
 * Knows nothing about pictures stored in columns.
 */
import { existsSync } from 'node:fs';
import { MissingDatasetError } from './errors.js';
import type { EpisodeRecord } from './lerobot-metadata-files.js';
import { checkVideoParts, decodeVideoParts, type VideoFilter, type VideoPartsOptions } from './video.js';

/** What is asked of a data set. */
export interface VideoDataset {
  readonly fps: number;
  readonly episodes: readonly EpisodeRecord[];
  videoPath(episode: EpisodeRecord, key: string): string;
}

export interface VideoPictures {
  readonly width: number;
  readonly height: number;
  readonly filter?: VideoFilter | undefined;
  /** Threads of each process; default as many as there are cores. */
  readonly threads?: number | undefined;
}

/**
 * Frames of each of the records in turn, uint8 RGB [T, height, width, 3]; one process for episodes that follow each other in a file.
 * Throws MissingDatasetError, and what `decodeVideoParts` throws.
 */
export async function* readVideoEpisodes(
  dataset: VideoDataset,
  records: readonly EpisodeRecord[],
  key: string,
  pictures: VideoPictures,
): AsyncGenerator<Uint8Array> {
  for (const run of runsOf(records, continuesIn(dataset, key)))
    yield* decodeVideoParts({ ...place(dataset, run, key), ...pictures });
}

/** Checks videos episode by episode, in order: several are decoded by one process. Memory is that of a few frames. */
export class VideoChecks {
  readonly #runs = new Map<string, { readonly sound: AsyncGenerator<void>; next: number; readonly end: number }>();

  /** @param ahead episodes that a process decodes at most; 1 where not all are checked */
  constructor(
    readonly dataset: VideoDataset,
    readonly ahead: number,
  ) {}

  /** Throws what `readVideoEpisodes` throws where the episode's frames of one camera do not decode. */
  async check(record: EpisodeRecord, key: string): Promise<void> {
    let run = this.#runs.get(key);
    if (run?.next !== record.index || run.next === run.end) {
      await run?.sound.return(undefined);
      const following = this.dataset.episodes.slice(record.index, record.index + this.ahead);
      const [records = [record]] = runsOf(following, continuesIn(this.dataset, key));
      const sound = checkVideoParts(place(this.dataset, records, key));
      run = { sound, next: record.index, end: record.index + records.length };
      this.#runs.set(key, run);
    }
    run.next++;
    try {
      await run.sound.next();
    } catch (error) {
      // What follows a missing frame is looked at anew.
      this.#runs.delete(key);
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const { sound } of this.#runs.values()) await sound.return(undefined);
    this.#runs.clear();
  }
}

/** After edits an episode need not begin where the one before it ends. */
const continuesIn =
  (dataset: VideoDataset, key: string) =>
  (previous: EpisodeRecord, record: EpisodeRecord): boolean =>
    dataset.videoPath(previous, key) === dataset.videoPath(record, key) &&
    Math.abs((record.videos[key]?.fromTimestamp ?? 0) - (previous.videos[key]?.toTimestamp ?? -1)) < 0.25 / dataset.fps;

/** Where the frames of consecutive episodes lie. Throws MissingDatasetError where the file is not there. */
function place(
  dataset: VideoDataset,
  records: readonly EpisodeRecord[],
  key: string,
): Omit<VideoPartsOptions, 'width' | 'height'> {
  const first = records[0] as EpisodeRecord;
  const path = dataset.videoPath(first, key);
  if (!existsSync(path))
    throw new MissingDatasetError('The video is missing', { file: path, episode: first.index, field: key });
  const parts = records.map(({ length: numFrames, index: episode }) => ({ numFrames, episode }));
  return { path, from: first.videos[key]?.fromTimestamp ?? 0, fps: dataset.fps, parts };
}

/** Splits a list where an item does not continue the one before it. */
export function runsOf<T>(items: readonly T[], continues: (previous: T, item: T) => boolean): T[][] {
  const runs: T[][] = [];
  for (const item of items) {
    const run = runs.at(-1);
    if (run && continues(run.at(-1) as T, item)) run.push(item);
    else runs.push([item]);
  }
  return runs;
}
