/**
 * Action chunks: what an action expert learns to predict. From an episode's per-step actions [T, A] (six deltas and an absolute gripper)
 * to a normalised chunk [C, A] beginning at frame t, and back to per-step actions.
 *
 * `cumulative` (the default): dims 0..A-2 are the displacement from the chunk's start, c_k = a_t + ... + a_{t+k}; the gripper stays
 * absolute. `delta`: the actions as they are. Each (step, dim) is scaled so that its q01..q99 over the data set becomes -1..1; the gripper
 * maps 0 to -1 and 1 to 1 exactly. Past the episode's end the last value repeats and the mask is 0: a held pose in `cumulative`, for
 * `delta` a zero motion with the last gripper.
 *
 * Shape legend: T frames, C chunk length, A action dims (the last is the gripper). Pure functions; knows nothing about files or tensors.
 */
import { MIN_SPAN, robustRange } from './statistics.js';

export type ActionRepresentation = 'cumulative' | 'delta';

/** Actions of one episode, row-major [length, dim]. */
export interface ActionSequence {
  readonly action: Float32Array;
  readonly length: number;
  readonly actionDim: number;
  /**
   * [length]: 1 where something else was executed than the action says. Actions after such a step answer what happened there: in a chunk that
   * began before, they are masked like padding.
   */
  readonly disturbed?: Uint8Array;
}

export interface ChunkOptions {
  /** C. */
  readonly chunk: number;
  readonly representation: ActionRepresentation;
}

/** Range of every (step, dim) over a data set, in the chunk's representation. */
export interface ChunkStats extends ChunkOptions {
  /** A. */
  readonly actionDim: number;
  /** [C, A]. For the gripper 0. */
  readonly q01: Float32Array;
  /** [C, A]. For the gripper 1. */
  readonly q99: Float32Array;
}

/**
 * Writes the raw (unnormalised) chunk at frame `t` into `chunkCA` and its mask into `maskC` (1 = learn it, 0 = padding or after a disturbance).
 */
export function rawChunk(
  episode: ActionSequence,
  t: number,
  options: ChunkOptions,
  chunkCA: Float32Array,
  maskC?: Uint8Array,
): void {
  const { action, length, actionDim: A } = episode;
  const cumulative = options.representation === 'cumulative';
  let valid = true;
  for (let k = 0; k < options.chunk; k++) {
    const real = t + k < length;
    if (!real || (k > 0 && episode.disturbed?.[t + k - 1] === 1)) valid = false;
    const source = Math.min(t + k, length - 1) * A;
    const row = k * A;
    for (let d = 0; d < A - 1; d++) {
      const step = real ? (action[source + d] as number) : 0;
      chunkCA[row + d] = cumulative && k > 0 ? (chunkCA[row - A + d] as number) + step : step;
    }
    chunkCA[row + A - 1] = action[source + A - 1] as number;
    if (maskC) maskC[k] = valid ? 1 : 0;
  }
}

/**
 * q01 and q99 of every (step, dim) over all chunks of the episodes; masked steps do not count. `strideFrames` thins out the starts.
 * Throws RangeError when there is no episode or their dims differ.
 */
export function computeChunkStats(
  episodes: Iterable<ActionSequence>,
  options: ChunkOptions,
  strideFrames = 1,
): ChunkStats {
  const { chunk: C } = options;
  const list = [...episodes];
  const A = list[0]?.actionDim;
  if (A === undefined || list.some((episode) => episode.actionDim !== A))
    throw new RangeError(
      A === undefined ? 'No episode to compute chunk statistics from' : 'Episodes have different action dimensions',
    );
  const starts = list.reduce((sum, episode) => sum + Math.ceil(episode.length / strideFrames), 0);
  const counts = new Uint32Array(C);
  const columns = Array.from({ length: C * A }, () => new Float32Array(starts));
  const chunkCA = new Float32Array(C * A);
  const maskC = new Uint8Array(C);
  for (const episode of list) {
    for (let t = 0; t < episode.length; t += strideFrames) {
      rawChunk(episode, t, options, chunkCA, maskC);
      for (let k = 0; k < C && maskC[k] === 1; k++) {
        const at = counts[k] as number;
        for (let d = 0; d < A; d++) (columns[k * A + d] as Float32Array)[at] = chunkCA[k * A + d] as number;
        counts[k] = at + 1;
      }
    }
  }
  const q01 = new Float32Array(C * A);
  const q99 = new Float32Array(C * A);
  for (let k = 0; k < C; k++) {
    for (let d = 0; d < A; d++) {
      const i = k * A + d;
      if (d === A - 1) {
        q99[i] = 1;
        continue;
      }
      const sorted = (columns[i] as Float32Array).subarray(0, counts[k]).sort();
      // No episode is as long as this step: nothing is ever trained there, so the step before stands in.
      const [low, high] = sorted.length > 0 ? robustRange(sorted) : [q01[i - A] as number, q99[i - A] as number];
      q01[i] = low;
      q99[i] = high;
    }
  }
  return { ...options, actionDim: A, q01, q99 };
}

