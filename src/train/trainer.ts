/**
 * Runs training in a Worker thread, so that the thread that asked for it stays responsive (signals, a server, a progress
 * line), and hands its events on. The Worker's errors arrive as the same named errors.
 */
import { Worker } from 'node:worker_threads';
import { endWorker } from '../data/end-worker.js';
import type { TrainConfig } from './config.js';
import { fromPortable, type PortableError, TrainerExitError } from './errors.js';
import type { TrainEvent } from './events.js';

/** Asks the loop to stop with a checkpoint. */
export const SAVE_AND_STOP = 1;
/** Asks it to stop before the next step, without one. */
export const ABANDON = 2;

/** How to treat the run directory. */
export type RunMode =
  /** A new run; `overwrite` replaces a run that is there. */
  | { kind: 'new'; overwrite?: boolean }
  /** Continue at a checkpoint or run directory. */
  | { kind: 'resume'; path: string };

/** What the Worker is started with. */
export interface TrainJob {
  config: TrainConfig;
  mode: RunMode;
  /** One Int32: {@link SAVE_AND_STOP} or {@link ABANDON}. */
  stopFlag: SharedArrayBuffer;
}

/** What the Worker posts. */
export type TrainerMessage = { event: TrainEvent } | { error: PortableError };

/**
 * Trains in a Worker and yields its events; the last one is `end`.
 * Aborting the signal saves a checkpoint and ends the run in order (`end` with reason `stopped`). Leaving the iteration
 * early ends the run before its next step, as a kill would: without a checkpoint, and it can be resumed.
 * @throws the named errors of errors.ts, and those of the engine and the data reader with their names
 */
export async function* trainInWorker(
  config: TrainConfig,
  mode: RunMode,
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent, void> {
  const stopFlag = new SharedArrayBuffer(4);
  const job: TrainJob = { config, mode, stopFlag };
  const worker = new Worker(new URL('./trainer-worker.js', import.meta.url), { workerData: job });
  const ask = (what: number): void => void Atomics.store(new Int32Array(stopFlag), 0, what);
  const stop = (): void => ask(SAVE_AND_STOP);
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop);

  const messages: (TrainerMessage | { exit: number })[] = [];
  let wake: () => void = () => undefined;
  const push = (message: TrainerMessage | { exit: number }): void => {
    messages.push(message);
    wake();
  };
  worker.on('message', push);
  worker.on('error', (error) =>
    push({ error: { name: error.name, message: error.message, stack: error.stack, details: {} } }),
  );
  worker.on('exit', (exit) => push({ exit }));
  let ended = false;
  try {
    for (;;) {
      const message = messages.shift();
      if (message === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ('error' in message) {
        throw fromPortable(message.error);
      } else if ('exit' in message) {
        if (ended && message.exit === 0) return;
        throw new TrainerExitError(message.exit);
      } else {
        ended ||= message.event.type === 'end';
        yield message.event;
      }
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    await endWorker(worker, () => ask(ABANDON));
  }
}
