/**
 * Atomic replacement of a file: write beside it, fsync, rename, fsync the directory. A reader, also after a crash or
 * power cut, sees the whole old file or the whole new one.
 *
 * Knows nothing about what is written.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';

let counter = 0;

/**
 * Calls `write` with a function that appends bytes to a temporary file, then puts that file in the place of `path`.
 * If anything throws (disk full, say) the temporary file is removed, `path` stays as it was and the error goes on.
 */
export function replaceFileAtomically(path: string, write: (append: (bytes: Uint8Array) => void) => void): void {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true });
  const temporary = join(directory, `.${basename(path)}.${process.pid}-${threadId}-${counter++}.tmp`);
  const fd = openSync(temporary, 'wx');
  let open = true;
  try {
    write((bytes) => {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
    });
    fsyncSync(fd);
    closeSync(fd);
    open = false;
    renameSync(temporary, path);
  } catch (error) {
    if (open) closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  const directoryFd = openSync(directory, 'r');
  try {
    fsyncSync(directoryFd);
  } finally {
    closeSync(directoryFd);
  }
}
