/**
 * Ctrl-C and SIGTERM as an AbortSignal: the first asks a command to stop in order, a second one ends it at once.
 */
import { EXIT } from './errors.js';

/**
 * Runs `work` with a signal that is aborted by the first Ctrl-C or SIGTERM.
 * @param onStop called once when that happens, to say that it is being stopped
 */
export async function withStopSignal<T>(work: (signal: AbortSignal) => Promise<T>, onStop: () => void): Promise<T> {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    onStop();
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
