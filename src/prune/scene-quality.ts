/**
 * How well found event boundaries match labelled ones: F1 within so many frames, and, as generic event boundary detection measures it
 * (Shou et al., ICCV 2021), within shares of the video's duration. And the choice of a detector's threshold on labelled episodes.
 *
 * Knows nothing about data sets.
 */
import { PruneError } from './errors.js';
import {
  type Agreement,
  type BoundaryPair,
  boundaryF1,
  type RatedVideo,
  relativeDistanceF1,
} from './event-boundaries.js';
import { type LabelledScene, SceneEventModel } from './scene-events.js';

/** A video with found and labelled boundaries, in frames. */
export interface BoundaryVideo extends BoundaryPair {
  readonly numFrames: number;
  readonly fps: number;
}

/** Shares of a video's duration: 0.05, 0.1 ... 0.5. Generic event boundary detection reports all and looks at the first. */
export const RELATIVE_DISTANCES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5] as const;

export interface SceneQuality {
  /** Within 0, 1 and 2 frames. */
  readonly frames: readonly [Agreement, Agreement, Agreement];
  /** F1 within each of RELATIVE_DISTANCES, and their mean. */
  readonly relative: readonly number[];
  readonly relativeMean: number;
}

/** F1 over all videos together; a labeller's boundaries count as those of one rater who agrees with himself. */
export function sceneQuality(videos: readonly BoundaryVideo[]): SceneQuality {
  const rated: Record<string, RatedVideo> = {};
  const found: Record<string, number[]> = {};
  videos.forEach((video, i) => {
    const seconds = (frames: readonly number[]): number[] => frames.map((frame) => frame / video.fps);
    rated[i] = { raters: [seconds(video.truth)], duration: video.numFrames / video.fps, consistency: 1 };
    found[i] = seconds(video.found);
  });
  const relative = RELATIVE_DISTANCES.map((distance) => relativeDistanceF1(rated, found, distance).f1);
  return {
    frames: [boundaryF1(videos, 0), boundaryF1(videos, 1), boundaryF1(videos, 2)],
    relative,
    relativeMean: relative.reduce((a, b) => a + b, 0) / relative.length,
  };
}

/** What a detector finds in labelled scenes. */
export function detect(model: SceneEventModel, scenes: readonly (LabelledScene & { fps: number })[]): BoundaryVideo[] {
  return scenes.map(({ frames, boundaries, fps }) => ({
    found: model.boundaries(model.score(frames)),
    truth: boundaries,
    numFrames: frames.numFrames,
    fps,
  }));
}

/** How boundaries follow from a detector's probabilities; see SceneEventConfig. */
export interface Picking {
  readonly threshold: number;
  readonly scope: number;
  readonly expected_share?: number;
}

const steps = (from: number, count: number, step: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.round((from + step * i) * 1000) / 1000);
const SCOPES = [0, 1, 2];
/** Thresholds and shares of the expected number; the first of equals is taken. */
const PICKINGS: readonly Picking[] = SCOPES.flatMap((scope) => [
  ...steps(0.3, 17, 0.025).map((threshold) => ({ threshold, scope })),
  ...steps(0.7, 11, 0.05).map((expected_share) => ({ threshold: 0.5, scope, expected_share })),
]);

/**
 * How to pick a detector's boundaries: by the threshold, or the share of the expected number, with the highest mean F1 within 0, 1 and 2 frames.
 * Give it episodes that the detector was not trained on and is not measured on. Throws PruneError without any.
 */
export function choosePicking(model: SceneEventModel, scenes: readonly LabelledScene[]): Picking {
  if (scenes.length === 0) throw new PruneError('There is no labelled episode to choose the threshold on');
  const scored = scenes.map(({ frames, boundaries }) => ({ scores: model.score(frames), truth: boundaries }));
  let best: { picking: Picking; f1: number } | undefined;
  for (const picking of PICKINGS) {
    const picker = new SceneEventModel({ ...model.config, ...picking }, model.net);
    const videos = scored.map(({ scores, truth }) => ({ truth, found: picker.boundaries(scores) }));
    const f1 = [0, 1, 2].reduce((sum, tolerance) => sum + boundaryF1(videos, tolerance).f1, 0) / 3;
    if (!best || f1 > best.f1 + 1e-12) best = { picking, f1 };
  }
  return (best as { picking: Picking }).picking;
}
