/** Drawing spread over workers: orders are given to whoever has least to do. */
import { Worker } from 'node:worker_threads';
import { endWorker } from '../../data/end-worker.js';
import { SimError } from '../errors.js';
import type { ArtistWorkerData, Delivery, Order } from './artist-worker.js';

export class ArtistCrew {
  readonly size: number;
  readonly #workers: { readonly worker: Worker; load: number }[];
  readonly #pending = new Map<number, { resolve: () => void; reject: (error: Error) => void; worker: number }>();
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  #id = 0;
  #closed = false;
  #failure: Error | undefined;

  /** @param numWorkers threads; @param size side of the pictures */
  constructor(numWorkers: number, size: number) {
    this.size = numWorkers;
    const data: ArtistWorkerData = { size, stop: this.#stop.buffer as SharedArrayBuffer };
    this.#workers = Array.from({ length: numWorkers }, () => {
      const worker = new Worker(new URL('./artist-worker.js', import.meta.url), { workerData: data, name: 'artist' });
      worker.on('message', (delivery: Delivery) => this.#settle(delivery));
      worker.on('error', (error) => this.#fail(error));
      worker.on('exit', (code) => {
        if (!this.#closed) this.#fail(new SimError(`a drawing worker ended with status ${code}`));
      });
      return { worker, load: 0 };
    });
  }

  /** Resolves when the files of the pictures are there. */
  draw(pictures: Order['pictures']): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    const worker = this.#workers.reduce((best, { load }, i) => (load < (this.#workers[best]?.load ?? 0) ? i : best), 0);
    return new Promise((resolve, reject) => {
      const id = this.#id++;
      this.#pending.set(id, { resolve, reject, worker });
      const chosen = this.#workers[worker] as { worker: Worker; load: number };
      chosen.load++;
      chosen.worker.postMessage({ id, pictures } satisfies Order);
    });
  }

  /** Ends the workers after the picture that each is at: ending one by force inside zlib aborts the whole process (Node 20). */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pending.clear();
    Atomics.store(this.#stop, 0, 1);
    await Promise.all(this.#workers.map(({ worker }) => endWorker(worker, () => worker.postMessage('stop'))));
  }

  #settle({ id, error }: Delivery): void {
    const waiting = this.#pending.get(id);
    if (!waiting) return;
    this.#pending.delete(id);
    (this.#workers[waiting.worker] as { load: number }).load--;
    if (error) waiting.reject(new SimError(`drawing failed: ${error.name}: ${error.message}`));
    else waiting.resolve();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
