/**
 * Training the scene layer from labelled episodes of data sets, as the paper does with a small hand-labelled set (Sec. 3.2.1): picks
 * episodes, keeps some aside, trains DDM-Net, and measures F1 on episodes that it has not seen.
 */
import { LeRobotDataset } from '../data/index.js';
import { SeededRandom } from '../data/random.js';
import { type BoundaryLabels, boundariesFromPhases, folderName } from './boundary-labels.js';
import { PruneError } from './errors.js';
import { energyValleys, motionEnergy } from './motion-energy-valleys.js';
import {
  type LabelledScene,
  type SceneEventConfig,
  SceneEventModel,
  SMALL_SCENE_EVENTS,
  type TrainSceneOptions,
  trainSceneNet,
} from './scene-events.js';
import { readSceneFrames } from './scene-frames.js';
import { checkBoundaries } from './scene-layer.js';
import { type BoundaryVideo, type SceneQuality, sceneQuality } from './scene-quality.js';

export interface TrainSceneEventsOptions extends Omit<TrainSceneOptions, 'scenes' | 'config'> {
  readonly root: string;
  readonly folders: readonly string[];
  /** Given labels, or 'phases': where the data sets' own phases change. */
  readonly labels: readonly BoundaryLabels[] | 'phases';
  /** Episodes to train on; default 48 (all labelled ones if there are fewer). */
  readonly episodes?: number;
  /** Other labelled episodes to measure on, up to so many; default 100. */
  readonly heldOut?: number;
  readonly config?: SceneEventConfig;
  readonly onPhase?: (phase: 'reading' | 'training' | 'measuring') => void;
}

export interface TrainSceneEventsResult {
  readonly model: SceneEventModel;
  readonly trainEpisodes: readonly { readonly folder: string; readonly episode: number }[];
  readonly numFrames: number;
  readonly numBoundaries: number;
  readonly numHeldOut: number;
  /** Of the trained detector, of motion-energy valleys, and of a boundary at every second frame; null without held-out episodes. */
  readonly heldOut: {
    readonly ddmNet: SceneQuality;
    readonly motionEnergy: SceneQuality;
    readonly everySecondFrame: SceneQuality;
  } | null;
  readonly seconds: { readonly reading: number; readonly training: number; readonly measuring: number };
}

interface LabelledEpisode {
  readonly dataset: LeRobotDataset;
  readonly folder: string;
  readonly episode: number;
  /** Null: from phases. */
  readonly boundaries: readonly number[] | null;
}

/** Trains a detector; the episodes and the weights depend on the seed alone. Throws PruneError where labels do not fit the data. */
export async function trainSceneEvents(options: TrainSceneEventsOptions): Promise<TrainSceneEventsResult> {
  const { seed = 0, episodes: numTrain = 48, heldOut = 100, onPhase, signal } = options;
  const clock = stopwatch();
  onPhase?.('reading');
  const labelled = shuffled(await labelledEpisodes(options), seed);
  if (labelled.length === 0) throw new PruneError('There is no labelled episode to train on', { file: options.root });
  const fps = Math.max(...labelled.map(({ dataset }) => dataset.fps));
  const config = { ...(options.config ?? SMALL_SCENE_EVENTS), fps };
  const training = labelled.slice(0, numTrain);
  const scenes: LabelledScene[] = [];
  for (const one of training) {
    signal?.throwIfAborted();
    scenes.push(await readScene(one, config));
  }
  const reading = clock();
  onPhase?.('training');
  const model = new SceneEventModel(config, await trainSceneNet({ ...options, scenes, config }));
  const trainingSeconds = clock();
  onPhase?.('measuring');
  const aside = labelled.slice(numTrain, numTrain + heldOut);
  const measured = aside.length === 0 ? null : await measure(model, aside, signal);
  return {
    model,
    trainEpisodes: training.map(({ folder, episode }) => ({ folder, episode })),
    numFrames: scenes.reduce((n, { frames }) => n + frames.numFrames, 0),
    numBoundaries: scenes.reduce((n, { boundaries }) => n + boundaries.length, 0),
    numHeldOut: aside.length,
    heldOut: measured,
    seconds: { reading, training: trainingSeconds, measuring: clock() },
  };
}

/** Seconds since the call before. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const [before, now] = [last, performance.now()];
    last = now;
    return (now - before) / 1000;
  };
}

async function labelledEpisodes({ root, folders, labels }: TrainSceneEventsOptions): Promise<LabelledEpisode[]> {
  const datasets = new Map<string, LeRobotDataset>();
  for (const folder of folders) datasets.set(folderName(root, folder), await LeRobotDataset.open(folder));
  if (labels === 'phases')
    return [...datasets].flatMap(([folder, dataset]) =>
      dataset.episodes.map(({ index }) => ({ dataset, folder, episode: index, boundaries: null })),
    );
  return labels.map(({ folder, episode, boundaries }) => {
    const dataset = datasets.get(folder);
    if (!dataset || episode >= dataset.numEpisodes)
      throw new PruneError(`The labels name an episode of "${folder}" that is not in the data`, {
        file: root,
        episode,
      });
    return { dataset, folder, episode, boundaries };
  });
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const order = Int32Array.from(items.keys());
  new SeededRandom(seed, 0xe715).shuffle(order);
  return Array.from(order, (i) => items[i] as T);
}

async function readScene(
  { dataset, episode, boundaries }: LabelledEpisode,
  config: SceneEventConfig,
): Promise<LabelledScene> {
  const range = { from: episode, to: episode + 1 };
  const [frames] = await readSceneFrames(dataset, range, { cameras: config.cameras, size: config.image_size });
  if (!frames) throw new PruneError('The episode has no frames', { file: dataset.folder, episode });
  const events = boundaries ?? boundariesFromPhases(await dataset.episode(episode));
  checkBoundaries(events, frames.numFrames, { file: dataset.folder, episode });
  return { frames, boundaries: events };
}

async function measure(
  model: SceneEventModel,
  episodes: readonly LabelledEpisode[],
  signal: AbortSignal | undefined,
): Promise<NonNullable<TrainSceneEventsResult['heldOut']>> {
  const videos: Record<'ddmNet' | 'motionEnergy' | 'everySecondFrame', BoundaryVideo[]> = {
    ddmNet: [],
    motionEnergy: [],
    everySecondFrame: [],
  };
  for (const one of episodes) {
    signal?.throwIfAborted();
    const { frames, boundaries: truth } = await readScene(one, model.config);
    const facts = { truth, numFrames: frames.numFrames, fps: one.dataset.fps };
    videos.ddmNet.push({ ...facts, found: model.boundaries(model.score(frames)) });
    const range = { from: one.episode, to: one.episode + 1 };
    const [picture] = await readSceneFrames(one.dataset, range, {
      cameras: model.config.cameras.slice(0, 1),
      size: 64,
    });
    const energy = picture ? motionEnergy(picture.data, picture.numFrames, 64) : [];
    videos.motionEnergy.push({ ...facts, found: energyValleys(energy, { fps: one.dataset.fps }) });
    const second = Array.from({ length: Math.floor((frames.numFrames - 1) / 2) }, (_, i) => 2 * i + 2);
    videos.everySecondFrame.push({ ...facts, found: second });
  }
  return {
    ddmNet: sceneQuality(videos.ddmNet),
    motionEnergy: sceneQuality(videos.motionEnergy),
    everySecondFrame: sceneQuality(videos.everySecondFrame),
  };
}
