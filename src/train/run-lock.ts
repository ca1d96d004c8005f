/**
 * One trainer a run directory: two would write the same checkpoints and logs. The lock is `train.lock` in the directory; a trainer that
 * was killed leaves one that counts for nothing (data/process-lock.ts).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type LockHolder, ProcessLock } from '../data/process-lock.js';
import { OutputWriteError, RunLockedError } from './errors.js';

export const RUN_LOCK_FILE = 'train.lock';

/** Held from {@link acquire} until it is disposed of. */
export class RunLock {
  #lock: ProcessLock | null = null;

  /** @throws RunLockedError if a living process trains in this directory; OutputWriteError if the directory cannot be written */
  acquire(runDir: string): void {
    const path = join(runDir, RUN_LOCK_FILE);
    let taken: ProcessLock | LockHolder;
    try {
      mkdirSync(runDir, { recursive: true });
      taken = ProcessLock.take(path);
    } catch (error) {
      throw new OutputWriteError(path, (error as Error).message, null);
    }
    if (!(taken instanceof ProcessLock)) throw new RunLockedError(runDir, path, taken);
    this.#lock = taken;
  }

  [Symbol.dispose](): void {
    this.#lock?.release();
    this.#lock = null;
  }
}
