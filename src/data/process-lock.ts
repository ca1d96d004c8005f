/**
 * A lock file that says which process holds it. It appears whole or not at all, one of several takers gets it, and one left behind by a
 * process that no longer lives (kill -9, power loss) is taken over. Processes of other machines cannot be asked: their locks count.
 */
import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** Who holds a lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** When it took the lock, ISO 8601. */
  readonly since: string;
}

interface LockText extends LockHolder {
  /** Start time of the process, where /proc tells it: a reused process id has another one. */
  readonly start: string;
  readonly token: string;
}

/** A process' start time in the kernel's units; empty where /proc does not tell it, and for one that has ended but is not yet waited for. */
export function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The living holder that a lock's text names; null if it is gone or the text is damaged. */
function livingHolder(text: string): LockHolder | null {
  let lock: Partial<LockText> | null;
  try {
    lock = JSON.parse(text) as Partial<LockText> | null;
  } catch {
    return null;
  }
  const { pid, host, since, start } = lock ?? {};
  if (!Number.isInteger(pid) || typeof host !== 'string' || typeof since !== 'string') return null;
  const holder: LockHolder = { pid: pid as number, host, since };
  if (host !== hostname()) return holder;
  return isAlive(holder.pid) && startTime(holder.pid) === start ? holder : null;
}

/** Creates `path` with this text, whole; false if it is there. */
function create(path: string, text: string): boolean {
  const own = `${path}.${randomUUID()}`;
  writeFileSync(own, text, { flush: true });
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Moves a dead process' lock out of the way. Another taker may have been faster: a lock that is no longer the dead one goes back. */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if (readFileSync(aside, 'utf8') !== stale) linkSync(aside, path);
  } finally {
    rmSync(aside, { force: true });
  }
}

/** A held lock. */
export class ProcessLock {
  readonly path: string;
  readonly #text: string;

  private constructor(path: string, text: string) {
    this.path = path;
    this.#text = text;
  }

  /**
   * Takes the lock; its folder must exist.
   * @returns who holds it, if a living process does (this one included)
   */
  static take(path: string): ProcessLock | LockHolder {
    const { pid } = process;
    const lock: LockText = {
      pid,
      host: hostname(),
      since: new Date().toISOString(),
      start: startTime(pid),
      token: randomUUID(),
    };
    const text = `${JSON.stringify(lock)}\n`;
    for (;;) {
      if (create(path, text)) return new ProcessLock(path, text);
      const present = readText(path);
      if (present === null) continue;
      const holder = livingHolder(present);
      if (holder !== null) return holder;
      removeStale(path, present);
    }
  }

  /** Gives the lock back; nothing happens if it is no longer this one's. */
  release(): void {
    if (readText(this.path) === this.#text) rmSync(this.path, { force: true });
  }
}
