/** What a data set writer can be told, and which of it a resumed writer must repeat. */
import { isDeepStrictEqual } from 'node:util';
import type { Features } from './features.js';
import type { VideoCodecOptions } from './video.js';
import type { JsonValue } from './writer-journal.js';

export interface LeRobotWriterOptions {
  /** Frames a second, an integer. */
  readonly fps: number;
  readonly robotType: string;
  /** The columns, without the automatic ones; see `robotFeatures`. */
  readonly features: Features;
  readonly dataFilesSizeInMb?: number;
  /** Episodes of a data file at most: a reader holds some ten kilobytes of description for each before it reads a row. Default 1024. */
  readonly dataFileEpisodes?: number;
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

/** Everything that a resumed writer must have in common with the one before. */
export function comparableOptions(options: LeRobotWriterOptions, features: Features): Record<string, unknown> {
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
export function firstDifference(a: unknown, b: unknown, path = ''): string {
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    const left = a as Record<string, unknown>;
    const right = b as Record<string, unknown>;
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
      if (!isDeepStrictEqual(left[key], right[key]))
        return firstDifference(left[key], right[key], path ? `${path}.${key}` : key);
  }
  return `${path} was ${JSON.stringify(a)}, now ${JSON.stringify(b)}`;
}
