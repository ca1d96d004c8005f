/**
 * Reader of LeRobot v2.0 and v2.1 data sets: one parquet file and one video a camera for every episode, metadata in JSON lines.
 *
 * `meta/episodes.jsonl {episode_index, tasks, length}`, `meta/tasks.jsonl {task_index, task}`; statistics (`stats.json`,
 * `episodes_stats.jsonl`) are not read: whoever converts computes them from the data. Frames lie at frame / fps; timestamps are not used.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import {
  contentFeatures,
  type EpisodeSource,
  MISSING_VIDEO_HINT,
  orLeftOut,
  type SourceEpisode,
  type SourceFrames,
  withoutDepth,
} from './convert-source.js';
import { fillPath, INFO_FILE } from './dataset-info.js';
import type { Column, Episode } from './episode.js';
import { decodeColumn, decodeNumeric, decodePictureBytes } from './episode-columns.js';
import { CorruptDatasetError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import {
  ACTION_KEY,
  AUTOMATIC_FEATURES,
  cameraKeys,
  type Feature,
  type Features,
  featureSize,
  featuresSchema,
  STATE_KEY,
  toFeatures,
} from './features.js';
import { ParquetFile } from './parquet-read.js';
import { probeVideo } from './video.js';

const count = z.number().int().nonnegative();
const infoSchema = z.looseObject({
  codebase_version: z.string(),
  robot_type: z.string().nullish(),
  fps: z.number().positive(),
  total_episodes: count,
  total_frames: count,
  chunks_size: count.positive().default(1000),
  data_path: z.string().default('data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet'),
  video_path: z.string().nullish(),
  features: featuresSchema,
});
const episodeLine = z.looseObject({ episode_index: count, tasks: z.array(z.string()), length: count.positive() });
const taskLine = z.looseObject({ task_index: count, task: z.string() });

export interface V2Episode {
  readonly index: number;
  readonly tasks: readonly string[];
  readonly length: number;
}

/** `v2.1`, `v3.0` ... of the data set in a folder, or undefined where there is none. */
export function leRobotVersion(folder: string): string | undefined {
  const file = join(folder, INFO_FILE);
  if (!existsSync(file)) return undefined;
  try {
    const version = (JSON.parse(readFileSync(file, 'utf8')) as { codebase_version?: unknown }).codebase_version;
    return typeof version === 'string' ? version : undefined;
  } catch (cause) {
    throw new CorruptDatasetError('meta/info.json is not JSON', { file, cause });
  }
}

export class LeRobotV2Dataset {
  readonly folder: string;
  readonly version: string;
  readonly robotType: string;
  readonly fps: number;
  readonly features: Features;
  /** By task_index. */
  readonly tasks: ReadonlyMap<number, string>;
  readonly episodes: readonly V2Episode[];
  readonly #info: z.infer<typeof infoSchema>;

  private constructor(
    folder: string,
    info: z.infer<typeof infoSchema>,
    features: Features,
    tasks: ReadonlyMap<number, string>,
    episodes: readonly V2Episode[],
  ) {
    this.folder = folder;
    this.#info = info;
    this.version = info.codebase_version;
    this.robotType = info.robot_type ?? '';
    this.fps = info.fps;
    this.features = features;
    this.tasks = tasks;
    this.episodes = episodes;
  }

