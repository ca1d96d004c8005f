/**
 * Dual-layer pruning over data sets: reads them episode by episode, asks both layers, and gives keep labels, per-frame scores and a report of
 * what was kept and why. Reads only; memory does not grow with pictures or text.
 *
 * Two passes: labels first (random pruning needs all of them), then the reasoning's statistics before and after.
 */
import { type Episode, LeRobotDataset, REASONING_TEXT_KEY, STATE_KEY } from '../data/index.js';
import type { EpisodeRange } from '../data/lerobot-dataset.js';
import { type BoundaryLabels, boundariesFromPhases, folderName } from './boundary-labels.js';
import {
  type CombineOptions,
  combineLayers,
  DEFAULT_TOLERANCE,
  type EpisodeLabels,
  type EpisodeLayers,
} from './dual-layer-pruning.js';
import { PruneError } from './errors.js';
import { bitsToText, type KeepLabels, keepLabels } from './keep-labels.js';
import { motionLabelsOfStates } from './kinematics.js';
import { energyValleys, motionEnergy, type ValleyOptions } from './motion-energy-valleys.js';
import { ReasoningCounter, type ReasoningStatistics } from './reasoning-statistics.js';
import type { SceneEventModel } from './scene-events.js';
import { readSceneFrames } from './scene-frames.js';

/** Where event boundaries come from. */
export type SceneSource =
  | { readonly kind: 'ddm-net'; readonly model: SceneEventModel }
  | { readonly kind: 'motion-energy'; readonly camera?: string; readonly options?: Omit<ValleyOptions, 'fps'> }
  /** Given for every episode, or 'phases': where the data set's own phases change. */
  | { readonly kind: 'labels'; readonly labels: readonly BoundaryLabels[] | 'phases' }
  | { readonly kind: 'none' };

