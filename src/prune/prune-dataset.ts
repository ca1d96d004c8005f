/**
 * Dual-layer pruning over data sets: reads them episode by episode, asks both layers, and gives keep labels, per-frame scores and a report of
 * what was kept and why. Reads only; memory does not grow with pictures or text, and what was found survives a crash (layer-journal.ts).
 *
 * Two passes: labels first (random pruning needs all of them), then the reasoning's statistics before and after.
 */
import { REASONING_TEXT_KEY } from '../data/index.js';
import { mapAhead } from '../data/read-ahead.js';
import { type CombineOptions, combineLayers, DEFAULT_TOLERANCE, type EpisodeLabels } from './dual-layer-pruning.js';
import { PruneError } from './errors.js';
import { bitsToText, type KeepLabels, keepLabels } from './keep-labels.js';
import type { JournalHeader, LayerJournal, LayerRecord, Shard } from './layer-journal.js';
import { MotionLayer, type MotionOptions } from './motion-layer.js';
import {
  type EpisodeOrigin,
  type InputBatch,
  type InputEpisode,
  inputEpisodes,
  type PruneInput,
} from './prune-input.js';
import { fieldStatistics, type ReasoningFieldStatistics } from './reasoning-fields.js';
import { ReasoningCounter, type ReasoningStatistics } from './reasoning-statistics.js';
import { SceneLayer, type SceneSource, sceneFacts } from './scene-layer.js';
import { Urdf } from './urdf.js';

/** What becomes of a pruned frame's reasoning: it is not there, or it is there without being learned. */
export const PRUNE_MODES = ['drop', 'label-mask'] as const;
export type PruneMode = (typeof PRUNE_MODES)[number];

/** What the layers are computed from. */
export interface LayerOptions {
  readonly inputs: readonly PruneInput[];
  readonly scene: SceneSource;
  /** Default: Eq. 4 of the paper on the states; 'none' leaves the layer out. */
  readonly motion?: MotionOptions | 'none';
  readonly signal?: AbortSignal | undefined;
  /** Frames, where the data sets say how many they have; else episodes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
  /** A word of warning about a data set's labels. */
  readonly onWarning?: (warning: string) => void;
}

export interface PruneOptions extends LayerOptions, CombineOptions {
  /** Default 'drop'. */
  readonly mode?: PruneMode;
  /** Where what is found is written as it is found. */
  readonly journal?: LayerJournal;
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
  readonly origin: EpisodeOrigin | null;
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
  /** The same by field of the reasoning (PLAN, SUBTASK, MOVE ...), in the order in which they come up. */
  readonly fields: readonly ReasoningFieldStatistics[];
}

export interface PruneResult {
  readonly labels: KeepLabels;
  readonly episodes: readonly PrunedEpisode[];
  readonly report: PruneReport;
}

/** Options that the layers depend on, for journals; what has no meaning for them is left out. */
export function journalHeader(
  { inputs, scene, motion }: LayerOptions,
  shard: Shard | null,
  command: readonly string[] | null = null,
): JournalHeader {
  return {
    method: { ...sceneFacts(scene), ...motionFacts(motion) },
    data: inputs.map(({ name, numEpisodes }) => ({ name, episodes: numEpisodes })),
    shard,
    command,
  };
}

function motionFacts(motion: MotionOptions | 'none' = {}): Readonly<Record<string, unknown>> {
  if (motion === 'none') return { motion };
  const { rule = 'eq4', urdf, ...options } = motion;
  const own = Object.keys(options).length > 0 ? { motionOptions: options } : {};
  return { motion: rule, ...own, ...(urdf === undefined ? {} : { urdf: Urdf.open(urdf).digest }) };
}

/** Episodes [from, to) over all data sets in order that belong to a shard. */
export function shardRange(
  numEpisodes: number,
  { index, count }: Shard,
): { readonly from: number; readonly to: number } {
  return { from: Math.floor((numEpisodes * index) / count), to: Math.floor((numEpisodes * (index + 1)) / count) };
}

/**
 * Asks both layers about every episode, or those of a shard. What a journal holds already is not computed again; what is new goes into it
 * as it is found. Throws the data layer's errors, and PruneError when a layer cannot be computed on these data.
 */
