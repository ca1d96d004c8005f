/**
 * What the training loop asks of the processes of a data-parallel run. One process answers for itself; several (WORLD_SIZE
 * > 1, as torchrun, SLURM or `dualvla launch` set it) agree through the process group.
 *
 * Knows nothing about batches: every process reads its own part of the global batch.
 */
import type { Tensor } from '../torch/index.js';
import type { TrainConfig } from './config.js';

/** Whether to go on, decided by all processes together. */
export interface Control {
  /** Seconds of training, of the first process. */
  elapsed: number;
  /** True if any process wants to stop. */
  stop: boolean;
}

export interface Processes {
  readonly rank: number;
  readonly worldSize: number;
  /** Rank 0: the one that writes and reports. */
  readonly isFirst: boolean;
  agree(control: Control): Control;
  /** Mean over processes of every scalar; all processes give the same names. */
  average(scalars: Record<string, number>): Record<string, number>;
  /** Called once, before the first step: makes the gradients of these parameters means over all processes. */
  attach(parameters: readonly Tensor[]): void;
  /** Around the backward of all but the last micro-batch of a step: gradients only accumulate. */
  accumulating(more: boolean): void;
  /** After the last backward of a step: waits until the gradients are averaged. */
  finishGradients(): void;
  barrier(): void;
  /** Leaves the process group. */
  [Symbol.dispose](): void;
}

/** The usual case: one process. */
export const oneProcess: Processes = {
  rank: 0,
  worldSize: 1,
  isFirst: true,
  agree: (control) => control,
  average: (scalars) => scalars,
  attach: () => undefined,
  accumulating: () => undefined,
  finishGradients: () => undefined,
  barrier: () => undefined,
  [Symbol.dispose]: () => undefined,
};

/** The processes of this run, from the environment variables that torchrun sets. */
export function joinProcesses(_config: TrainConfig): Processes {
  return oneProcess;
}
