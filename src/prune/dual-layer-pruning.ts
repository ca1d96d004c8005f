/**
 * Dual-layer data pruning (paper Sec. 3.2.1): the reasoning of a frame is kept only if both labels say so, the scene layer's (an event
 * begins here) and the motion layer's (Eq. 4); everywhere else it is masked. Frames and actions stay.
 *
 * Decided here where the paper is silent:
 * - `tolerance`: the scene label is 1 within so many frames of a boundary; at video rates the acceleration peak of an event sits a few frames
 *   beside the moment it begins, and a window of about 0.1 s joins them. The default is 0, because robot data of 3-5 Hz have an event every
 *   two or three frames: within one frame of a boundary lie 70-82 % of the benchmark's frames (within none 33-44 %), and the AND would
 *   be the motion layer alone.
 * - `firstFrame`: 'keep' by default. An episode's first frame is where the instruction arrives, so a scene event by definition, and Eq. 4
 *   is not defined there; a model that never saw reasoning on a first frame would act on a task it never thought about. 'label' leaves
 *   it to the layers.
 * - `random` keeps as many frames as `and` would, first frames by the same policy, the others uniformly over the whole data set.
 *
 * Knows nothing about files, pictures or text.
 *
 * Shapes: T frames of an episode.
 */
import { SeededRandom } from '../data/random.js';
import { PruneError } from './errors.js';

export const COMBINATIONS = ['and', 'or', 'scene', 'motion', 'random'] as const;
export type Combination = (typeof COMBINATIONS)[number];
export const FIRST_FRAMES = ['keep', 'label'] as const;
export type FirstFrame = (typeof FIRST_FRAMES)[number];

export interface CombineOptions {
  /** Default 'and', the paper's. 'scene' and 'motion' are the ablations without the other layer. */
  readonly combine?: Combination;
  /** Frames; default 0. */
  readonly tolerance?: number;
  readonly firstFrame?: FirstFrame;
  /** For 'random'. */
  readonly seed?: number;
}

/** What the layers found in one episode. */
export interface EpisodeLayers {
  /** T. */
  readonly numFrames: number;
  /** Frames at which events begin; null where the scene layer was not computed. */
  readonly boundaries: readonly number[] | null;
  /** [T] of Eq. 4; null where the motion layer was not computed. */
  readonly motion: Uint8Array | null;
}

export interface EpisodeLabels {
  /** [T]: 1 where reasoning is kept. */
  readonly keep: Uint8Array;
  /** [T]: within the tolerance of a boundary. */
  readonly scene: Uint8Array | null;
  readonly motion: Uint8Array | null;
}

export const DEFAULT_TOLERANCE = 0;

/** Scene labels [T]: 1 within `tolerance` frames of a boundary. */
export function sceneLabels(boundaries: readonly number[], numFrames: number, tolerance: number): Uint8Array {
  const labels = new Uint8Array(numFrames);
  for (const boundary of boundaries)
    labels.fill(1, Math.max(boundary - tolerance, 0), Math.max(boundary + tolerance + 1, 0));
  return labels;
}

/** Keep labels of all episodes of a data set. Throws PruneError when a combination lacks a layer that it needs. */
export function combineLayers(episodes: readonly EpisodeLayers[], options: CombineOptions = {}): EpisodeLabels[] {
  const { combine = 'and', tolerance = DEFAULT_TOLERANCE, firstFrame = 'keep', seed = 0 } = options;
  if (!Number.isInteger(tolerance) || tolerance < 0)
    throw new PruneError(`tolerance is ${tolerance}, it must be 0 frames or more`);
  const rule = combine === 'random' ? 'and' : combine;
  const labels = episodes.map((episode, i): EpisodeLabels => {
    const { numFrames, boundaries, motion } = episode;
    const scene = boundaries && sceneLabels(boundaries, numFrames, tolerance);
    const missing = rule !== 'motion' && !scene ? 'scene' : rule !== 'scene' && !motion ? 'motion' : null;
    if (missing)
      throw new PruneError(`'${combine}' needs the ${missing} layer, which was not computed`, {
        episode: i,
        hint:
          missing === 'scene'
            ? 'Leave out --scene none, or use --combine motion'
            : 'Leave out --motion none, or use --combine scene',
      });
    const at = (layer: Uint8Array | null, t: number): boolean => layer?.[t] === 1;
    const keep = Uint8Array.from({ length: numFrames }, (_, t) => {
      if (t === 0 && firstFrame === 'keep') return 1;
      if (rule === 'scene') return at(scene, t) ? 1 : 0;
      if (rule === 'motion') return at(motion, t) ? 1 : 0;
      return (rule === 'and' ? at(scene, t) && at(motion, t) : at(scene, t) || at(motion, t)) ? 1 : 0;
    });
    return { keep, scene, motion };
  });
  return combine === 'random' ? shuffleKept(labels, firstFrame, seed) : labels;
}

/** The same number of kept frames, elsewhere. */
function shuffleKept(labels: readonly EpisodeLabels[], firstFrame: FirstFrame, seed: number): EpisodeLabels[] {
  const fixed = firstFrame === 'keep' ? 1 : 0;
  const open = labels.map(({ keep }) => Math.max(keep.length - fixed, 0));
  const places = Int32Array.from({ length: open.reduce((a, b) => a + b, 0) }, (_, i) => i);
  const numKept = labels.reduce((sum, { keep }) => sum + keep.subarray(fixed).reduce((a, b) => a + b, 0), 0);
  new SeededRandom(seed, 0x4a2d).shuffle(places);
  const chosen = new Uint8Array(places.length);
  for (const place of places.subarray(0, numKept)) chosen[place] = 1;
  let from = 0;
  return labels.map((one, i) => {
    const keep = new Uint8Array(one.keep.length).fill(1, 0, fixed);
    keep.set(chosen.subarray(from, from + (open[i] as number)), fixed);
    from += open[i] as number;
    return { ...one, keep };
  });
}
