/**
 * Frames that are encoded already, on their way into another data set: pictures keep their bytes, videos their stream. All are decoded once,
 * for their statistics and to know that they decode; memory stays that of a few frames.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { CorruptDatasetError, type DataErrorLocation, VideoError } from './errors.js';
import { decodeImage } from './image-codec.js';
import type { EncodedFrames } from './lerobot-writer.js';
import { addToHistogram, emptyHistogram, sampleFrames } from './statistics.js';
import { cutVideo, decodeVideo } from './video.js';

/** Pixels decoded at a time from a video, bytes. */
const BATCH_BYTES = 64 << 20;

/** Pictures as they are. Throws CorruptDatasetError naming the frame of one that does not decode to the size. */
export async function passPictures(
  pictures: readonly Uint8Array[],
  [height, width]: readonly [number, number],
  origin: DataErrorLocation,
): Promise<EncodedFrames> {
  const histogram = emptyHistogram();
  const sampled = new Set(sampleFrames(pictures.length));
  for (const [frame, bytes] of pictures.entries()) {
    try {
      const data = await decodeImage(bytes, width, height);
      if (sampled.has(frame)) addToHistogram(histogram, { width, height, data });
    } catch (cause) {
      throw new CorruptDatasetError(cause instanceof Error ? cause.message : String(cause), {
        ...origin,
        frame,
        cause,
      });
    }
  }
  return { pictures, histogram };
}

export interface PassVideoOptions {
  readonly path: string;
  /** Time of the episode's first frame, seconds. */
  readonly from: number;
  readonly numFrames: number;
  readonly fps: number;
  readonly size: readonly [height: number, width: number];
  /** Where the cut video goes; it is replaced. */
  readonly scratch: string;
}

/**
 * Cuts an episode's frames out of a video by stream copy. Throws VideoError where the frames are missing, not at their times, or do not
 * begin with a key frame (such a video can only be cut by encoding it anew).
 */
export async function passVideo(options: PassVideoOptions): Promise<EncodedFrames> {
  const { path, from, numFrames, fps, size, scratch } = options;
  const [height, width] = size;
  mkdirSync(dirname(scratch), { recursive: true });
  rmSync(scratch, { force: true });
  await cutVideo({ path, from, numFrames, fps, output: scratch });
  const histogram = emptyHistogram();
  const sampled = new Set(sampleFrames(numFrames));
  const frameBytes = width * height * 3;
  const batch = Math.max(1, Math.floor(BATCH_BYTES / frameBytes));
  for (let first = 0; first < numFrames; first += batch) {
    const count = Math.min(batch, numFrames - first);
    let data: Uint8Array;
    try {
      data = await decodeVideo({ path: scratch, from: first / fps, numFrames: count, fps, width, height });
    } catch (cause) {
      if (!(cause instanceof VideoError)) throw cause;
      throw new VideoError(`The episode cannot be cut out of its video: ${cause.message}`, { file: path, cause });
    }
    for (let i = 0; i < count; i++)
      if (sampled.has(first + i))
        addToHistogram(histogram, { width, height, data: data.subarray(i * frameBytes, (i + 1) * frameBytes) });
  }
  return { video: scratch, histogram };
}
