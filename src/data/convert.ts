/**
 * Conversion into LeRobot v3.0: episodes of one or several sources through the one writer, so that every result is resumable, appears by one
 * rename and has statistics recomputed from its data. Pictures keep their bytes and videos their stream unless asked otherwise.
 *
 * Knows nothing about the sources' formats (convert-source.ts).
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { passPictures, passVideo } from './convert-pictures.js';
import type { EpisodeSource, SourceEpisode } from './convert-source.js';
import type { Episode, ImageSequence } from './episode.js';
import { DataError, InvalidEpisodeError, UnsupportedDatasetError } from './errors.js';
import { cameraKeys, type Feature, type Features } from './features.js';
import { decodeImage } from './image-codec.js';
import { pictureSize } from './lerobot-dataset.js';
import { type EncodedFrames, LeRobotWriter } from './lerobot-writer.js';
import { decodeVideo, probeVideo, type VideoCodecOptions } from './video.js';
import { STAGING_FOLDER } from './writer-folder.js';
import type { JsonValue } from './writer-journal.js';
import { firstDifference } from './writer-options.js';

export interface ConvertOptions {
  /** Taken one after the other; they must agree on fps, robot and features. */
  readonly sources: readonly EpisodeSource[];
  readonly target: string;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  /** How pictures are stored: `same` (default) keeps them as they are, `image` and `video` encode where that differs. */
  readonly images?: 'same' | 'image' | 'video';
  /** Encoder of videos that are encoded. Giving it encodes all. */
  readonly video?: VideoCodecOptions;
  /** What to do with an episode that has no instruction: give it this one; without, it is left out. */
  readonly defaultTask?: string | undefined;
  /** Leave episodes out that do not fit, instead of stopping. */
  readonly skipDamaged?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface ConvertSummary {
  readonly folder: string;
  readonly episodes: number;
  readonly frames: number;
  /** Episodes of the sources that are not in the result, with the reason. */
  readonly leftOut: readonly { readonly source: string; readonly episode: number; readonly reason: string }[];
  /** Columns of the sources that the result does not have, with the reason. */
  readonly ignored: Readonly<Record<string, string>>;
  /** Frames that got reasoning from an annotation file; absent without one. */
  readonly annotatedFrames?: number;
}

interface Note {
  readonly source: number;
  readonly episode: number;
  readonly left_out?: string;
  readonly annotated?: number;
}

const asNote = (note: JsonValue | undefined): Note | undefined =>
  typeof note === 'object' && note !== null && 'episode' in note ? (note as unknown as Note) : undefined;

/**
 * Converts. Throws UnsupportedDatasetError where sources do not agree, what the sources throw for damaged episodes (unless `skipDamaged`),
 * and what LeRobotWriter throws. Stopped at any moment it continues with `resume`.
 */
export async function convertDataset(options: ConvertOptions): Promise<ConvertSummary> {
  const { sources, target, images = 'same', signal } = options;
  const [first, ...others] = sources;
  if (!first) throw new RangeError('There is nothing to convert');
  for (const other of others) checkAgreement(first, other);
  const features = storedFeatures(first.features, images);
  const writer = await LeRobotWriter.create(target, {
    fps: first.fps,
    robotType: first.robotType,
    features,
    ...(options.video ? { video: options.video } : {}),
    ...(options.resume ? { resume: true } : {}),
    ...(options.overwrite ? { overwrite: true } : {}),
    provenance: { converted: sources.map((source) => source.provenance) },
  });
  try {
    const total = sources.reduce((sum, source) => sum + source.numEpisodes, 0);
    let done = 0;
    const last = [...writer.episodeNotes, ...writer.notes]
      .flatMap((note) => asNote(note) ?? [])
      .reduce<Note | undefined>(
        (a, b) => (a && (a.source > b.source || (a.source === b.source && a.episode > b.episode)) ? a : b),
        undefined,
      );
    for (const [s, source] of sources.entries()) {
      const from = last === undefined || s > last.source ? 0 : s < last.source ? source.numEpisodes : last.episode + 1;
      done += from;
      if (from >= source.numEpisodes) continue;
      for await (const one of source.episodes(from)) {
        signal?.throwIfAborted();
        const leaveOut = (reason: string): void => writer.addNote({ source: s, episode: one.index, left_out: reason });
        if ('leftOut' in one) leaveOut(one.leftOut.message);
        else {
          const episode = withTask(one.episode, options.defaultTask);
          if (!episode) leaveOut('it has no instruction');
          else {
            try {
              await add(writer, { ...one, episode }, s, options);
            } catch (error) {
              if (!options.skipDamaged || !(error instanceof DataError) || error.name === 'StorageError') throw error;
              leaveOut(error.message);
            }
          }
        }
        options.onProgress?.({ done: ++done, total });
      }
    }
    const leftOut = writer.notes.flatMap((value) => {
      const note = asNote(value);
      if (note?.left_out === undefined) return [];
      return [{ source: sources[note.source]?.label ?? '', episode: note.episode, reason: note.left_out }];
    });
    if (writer.numEpisodes === 0)
      throw new InvalidEpisodeError(`No episode is left: ${leftOut[0]?.reason ?? 'the sources are empty'}`, {
        file: first.label,
      });
    const counts = writer.episodeNotes.flatMap((note) => asNote(note)?.annotated ?? []);
    const annotated = counts.length > 0 ? { annotatedFrames: counts.reduce((sum, count) => sum + count, 0) } : {};
    const info = await writer.finish();
    const ignored = Object.assign({}, ...sources.map((source) => source.ignored)) as Record<string, string>;
    return { folder: target, episodes: info.totalEpisodes, frames: info.totalFrames, leftOut, ignored, ...annotated };
  } catch (error) {
    writer.close();
    // Nothing was written: there is nothing to continue, and nothing stands in the way of other options.
    if (writer.numEpisodes === 0) rmSync(writer.partial, { recursive: true, force: true });
    throw error;
  }
}

