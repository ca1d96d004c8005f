/**
 * The thread that trains: runs the job it was started with and posts its events. See trainer.ts for the other side.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toPortable } from './errors.js';
import { trainSpecialist } from './specialist.js';
import type { TrainerMessage, TrainJob } from './trainer.js';

const port = parentPort;
if (port === null) throw new Error('trainer-worker.js is started by trainInWorker, not by itself');

const { config, mode, stopFlag } = workerData as TrainJob;
const stop = new Int32Array(stopFlag);
const post = (message: TrainerMessage): void => port.postMessage(message);
try {
  for await (const event of trainSpecialist(config, mode, () => Atomics.load(stop, 0) === 1)) post({ event });
} catch (error) {
  post({ error: toPortable(error) });
}
