/**
 * What is pruned: data sets of any format that src/data reads, as episodes in order, with pictures for the scene layer where it wants them.
 *
 * LeRobot v3.0 is read in runs of episodes; v2.x and RLDS episode by episode through the sources that conversion uses. Everything is only
 * read. Where a data set has no reasoning text but language rows (`plan`, `subtask`, `motion`), the text is made of what is active.
 *
 * Knows nothing about labels.
 */
import { existsSync, readFileSync } from 'node:fs';
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
import { checkCameras, interleave, readSceneFrames, type SceneFrameOptions } from './scene-frames.js';

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
  /** Episodes [from, to) in order, some at a time. */
  batches(from: number, to: number, pictures: SceneFrameOptions | null): AsyncGenerator<InputEpisode[]>;
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
/** Pixels of a batch at most, likewise; the next batch is read meanwhile. */
const BATCH_BYTES = 64 << 20;

/** Frames of a batch. */
function batchFrames(pictures: SceneFrameOptions | null): number {
  if (!pictures) return BATCH_FRAMES;
  return Math.min(BATCH_FRAMES, Math.floor(BATCH_BYTES / (pictures.size ** 2 * 3 * pictures.cameras.length)));
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
    async *batches(from, to, pictures) {
      const most = batchFrames(pictures);
      for (let at = from; at < to; ) {
        let end = at;
        let frames = 0;
        while (end < to && end - at < BATCH_EPISODES) {
          frames += dataset.episodes[end]?.length ?? 0;
          if (end > at && frames > most) break;
          end++;
        }
        const range = { from: at, to: end };
        const episodes = await dataset.readEpisodes(range);
        const read = pictures && (await readSceneFrames(dataset, range, pictures));
        yield episodes.map((episode, i) => ({
          episode: declared ? withEmptyText(reasoned(episode)) : episode,
          frames: read?.[i] ?? null,
          origin: origins[at + i] ?? null,
        }));
        at = end;
      }
    },
    source: () => withTexts(leRobotSource(dataset)),
  };
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
    async *batches(from, to, pictures) {
      if (pictures) checkCameras(label, camerasOf(features), pictures.cameras);
      for await (const one of own.episodes(from)) {
        if ('leftOut' in one) throw one.leftOut;
        const frames = pictures && (await decodeFrames(one, pictures));
        yield [{ episode: { ...one.episode, index: one.index }, frames, origin: originOf(one.note) }];
        if (one.index + 1 >= to) return;
      }
    },
    source: () => own,
  };
}

const camerasOf = (features: Features): string[] =>
  Object.entries(features).flatMap(([key, { dtype }]) =>
    dtype === 'image' || dtype === 'video' ? [key.replace(/^observation\.(images\.)?/, '')] : [],
  );

async function decodeFrames(
  { episode, frames, file, index }: SourceEpisode,
  { cameras, size }: SceneFrameOptions,
): Promise<SceneFrames> {
  const sequences = [];
  for (const camera of cameras) {
    const own = frames[camera];
    if (!own) throw new PruneError(`The camera "${camera}" is missing`, { file, episode: index });
    const { length: numFrames, fps } = episode;
    if (own.kind === 'video') {
      const data = await decodeVideo({ path: own.path, from: own.from, numFrames, fps, width: size, height: size });
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
