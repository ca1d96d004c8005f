/**
 * Process groups and data-parallel training: one process a rank, started by `launch`, torchrun, SLURM or Kubernetes, which
 * set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. c10d does the work: tensors of a GPU go over NCCL, all others over Gloo.
 *
 * Every process calls the same operations in the same order. Calls block until the operation is done; one that waits for
 * a process which died or hangs fails with a DistributedError, at the latest after the timeout.
 *
 * Knows nothing about what is trained. Which samples a rank takes is the loader's affair.
 */
import { type Addon, loadAddon } from './addon.js';
import { synchronous } from './autograd.js';
import type { Module } from './module.js';
import { adoptHandle } from './scope.js';
import { Tensor } from './tensor.js';

export { LaunchError, type Launched, type LaunchOptions, type LaunchResult, launch } from './launch.js';

export type Backend = 'gloo' | 'nccl';
export type ReduceOperation = 'sum' | 'mean' | 'max' | 'min' | 'product';

/** Where this process stands in the run. */
export interface Environment {
  readonly rank: number;
  readonly world_size: number;
  /** Number of the process on its machine, which is the number of its GPU. */
  readonly local_rank: number;
  readonly master_addr: string;
  readonly master_port: number;
}

export interface InitOptions {
  /**
   * `nccl`: tensors of a GPU over NCCL, all others over Gloo; the default where this machine has GPUs and the engine NCCL.
   * `gloo`: everything over Gloo, tensors of a GPU through the CPU's memory. Without a word, on an engine without NCCL, a tensor of a GPU
   * is an error rather than slow.
   */
  backend?: Backend;
  /** Seconds after which an operation that waits for another process fails; DUALVLA_DIST_TIMEOUT, else 600. */
  timeoutSeconds?: number;
  env?: Readonly<Record<string, string | undefined>>;
}