export interface PruneOptions extends CombineOptions {
  /** What was opened, and the data sets there (`datasetFolders(root)`). */
  readonly root: string;
  readonly folders: readonly string[];
  readonly scene: SceneSource;
  /** Default 'eq4'. */
  readonly motion?: 'eq4' | 'none';
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/** An episode of the result. */
export interface PrunedEpisode extends EpisodeLabels {
  readonly folder: string;
  readonly episode: number;
  readonly task: string;
  readonly boundaries: readonly number[] | null;
  /** [T]: DDM-Net's probability, minus the motion energy, 1 at given boundaries; null without scene layer. */
  readonly sceneScore: Float32Array | null;
  /** [T]: |T''| over the trajectory's mean; null without motion layer. */
  readonly motionScore: Float32Array | null;
  /** [T]: 1 where the gripper changes state. */
  readonly gripperChange: Uint8Array | null;
}

export const NUM_TIME_BINS = 10;

export interface PruneReport {
  readonly episodes: number;
  readonly frames: number;
  readonly kept: number;
  /** Boundaries of the scene layer. */
  readonly sceneEvents: number;
  /** Frames with motion label 1, and those among them for the gripper. */
  readonly motionKeyframes: number;
  readonly gripperChanges: number;
  /** Why: frames kept or not by what the two layers said (first frames that the policy keeps apart). */
  readonly why: {
    readonly both: number;
    readonly sceneOnly: number;
    readonly motionOnly: number;
    readonly neither: number;
    readonly firstFrames: number;
  };
  /** Most frames first. */
  readonly tasks: readonly { readonly task: string; readonly frames: number; readonly kept: number }[];
  /** By tenths of normalised time: frames, and those kept. */
  readonly time: readonly { readonly frames: number; readonly kept: number }[];
  /** Null where the data set has no reasoning text. */
  readonly reasoning: { readonly before: ReasoningStatistics; readonly after: ReasoningStatistics } | null;
}

export interface PruneResult {
  readonly labels: KeepLabels;
  readonly episodes: readonly PrunedEpisode[];
  readonly report: PruneReport;
}

/** Episodes read at once: their files are opened and decoded together. */
const AT_ONCE = 32;

interface Found extends EpisodeLayers, Omit<PrunedEpisode, keyof EpisodeLabels> {}

/** Prunes. Throws the data layer's errors, and PruneError when a layer cannot be computed on these data. */
export async function pruneDatasets(options: PruneOptions): Promise<PruneResult> {
  const datasets = await Promise.all(options.folders.map((folder) => LeRobotDataset.open(folder)));
  // A pass over pictures takes most of the time, so progress counts frames of the first pass.
  const total = datasets.reduce((sum, { numFrames }) => sum + numFrames, 0);
  const found: Found[] = [];
  let done = 0;
  for (const [d, dataset] of datasets.entries()) {
    const name = folderName(options.root, options.folders[d] as string);
    const given = labelsOfFolder(options.scene, name);
    for (const range of rangesOf(dataset)) {
      options.signal?.throwIfAborted();
      const episodes = await dataset.readEpisodes(range);
      const scenes = await sceneLayer(options.scene, dataset, range, episodes, given);
      episodes.forEach((episode, i) => {
        found.push({
          ...(scenes[i] as SceneLayer),
          ...motionLayer(options.motion ?? 'eq4', dataset, episode),
          folder: name,
          episode: episode.index,
          task: episode.task,
          numFrames: episode.length,
        });
        done += episode.length;
      });
      options.onProgress?.({ done, total });
    }
  }
  const labels = combineLayers(found, options);
  const episodes = found.map(({ numFrames: _, ...episode }, i) => ({ ...episode, ...(labels[i] as EpisodeLabels) }));
  const reasoning = await reasoningStatistics(datasets, episodes, options.signal);
  return { labels: toKeepLabels(episodes, options), episodes, report: report(episodes, reasoning, options) };
}

function* rangesOf({ numEpisodes }: LeRobotDataset): Generator<EpisodeRange> {
  for (let from = 0; from < numEpisodes; from += AT_ONCE) yield { from, to: Math.min(from + AT_ONCE, numEpisodes) };
}

type SceneLayer = Pick<Found, 'boundaries' | 'sceneScore'>;
type GivenLabels = ReadonlyMap<number, readonly number[]> | null;

function labelsOfFolder(scene: SceneSource, name: string): GivenLabels {
  if (scene.kind !== 'labels' || scene.labels === 'phases') return null;
  return new Map(
    scene.labels.filter(({ folder }) => folder === name).map(({ episode, boundaries }) => [episode, boundaries]),
  );
}

async function sceneLayer(
  scene: SceneSource,
  dataset: LeRobotDataset,
  range: EpisodeRange,
  episodes: readonly Episode[],
  given: GivenLabels,
): Promise<SceneLayer[]> {
  if (scene.kind === 'none') return episodes.map(() => ({ boundaries: null, sceneScore: null }));
  if (scene.kind === 'labels')
    return episodes.map((episode) => {
      const boundaries = given ? given.get(episode.index) : boundariesFromPhases(episode);
      if (!boundaries)
        throw new PruneError('The labels file has no line for this episode', {
          file: dataset.folder,
          episode: episode.index,
          hint: 'Label every episode, or train a detector on those labelled: dualvla prune train-scene',
        });
      const outside = boundaries.find((frame) => frame >= episode.length);
      if (outside !== undefined)
        throw new PruneError(`A labelled boundary at frame ${outside} of an episode with ${episode.length} frames`, {
          file: dataset.folder,
          episode: episode.index,
        });
      const sceneScore = new Float32Array(episode.length);
      for (const frame of boundaries) sceneScore[frame] = 1;
      return { boundaries, sceneScore };
    });
  if (scene.kind === 'ddm-net') {
    const { model } = scene;
    const frames = await readSceneFrames(dataset, range, {
      cameras: model.config.cameras,
      size: model.config.image_size,
    });
    return frames.map((one) => {
      const sceneScore = model.score(one);
      return { sceneScore, boundaries: model.boundaries(sceneScore) };
    });
  }
  const camera = scene.camera ?? Object.keys(dataset.cameras)[0] ?? '';
  const frames = await readSceneFrames(dataset, range, { cameras: [camera], size: 64 });
  return frames.map(({ data, numFrames }) => {
    const energy = motionEnergy(data, numFrames, 64);
    return {
      boundaries: energyValleys(energy, { fps: dataset.fps, ...scene.options }),
      sceneScore: Float32Array.from(energy, (value) => -value),
    };
  });
}

function motionLayer(
  motion: 'eq4' | 'none',
  dataset: LeRobotDataset,
  episode: Episode,
): Pick<Found, 'motion' | 'motionScore' | 'gripperChange'> {
  if (motion === 'none') return { motion: null, motionScore: null, gripperChange: null };
  if (!(STATE_KEY in dataset.features))
    throw new PruneError('Eq. 4 needs the states of the end effector', {
      file: dataset.folder,
      field: STATE_KEY,
      hint: 'Prune with --motion none',
    });
  const { labels, acceleration, threshold, gripperChange } = motionLabelsOfStates(episode.state, episode.stateDim);
  return {
    motion: labels,
    motionScore: Float32Array.from(acceleration, (value) => (threshold > 0 ? value / threshold : 0)),
    gripperChange,
  };
}

function toKeepLabels(episodes: readonly PrunedEpisode[], options: PruneOptions): KeepLabels {
  const {
    scene,
    motion = 'eq4',
    combine = 'and',
    tolerance = DEFAULT_TOLERANCE,
    firstFrame = 'keep',
    seed = 0,
  } = options;
  const detector = scene.kind === 'ddm-net' ? { sceneConfig: scene.model.config } : {};
  const labels = scene.kind === 'labels' ? { labels: scene.labels === 'phases' ? 'phases' : 'given' } : {};
  return keepLabels(
    {
      scene: scene.kind,
      ...labels,
      ...detector,
      motion,
      combine,
      tolerance,
      firstFrame,
      ...(combine === 'random' ? { seed } : {}),
    },
    episodes.map(({ folder, episode, keep, scene: sceneBits, motion: motionBits }) => ({
      folder,
      episode,
      keep: bitsToText(keep),
      ...(sceneBits ? { scene: bitsToText(sceneBits) } : {}),
      ...(motionBits ? { motion: bitsToText(motionBits) } : {}),
    })),
  );
}

const sum = (values: ArrayLike<number>): number =>
  Array.prototype.reduce.call<ArrayLike<number>, [(a: number, b: number) => number, number], number>(
    values,
    (a, b) => a + b,
    0,
  );

function report(
  episodes: readonly PrunedEpisode[],
  reasoning: PruneReport['reasoning'],
  { firstFrame = 'keep' }: PruneOptions,
): PruneReport {
  const tasks = new Map<string, { task: string; frames: number; kept: number }>();
  const time = Array.from({ length: NUM_TIME_BINS }, () => ({ frames: 0, kept: 0 }));
  const why = { both: 0, sceneOnly: 0, motionOnly: 0, neither: 0, firstFrames: 0 };
  for (const { task, keep, scene, motion } of episodes) {
    const entry = tasks.get(task) ?? { task, frames: 0, kept: 0 };
    tasks.set(task, entry);
    entry.frames += keep.length;
    entry.kept += sum(keep);
    keep.forEach((kept, t) => {
      const bin = time[Math.floor((t / keep.length) * NUM_TIME_BINS)] as { frames: number; kept: number };
      bin.frames++;
      bin.kept += kept;
      const [inScene, inMotion] = [scene?.[t] === 1, motion?.[t] === 1];
      if (t === 0 && firstFrame === 'keep') why.firstFrames++;
      else if (inScene && inMotion) why.both++;
      else if (inScene) why.sceneOnly++;
      else if (inMotion) why.motionOnly++;
      else why.neither++;
    });
  }
  const total = (count: (episode: PrunedEpisode) => number): number =>
    episodes.reduce((n, episode) => n + count(episode), 0);
  return {
    episodes: episodes.length,
    frames: total(({ keep }) => keep.length),
    kept: total(({ keep }) => sum(keep)),
    sceneEvents: total(({ boundaries }) => boundaries?.length ?? 0),
    motionKeyframes: total(({ motion }) => (motion ? sum(motion) : 0)),
    gripperChanges: total(({ gripperChange }) => (gripperChange ? sum(gripperChange) : 0)),
    why,
    tasks: [...tasks.values()].sort((a, b) => b.frames - a.frames || (a.task < b.task ? -1 : 1)),
    time,
    reasoning,
  };
}

async function reasoningStatistics(
  datasets: readonly LeRobotDataset[],
  episodes: readonly PrunedEpisode[],
  signal: AbortSignal | undefined,
): Promise<PruneReport['reasoning']> {
  if (datasets.some((dataset) => dataset.features[REASONING_TEXT_KEY]?.dtype !== 'string')) return null;
  const [before, after] = [new ReasoningCounter(), new ReasoningCounter()];
  let at = 0;
  for (const dataset of datasets) {
    for (const range of rangesOf(dataset)) {
      signal?.throwIfAborted();
      for (const episode of await dataset.readEpisodes(range)) {
        const texts = episode.columns[REASONING_TEXT_KEY]?.values as readonly string[];
        const { keep } = episodes[at++] as PrunedEpisode;
        before.add(texts);
        after.add(texts.map((text, t) => (keep[t] === 1 ? text : '')));
      }
    }
  }
  return { before: before.statistics(), after: after.statistics() };
}
