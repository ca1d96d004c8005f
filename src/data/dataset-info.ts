/**
 * meta/info.json of a LeRobot v3.0 data set: read with precise errors, written in the official order of keys.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CorruptDatasetError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { type Features, featuresSchema, toFeatures } from './features.js';

export const CODEBASE_VERSION = 'v3.0';
export const DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet';
export const VIDEO_PATH = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4';
export const EPISODES_PATH = 'meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet';
export const INFO_FILE = 'meta/info.json';
export const STATS_FILE = 'meta/stats.json';
export const TASKS_FILE = 'meta/tasks.parquet';

export interface DatasetInfo {
  readonly robotType: string | null;
  readonly fps: number;
  readonly totalEpisodes: number;
  readonly totalFrames: number;
  readonly totalTasks: number;
  /** Files a chunk folder holds. */
  readonly chunksSize: number;
  readonly dataFilesSizeInMb: number;
  readonly videoFilesSizeInMb: number;
  readonly dataPath: string;
  readonly videoPath: string | null;
  readonly splits: Readonly<Record<string, string>>;
  readonly features: Features;
}

const count = z.number().int().nonnegative();
const infoSchema = z.looseObject({
  codebase_version: z.string(),
  robot_type: z.string().nullish(),
  fps: z.number().positive(),
  total_episodes: count,
  total_frames: count,
  total_tasks: count,
  chunks_size: count.positive().default(1000),
  data_files_size_in_mb: z.number().positive().default(100),
  video_files_size_in_mb: z.number().positive().default(200),
  data_path: z.string().default(DATA_PATH),
  video_path: z.string().nullish(),
  splits: z.record(z.string(), z.string()).default({}),
  features: featuresSchema,
});

/** Fills `{chunk_index:03d}`, `{file_index:03d}` and `{video_key}` in a path template. */
export function fillPath(template: string, values: Readonly<Record<string, number | string>>): string {
  return template.replace(/\{(\w+)(?::0?(\d+)d)?\}/g, (whole, name: string, width: string | undefined) => {
    const value = values[name];
    return value === undefined ? whole : String(value).padStart(Number(width ?? 0), '0');
  });
}

/** Reads `<root>/meta/info.json`. Throws MissingDatasetError, CorruptDatasetError or UnsupportedDatasetError. */
export async function readInfo(root: string): Promise<DatasetInfo> {
  const file = join(root, INFO_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new MissingDatasetError('No LeRobot data set here: meta/info.json is missing', {
      file,
      hint: 'Give the folder that holds meta/ and data/, or make one with: dualvla data generate --output DIR, or of RLDS: dualvla data convert RLDS --output DIR',
      cause,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CorruptDatasetError('meta/info.json is not JSON', { file, cause });
  }
  const parsed = infoSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new CorruptDatasetError(`meta/info.json is wrong: ${issue?.message ?? 'unknown'}`, {
      file,
      field: issue?.path.join('.'),
    });
  }
  const info = parsed.data;
  const version = info.codebase_version.replace(/^v/, '');
  if (!version.startsWith('3.'))
    throw new UnsupportedDatasetError(`Format version ${info.codebase_version}, this reader knows v3.x`, {
      file,
      hint: 'Convert it with: dualvla data convert DIR --output NEW',
    });
  return {
    robotType: info.robot_type ?? null,
    fps: info.fps,
    totalEpisodes: info.total_episodes,
    totalFrames: info.total_frames,
    totalTasks: info.total_tasks,
    chunksSize: info.chunks_size,
    dataFilesSizeInMb: info.data_files_size_in_mb,
    videoFilesSizeInMb: info.video_files_size_in_mb,
    dataPath: info.data_path,
    videoPath: info.video_path ?? null,
    splits: info.splits,
    features: toFeatures(info.features, file),
  };
}

/** The JSON that `readInfo` reads. */
export function infoToJson(info: DatasetInfo): Record<string, unknown> {
  return {
    codebase_version: CODEBASE_VERSION,
    robot_type: info.robotType,
    total_episodes: info.totalEpisodes,
    total_frames: info.totalFrames,
    total_tasks: info.totalTasks,
    chunks_size: info.chunksSize,
    data_files_size_in_mb: info.dataFilesSizeInMb,
    video_files_size_in_mb: info.videoFilesSizeInMb,
    fps: info.fps,
    splits: info.splits,
    data_path: info.dataPath,
    video_path: info.videoPath,
    features: info.features,
  };
}
