/** Worker of the multimodal generator: draws pictures and writes their files, each whole or not at all. */
import { renameSync, writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { SimStateError } from '../errors.js';
import { Artist } from './artist.js';
import type { View } from './question.js';

export interface ArtistWorkerData {
  readonly size: number;
  /** Int32: [0] is set when the worker is to end after the picture that it is at. */
  readonly stop: SharedArrayBuffer;
}

export interface Order {
  readonly id: number;
  readonly pictures: readonly { readonly path: string; readonly view: View }[];
}

export interface Delivery {
  readonly id: number;
  readonly error?: { readonly name: string; readonly message: string };
}

const port = parentPort;
if (!port) throw new SimStateError('this file is a worker; generateMultimodal starts it');
const { size, stop } = workerData as ArtistWorkerData;
const stopped = new Int32Array(stop);
const artist = new Artist(size);

async function deliver({ id, pictures }: Order): Promise<Delivery> {
  try {
    for (const { path, view } of pictures) {
      if (Atomics.load(stopped, 0) === 1) break;
      writeFileSync(`${path}.tmp`, await artist.png(view));
      renameSync(`${path}.tmp`, path);
    }
    return { id };
  } catch (error) {
    const { name, message } = error as Error;
    return { id, error: { name, message } };
  }
}

let queue: Promise<void> = Promise.resolve();
port.on('message', (order: Order | 'stop') => {
  queue = queue.then(async () => {
    if (order === 'stop') port.close();
    else port.postMessage(await deliver(order));
  });
});
