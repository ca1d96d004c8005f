/**
 * The folder of a data set under construction: `<folder>.partial` until it is complete, then renamed to `<folder>`. One writer at a time.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { INFO_FILE } from './dataset-info.js';
import { syncFolder } from './durable-file.js';
import { DatasetConflictError } from './errors.js';
import { isAlive, startTime } from './process-lock.js';

export const JOURNAL_FILE = 'journal.jsonl';
/** Episodes' single videos until they are joined. */
export const STAGING_FOLDER = 'staging';
const LOCK_FILE = 'writer.lock';

/** Where an unfinished data set lies. */
export function partialFolder(folder: string): string {
  return `${resolve(folder)}.partial`;
}

export type DatasetState = 'absent' | 'unfinished' | 'finished';

/**
 * What lies at `folder`. Completes a move that a crash interrupted: a partial folder that is whole but not yet renamed.
 */
export function datasetState(folder: string): DatasetState {
  const target = resolve(folder);
  const partial = partialFolder(target);
  if (existsSync(partial)) {
    if (existsSync(join(partial, JOURNAL_FILE)) || !existsSync(join(partial, INFO_FILE))) return 'unfinished';
    publish(partial, target);
  }
  return existsSync(target) && readdirSync(target).length > 0 ? 'finished' : 'absent';
}

/**
 * Moves a complete partial folder to its place. Without its journal it counts as complete, so whatever follows can be repeated. A data set
 * already at the target is moved aside first and removed when the new one is in place.
 */
export function publish(partial: string, target: string): void {
  rmSync(join(partial, JOURNAL_FILE), { force: true });
  syncFolder(partial);
  rmSync(join(partial, STAGING_FOLDER), { recursive: true, force: true });
  const old = `${target}.old`;
  if (existsSync(target)) {
    rmSync(old, { recursive: true, force: true });
    renameSync(target, old);
  }
  unlock(partial);
  renameSync(partial, target);
  syncFolder(dirname(target));
  rmSync(old, { recursive: true, force: true });
}

/** Throws DatasetConflictError if a living process is writing here. */
export function assertUnlocked(partial: string): void {
  const path = join(partial, LOCK_FILE);
  if (!existsSync(path)) return;
  const [pid, start] = readFileSync(path, 'utf8').split(' ');
  const id = Number(pid);
  if (Number.isInteger(id) && id > 0 && isAlive(id) && startTime(id) === (start ?? ''))
    throw new DatasetConflictError(`Process ${id} is writing this data set`, {
      file: partial,
      hint: 'Wait for it or stop it first',
    });
}

export function lock(partial: string): void {
  assertUnlocked(partial);
  writeFileSync(join(partial, LOCK_FILE), `${process.pid} ${startTime(process.pid)}`);
}

export function unlock(partial: string): void {
  rmSync(join(partial, LOCK_FILE), { force: true });
}
