/**
 * Where a conversion takes its episodes from: one interface for RLDS, LeRobot v2.x and v3.0. An episode comes without pixels, its pictures
 * as they are stored.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Episode } from './episode.js';
import { CorruptDatasetError, DataError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { AUTOMATIC_FEATURES, cameraKeys, type Feature, type Features } from './features.js';
import type { LeRobotDataset } from './lerobot-dataset.js';
import type { EpisodeRecord } from './lerobot-metadata-files.js';
import type { JsonValue } from './writer-journal.js';

/** What to do about an episode whose video is not there. */
export const MISSING_VIDEO_HINT = 'Fetch it; dualvla data convert --skip-damaged leaves such episodes out';

/** Frames of one camera, as they are stored. */
export type SourceFrames =
  | { readonly kind: 'pictures'; readonly pictures: readonly Uint8Array[] }
  | { readonly kind: 'video'; readonly path: string; readonly from: number };

export interface SourceEpisode {
  /** Position in the source. */
  readonly index: number;
  /** Without pixels. */
  readonly episode: Episode;
  /** By camera. */
  readonly frames: Readonly<Record<string, SourceFrames>>;
  /** File that errors name. */
  readonly file: string;
  /** What is remembered beside the episode. */
  readonly note: Readonly<Record<string, JsonValue>>;
}

/** An episode that cannot be read, with the reason. */
export interface LeftOutEpisode {
  readonly index: number;
  readonly leftOut: DataError;
}

export interface EpisodeSource {
  /** What is said of it in messages. */
  readonly label: string;
  readonly fps: number;
  readonly robotType: string;
  /** Without the automatic columns. */
  readonly features: Features;
  readonly numEpisodes: number;
  /** Columns of the source that the result does not have, with the reason. */
  readonly ignored: Readonly<Record<string, string>>;
  /** What a resumed conversion must have in common. */
  readonly provenance: JsonValue;
  /** Episodes from `from` on. Damaged ones end it with their error, or are handed out as left out where the source was opened so. */
  episodes(from: number): AsyncGenerator<SourceEpisode | LeftOutEpisode>;
}

/** The columns a writer is given: without the automatic ones, and without facts of videos that are measured anew. */
export function contentFeatures(features: Features): Features {
  const entries = Object.entries(features).filter(([name]) => !(name in AUTOMATIC_FEATURES));
  return Object.fromEntries(
    entries.map(([name, feature]): [string, Feature] => {
      if (feature.dtype !== 'video') return [name, feature];
      const { dtype, shape, names } = feature;
      return [name, { dtype, shape, names }];
    }),
  );
}

/** The features without depth pictures, and the names of those, for which there is no use here. */
export function withoutDepth(features: Features): {
  readonly features: Features;
  readonly ignored: Readonly<Record<string, string>>;
} {
  const isDepth = ({ info }: Feature): boolean => info?.['video.is_depth_map'] === true || info?.is_depth_map === true;
  const depth = Object.keys(features).filter((name) => isDepth(features[name] as Feature));
  return {
    features: Object.fromEntries(Object.entries(features).filter(([name]) => !depth.includes(name))),
    ignored: Object.fromEntries(depth.map((name) => [name, 'depth pictures are not used'])),
  };
}

export interface LeRobotSourceOptions {
  /** Episodes to take, in this order; all by default. */
  readonly episodes?: readonly number[];
  /** Hand damaged episodes out as left out instead of throwing. */
  readonly skipDamaged?: boolean;
}

/** Episodes of a LeRobot v3.0 data set. */
export function leRobotSource(dataset: LeRobotDataset, options: LeRobotSourceOptions = {}): EpisodeSource {
  const { features, ignored } = withoutDepth(dataset.features);
  const wanted = options.episodes ?? dataset.episodes.map(({ index }) => index);
  if (!Number.isInteger(dataset.fps))
    throw new UnsupportedDatasetError(`fps is ${dataset.fps}; v3.0 wants an integer`, { file: dataset.folder });
  const read = async (index: number): Promise<SourceEpisode> => {
    const record = dataset.episodes[index];
    if (!record) throw new RangeError(`There is no episode ${index} in ${dataset.folder}`);
    const { fromIndex, toIndex, length } = record;
    if (toIndex - fromIndex !== length)
      throw new CorruptDatasetError(
        `The episode table gives frames [${fromIndex}, ${toIndex}) and a length of ${length}`,
        {
          file: join(dataset.folder, 'meta/episodes'),
          episode: index,
          field: 'length',
        },
      );
    const { timestamps: _, ...episode } = await dataset.episode(index);
    const frames: Record<string, SourceFrames> = {};
    for (const [camera, key] of Object.entries(cameraKeys(features)))
      frames[camera] = await framesOf(dataset, record, key);
    const columns = Object.fromEntries(Object.entries(episode.columns).filter(([name]) => !(name in ignored)));
    return { index, episode: { ...episode, columns }, frames, file: dataset.dataPath(record), note: {} };
  };
  return {
    label: dataset.folder,
    fps: dataset.fps,
    robotType: dataset.info.robotType ?? '',
    features: contentFeatures(features),
    numEpisodes: wanted.length,
    ignored,
    provenance: { format: 'lerobot-v3.0', episodes: options.episodes ? [...options.episodes] : null },
    async *episodes(from) {
      for (let at = from; at < wanted.length; at++) {
        const index = wanted[at] as number;
        yield options.skipDamaged ? await orLeftOut(at, () => read(index)) : { ...(await read(index)), index: at };
      }
    },
  };
}

/** The episode, or why it cannot be read. */
export async function orLeftOut(
  index: number,
  read: () => Promise<SourceEpisode>,
): Promise<SourceEpisode | LeftOutEpisode> {
  try {
    return { ...(await read()), index };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { index, leftOut: error };
  }
}

async function framesOf(dataset: LeRobotDataset, record: EpisodeRecord, key: string): Promise<SourceFrames> {
  if (dataset.features[key]?.dtype === 'video') {
    const path = dataset.videoPath(record, key);
    if (!existsSync(path))
      throw new MissingDatasetError('The video is missing', {
        file: path,
        episode: record.index,
        field: key,
        hint: MISSING_VIDEO_HINT,
      });
    const { fromTimestamp = 0, toTimestamp = 0 } = record.videos[key] ?? {};
    const seconds = toTimestamp - fromTimestamp;
    if (Math.abs(seconds - record.length / dataset.fps) > 0.5 / dataset.fps)
      throw new CorruptDatasetError(`${record.length} frames in ${seconds.toFixed(4)} s of video`, {
        file: path,
        episode: record.index,
        field: key,
      });
    return { kind: 'video', path, from: fromTimestamp };
  }
  return { kind: 'pictures', pictures: await dataset.encodedPictures(record, key) };
}
