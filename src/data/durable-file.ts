/** Files that are either there whole or not at all: temporary name, fsync, rename, fsync of the folder. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Makes a folder's entries durable after a create, rename or delete in it. */
export function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes a file's content durable. */
export function syncFile(path: string): void {
  syncFolder(path);
}

/** Makes a folder and those above it. Throws what the system says: of a read-only disk Node's own recursion says "no such file". */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    let missing = resolve(path);
    while (!existsSync(dirname(missing))) missing = dirname(missing);
    if (!existsSync(missing)) mkdirSync(missing);
    throw error;
  }
}

/** Replaces `path` by `content` in one step; folders above it are created. */
export function writeDurable(path: string, content: string | Uint8Array): void {
  makeFolder(dirname(path));
  const temporary = `${path}.tmp`;
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const fd = openSync(temporary, 'w');
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}
