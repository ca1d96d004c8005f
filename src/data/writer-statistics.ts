/** Statistics of one episode as it is written, and picture histograms in the journal's form. */
import type { Episode } from './episode.js';
import { ACTION_KEY, type Features, featureSize, type NumericArray, STATE_KEY } from './features.js';
import { emptyHistogram, histogramStats, numericStats, type PixelHistogram, statsToJson } from './statistics.js';

export interface EpisodeStatsContext {
  readonly features: Features;
  readonly episodeIndex: number;
  /** Global index of the episode's first frame. */
  readonly firstIndex: number;
  readonly taskIndex: (task: string) => number;
  /** By feature key. */
  readonly histograms: Readonly<Record<string, PixelHistogram>>;
}

/** feature -> statistics JSON, for every feature that has statistics. */
export function episodeStats(episode: Episode, context: EpisodeStatsContext): Record<string, unknown> {
  const { features, episodeIndex, firstIndex, taskIndex, histograms } = context;
  const frames = Array.from({ length: episode.length }, (_, t) => t);
  const known: Record<string, NumericArray> = {
    timestamp: Float64Array.from(frames, (t) => Math.fround(episode.timestamps?.[t] ?? t / episode.fps)),
    frame_index: Float64Array.from(frames),
    episode_index: new Float64Array(episode.length).fill(episodeIndex),
    index: Float64Array.from(frames, (t) => firstIndex + t),
    task_index: Float64Array.from(frames, (t) => taskIndex(episode.frameTasks?.[t] ?? episode.task)),
    [STATE_KEY]: episode.state,
    [ACTION_KEY]: episode.action,
  };
  const stats: Record<string, unknown> = {};
  for (const [key, feature] of Object.entries(features)) {
    const histogram = histograms[key];
    const column = episode.columns[key];
    const values = known[key] ?? (column && column.dtype !== 'string' ? column.values : undefined);
    if (histogram) stats[key] = statsToJson(histogramStats(histogram), true);
    else if (values) stats[key] = statsToJson(numericStats(values, featureSize(feature)), false);
  }
  return stats;
}

export interface PackedHistogram {
  /** base64 of uint32 counts [3, 256]. */
  readonly counts: string;
  readonly numFrames: number;
}

export function packHistogram({ counts, numFrames }: PixelHistogram): PackedHistogram {
  return { counts: Buffer.from(Uint32Array.from(counts).buffer).toString('base64'), numFrames };
}

export function unpackHistogram(packed: PackedHistogram | undefined): PixelHistogram {
  if (!packed) return emptyHistogram();
  const bytes = Uint8Array.from(Buffer.from(packed.counts, 'base64'));
  return { counts: Float64Array.from(new Uint32Array(bytes.buffer)), numFrames: packed.numFrames };
}
