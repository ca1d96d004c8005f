/**
 * Decoded picture files in shared memory of bounded size, filled ahead of need by workers. The pictures used least recently make room.
 * Knows nothing about questions or batches.
 */
import { Worker } from 'node:worker_threads';
import { endWorker } from './end-worker.js';
import { DataError } from './errors.js';
import type { PictureReport, PictureTask, PictureWorkerData } from './picture-worker.js';

export class PictureCache {
  /** Pictures that fit. */
  readonly capacity: number;
  readonly #paths: readonly string[];
  readonly #pictureBytes: number;
  readonly #pixels: Uint8Array;
  readonly #ready: Int32Array;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #workers: readonly Worker[];
  /** picture -> slot, least recently used first. */
  readonly #slots = new Map<number, number>();
  #nextWorker = 0;
  #wake: (() => void)[] = [];
  #failure: Error | undefined;
  #failedPaths = new Map<string, string>();
  #closed = false;

  /** @param side pictures are scaled to side x side */
  constructor(paths: readonly string[], side: number, capacity: number, numWorkers: number) {
    this.capacity = capacity;
    this.#paths = paths;
    this.#pictureBytes = side * side * 3;
    const data: PictureWorkerData = {
      arena: new SharedArrayBuffer(capacity * this.#pictureBytes),
      ready: new SharedArrayBuffer(4 * capacity),
      stop: this.#stop.buffer as SharedArrayBuffer,
      side,
    };
    this.#pixels = new Uint8Array(data.arena);
    this.#ready = new Int32Array(data.ready);
    this.#workers = Array.from({ length: numWorkers }, () => {
      const worker = new Worker(new URL('./picture-worker.js', import.meta.url), {
        workerData: data,
        name: 'pictures',
      });
      worker.on('message', (report: PictureReport) => {
        if (report.error) this.#failedPaths.set(report.error.path, report.error.message);
        this.#wakeAll();
      });
      worker.on('error', (error) => this.#fail(error));
      worker.on('exit', (code) => {
        if (!this.#closed && code !== 0) this.#fail(new DataError(`A decoding worker ended with status ${code}`));
      });
      // Workers alone keep no process alive.
      worker.unref();
      return worker;
    });
  }

  /** Starts decoding those of `pictures` that are not here. No more than `capacity` different ones may be wanted at a time. */
  want(pictures: Iterable<number>): void {
    const tasks: PictureTask[] = [];
    for (const picture of pictures) {
      const known = this.#slots.get(picture);
      if (known !== undefined) {
        this.#slots.delete(picture);
        this.#slots.set(picture, known);
        continue;
      }
      const slot = this.#slots.size < this.capacity ? this.#slots.size : this.#evict();
      Atomics.store(this.#ready, slot, 0);
      this.#slots.set(picture, slot);
      tasks.push({ path: this.#paths[picture] as string, slot });
    }
    if (tasks.length === 0) return;
    // Each worker takes its share in turn, so that one batch is decoded by all of them.
    const shares: PictureTask[][] = this.#workers.map(() => []);
    for (const task of tasks) shares[this.#nextWorker++ % shares.length]?.push(task);
    for (const [i, share] of shares.entries()) if (share.length > 0) this.#workers[i]?.postMessage(share);
  }

  /** Whether every given picture is decoded. */
  isReady(pictures: Iterable<number>): boolean {
    for (const picture of pictures) {
      const slot = this.#slots.get(picture);
      if (slot === undefined || Atomics.load(this.#ready, slot) === 0) return false;
    }
    return true;
  }

  /**
   * Resolves when every given picture is decoded. `fail` makes the error of a picture that cannot be.
   */
  async ready(pictures: readonly number[], fail: (picture: number, message: string) => Error): Promise<void> {
    while (!this.isReady(pictures)) {
      if (this.#failure) throw this.#failure;
      for (const picture of pictures) {
        const message = this.#failedPaths.get(this.#paths[picture] as string);
        if (message !== undefined) throw fail(picture, message);
      }
      // A pending promise does not keep the process alive, and idle workers should not: hold them only while somebody waits.
      for (const worker of this.#workers) worker.ref();
      await new Promise<void>((wake) => this.#wake.push(wake));
    }
    for (const worker of this.#workers) worker.unref();
  }

  /** Pixels of a decoded picture, uint8 RGB [side, side, 3]; valid until it has to make room. */
  pixels(picture: number): Uint8Array {
    const slot = this.#slots.get(picture) as number;
    return this.#pixels.subarray(slot * this.#pictureBytes, (slot + 1) * this.#pictureBytes);
  }

  /** Ends the workers after the picture that each is at. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#stop, 0, 1);
    await Promise.all(this.#workers.map((worker) => endWorker(worker, () => worker.postMessage('stop'))));
    this.#fail(new DataError('The loader is closed'));
  }

  #evict(): number {
    const [oldest, slot] = this.#slots.entries().next().value as [number, number];
    this.#slots.delete(oldest);
    return slot;
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
