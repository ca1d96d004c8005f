/**
 * What is pruned: data sets of any format that src/data reads, as episodes in order, with pictures for the scene layer where it wants them.
 *
 * LeRobot v3.0 is read in runs of episodes; v2.x and RLDS episode by episode through the sources that conversion uses. Everything is only
 * read. Where a data set has no reasoning text but language rows (`plan`, `subtask`, `motion`), the text is made of what is active.
 *
 * Knows nothing about labels.
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { SourceEpisode } from '../data/convert-source.js';
import { datasetFolders } from '../data/dataset-folders.js';
import {
  activeAt,
  CorruptDatasetError,
  decodeImage,
  decodeVideo,
  type Episode,
  type EpisodeSource,
  type Features,
  isRlds,
  LANGUAGE_PERSISTENT_KEY,
  LeRobotDataset,
  LeRobotV2Dataset,
  leRobotSource,
  leRobotV2Source,
  leRobotVersion,
  PROVENANCE_FILE,
  REASONING_TEXT_KEY,
  RldsDataset,
  type RldsSourceOptions,
  rldsSource,
} from '../data/index.js';
import { folderName } from './boundary-labels.js';
import { PruneError } from './errors.js';
import type { MotionDataset } from './motion-layer.js';
import type { SceneFrames } from './scene-events.js';
import { checkCameras, interleave, type SceneFrameOptions, sceneFramesOf } from './scene-frames.js';

/** One episode, without pixels; `frames` where pictures were asked for. */
export interface InputEpisode {
  readonly episode: Episode;
  readonly frames: SceneFrames | null;
  /** Null where the data set does not remember. */
  readonly origin: EpisodeOrigin | null;
}

/** Where an episode came from, for annotation files that go by it. */
export interface EpisodeOrigin {
  readonly filePath: string;
  readonly episodeId: string;
  /** Raw step of frame 0. */
  readonly firstStep: number;
}

/** Consecutive episodes; can be gone through once. */
export type InputBatch = AsyncIterable<InputEpisode>;

export interface PruneInput extends MotionDataset {
  /** The folder's name in labels; "" for a lone data set. */
  readonly name: string;
  readonly format: string;
  readonly numEpisodes: number;
  /** Null where only reading all would tell. */
  readonly numFrames: number | null;
  /** Camera names. */
  readonly cameras: readonly string[];
  readonly hasReasoning: boolean;
  /** Whether episodes know which ones of an annotation file they are. */
  readonly hasOrigins: boolean;
  /** Batches that may be worked on side by side with profit, for these pictures. */
  lanes(pictures: SceneFrameOptions | null): number;
  /** Episodes [from, to) in order, some at a time; pictures of a batch are decoded as its episodes are asked for. */
  batches(from: number, to: number, pictures: SceneFrameOptions | null): AsyncGenerator<InputBatch>;
  /** The episodes with their pictures as they are stored, for a copy. */
  source(): EpisodeSource;
}

export interface OpenInputsOptions extends RldsSourceOptions {
  /** Of an RLDS data set; default 'train'. */
  readonly split?: string | undefined;
}

/** Frames of a batch at most; one longer episode is a batch of its own. */
const BATCH_FRAMES = 2048;
const BATCH_EPISODES = 32;
/** Pixels of a batch at most, likewise, where its pictures are read before it is handed out. */
const BATCH_BYTES = 64 << 20;
/** The same of videos: a batch is decoded by a process of its own, whose start costs about as much as a hundred frames. */
const VIDEO_BATCH_FRAMES = 4096;
const VIDEO_BATCH_EPISODES = 128;
const LEAST_VIDEO_FRAMES = 128;
/** Videos that are decoded side by side, one thread each: it costs less than one after the other with many threads. */
const CORES = availableParallelism();
const VIDEO_LANES = Math.min(CORES, 8);

/** Episodes [from, to) of an input, one after the other. */
export async function* inputEpisodes(
  input: PruneInput,
  from: number,
  to: number,
  pictures: SceneFrameOptions | null,
): AsyncGenerator<InputEpisode> {
  for await (const batch of input.batches(from, to, pictures)) yield* batch;
}

/** Ranges of consecutive episodes with at most that many frames and episodes; a longer episode is one of its own. */
function rangesOf(
  lengths: readonly number[],
  from: number,
  most: { readonly frames: number; readonly episodes: number },
): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  let frames = 0;
  for (const [i, length] of lengths.entries()) {
    const last = ranges.at(-1);
    if (last && frames + length <= most.frames && last.to - last.from < most.episodes) last.to++;
    else ranges.push({ from: from + i, to: from + i + 1 });
    frames = last === ranges.at(-1) ? frames + length : length;
  }
  return ranges;
}