/** Normalises a raw chunk in place: q01..q99 to -1..1, without clipping; values of a constant become 0. */
export function normaliseChunk(chunkCA: Float32Array, stats: ChunkStats): void {
  for (let i = 0; i < chunkCA.length; i++) {
    const low = stats.q01[i] as number;
    const span = (stats.q99[i] as number) - low;
    chunkCA[i] = span < MIN_SPAN ? 0 : (2 * ((chunkCA[i] as number) - low)) / span - 1;
  }
}

/** Inverse of `normaliseChunk`, in place. */
export function unnormaliseChunk(chunkCA: Float32Array, stats: ChunkStats): void {
  for (let i = 0; i < chunkCA.length; i++) {
    const low = stats.q01[i] as number;
    const span = (stats.q99[i] as number) - low;
    chunkCA[i] = span < MIN_SPAN ? low + span / 2 : low + (((chunkCA[i] as number) + 1) / 2) * span;
  }
}

/** Writes the normalised chunk at frame `t`; see `rawChunk`. */
export function encodeChunk(
  episode: ActionSequence,
  t: number,
  stats: ChunkStats,
  chunkCA: Float32Array,
  maskC?: Uint8Array,
): void {
  rawChunk(episode, t, stats, chunkCA, maskC);
  normaliseChunk(chunkCA, stats);
}

/**
 * Per-step actions [C, A] of a predicted normalised chunk. The gripper is thresholded at 0 to exactly 0 or 1 unless `gripper` is 'raw'.
 */
export function decodeChunk(
  predictedCA: ArrayLike<number>,
  stats: ChunkStats,
  gripper: 'binary' | 'raw' = 'binary',
): Float32Array {
  const A = stats.actionDim;
  if (predictedCA.length !== stats.chunk * A)
    throw new RangeError(`A chunk has ${stats.chunk} x ${A} values, got ${predictedCA.length}`);
  const actionsCA = Float32Array.from(predictedCA);
  unnormaliseChunk(actionsCA, stats);
  for (let k = stats.chunk - 1; k >= 0; k--) {
    const row = k * A;
    if (stats.representation === 'cumulative' && k > 0)
      for (let d = 0; d < A - 1; d++)
        actionsCA[row + d] = (actionsCA[row + d] as number) - (actionsCA[row - A + d] as number);
    if (gripper === 'binary') actionsCA[row + A - 1] = (actionsCA[row + A - 1] as number) >= 0.5 ? 1 : 0;
  }
  return actionsCA;
}

/** Plain JSON of the statistics, to travel with a checkpoint. */
export function chunkStatsToJson(stats: ChunkStats): Record<string, unknown> {
  const { chunk, representation, actionDim } = stats;
  return { chunk, representation, action_dim: actionDim, q01: Array.from(stats.q01), q99: Array.from(stats.q99) };
}

/** Reads `chunkStatsToJson`'s table. Throws RangeError when it is not one. */
export function chunkStatsFromJson(json: unknown): ChunkStats {
  const table = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  const { chunk, representation, action_dim: actionDim, q01, q99 } = table;
  const isList = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((x) => typeof x === 'number' && Number.isFinite(x));
  if (
    typeof chunk !== 'number' ||
    typeof actionDim !== 'number' ||
    (representation !== 'cumulative' && representation !== 'delta') ||
    !isList(q01) ||
    !isList(q99) ||
    q01.length !== chunk * actionDim ||
    q99.length !== chunk * actionDim
  )
    throw new RangeError(
      'Not a table of action chunk statistics: chunk, representation, action_dim, q01, q99 of chunk x action_dim numbers',
    );
  return { chunk, representation, actionDim, q01: Float32Array.from(q01), q99: Float32Array.from(q99) };
}