  /** Opens a data set. Throws MissingDatasetError, CorruptDatasetError (file and line), UnsupportedDatasetError for other versions. */
  static open(folder: string): LeRobotV2Dataset {
    const root = resolve(folder);
    const file = join(root, INFO_FILE);
    const version = leRobotVersion(root);
    if (version === undefined)
      throw new MissingDatasetError('No LeRobot data set here: meta/info.json is missing', { file });
    if (!/^v?2\.[01]$/.test(version))
      throw new UnsupportedDatasetError(`Format version ${version}, this reader knows v2.0 and v2.1`, { file });
    const parsed = infoSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CorruptDatasetError(`meta/info.json is wrong: ${issue?.message}`, {
        file,
        field: issue?.path.join('.'),
      });
    }
    const tasks = new Map(
      readLines(join(root, 'meta/tasks.jsonl'), taskLine).map(({ task_index, task }) => [task_index, task]),
    );
    const lines = readLines(join(root, 'meta/episodes.jsonl'), episodeLine);
    const episodes = lines
      .map(({ episode_index: index, tasks: names, length }) => ({ index, tasks: names, length }))
      .sort((a, b) => a.index - b.index);
    const stray = episodes.findIndex(({ index }, i) => index !== i);
    if (stray >= 0 || episodes.length !== parsed.data.total_episodes)
      throw new CorruptDatasetError(
        `${episodes.length} episodes are listed${stray >= 0 ? `, number ${stray} is missing or comes twice` : ''}; meta/info.json says ${parsed.data.total_episodes}`,
        { file: join(root, 'meta/episodes.jsonl') },
      );
    const frames = episodes.reduce((sum, { length }) => sum + length, 0);
    if (frames !== parsed.data.total_frames)
      throw new CorruptDatasetError(
        `meta/info.json says ${parsed.data.total_frames} frames, the episodes have ${frames}`,
        {
          file,
          field: 'total_frames',
        },
      );
    return new LeRobotV2Dataset(root, parsed.data, toFeatures(parsed.data.features, file), tasks, episodes);
  }

  #path(template: string, index: number, key = ''): string {
    const values = {
      episode_chunk: Math.floor(index / this.#info.chunks_size),
      episode_index: index,
      video_key: key,
    };
    return join(this.folder, fillPath(template, values));
  }

  dataPath(index: number): string {
    return this.#path(this.#info.data_path, index);
  }

  videoPath(index: number, key: string): string {
    const template =
      this.#info.video_path ?? 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4';
    return this.#path(template, index, key);
  }

  /** One episode without pixels, its pictures as they are stored. Throws RangeError, or named errors with file, episode, frame and field. */
  async read(index: number): Promise<SourceEpisode> {
    const record = this.episodes[index];
    if (!record) throw new RangeError(`There is no episode ${index} in ${this.folder}`);
    const file = await ParquetFile.open(this.dataPath(index));
    const origin = { file: file.path, episode: index };
    if (file.numRows !== record.length)
      throw new CorruptDatasetError(
        `The file has ${file.numRows} rows, meta/episodes.jsonl says ${record.length}`,
        origin,
      );
    const { features } = withoutDepth(this.features);
    const names = Object.keys(features).filter((name) => features[name]?.dtype !== 'video');
    const rows = await file.read(names);
    const numbers = (name: string): Float32Array =>
      name in features
        ? Float32Array.from(decodeNumeric(rows.get(name) ?? [], name, features[name] as Feature, origin), Number)
        : new Float32Array(0);
    const size = (name: string): number => (features[name] ? featureSize(features[name]) : 0);
    const columns: Record<string, Column> = {};
    for (const [name, feature] of Object.entries(features)) {
      if (name in AUTOMATIC_FEATURES || name === STATE_KEY || name === ACTION_KEY) continue;
      if (feature.dtype === 'image' || feature.dtype === 'video') continue;
      columns[name] = decodeColumn(rows.get(name) ?? [], name, feature, origin);
    }
    const frames: Record<string, SourceFrames> = {};
    for (const [camera, key] of Object.entries(cameraKeys(features))) {
      if (features[key]?.dtype === 'video') frames[camera] = await this.#video(index, key, record.length);
      else frames[camera] = { kind: 'pictures', pictures: decodePictureBytes(rows.get(key) ?? [], key, origin) };
    }
    const tasks = this.#frameTasks(rows.get('task_index') ?? [], record, origin);
    const task = tasks[0] ?? '';
    const episode: Episode = {
      index,
      task,
      fps: this.fps,
      length: record.length,
      state: numbers(STATE_KEY),
      stateDim: size(STATE_KEY),
      action: numbers(ACTION_KEY),
      actionDim: size(ACTION_KEY),
      images: {},
      columns,
      languagePersistent: [],
      languageEvents: [],
      ...(tasks.some((other) => other !== task) ? { frameTasks: tasks } : {}),
    };
    return { index, episode, frames, file: file.path, note: {} };
  }

  async #video(index: number, key: string, length: number): Promise<SourceFrames> {
    const path = this.videoPath(index, key);
    const origin = { file: path, episode: index, field: key };
    if (!existsSync(path))
      throw new MissingDatasetError('The video is missing', { ...origin, hint: MISSING_VIDEO_HINT });
    const { numFrames } = await probeVideo(path);
    if (numFrames !== length)
      throw new CorruptDatasetError(`The video has ${numFrames} frames, the episode ${length}`, origin);
    return { kind: 'video', path, from: 0 };
  }

  #frameTasks(rows: readonly unknown[], record: V2Episode, origin: { file: string; episode: number }): string[] {
    const feature = AUTOMATIC_FEATURES.task_index as Feature;
    const indices = Array.from(decodeNumeric(rows, 'task_index', feature, origin) as BigInt64Array, Number);
    return indices.map((index, frame) => {
      const task = this.tasks.get(index) ?? (record.tasks.length === 1 ? record.tasks[0] : undefined);
      if (task === undefined)
        throw new CorruptDatasetError(`No task ${index} in meta/tasks.jsonl`, {
          ...origin,
          frame,
          field: 'task_index',
        });
      return task;
    });
  }
}

function readLines<T>(file: string, schema: z.ZodType<T>): T[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MissingDatasetError('The file is missing or unreadable', { file, cause });
  }
  const lines: T[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch (cause) {
      throw new CorruptDatasetError(`Line ${i + 1} is not JSON`, { file, cause });
    }
    const parsed = schema.safeParse(json);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CorruptDatasetError(`Line ${i + 1} is wrong: ${issue?.message}`, {
        file,
        field: issue?.path.join('.'),
      });
    }
    lines.push(parsed.data);
  }
  return lines;
}

/** Episodes of a v2.x data set as a source of conversions. */
export function leRobotV2Source(
  dataset: LeRobotV2Dataset,
  options: { readonly skipDamaged?: boolean } = {},
): EpisodeSource {
  if (!Number.isInteger(dataset.fps))
    throw new UnsupportedDatasetError(`fps is ${dataset.fps}; v3.0 wants an integer`, { file: dataset.folder });
  const { features, ignored } = withoutDepth(dataset.features);
  return {
    label: dataset.folder,
    fps: dataset.fps,
    robotType: dataset.robotType,
    features: contentFeatures(features),
    numEpisodes: dataset.episodes.length,
    ignored,
    provenance: { format: `lerobot-${dataset.version}` },
    async *episodes(from) {
      for (let index = from; index < dataset.episodes.length; index++)
        yield options.skipDamaged ? await orLeftOut(index, () => dataset.read(index)) : await dataset.read(index);
    },
  };
}
