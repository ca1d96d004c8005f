/**
 * The scene layer over data sets: where event boundaries come from, and what is asked of an episode's pictures.
 *
 *   ddm-net         a trained detector (scene-events.ts); by default the one that ships
 *   motion-energy   valleys of the picture's motion
 *   kts             change points of features: of the pixels, their flow, or a vision encoder
 *   labels          given by hand, or the data set's own phases
 *
 * Knows nothing about the motion layer or about text.
 *
 * Shapes: T frames.
 */
import { createHash } from 'node:crypto';
import type { Episode } from '../data/index.js';
import { type BoundaryLabels, boundariesFromPhases } from './boundary-labels.js';
import { PruneError } from './errors.js';
import { encodedFeatures, type FrameEncoder, type PixelFeatures, pixelFeatures } from './frame-features.js';
import { changePoints, type SegmentationOptions } from './kernel-segmentation.js';
import { energyValleys, motionEnergy, type ValleyOptions } from './motion-energy-valleys.js';
import type { PruneInput } from './prune-input.js';
import type { SceneEventModel, SceneFrames } from './scene-events.js';
import type { SceneFrameOptions } from './scene-frames.js';

/** Where event boundaries come from. */
export type SceneSource =
  | {
      readonly kind: 'ddm-net';
      readonly model: SceneEventModel;
      /** In place of the detector's own, e.g. where the data set calls its camera otherwise. */
      readonly cameras?: readonly string[];
    }
  | { readonly kind: 'motion-energy'; readonly camera?: string; readonly options?: Omit<ValleyOptions, 'fps'> }
  | {
      readonly kind: 'kts';
      readonly features: PixelFeatures | FrameEncoder;
      readonly camera?: string;
      readonly options?: Pick<SegmentationOptions, 'penalty'>;
    }
  /** Given for every episode, or 'phases': where the data set's own phases change. */
  | { readonly kind: 'labels'; readonly labels: readonly BoundaryLabels[] | 'phases' }
  | { readonly kind: 'none' };

/** What the scene layer says of an episode; both null without one. */
export interface EpisodeScene {
  /** Frames at which events begin, ascending. */
  readonly boundaries: readonly number[] | null;
  /** [T]: DDM-Net's probability, minus the motion energy, 1 at change points and given boundaries. */
  readonly score: Float32Array | null;
}

const PIXELS = 64;
/** Least length of a segment between change points, seconds. */
const SEGMENT_SECONDS = 0.32;

/** The scene layer for one data set: made once, asked for every episode. */
export class SceneLayer {
  /** What pictures it needs; null for none. */
  readonly pictures: SceneFrameOptions | null;
  /** A word of warning about how boundaries come about, or null. */
  readonly warning: string | null;
  readonly #given: ReadonlyMap<number, readonly number[]> | null;

  constructor(
    readonly input: PruneInput,
    readonly source: SceneSource,
  ) {
    this.pictures = picturesFor(source, input);
    this.warning = source.kind === 'ddm-net' ? foreignWarning(source.model, input) : null;
    this.#given =
      source.kind === 'labels' && source.labels !== 'phases'
        ? new Map(
            source.labels
              .filter(({ folder }) => folder === input.name)
              .map(({ episode, boundaries }) => [episode, boundaries]),
          )
        : null;
  }

  /** Boundaries of one episode. Throws PruneError naming data set and episode. */
  boundaries(episode: Episode, frames: SceneFrames | null): EpisodeScene {
    const { source, input } = this;
    if (source.kind === 'none') return { boundaries: null, score: null };
    if (source.kind === 'labels') return this.#fromLabels(episode);
    if (!frames) throw new PruneError('The episode has no pictures', { file: input.label, episode: episode.index });
    if (source.kind === 'ddm-net') {
      const every = source.model.frameStep(input.fps);
      const score = source.model.score(frames, { every });
      return { score, boundaries: source.model.boundaries(score, every) };
    }
    if (source.kind === 'kts') {
      const { features, options } = source;
      const { data, numFrames, size } = frames;
      const { values } =
        typeof features === 'string'
          ? pixelFeatures(features, data, numFrames, size)
          : encodedFeatures(features, data, numFrames);
      const minFrames = Math.max(1, Math.round(SEGMENT_SECONDS * input.fps));
      return marked(changePoints(values, numFrames, { minFrames, ...options }), numFrames);
    }
    const energy = motionEnergy(frames.data, frames.numFrames, frames.size);
    return {
      boundaries: energyValleys(energy, { fps: input.fps, ...source.options }),
      score: Float32Array.from(energy, (value) => -value),
    };
  }