function withTask(episode: Episode, defaultTask: string | undefined): Episode | undefined {
  if (episode.task.trim() !== '') return episode;
  if (defaultTask === undefined) return undefined;
  const { frameTasks: _, ...rest } = episode;
  return { ...rest, task: defaultTask };
}

function storedFeatures(features: Features, images: 'same' | 'image' | 'video'): Features {
  if (images === 'same') return features;
  const entries = Object.entries(features).map(([name, feature]): [string, Feature] => {
    if (feature.dtype !== 'image' && feature.dtype !== 'video') return [name, feature];
    const { info: _, ...rest } = feature;
    return [name, { ...rest, dtype: images }];
  });
  return Object.fromEntries(entries);
}

/** Throws UnsupportedDatasetError at the first fact in which two sources differ. */
function checkAgreement(a: EpisodeSource, b: EpisodeSource): void {
  const comparable = ({ fps, robotType, features }: EpisodeSource): unknown => ({
    fps,
    robotType,
    features: Object.fromEntries(
      Object.entries(features)
        .sort(([x], [y]) => (x < y ? -1 : 1))
        .map(([name, { dtype, shape, names }]) => [name, { dtype, shape, names }]),
    ),
  });
  const [one, two] = [comparable(a), comparable(b)];
  if (!isDeepStrictEqual(one, two))
    throw new UnsupportedDatasetError(`The data sets do not fit together: ${firstDifference(one, two)}`, {
      file: b.label,
      hint: 'Only data sets of the same fps, robot and features can be merged',
    });
}

async function add(writer: LeRobotWriter, one: SourceEpisode, source: number, options: ConvertOptions): Promise<void> {
  const { episode } = one;
  const encoded: Record<string, EncodedFrames> = {};
  const pixels: Record<string, ImageSequence> = {};
  for (const [camera, key] of Object.entries(cameraKeys(writer.features))) {
    const feature = writer.features[key] as Feature;
    const size = pictureSize(feature);
    const frames = one.frames[camera];
    if (!frames)
      throw new InvalidEpisodeError('The camera is missing', { file: one.file, episode: one.index, field: key });
    const origin = { file: one.file, episode: one.index, field: key };
    if (frames.kind === 'pictures') {
      if (frames.pictures.length !== episode.length)
        throw new InvalidEpisodeError(`${frames.pictures.length} pictures for ${episode.length} frames`, origin);
      if (feature.dtype === 'image') encoded[camera] = await passPictures(frames.pictures, size, origin);
      else pixels[camera] = await decodePictures(frames.pictures, size);
    } else {
      const at = { path: frames.path, from: frames.from, numFrames: episode.length, fps: episode.fps, size };
      if (feature.dtype === 'video' && !options.video) {
        const scratch = join(writer.partial, STAGING_FOLDER, `cut-${key}.mp4`);
        await sameStream(writer, key, frames.path);
        encoded[camera] = await passVideo({ ...at, scratch });
      } else {
        const [height, width] = size;
        pixels[camera] = { width, height, data: await decodeVideo({ ...at, width, height }) };
      }
    }
  }
  const note = { source, episode: one.index, ...one.note };
  await writer.addEpisode({ ...episode, images: pixels }, { encoded, note });
  for (const { video } of Object.values(encoded)) if (video && existsSync(video)) rmSync(video);
}

async function decodePictures(
  pictures: readonly Uint8Array[],
  [height, width]: readonly [number, number],
): Promise<ImageSequence> {
  const data = new Uint8Array(pictures.length * height * width * 3);
  for (const [frame, bytes] of pictures.entries())
    data.set(await decodeImage(bytes, width, height), frame * height * width * 3);
  return { width, height, data };
}

/** Streams of a video file: joined by copy, all of one camera must have the same. */
const streams = new WeakMap<LeRobotWriter, Map<string, string>>();

async function sameStream(writer: LeRobotWriter, key: string, path: string): Promise<void> {
  const seen = streams.get(writer) ?? new Map<string, string>();
  streams.set(writer, seen);
  if (seen.has(path)) return;
  const { codec, pixelFormat, width, height } = await probeVideo(path);
  const stream = `${codec} ${pixelFormat} ${width}x${height}`;
  const before = seen.get(key);
  if (before !== undefined && before !== stream)
    throw new UnsupportedDatasetError(`The videos of one camera are ${before} and ${stream}`, {
      file: path,
      field: key,
      hint: 'Encode them anew with --codec libx264',
    });
  seen.set(key, stream);
  seen.set(path, stream);
}