/** Opens what lies at `root`: one data set, or a folder of LeRobot v3.0 ones. Throws what the readers throw. */
export async function openPruneInputs(root: string, options: OpenInputsOptions = {}): Promise<PruneInput[]> {
  if (existsSync(root) && isRlds(root)) {
    const { split = 'train', ...rest } = options;
    return [sourceInput(rldsSource(RldsDataset.open(root, { split }), rest), 'rlds', null)];
  }
  if (options.annotations)
    throw new PruneError('Annotations from a file belong to RLDS data sets; LeRobot ones carry their reasoning', {
      file: root,
    });
  const version = leRobotVersion(root);
  if (version !== undefined && /^v?2\./.test(version)) {
    const dataset = LeRobotV2Dataset.open(root);
    const frames = dataset.episodes.reduce((sum, { length }) => sum + length, 0);
    return [sourceInput(leRobotV2Source(dataset), `lerobot-${version}`, frames)];
  }
  const inputs = [];
  for (const folder of datasetFolders(root))
    inputs.push(leRobotInput(await LeRobotDataset.open(folder), folderName(root, folder)));
  return inputs;
}

/** A LeRobot v3.0 data set. */
export function leRobotInput(dataset: LeRobotDataset, name: string): PruneInput {
  const features = withReasoningText(dataset.features);
  const declared = REASONING_TEXT_KEY in features;
  const origins = originsOf(dataset.folder);
  return {
    name,
    label: dataset.folder,
    format: 'lerobot-v3.0',
    fps: dataset.fps,
    features,
    numEpisodes: dataset.numEpisodes,
    numFrames: dataset.numFrames,
    cameras: Object.keys(dataset.cameras),
    hasReasoning: declared,
    hasOrigins: origins.some((origin) => origin !== null),
    range: (feature) => {
      const stats = dataset.stats[feature];
      return stats && [stats.min, stats.max];
    },
    lanes: (pictures) => (pictures && areVideos(dataset.features, pictures) ? VIDEO_LANES : 2),
    async *batches(from, to, pictures) {
      const lengths = dataset.episodes.slice(from, to).map(({ length }) => length);
      const areDecoded = pictures !== null && areVideos(dataset.features, pictures);
      const ranges = rangesOf(lengths, from, areDecoded ? videoBatch(lengths) : pictureBatch(pictures));
      const threads = Math.max(1, Math.floor(CORES / Math.min(ranges.length, VIDEO_LANES)));
      for (const range of ranges) {
        const episodes = (await dataset.readEpisodes(range)).map((episode, i) => ({
          episode: declared ? withEmptyText(reasoned(episode)) : episode,
          origin: origins[range.from + i] ?? null,
        }));
        const frames = pictures && sceneFramesOf(dataset, range, pictures, areDecoded ? threads : undefined);
        yield withFrames(episodes, frames && !areDecoded ? await held(frames) : frames);
      }
    },
    source: () => withTexts(leRobotSource(dataset)),
  };
}

/** Whether the cameras are all stored as videos. */
const areVideos = (features: Features, { cameras }: SceneFrameOptions): boolean =>
  Object.entries(features).every(([key, { dtype }]) => dtype !== 'image' || !cameras.includes(cameraName(key)));

/** Videos in equal shares for all lanes where the data set is small. */
function videoBatch(lengths: readonly number[]): { frames: number; episodes: number } {
  const share = Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / VIDEO_LANES);
  return { frames: Math.min(VIDEO_BATCH_FRAMES, Math.max(LEAST_VIDEO_FRAMES, share)), episodes: VIDEO_BATCH_EPISODES };
}

function pictureBatch(pictures: SceneFrameOptions | null): { frames: number; episodes: number } {
  const bytes = pictures ? pictures.size ** 2 * 3 * pictures.cameras.length : 0;
  return { frames: Math.min(BATCH_FRAMES, Math.floor(BATCH_BYTES / bytes)), episodes: BATCH_EPISODES };
}

/** The same, read at once. */
async function held<T>(items: AsyncIterable<T>): Promise<AsyncGenerator<T>> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return (async function* () {
    yield* all;
  })();
}

/** Episodes with the pictures that come one after the other. */
async function* withFrames(
  episodes: readonly Omit<InputEpisode, 'frames'>[],
  frames: AsyncGenerator<SceneFrames> | null,
): AsyncGenerator<InputEpisode> {
  try {
    for (const one of episodes) yield { ...one, frames: frames && ((await frames.next()).value as SceneFrames) };
  } finally {
    await frames?.return(undefined);
  }
}

/** Any other source of episodes. */
export function sourceInput(source: EpisodeSource, format: string, numFrames: number | null): PruneInput {
  const own = withTexts(source);
  const { label, fps, features, numEpisodes } = own;
  return {
    name: '',
    label,
    format,
    fps,
    features,
    numEpisodes,
    numFrames,
    cameras: camerasOf(features),
    hasReasoning: REASONING_TEXT_KEY in features,
    hasOrigins: format === 'rlds',
    lanes: (pictures) => (pictures && areVideos(features, pictures) ? VIDEO_LANES : 2),
    async *batches(from, to, pictures) {
      if (pictures) checkCameras(label, camerasOf(features), pictures.cameras);
      for await (const one of own.episodes(from)) {
        if ('leftOut' in one) throw one.leftOut;
        yield alone(one, pictures);
        if (one.index + 1 >= to) return;
      }
    },
    source: () => own,
  };
}