  #fromLabels(episode: Episode): EpisodeScene {
    const where = { file: this.input.label, episode: episode.index };
    const boundaries = this.#given ? this.#given.get(episode.index) : boundariesFromPhases(episode);
    if (!boundaries)
      throw new PruneError('The labels file has no line for this episode', {
        ...where,
        hint: 'Label every episode, or train a detector on those labelled: dualvla prune train-scene',
      });
    checkBoundaries(boundaries, episode.length, where);
    return marked(boundaries, episode.length);
  }
}

/** Throws PruneError for a labelled frame that the episode does not have. */
export function checkBoundaries(
  boundaries: readonly number[],
  length: number,
  where: { readonly file: string; readonly episode: number },
): void {
  const outside = boundaries.find((frame) => frame >= length);
  if (outside === undefined) return;
  throw new PruneError(`A labelled boundary at frame ${outside} of an episode with ${length} frames`, {
    ...where,
    hint: `Its frames are 0 to ${length - 1}; mend its line in the labels file`,
  });
}

/** What makes two runs of the layer the same: for resuming and for the halves of a shared work. */
export function sceneFacts(source: SceneSource): Readonly<Record<string, unknown>> {
  switch (source.kind) {
    case 'ddm-net': {
      const { model, cameras } = source;
      return {
        scene: source.kind,
        sceneConfig: model.config,
        weights: model.digest(),
        ...(cameras ? { cameras } : {}),
      };
    }
    case 'labels':
      return source.labels === 'phases'
        ? { scene: source.kind, labels: 'phases' }
        : { scene: source.kind, labels: 'given', given: digestOf(JSON.stringify(source.labels)) };
    case 'kts': {
      const { features, camera, options } = source;
      const name = typeof features === 'string' ? features : features.name;
      return { scene: source.kind, features: name, ...(camera ? { camera } : {}), ...options };
    }
    case 'motion-energy':
      return { scene: source.kind, ...(source.camera ? { camera: source.camera } : {}), ...source.options };
    case 'none':
      return { scene: source.kind };
  }
}

export const digestOf = (content: string | Uint8Array): string =>
  createHash('sha256').update(content).digest('hex').slice(0, 16);

function marked(boundaries: readonly number[], numFrames: number): EpisodeScene {
  const score = new Float32Array(numFrames);
  for (const frame of boundaries) score[frame] = 1;
  return { boundaries, score };
}

function picturesFor(source: SceneSource, input: PruneInput): SceneFrameOptions | null {
  switch (source.kind) {
    case 'ddm-net': {
      const { cameras: own, image_size: size } = source.model.config;
      // A detector that looks through one camera looks through the only one there is, whatever it is called.
      const only = own.length === 1 && input.cameras.length === 1 ? input.cameras : own;
      return { cameras: source.cameras ?? only, size };
    }
    case 'motion-energy':
      // The mean over areas is all that a motion's energy needs.
      return { cameras: [source.camera ?? input.cameras[0] ?? ''], size: PIXELS, filter: 'area' };
    case 'kts': {
      const camera = source.camera ?? input.cameras[0] ?? '';
      const encoder = source.kind === 'kts' && typeof source.features !== 'string' ? source.features : null;
      return { cameras: [camera], size: encoder?.imageSize ?? PIXELS };
    }
    default:
      return null;
  }
}

function foreignWarning({ config }: SceneEventModel, { features }: PruneInput): string | null {
  const trained = config.trained_robots;
  if (!trained) return null;
  // Whatever has the true phase of every frame is a generated data set.
  if ('phase' in features) return null;
  return (
    `the shipped detector has only seen simulated ${trained.join(' and ')}; on other pictures its events are a guess. ` +
    'Label a few episodes (dualvla prune label-sheet, then train-scene --labels), or use --scene motion-energy'
  );
}
