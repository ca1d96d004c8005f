/**
 * Ending a worker thread in order. `Worker.terminate()` inside zlib aborts the whole process (Node 20), so a worker is asked to stop and
 * awaited; it is ended by force only when it does not come to an end, which a healthy one does within seconds.
 */
import type { Worker } from 'node:worker_threads';

/** Longer than any step that a worker takes between two looks at its messages or its stop flag. */
const PATIENCE_MS = 60_000;

/** Asks the worker to stop and resolves when its thread has ended. */
export async function endWorker(worker: Worker, ask: () => void, patienceMs: number = PATIENCE_MS): Promise<void> {
  // A thread that has ended has no id.
  if (worker.threadId < 0) return;
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.ref();
  ask();
  const timer = setTimeout(() => void worker.terminate(), patienceMs);
  await ended;
  clearTimeout(timer);
}
