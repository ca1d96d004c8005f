/**
 * Where a step's samples come from: robot data, multimodal data, or both, mixed in every step or in whole steps of one kind in
 * turn. The mixture is a recipe key; batch i depends on the configuration and i alone, so a resumed run sees what it would have seen.
 *
 * Knows nothing about tensors.
 */
import type { Loader, LoaderBatch, LoaderState } from '../data/loader.js';
import type { MultimodalBatch, MultimodalLoader, MultimodalState } from '../data/multimodal-loader.js';
import type { TrainConfig } from './config.js';
import { TrainingDataError } from './errors.js';

/** One step's samples; at least one kind is there. */
export interface TrainingBatch {
  robot?: LoaderBatch;
  multimodal?: MultimodalBatch;
}

/** Position in the data, as plain data. */
export interface TrainingBatchesState {
  robot: LoaderState;
  multimodal?: MultimodalState;
  /** Batches given so far. */
  batches: number;
}

/** Rows of each kind in a forward pass, over all processes. */
export function batchSizes({ batch_size, multimodal }: Pick<TrainConfig, 'batch_size' | 'multimodal'>): {
  robot: number;
  multimodal: number;
} {
  const { share, schedule } = multimodal;
  if (schedule === 'alternate') return { robot: share < 1 ? batch_size : 0, multimodal: share > 0 ? batch_size : 0 };
  const questions = Math.round(batch_size * share);
  return { robot: batch_size - questions, multimodal: questions };
}

export class TrainingBatches {
  #batches: number;

  constructor(
    readonly config: Pick<TrainConfig, 'batch_size' | 'multimodal' | 'dataset'>,
    readonly robot: Loader,
    readonly multimodal: MultimodalLoader | null,
    state?: TrainingBatchesState,
  ) {
    this.#batches = state?.batches ?? 0;
  }

  get state(): TrainingBatchesState {
    return {
      robot: this.robot.state,
      ...(this.multimodal && { multimodal: this.multimodal.state }),
      batches: this.#batches,
    };
  }

  /** @throws TrainingDataError if the robot data have no frames, and the readers' errors */
  async next(): Promise<TrainingBatch> {
    const sizes = batchSizes(this.config);
    const { share, schedule } = this.config.multimodal;
    const i = this.#batches++;
    // Evenly spread: step i is multimodal whenever the running total of shares passes a whole number.
    const turn = Math.floor((i + 1) * share) > Math.floor(i * share);
    const wants = schedule === 'mixed' ? { robot: true, multimodal: true } : { robot: !turn, multimodal: turn };
    const batch: TrainingBatch = {};
    if (wants.robot && sizes.robot > 0) {
      const robot = await this.robot.next();
      if (robot === undefined) throw new TrainingDataError(this.config.dataset.root, 'it has no frames');
      batch.robot = robot;
    }
    if (wants.multimodal && sizes.multimodal > 0 && this.multimodal !== null)
      batch.multimodal = await this.multimodal.next();
    return batch;
  }
}
