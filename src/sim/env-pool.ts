/**
 * Many environments over worker threads, stepped together. Images and states come back through shared memory; the caller gets copies, so
 * an observation stays valid. Results do not depend on the number of workers. Knows nothing of policies.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { endWorker } from '../data/end-worker.js';
import type { CameraName, Env, EnvOptions, Observation, PrivilegedState, StepResult } from './env.js';
import type { WorkerCommand, WorkerReply } from './env-pool-worker.js';
import {
  EnvPoolError,
  SceneSamplingError,
  SimActionError,
  SimError,
  SimOptionError,
  SimStateError,
  SimUnstableError,
} from './errors.js';
import type { ExpertOptions, ExpertStep } from './expert.js';

export interface EnvPoolOptions {
  /** One entry per environment; they may differ in task, variant and size. */
  readonly envs: readonly EnvOptions[];
  /** Worker threads; default one per core, at most one per environment. */
  readonly workers?: number;
}

/** Numbers of one environment in shared memory: seven proprioceptive values. */
export const STATE_BYTES = 7 * 4;

/** Where an environment's observation lies in shared memory: state, then each camera's image. */
export function slotBytes(cameras: number, imageSize: number): number {
  return STATE_BYTES + cameras * imageSize * imageSize * 3;
}

const ERRORS = [
  EnvPoolError,
  SceneSamplingError,
  SimActionError,
  SimOptionError,
  SimStateError,
  SimUnstableError,
] as const;

function revive(name: string, message: string): Error {
  const Kind = ERRORS.find((kind) => kind.name === name) ?? SimError;
  return new Kind(message);
}

interface Pending {
  readonly resolve: (reply: WorkerReply) => void;
  readonly reject: (error: Error) => void;
}

/** One worker and the requests it has not answered. */
class Channel {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #serial = 0;
  #failure: Error | null = null;

  constructor() {
    this.#worker = new Worker(new URL('./env-pool-worker.js', import.meta.url));
    this.#worker.unref();
    this.#worker.on('message', (reply: WorkerReply) => {
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if (this.#pending.size === 0) this.#worker.unref();
      if (reply.error) pending?.reject(revive(reply.error.name, reply.error.message));
      else pending?.resolve(reply);
    });
    this.#worker.on('error', (error) => this.#fail(new EnvPoolError(`a simulation worker failed: ${error.message}`)));
    this.#worker.on('exit', (code) =>
      this.#fail(new EnvPoolError(`a simulation worker ended (code ${code}); create a new pool`)),
    );
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  send(command: WorkerCommand): Promise<WorkerReply> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const id = this.#serial++;
      this.#pending.set(id, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ id, command });
    });
  }

  async close(): Promise<void> {
    await endWorker(this.#worker, () => this.#worker.postMessage('stop'));
  }
}

interface Slot {
  readonly channel: Channel;
  readonly memory: SharedArrayBuffer;
  readonly cameras: readonly CameraName[];
  readonly imageSize: number;
  instruction: string;
}

/** What the pool tells about its environments without asking a worker. */
export type EnvInfo = Pick<Env, 'maxSteps' | 'controlHz' | 'robot'>;

export class EnvPool {
  readonly #channels: readonly Channel[];
  readonly #slots: readonly Slot[];
  readonly info: readonly EnvInfo[];

  private constructor(channels: readonly Channel[], slots: readonly Slot[], info: readonly EnvInfo[]) {
    this.#channels = channels;
    this.#slots = slots;
    this.info = info;
  }

