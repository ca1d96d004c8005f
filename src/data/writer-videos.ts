/** Joins the single episodes' videos of a data set under construction into files of the wanted size. */
import { copyFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fillPath, VIDEO_PATH } from './dataset-info.js';
import { syncFile } from './durable-file.js';
import type { Features } from './features.js';
import type { VideoLocation } from './lerobot-metadata-files.js';
import { concatVideos, probeVideo } from './video.js';
import { STAGING_FOLDER } from './writer-folder.js';

export interface JoinVideosOptions {
  readonly partial: string;
  readonly features: Features;
  readonly fps: number;
  /** Frames of every episode. */
  readonly lengths: readonly number[];
  readonly maxBytes: number;
  readonly chunksSize: number;
}

export interface JoinedVideos {
  /** The features, with the facts of each video added. */
  readonly features: Features;
  /** feature key -> where every episode lies. */
  readonly locations: Readonly<Record<string, readonly VideoLocation[]>>;
}

/** Where an episode's video waits to be joined. */
export function stagedVideo(partial: string, key: string, episode: number): string {
  return join(partial, STAGING_FOLDER, key, `episode-${String(episode).padStart(6, '0')}.mp4`);
}

/** Puts a copy of a video among those that wait; it appears under its name only when complete. */
export function stageVideo(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  const temporary = `${to}.tmp.mp4`;
  copyFileSync(from, temporary);
  syncFile(temporary);
  renameSync(temporary, to);
}

/** Repeatable, since the staged videos stay. A video of an episode is never split between files. */
export async function joinVideos(options: JoinVideosOptions): Promise<JoinedVideos> {
  const { partial, fps, lengths, maxBytes, chunksSize } = options;
  const locations: Record<string, VideoLocation[]> = {};
  const features: Record<string, Features[string]> = { ...options.features };
  for (const [key, feature] of Object.entries(options.features)) {
    if (feature.dtype !== 'video') continue;
    const batches = batchEpisodes(
      lengths.map((_, episode) => statSync(stagedVideo(partial, key, episode)).size),
      maxBytes,
    );
    const list: VideoLocation[] = [];
    for (const [file, { from, to }] of batches.entries()) {
      const place = { chunk_index: Math.floor(file / chunksSize), file_index: file % chunksSize };
      const inputs: { path: string; numFrames: number }[] = [];
      let frames = 0;
      for (let episode = from; episode < to; episode++) {
        const numFrames = lengths[episode] as number;
        inputs.push({ path: stagedVideo(partial, key, episode), numFrames });
        list.push({
          chunkIndex: place.chunk_index,
          fileIndex: place.file_index,
          fromTimestamp: frames / fps,
          toTimestamp: (frames + numFrames) / fps,
        });
        frames += numFrames;
      }
      await concatVideos(inputs, join(partial, fillPath(VIDEO_PATH, { video_key: key, ...place })), fps);
    }
    locations[key] = list;
    const facts = await probeVideo(stagedVideo(partial, key, 0));
    features[key] = {
      ...feature,
      info: {
        'video.height': facts.height,
        'video.width': facts.width,
        'video.codec': facts.codec,
        'video.pix_fmt': facts.pixelFormat,
        'video.is_depth_map': false,
        'video.fps': fps,
        'video.channels': 3,
        has_audio: false,
      },
    };
  }
  return { features, locations };
}

/** Runs of consecutive episodes whose sizes add up to at most `maxBytes` (or single ones that are larger). */
function batchEpisodes(sizes: readonly number[], maxBytes: number): { from: number; to: number }[] {
  const batches: { from: number; to: number }[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  sizes.forEach((size, episode) => {
    const last = batches.at(-1);
    if (last && bytes + size <= maxBytes) {
      last.to = episode + 1;
      bytes += size;
    } else {
      batches.push({ from: episode, to: episode + 1 });
      bytes = size;
    }
  });
  return batches;
}
