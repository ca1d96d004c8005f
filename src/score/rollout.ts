/**
 * A rollout as judges meet it: the task in words, what was thought and seen at each moment, and whether it succeeded; of embedded episodes also the
 * simulator's truth. Where it comes from (traces, a LeRobot data set, a folder of pictures) no longer matters.
 */
import type { ImageSequence } from '../data/index.js';
import type { EpisodeTrace } from '../eval/trace.js';

/** One picture: uint8 RGB [height, width, 3]. */
export type Picture = ImageSequence;

export interface Rollout {
  /** Unlike any other of its source. */
  readonly id: string;
  /** What results are grouped by: the benchmark's task, or the instruction. */
  readonly task: string;
  readonly instruction: string;
  readonly success: boolean;
  /** Whether the policy is one that reasons. */
  readonly reasons: boolean;
  /** Moments a second. */
  readonly fps: number;
  /** What was thought at each moment, null for nothing; as many as there are pictures. */
  readonly thoughts: readonly (string | null)[];
  /** What the simulator knows; only of the embedded benchmark. */
  readonly trace?: EpisodeTrace;
  /** The pictures of some moments, in their order, scaled so that the longer side is at most `side` pixels. */
  pictures(moments: readonly number[], side: number): Promise<Picture[]>;
}

/** Rollouts cannot be read, or what is needed of them is not there. */
export class RolloutError extends Error {
  override readonly name = 'RolloutError';
}

/** The same rollout seen from its end; its words stay in their order. */
export function reversedPictures(rollout: Rollout): Rollout['pictures'] {
  const last = rollout.thoughts.length - 1;
  return (moments, side) =>
    rollout.pictures(
      moments.map((moment) => last - moment),
      side,
    );
}

/** Width and height within a square, the proportions kept; never larger than they are. */
export function fitWithin(width: number, height: number, side: number): { width: number; height: number } {
  const scale = Math.min(1, side / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