async function* alone(one: SourceEpisode, pictures: SceneFrameOptions | null): AsyncGenerator<InputEpisode> {
  const frames = pictures && (await decodeFrames(one, pictures));
  yield { episode: { ...one.episode, index: one.index }, frames, origin: originOf(one.note) };
}

const cameraName = (key: string): string => key.replace(/^observation\.(images\.)?/, '');

const camerasOf = (features: Features): string[] =>
  Object.entries(features).flatMap(([key, { dtype }]) =>
    dtype === 'image' || dtype === 'video' ? [cameraName(key)] : [],
  );

async function decodeFrames(
  { episode, frames, file, index }: SourceEpisode,
  { cameras, size, filter }: SceneFrameOptions,
): Promise<SceneFrames> {
  const sequences = [];
  for (const camera of cameras) {
    const own = frames[camera];
    if (!own) throw new PruneError(`The camera "${camera}" is missing`, { file, episode: index });
    const { length: numFrames, fps } = episode;
    if (own.kind === 'video') {
      const at = { path: own.path, from: own.from, numFrames, fps, filter };
      const data = await decodeVideo({ ...at, width: size, height: size, threads: Math.floor(CORES / VIDEO_LANES) });
      sequences.push({ width: size, height: size, data });
      continue;
    }
    const data = new Uint8Array(numFrames * size * size * 3);
    for (const [frame, bytes] of own.pictures.entries()) {
      try {
        data.set(await decodeImage(bytes, size, size), frame * size * size * 3);
      } catch (cause) {
        const what = cause instanceof Error ? cause.message : String(cause);
        throw new CorruptDatasetError(what, { file, episode: index, frame, field: camera, cause });
      }
    }
    sequences.push({ width: size, height: size, data });
  }
  return interleave(sequences, size);
}

/** Tags of language styles in a reasoning text, in ECoT's order. */
const STYLE_TAGS = [
  ['plan', 'PLAN'],
  ['subtask', 'SUBTASK'],
  ['motion', 'MOVE'],
] as const;

/** The features, with a reasoning text where language rows can give one. */
function withReasoningText(features: Features): Features {
  if (REASONING_TEXT_KEY in features || !(LANGUAGE_PERSISTENT_KEY in features)) return features;
  return { ...features, [REASONING_TEXT_KEY]: { dtype: 'string', shape: [1], names: null } };
}

/** The episode with a reasoning text made of the rows active at each frame, where it has rows and no text. */
function reasoned(episode: Episode): Episode {
  if (REASONING_TEXT_KEY in episode.columns || episode.languagePersistent.length === 0) return episode;
  const values = Array.from({ length: episode.length }, (_, t) => {
    const time = episode.timestamps?.[t] ?? t / episode.fps;
    return STYLE_TAGS.flatMap(([style, tag]) => {
      const content = activeAt(episode.languagePersistent, style, time)?.content;
      return content ? [`${tag}: ${content}`] : [];
    }).join('\n');
  });
  return { ...episode, columns: { ...episode.columns, [REASONING_TEXT_KEY]: { dtype: 'string', values } } };
}

function withTexts(source: EpisodeSource): EpisodeSource {
  const features = withReasoningText(source.features);
  const declared = REASONING_TEXT_KEY in features;
  return {
    ...source,
    features,
    async *episodes(from) {
      for await (const one of source.episodes(from)) {
        if ('leftOut' in one || !declared) yield one;
        else yield { ...one, episode: withEmptyText(reasoned(one.episode)) };
      }
    },
  };
}

/** An episode without any language among others that have some. */
function withEmptyText(episode: Episode): Episode {
  if (REASONING_TEXT_KEY in episode.columns) return episode;
  const values = new Array<string>(episode.length).fill('');
  return { ...episode, columns: { ...episode.columns, [REASONING_TEXT_KEY]: { dtype: 'string', values } } };
}

function originOf(note: unknown): EpisodeOrigin | null {
  if (typeof note !== 'object' || note === null) return null;
  const { file_path, episode_id, first_step } = note as Record<string, unknown>;
  if (typeof file_path !== 'string' || typeof episode_id !== 'string' || typeof first_step !== 'number') return null;
  return { filePath: file_path, episodeId: episode_id, firstStep: first_step };
}

/** What conversion remembered of every episode. */
function originsOf(folder: string): (EpisodeOrigin | null)[] {
  const file = join(folder, PROVENANCE_FILE);
  if (!existsSync(file)) return [];
  try {
    const { episodes } = JSON.parse(readFileSync(file, 'utf8')) as { episodes?: unknown };
    return Array.isArray(episodes) ? episodes.map(originOf) : [];
  } catch (cause) {
    throw new CorruptDatasetError('The record of where episodes come from is not JSON', { file, cause });
  }
}
