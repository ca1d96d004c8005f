/**
 * Decoded pictures in shared memory, filled by workers. Holds either every frame (decoded once, ever) or two blocks of an epoch's order:
 * the one in use and the one after it.
 *
 * Knows nothing about batches, actions or augmentation.
 */
import { Worker } from 'node:worker_threads';
import { endWorker } from './end-worker.js';
import { CorruptDatasetError, DataError, ImageError, MissingDatasetError, VideoError } from './errors.js';
import type { FrameJob, FrameReport, FrameTask, FrameWorkerData } from './frame-worker.js';

export interface CachePlan {
  readonly cameras: readonly string[];
  /** camera -> [width, height] of the cached pictures. */
  readonly sizes: Readonly<Record<string, readonly [number, number]>>;
  /** Frames an arena holds. */
  readonly capacity: number;
  readonly numArenas: 1 | 2;
}

interface Resident {
  readonly id: number;
  readonly progress: Int32Array;
  /** unit -> position in the job's task list. */
  readonly taskOfUnit: ReadonlyMap<number, number>;
}

export interface CacheTask extends FrameTask {
  readonly unit: number;
}

/** A unit may be all the videos of an episode: its decoding is waited for. */
const PATIENCE_MS = 600_000;

export class FrameCache {
  readonly plan: CachePlan;
  readonly #arenas: Record<string, SharedArrayBuffer>[] = [];
  readonly #views: Record<string, Uint8Array>[] = [];
  readonly #workers: Worker[];
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #residents = new Map<number, Resident>();
  #wake: (() => void)[] = [];
  #failure: Error | undefined;
  #closed = false;

  constructor(plan: CachePlan, data: Omit<FrameWorkerData, 'stop'>, numWorkers: number) {
    this.plan = plan;
    for (let i = 0; i < plan.numArenas; i++) {
      const arena: Record<string, SharedArrayBuffer> = {};
      const view: Record<string, Uint8Array> = {};
      for (const camera of plan.cameras) {
        const [width, height] = plan.sizes[camera] as readonly [number, number];
        const buffer = new SharedArrayBuffer(plan.capacity * width * height * 3);
        arena[camera] = buffer;
        view[camera] = new Uint8Array(buffer);
      }
      this.#arenas.push(arena);
      this.#views.push(view);
    }
    this.#workers = Array.from({ length: plan.cameras.length > 0 ? numWorkers : 0 }, () => {
      const worker = new Worker(new URL('./frame-worker.js', import.meta.url), {
        workerData: { ...data, stop: this.#stop.buffer } satisfies FrameWorkerData,
        name: 'frames',
      });
      worker.on('message', (report: FrameReport) => this.#onReport(report));
      worker.on('error', (error) => this.#fail(error));
      worker.on('exit', (code) => {
        if (!this.#closed && code !== 0) this.#fail(new DataError(`A decoding worker ended with status ${code}`));
      });
      // Workers alone keep no process alive.
      worker.unref();
      return worker;
    });
  }

  /**
   * Starts decoding a block into its arena, in the order of the tasks. Blocks take turns with the arenas: the one before the last must be
   * fully decoded and no longer needed.
   */
  load(id: number, tasks: readonly CacheTask[]): void {
    const arena = this.#arenas[id % this.plan.numArenas] as Record<string, SharedArrayBuffer>;
    const progress = new SharedArrayBuffer(4 * (1 + tasks.length));
    this.#residents.set(id, {
      id,
      progress: new Int32Array(progress),
      taskOfUnit: new Map(tasks.map((task, i) => [task.unit, i])),
    });
    const job: FrameJob = {
      id,
      tasks: tasks.map(({ folder, from, to, slot }) => ({ folder, from, to, slot })),
      arenas: arena,
      progress,
    };
    for (const worker of this.#workers) worker.postMessage(job);
  }

  forget(id: number): void {
    this.#residents.delete(id);
  }

  has(id: number): boolean {
    return this.#residents.has(id);
  }

  /** Whether every given unit of the block is decoded. */
  isReady(id: number, units: Iterable<number>): boolean {
    if (this.plan.cameras.length === 0) return true;
    const resident = this.#residents.get(id);
    if (!resident) return false;
    for (const unit of units) {
      const task = resident.taskOfUnit.get(unit);
      if (task === undefined || Atomics.load(resident.progress, 1 + task) === 0) return false;
    }
    return true;
  }

  /** Resolves when every given unit of the block is decoded; rejects with the decoding error. */
  async ready(id: number, units: Iterable<number>): Promise<void> {
    const wanted = [...units];
    while (!this.isReady(id, wanted)) {
      if (this.#failure) throw this.#failure;
      // A pending promise does not keep the process alive, and idle workers should not: hold them only while somebody waits.
      for (const worker of this.#workers) worker.ref();
      await new Promise<void>((wake) => this.#wake.push(wake));
    }
    for (const worker of this.#workers) worker.unref();
  }

  /** Pixels of all slots of the block's arena, uint8 RGB [capacity, height, width, 3]. */
  pixels(id: number, camera: string): Uint8Array {
    return this.#views[id % this.plan.numArenas]?.[camera] as Uint8Array;
  }

  /** Ends the workers after the unit that each is at: ending one by force inside zlib aborts the whole process (Node 20). */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#stop, 0, 1);
    await Promise.all(this.#workers.map((worker) => endWorker(worker, () => worker.postMessage('stop'), PATIENCE_MS)));
    this.#fail(new DataError('The loader is closed'));
  }

  #onReport(report: FrameReport): void {
    if (report.error) this.#fail(revive(report.error));
    else this.#wakeAll();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wakeAll();
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/** The named error that a worker met. Its message already says where. */
function revive({ name, message }: { name: string; message: string }): Error {
  const known = { CorruptDatasetError, MissingDatasetError, VideoError, ImageError };
  const type = known[name as keyof typeof known] ?? DataError;
  return new type(message);
}