  /** Starts the workers and compiles every scene. Throws what `Env.create` throws. */
  static async create({ envs, workers = availableParallelism() }: EnvPoolOptions): Promise<EnvPool> {
    if (envs.length === 0) throw new SimOptionError('a pool needs at least one environment');
    if (!Number.isInteger(workers) || workers < 1)
      throw new SimOptionError(`workers is ${workers}; it must be a positive integer`);
    const channels = Array.from({ length: Math.min(workers, envs.length) }, () => new Channel());
    try {
      const slots = envs.map((options, i): Slot => {
        const cameras = options.cameras ?? ['third', 'wrist'];
        const imageSize = options.imageSize ?? 64;
        const bytes = Number.isInteger(imageSize) ? slotBytes(cameras.length, imageSize) : STATE_BYTES;
        return {
          channel: channels[i % channels.length] as Channel,
          memory: new SharedArrayBuffer(bytes),
          cameras,
          imageSize,
          instruction: '',
        };
      });
      const info = await Promise.all(
        slots.map(async ({ channel, memory }, index) => {
          const reply = await channel.send({ kind: 'create', index, options: envs[index] as EnvOptions, memory });
          return reply.info as EnvInfo;
        }),
      );
      return new EnvPool(channels, slots, info);
    } catch (error) {
      await Promise.all(channels.map((channel) => channel.close()));
      throw error;
    }
  }

  get size(): number {
    return this.#slots.length;
  }

  /** Starts environment `index` on a seed. */
  async reset(index: number, seed: number): Promise<Observation> {
    const slot = this.#slot(index);
    const reply = await slot.channel.send({ kind: 'reset', index, seed });
    slot.instruction = reply.instruction as string;
    return this.#observation(slot);
  }

  /** Starts every environment: `seeds[i]` for environment i. */
  resetAll(seeds: readonly number[]): Promise<Observation[]> {
    this.#assertLength(seeds.length, 'seeds');
    return Promise.all(seeds.map((seed, index) => this.reset(index, seed)));
  }

  /** Steps environment `index`. */
  async step(index: number, action: ArrayLike<number>): Promise<StepResult> {
    const slot = this.#slot(index);
    const reply = await slot.channel.send({ kind: 'step', index, action: Float32Array.from(action) });
    return { ...(reply.step as Omit<StepResult, 'observation'>), observation: this.#observation(slot) };
  }

  /** Steps every environment that has an action; the others give null. */
  stepAll(actions: readonly (ArrayLike<number> | null)[]): Promise<(StepResult | null)[]> {
    this.#assertLength(actions.length, 'actions');
    return Promise.all(actions.map((action, index) => (action ? this.step(index, action) : null)));
  }

  /** Puts a new expert beside environment `index`, for {@link act}; call it after each reset. */
  async expert(index: number, options: ExpertOptions = {}): Promise<void> {
    await this.#slot(index).channel.send({ kind: 'expert', index, options });
  }

  /** The expert's step for the present state (it is not executed). */
  async act(index: number): Promise<ExpertStep> {
    const reply = await this.#slot(index).channel.send({ kind: 'act', index });
    return reply.act as ExpertStep;
  }

  async privileged(index: number): Promise<PrivilegedState> {
    const reply = await this.#slot(index).channel.send({ kind: 'privileged', index });
    return reply.privileged as PrivilegedState;
  }

  /** Renders one camera of environment `index` at any size; RGB bytes. */
  async render(index: number, camera: CameraName, size: number): Promise<Uint8Array> {
    const reply = await this.#slot(index).channel.send({ kind: 'render', index, camera, size });
    return reply.image as Uint8Array;
  }

  /** Ends the workers behind what was asked of them, and frees their memory. */
  async dispose(): Promise<void> {
    await Promise.all(this.#channels.map((channel) => channel.close()));
  }

  #slot(index: number): Slot {
    const slot = this.#slots[index];
    if (!slot) throw new SimOptionError(`environment ${index} does not exist; this pool has 0..${this.size - 1}`);
    return slot;
  }

  #assertLength(length: number, what: string): void {
    if (length !== this.size) throw new SimOptionError(`${length} ${what} for ${this.size} environments`);
  }

  #observation({ memory, cameras, imageSize, instruction }: Slot): Observation {
    const state = new Float32Array(memory.slice(0, STATE_BYTES));
    const bytes = imageSize * imageSize * 3;
    const images: Record<string, Uint8Array> = {};
    for (const [i, camera] of cameras.entries()) {
      const copy = new Uint8Array(bytes);
      copy.set(new Uint8Array(memory, STATE_BYTES + i * bytes, bytes));
      images[camera] = copy;
    }
    return { images, state, instruction };
  }
}
