/**
 * The thread that trains: runs the job it was started with and posts its events. See trainer.ts for the other side.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toPortable } from './errors.js';
import { trainVla } from './train-vla.js';
import { ABANDON, SAVE_AND_STOP, type TrainerMessage, type TrainJob } from './trainer.js';

const port = parentPort;
if (port === null) throw new Error('trainer-worker.js is started by trainInWorker, not by itself');

const { config, mode, stopFlag } = workerData as TrainJob;
const stop = new Int32Array(stopFlag);
const post = (message: TrainerMessage): void => port.postMessage(message);
const asked = (): number => Atomics.load(stop, 0);
/** Thrown where the loop asks whether to stop, so that it leaves its data and its process group in order. */
const abandoned = new Error('abandoned');
const shouldStop = (): boolean => {
  if (asked() === ABANDON) throw abandoned;
  return asked() === SAVE_AND_STOP;
};
try {
  for await (const event of trainVla(config, mode, shouldStop)) post({ event });
} catch (error) {
  if (error !== abandoned) post({ error: toPortable(error) });
}