/** The process group cannot be joined, or an operation of it failed. The message names the rank and the operation. */
export class DistributedError extends Error {
  override readonly name = 'DistributedError';
  constructor(
    message: string,
    readonly operation: string,
    readonly rank: number | null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

let joined: (Environment & { backend: Backend }) | null = null;

/** Whether the environment describes a run of several processes. */
export function is_launched(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return Number(env.WORLD_SIZE ?? 1) > 1;
}

/** Reads the variables that a launcher sets. @throws DistributedError naming the variable that is missing or wrong */
export function environment(env: Readonly<Record<string, string | undefined>> = process.env): Environment {
  const integer = (name: string, fallback?: number): number => {
    const text = env[name];
    if (text === undefined && fallback !== undefined) return fallback;
    if (text === undefined || !/^\d+$/.test(text)) {
      const found = text === undefined ? 'is not set' : `is '${text}', not a whole number`;
      throw new DistributedError(
        `${name} ${found}; start the processes with 'dualvla launch' or torchrun`,
        'init',
        null,
      );
    }
    return Number(text);
  };
  const world_size = integer('WORLD_SIZE');
  const rank = integer('RANK');
  if (rank >= world_size) throw new DistributedError(`RANK is ${rank} and WORLD_SIZE ${world_size}`, 'init', rank);
  return {
    rank,
    world_size,
    local_rank: integer('LOCAL_RANK', 0),
    master_addr: env.MASTER_ADDR ?? '127.0.0.1',
    master_port: integer('MASTER_PORT', 29500),
  };
}

/** Whether this process is in a group. */
export function is_initialized(): boolean {
  return joined !== null;
}

/** This process's number; 0 outside of a group. */
export function get_rank(): number {
  return joined?.rank ?? 0;
}

/** Number of processes; 1 outside of a group. */
export function get_world_size(): number {
  return joined?.world_size ?? 1;
}

/** Backends of this build of the engine. */
export function backends(): Backend[] {
  return loadAddon().distributedBackends() as Backend[];
}

/**
 * Joins the group that the environment describes; waits until all its processes are there.
 * @throws DistributedError when they are not within the timeout, or the backend is missing
 */
export function init(options: InitOptions = {}): Environment & { backend: Backend } {
  const env = options.env ?? process.env;
  const where = environment(env);
  const { rank, world_size, master_addr, master_port } = where;
  if (joined !== null) throw new DistributedError('this process is already in a process group', 'init', joined.rank);
  const engine = loadAddon();
  const available = backends();
  const backend = options.backend ?? (engine.cudaDeviceCount() > 0 && available.includes('nccl') ? 'nccl' : 'gloo');
  if (!available.includes(backend)) {
    throw new DistributedError(
      `the engine was built without ${backend} (it has ${available.join(', ') || 'no backend'}); next: ${wayTo(backend, engine)}`,
      'init',
      rank,
    );
  }
  const seconds = options.timeoutSeconds ?? Number(env.DUALVLA_DIST_TIMEOUT ?? 600);
  if (!(seconds > 0)) throw new DistributedError(`the timeout must be positive, not ${seconds} s`, 'init', rank);
  // torchrun's agent serves the store itself, and numbers its restarts.
  const agent = env.TORCHELASTIC_USE_AGENT_STORE === 'True';
  const prefix = `dualvla/${env.TORCHELASTIC_RESTART_COUNT ?? '0'}`;
  guarded('init', rank, () =>
    engine.distributedJoin(
      ...([backend, master_addr, master_port, rank, world_size, rank === 0 && !agent, prefix] as const),
      seconds * 1000,
      options.backend === 'gloo',
    ),
  );
  joined = { ...where, backend };
  return joined;
}

/** The command that brings a missing backend. */
function wayTo(backend: Backend, engine: Addon): string {
  if (backend === 'gloo') return 'sudo apt-get install libgloo-dev && node native/build.mjs --force';
  if (!engine.cudaSynchronize) return 'pip install torch, or set LIBTORCH to a CUDA build, then npm run setup';
  return 'pip install nvidia-nccl-cu12 (Debian: apt-get install libnccl-dev) && node native/build.mjs --force';
}

/** Leaves the group. Averagers end with it. */
export function destroy(): void {
  if (joined === null) return;
  joined = null;
  loadAddon().distributedLeave();
}

/** Reduces a tensor over all processes, in place; bfloat16 and float16 over Gloo in float32. Returns the same tensor. */
export function all_reduce(tensor: Tensor, operation: ReduceOperation = 'sum'): Tensor {
  run('all_reduce', (engine) => engine.distributedAllReduce(tensor.alive(), operation));
  return tensor;
}

/** Overwrites tensors with those of one process. */
export function broadcast(tensors: Tensor | readonly Tensor[], root = 0): void {
  const list = tensors instanceof Tensor ? [tensors] : tensors;
  const handles = list.map((t) => t.alive());
  run('broadcast', (engine) => engine.distributedBroadcast(handles, root));
}

/** The tensors of all processes, in the order of ranks; all of one shape and dtype. */
export function all_gather(tensor: Tensor): Tensor[] {
  const handles = run('all_gather', (engine) => engine.distributedAllGather(tensor.alive()));
  return handles.map((handle) => adoptHandle(new Tensor(handle)));
}

/** Waits until all processes are here. */
export function barrier(): void {
  run('barrier', (engine) => engine.distributedBarrier());
}

export interface DataParallelOptions {
  /** Size of a bucket of gradients that are reduced together; the first one is at most 1 MiB. */
  bucketBytes?: number;
}

/**
 * Averages a module's gradients over all processes while backward still runs (Li et al. 2020, "PyTorch Distributed").
 * At the start all processes take over the parameters and buffers of rank 0.
 *
 * ```ts
 * const parallel = new distributed.DataParallel(model);
 * loss.backward();
 * parallel.average_gradients();
 * optimizer.step();
 * ```
 * To accumulate gradients over several backward passes, run all but the last inside `no_sync`.
 */
export class DataParallel {
  readonly #averager: number;
  /** Buckets of the last step whose reduction began before backward was over. */
  overlapped = 0;

  constructor(
    readonly module: Module,
    { bucketBytes = 8 << 20 }: DataParallelOptions = {},
  ) {
    const parameters = module.parameters();
    broadcast([...parameters, ...module.named_buffers().map(([, buffer]) => buffer)]);
    const trained = parameters.filter((p) => p.requires_grad).map((p) => p.alive());
    this.#averager = run('averager', (engine) =>
      engine.averagerCreate(trained, Math.min(1 << 20, bucketBytes), bucketBytes),
    );
  }

  /** Number of buckets; the first step may change it, when it shows the order of the gradients. */
  get buckets(): number {
    return loadAddon().averagerBuckets(this.#averager);
  }

  /**
   * After backward: waits for the reductions. Then every gradient is the mean over the processes, also that of a parameter
   * which got none here; one that got none anywhere stays without.
   */
  average_gradients(): void {
    this.overlapped = run('average_gradients', (engine) => engine.averagerFinish(this.#averager));
  }

  /** Runs `body`, whose backward passes only accumulate in this process. `body` must be synchronous. */
  no_sync<T>(body: () => T): T {
    const engine = loadAddon();
    engine.averagerEnable(this.#averager, false);
    try {
      return synchronous(body(), 'no_sync');
    } finally {
      engine.averagerEnable(this.#averager, true);
    }
  }

  /** Takes the hooks off the parameters. */
  dispose(): void {
    loadAddon().averagerDispose(this.#averager);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function run<T>(operation: string, body: (engine: Addon) => T): T {
  if (joined === null) {
    throw new DistributedError(
      `${operation}: this process is in no process group; call distributed.init()`,
      operation,
      null,
    );
  }
  return guarded(operation, joined.rank, () => body(loadAddon()));
}

function guarded<T>(operation: string, rank: number, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const lost = /[Cc]onnection|[Tt]imed out|[Tt]imeout|closed by peer|Broken pipe|Socket/.test(reason);
    const hint = !lost
      ? ''
      : operation === 'init'
        ? '; are all processes started, and can MASTER_ADDR:MASTER_PORT be reached from all of them?'
        : '; another process has died, hangs or runs other operations: its output says why';
    throw new DistributedError(`${operation} failed on rank ${rank}: ${reason}${hint}`, operation, rank, { cause });
  }
}
