/**
 * Action error of a checkpoint on held-out demonstrations: a cheap second measure that goes along with success in closed loop. Chunks
 * are predicted as the model does it (thinking where it decides to) and, for a reasoning VLA, with the plain instruction alone. Where the
 * data say in which phase of its task a frame is, the error is told by phase too.
 *
 * Knows nothing about environments.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { datasetFolders } from '../data/dataset-folders.js';
import { PHASE_KEY } from '../data/features.js';
import { LeRobotDataset } from '../data/lerobot-dataset.js';
import { Loader, type LoaderBatch } from '../data/loader.js';
import type { Vla } from '../model/vla.js';
import { PromptBuilder } from '../model/vla-batch.js';
import { scope } from '../torch/index.js';
import { loadPretrained } from '../train/pretrained.js';

export interface ActionError {
  /** Mean |a - a*| of normalised motions (dims 0-5, -1..1). */
  motion: number;
  /** Share of wrong gripper commands. */
  gripper: number;
}

/** Of the chunks predicted at the frames of one phase. */
export interface PhaseError extends ActionError {
  frames: number;
}

export interface HeldOutErrors {
  own: ActionError;
  /** `own` by phase of the frame that a chunk is predicted at; null where the data do not tell phases. */
  byPhase: Record<string, PhaseError> | null;
  /** Acting at once, whatever the model would have thought. */
  plain: ActionError;
  /**
   * Processor time of one prediction for one observation, as the model does it, seconds; mean over `timed`. Wall time would measure what
   * else the machine does.
   */
  secondsPerPrediction: number;
}

export interface HeldOutOptions {
  /** Root of LeRobot data sets. */
  root: string;
  /** Frames at most, evenly over the data; default 1024. */
  frames?: number;
  /** Single predictions that are timed; default 24. */
  timed?: number;
  device?: string;
  /** Draw whether to think (see VlaPolicy). Uniform draws come from this. */
  uniform?: () => number;
  onProgress?: (done: number, total: number) => void;
  /** Stops between batches. */
  signal?: AbortSignal | undefined;
}

/** Predictions before those that are timed. */
const WARM_UP = 2;

/** @throws NoPretrainedModelError, the readers' errors; AbortError when stopped */
export async function heldOutErrors(checkpoint: string, options: HeldOutOptions): Promise<HeldOutErrors> {
  const { root, frames = 1024, timed = 24, device = 'cpu', uniform, onProgress, signal } = options;
  const { model, config, tokenizer, statistics } = loadPretrained(checkpoint, device);
  const prompts = new PromptBuilder(config, tokenizer);
  const openLoader = (batchSize: number): Promise<Loader> =>
    Loader.open({
      folders: datasetFolders(root),
      batchSize,
      chunk: config.chunk_size,
      representation: statistics.chunk.representation,
      cameras: config.cameras,
      imageSize: config.vision.image_size,
      chunkStats: statistics.chunk,
      stateStats: statistics.state,
      seed: 0,
      epochs: 1,
    });
  const skip = (batch: LoaderBatch): { skipAbove: number[] } | undefined =>
    uniform && { skipAbove: Array.from({ length: batch.size }, uniform) };
  const phases = await phasesOf(root);
  const byPhase = new Map<string, ErrorSum>();
  const own = new ErrorSum();
  const plain = new ErrorSum();
  await using loader = await openLoader(64);
  const total = Math.min(frames, loader.numFrames);
  for (let done = 0; done < total; ) {
    const batch = await loader.next();
    // Batches are often ready: a turn for Ctrl-C to be heard.
    await nextTurn();
    signal?.throwIfAborted();
    if (batch === undefined) break;
    const predicted = predict(model, prompts, batch, device, skip(batch));
    for (let b = 0; b < batch.size; b++) {
      own.add(predicted, batch, b);
      const phase = phases?.[batch.index[b] as number];
      if (phase === undefined) continue;
      const sum = byPhase.get(phase) ?? new ErrorSum();
      byPhase.set(phase, sum);
      sum.add(predicted, batch, b);
    }
    if (config.max_reasoning_tokens > 0) {
      const never = { skipAbove: new Array<number>(batch.size).fill(-1) };
      const acted = predict(model, prompts, batch, device, never);
      for (let b = 0; b < batch.size; b++) plain.add(acted, batch, b);
    }
    done += batch.size;
    onProgress?.(Math.min(done, total), total);
  }
  // Read before any is timed: what decodes pictures is another thread of this process.
  const observed: LoaderBatch[] = [];
  {
    await using single = await openLoader(1);
    while (observed.length < timed + WARM_UP) {
      const batch = await single.next();
      if (batch === undefined) break;
      observed.push(structuredClone(batch));
    }
  }
  let seconds = 0;
  for (const [i, batch] of observed.entries()) {
    const started = process.cpuUsage();
    predict(model, prompts, batch, device, skip(batch));
    const { user, system } = process.cpuUsage(started);
    if (i >= WARM_UP) seconds += (user + system) / 1e6;
  }
  const result = own.mean();
  return {
    own: result,
    byPhase:
      phases && Object.fromEntries([...byPhase].map(([phase, sum]) => [phase, { ...sum.mean(), frames: sum.frames }])),
    plain: config.max_reasoning_tokens > 0 ? plain.mean() : result,
    secondsPerPrediction: seconds / Math.max(1, observed.length - WARM_UP),
  };
}

/** The phase of every frame, data sets one after another as the loader counts them; null where one does not say. */
async function phasesOf(root: string): Promise<string[] | null> {
  const phases: string[] = [];
  for (const folder of datasetFolders(root)) {
    const dataset = await LeRobotDataset.open(folder);
    if (!(PHASE_KEY in dataset.features)) return null;
    for (const phase of (await dataset.readColumns([PHASE_KEY])).get(PHASE_KEY) ?? []) phases.push(String(phase));
  }
  return phases;
}

/** Normalised chunks, B * C * A. */
function predict(
  model: Vla,
  prompts: PromptBuilder,
  batch: LoaderBatch,
  device: string,
  options: { skipAbove: number[] } | undefined,
): Float32Array {
  const { images, stateNormalised: state, instruction } = batch;
  return scope(() => {
    const built = prompts.build({ images, state, instruction }, device);
    return model.predict(built, options).actions.to('float32').to('cpu').data<Float32Array>();
  });
}

class ErrorSum {
  frames = 0;
  #motion = 0;
  #gripper = 0;
  #actions = 0;

  /** Adds row b of a batch of predicted chunks; the last action dim is the gripper's, open above 0. */
  add(predicted: Float32Array, { actions, actionMask, size }: LoaderBatch, b: number): void {
    const C = actionMask.length / size;
    const A = actions.length / actionMask.length;
    this.frames++;
    for (let step = b * C; step < (b + 1) * C; step++) {
      if (actionMask[step] === 0) continue;
      const at = (values: Float32Array, dim: number): number => values[step * A + dim] as number;
      for (let dim = 0; dim < A - 1; dim++) this.#motion += Math.abs(at(predicted, dim) - at(actions, dim)) / (A - 1);
      if (at(predicted, A - 1) > 0 !== at(actions, A - 1) > 0) this.#gripper++;
      this.#actions++;
    }
  }

  mean(): ActionError {
    const count = Math.max(1, this.#actions);
    return { motion: this.#motion / count, gripper: this.#gripper / count };
  }
}
