/**
 * What the training loop asks of the processes of a data-parallel run. One process answers for itself; several (WORLD_SIZE
 * > 1, as torchrun, SLURM or `dualvla launch` set it) agree through the process group (torch/distributed.ts): gradients are
 * averaged while backward runs, the first process's clock and anyone's wish to stop count for all.
 *
 * The gradient is the mean of the processes' means. It is that of the whole batch in one process where every part has as many
 * loss terms (steps past an episode's end have none), and up to the noise that each process draws for itself.
 *
 * Knows nothing about batches: every process reads its own part of the global batch.
 */
import * as distributed from '../torch/distributed.js';
import { scope, torch } from '../torch/index.js';
import type { Module } from '../torch/module.js';
import type { TrainConfig } from './config.js';
import { ConfigError } from './errors.js';

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
  /** Before the first step: every process takes over the first one's weights, and gradients become means over all. */
  attach(model: Module): void;
  /** Runs the backward of a micro-batch; unless it is the step's last, gradients only accumulate here. */
  backward(isLast: boolean, body: () => void): void;
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
  backward: (_isLast, body) => body(),
  finishGradients: () => undefined,
  barrier: () => undefined,
  [Symbol.dispose]: () => undefined,
};

class ProcessGroup implements Processes {
  readonly rank = distributed.get_rank();
  readonly worldSize = distributed.get_world_size();
  #parallel: distributed.DataParallel | null = null;

  /** @param device where scalars are exchanged: NCCL knows tensors of GPUs only */
  constructor(readonly device: string) {}

  get isFirst(): boolean {
    return this.rank === 0;
  }

  agree({ elapsed, stop }: Control): Control {
    const [seconds, stops] = this.#sum([this.isFirst ? elapsed : 0, stop ? 1 : 0]);
    return { elapsed: seconds as number, stop: (stops as number) > 0 };
  }

  average(scalars: Record<string, number>): Record<string, number> {
    const names = Object.keys(scalars);
    const sums = this.#sum(names.map((name) => scalars[name] as number));
    return Object.fromEntries(names.map((name, i) => [name, (sums[i] as number) / this.worldSize]));
  }

  attach(model: Module): void {
    this.#parallel = new distributed.DataParallel(model);
  }

  backward(isLast: boolean, body: () => void): void {
    if (isLast) body();
    else this.#parallel?.no_sync(body);
  }

  finishGradients(): void {
    this.#parallel?.average_gradients();
  }

  barrier(): void {
    distributed.barrier();
  }

  #sum(values: readonly number[]): number[] {
    const { device } = this;
    return scope(() => distributed.all_reduce(torch.tensor(values, { dtype: 'float64', device })).tolist()) as number[];
  }

  [Symbol.dispose](): void {
    this.#parallel?.dispose();
    distributed.destroy();
  }
}

/** The device of this process: with `cuda` and several processes on a machine, each takes the GPU of its local rank. */
export function ownDevice(device: string): string {
  return device === 'cuda' && distributed.is_launched() ? `cuda:${distributed.environment().local_rank}` : device;
}

/**
 * The processes of this run, from the environment variables that torchrun sets.
 * @throws ConfigError if the batch cannot be shared out; DistributedError if the others do not come
 */
export function joinProcesses(config: Pick<TrainConfig, 'batch_size'>): Processes {
  if (!distributed.is_launched()) return oneProcess;
  const { world_size } = distributed.environment();
  if (config.batch_size % world_size !== 0) {
    throw new ConfigError(
      `batch_size: ${config.batch_size} samples cannot be shared equally by ${world_size} processes`,
      'batch_size',
    );
  }
  const { backend, local_rank } = distributed.init();
  return new ProcessGroup(backend === 'nccl' ? `cuda:${local_rank}` : 'cpu');
}
