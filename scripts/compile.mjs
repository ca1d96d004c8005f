/**
 * Compiles src/ to dist/ when a source changed, and removes compiled files whose source is gone (a stale test would
 * still run). Plain JavaScript: runs before anything is compiled.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './machine.mjs';

const stampPath = join(root, 'dist', '.compiled');

/** @returns {string} a hash over the contents of `paths` (files or folders, relative to the root) and `extra`. */
export function hashOf(paths, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const path of paths) {
    const absolute = join(root, path);
    for (const file of existsSync(absolute) ? listFiles(absolute) : []) {
      hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** All files below `path` in a fixed order; `path` itself where it is a file. */
export function listFiles(path) {
  let entries;
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch {
    return [path];
  }
  return entries
    .filter((entry) => entry.name !== 'build' && entry.name !== 'node_modules')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? listFiles(join(path, entry.name)) : [join(path, entry.name)]));
}

function sourcesHash() {
  return hashOf(['src', 'tsconfig.json', 'package-lock.json']);
}

export function isCompiled() {
  if (!existsSync(join(root, 'src'))) return existsSync(join(root, 'dist'));
  if (!existsSync(stampPath) || readFileSync(stampPath, 'utf8') !== sourcesHash()) return false;
  return listFiles(join(root, 'src'))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .every((file) => existsSync(join(root, 'dist', relative(join(root, 'src'), file).replace(/\.ts$/, '.js'))));
}

/** @returns {{ ok: boolean, text: string }} what the compiler said. */
export function compile() {
  removeStaleOutputs();
  const result = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'], {
    cwd: root,
    encoding: 'utf8',
  });
  const ok = result.status === 0;
  if (ok) {
    mkdirSync(dirname(stampPath), { recursive: true });
    writeFileSync(stampPath, sourcesHash());
  }
  return { ok, text: `${result.stdout ?? ''}${result.stderr ?? ''}` };
}

function removeStaleOutputs() {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return;
  for (const file of listFiles(dist)) {
    const stem = file.match(/^(.*?)(\.d\.ts|\.js)(\.map)?$/)?.[1];
    if (stem && !existsSync(join(root, 'src', `${relative(dist, stem)}.ts`))) rmSync(file);
  }
}
