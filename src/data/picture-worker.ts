/** Worker of the picture cache: decodes picture files into slots of shared memory, in the order in which they are asked for. */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { DataError } from './errors.js';
import { decodeImage } from './image-codec.js';

/** What every worker is given once. */
export interface PictureWorkerData {
  /** uint8 RGB [slots, side, side, 3]. */
  readonly arena: SharedArrayBuffer;
  /** Int32 a slot: 1 when the picture asked for last is there. */
  readonly ready: SharedArrayBuffer;
  /** Int32: [0] is set, and the message 'stop' sent, when the worker is to end. */
  readonly stop: SharedArrayBuffer;
  readonly side: number;
}

export interface PictureTask {
  readonly path: string;
  readonly slot: number;
}

export interface PictureReport {
  /** What went wrong with a picture; absent when all of a message's pictures are there. */
  readonly error?: { readonly path: string; readonly message: string };
}

function main(): void {
  const port = parentPort;
  if (!port) throw new DataError('This file is a worker; the multimodal loader starts it');
  const { arena, ready, stop, side } = workerData as PictureWorkerData;
  const [pixels, done, stopped] = [new Uint8Array(arena), new Int32Array(ready), new Int32Array(stop)];
  let queue: Promise<void> = Promise.resolve();
  port.on('message', (tasks: readonly PictureTask[] | 'stop') => {
    queue = queue.then(() => (tasks === 'stop' ? port.close() : decode(tasks)));
  });

  async function decode(tasks: readonly PictureTask[]): Promise<void> {
    for (const { path, slot } of tasks) {
      if (Atomics.load(stopped, 0) === 1) return;
      try {
        pixels.set(await decodeImage(readFileSync(path), side, side), slot * side * side * 3);
        Atomics.store(done, slot, 1);
      } catch (error) {
        port?.postMessage({ error: { path, message: (error as Error).message } } satisfies PictureReport);
      }
    }
    port?.postMessage({} satisfies PictureReport);
  }
}

main();