export async function findLayers(
  options: LayerOptions,
  { journal, shard }: { readonly journal?: LayerJournal; readonly shard?: Shard | null } = {},
): Promise<LayerRecord[]> {
  const { inputs, scene, motion = {}, signal } = options;
  const found = [...(journal?.records ?? [])];
  const numEpisodes = inputs.reduce((sum, input) => sum + input.numEpisodes, 0);
  const range = shard ? shardRange(numEpisodes, shard) : { from: 0, to: numEpisodes };
  const byFrames = !shard && inputs.every(({ numFrames }) => numFrames !== null);
  const total = byFrames ? inputs.reduce((sum, { numFrames }) => sum + (numFrames ?? 0), 0) : range.to - range.from;
  let done = byFrames ? found.reduce((sum, { numFrames }) => sum + numFrames, 0) : found.length;
  let first = 0;
  for (const input of inputs) {
    const from = Math.max(range.from + found.length - first, 0);
    const to = Math.min(range.to - first, input.numEpisodes);
    first += input.numEpisodes;
    if (from >= to) continue;
    const sceneLayer = new SceneLayer(input, scene);
    const motionLayer = motion === 'none' ? null : new MotionLayer(input, motion);
    for (const warning of [sceneLayer.warning, motionLayer?.warning]) if (warning) options.onWarning?.(warning);
    const { pictures } = sceneLayer;
    const layersOf = async (batch: InputBatch, stop: AbortSignal): Promise<LayerRecord[]> => {
      const records: LayerRecord[] = [];
      for await (const one of batch) {
        stop.throwIfAborted();
        signal?.throwIfAborted();
        records.push(recordOf(one, sceneLayer, motionLayer));
      }
      return records;
    };
    for await (const records of mapAhead(input.batches(from, to, pictures), input.lanes(pictures), layersOf)) {
      signal?.throwIfAborted();
      journal?.append(records);
      found.push(...records);
      done += byFrames ? records.reduce((sum, { numFrames }) => sum + numFrames, 0) : records.length;
      options.onProgress?.({ done, total });
    }
  }
  return found;
}

function recordOf(
  { episode, frames, origin }: InputEpisode,
  scene: SceneLayer,
  motion: MotionLayer | null,
): LayerRecord {
  const { boundaries, score: sceneScore } = scene.boundaries(episode, frames);
  const moved = motion?.labels(episode);
  return {
    folder: scene.input.name,
    episode: episode.index,
    task: episode.task,
    numFrames: episode.length,
    boundaries,
    sceneScore,
    motion: moved?.labels ?? null,
    motionScore: moved?.score ?? null,
    gripperChange: moved?.gripperChange ?? null,
    origin,
  };
}

/** Prunes: finds both layers and combines them. Throws what `findLayers` and `combineLayers` throw. */
export async function pruneDatasets(options: PruneOptions): Promise<PruneResult> {
  const { journal } = options;
  return combineFound(await findLayers(options, journal ? { journal } : {}), options);
}

/** The result of what the layers found in every episode, in the order of the data. Throws PruneError where an episode is missing. */
export async function combineFound(found: readonly LayerRecord[], options: PruneOptions): Promise<PruneResult> {
  checkWhole(found, options.inputs);
  const labels = combineLayers(found, options);
  const episodes = found.map(({ numFrames: _, ...episode }, i) => ({ ...episode, ...(labels[i] as EpisodeLabels) }));
  const texts = await reasoningStatistics(options.inputs, episodes, options.signal);
  return { labels: toKeepLabels(episodes, options), episodes, report: report(episodes, texts, options) };
}

function checkWhole(found: readonly LayerRecord[], inputs: readonly PruneInput[]): void {
  let at = 0;
  for (const { name, label, numEpisodes } of inputs)
    for (let episode = 0; episode < numEpisodes; episode++, at++) {
      const own = found[at];
      if (own?.folder !== name || own.episode !== episode)
        throw new PruneError('The layers were not computed for this episode', { file: label, episode });
    }
}

function toKeepLabels(episodes: readonly PrunedEpisode[], options: PruneOptions): KeepLabels {
  const {
    scene,
    motion,
    combine = 'and',
    tolerance = DEFAULT_TOLERANCE,
    firstFrame = 'keep',
    mode = 'drop',
    seed = 0,
  } = options;
  return keepLabels(
    {
      ...sceneFacts(scene),
      ...motionFacts(motion),
      combine,
      tolerance,
      firstFrame,
      mode,
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
  texts: Pick<PruneReport, 'reasoning' | 'fields'>,
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
    ...texts,
  };
}

/** A second pass, over the text alone. */
async function reasoningStatistics(
  inputs: readonly PruneInput[],
  episodes: readonly PrunedEpisode[],
  signal: AbortSignal | undefined,
): Promise<Pick<PruneReport, 'reasoning' | 'fields'>> {
  if (inputs.some(({ hasReasoning }) => !hasReasoning)) return { reasoning: null, fields: [] };
  const [before, after] = [new ReasoningCounter(), new ReasoningCounter()];
  const fields = fieldStatistics();
  let at = 0;
  for (const input of inputs)
    for await (const { episode } of inputEpisodes(input, 0, input.numEpisodes, null)) {
      signal?.throwIfAborted();
      const texts = episode.columns[REASONING_TEXT_KEY]?.values as readonly string[];
      const { keep } = episodes[at++] as PrunedEpisode;
      before.add(texts);
      after.add(texts.map((text, t) => (keep[t] === 1 ? text : '')));
      fields.add(texts, keep);
    }
  return { reasoning: { before: before.statistics(), after: after.statistics() }, fields: fields.statistics() };
}
