/**
 * Checkpoint directories on disk: atomic, checksummed, never half there.
 *
 * ```
 * <run>/checkpoints/
 *   000500/                 appears by one rename, after every file in it is on the disk
 *     checksums.json        bytes and SHA-256 of every other file
 *     pretrained_model/     what inference needs
 *     training_state/       what --resume needs besides
 *   last -> 000500          switched last, by rename
 * ```
 * A write goes to `checkpoints/.writing-000500`; after a crash at any moment the newest complete checkpoint is intact and
 * `last` points to a complete one. Knows nothing about what the files mean.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { CorruptCheckpointError, NothingToResumeError, OutputWriteError } from './errors.js';

/** Weights of a model, in pretrained_model/ and in training_state/. */
export const WEIGHTS_FILE = 'model.safetensors';
const CHECKSUMS = 'checksums.json';
const WRITING = '.writing-';
const REPLACED = '.replaced-';

interface Checksums {
  version: 1;
  step: number;
  files: Record<string, { bytes: number; sha256: string }>;
}

/** A checkpoint directory of a run. */
export interface CheckpointPath {
  step: number;
  directory: string;
}

const checkpointsOf = (runDir: string): string => join(runDir, 'checkpoints');
const nameOf = (step: number): string => String(step).padStart(6, '0');

/** Where a run's checkpoint of a step lies. */
export const checkpointDirectory = (runDir: string, step: number): string => join(checkpointsOf(runDir), nameOf(step));

/** The run directory a checkpoint directory `<run>/checkpoints/<step>` belongs to. */
export const runOfCheckpoint = (directory: string): string => dirname(dirname(resolve(directory)));

/** Complete-looking checkpoints of a run, oldest first (complete is by name only; see `verifyCheckpoint`). */
export function listCheckpoints(runDir: string): CheckpointPath[] {
  const root = checkpointsOf(runDir);
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^\d{6,}$/.test(entry.name))
    .map((entry) => ({ step: Number(entry.name), directory: join(root, entry.name) }))
    .sort((a, b) => a.step - b.step);
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

function directoriesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

function fsyncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** SHA-256 of a file, read in pieces of 4 MiB. */
export function sha256(path: string): string {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(4 << 20);
  const file = openSync(path, 'r');
  try {
    for (let n = readSync(file, piece); n > 0; n = readSync(file, piece)) hash.update(piece.subarray(0, n));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}

/**
 * Writes the checkpoint of `step`: `fill` puts the files into the directory it is given.
 * A checkpoint of the same step that is already there is replaced only when the new one is complete.
 * @param keepLast newest checkpoints to keep, 0 for all
 * @returns the checkpoint's directory
 * @throws OutputWriteError if anything cannot be written; earlier checkpoints and `last` are then as before
 */
export function writeCheckpoint(runDir: string, step: number, fill: (directory: string) => void, keepLast = 0): string {
  const root = checkpointsOf(runDir);
  const target = checkpointDirectory(runDir, step);
  const writing = join(root, WRITING + nameOf(step));
  try {
    mkdirSync(root, { recursive: true });
    rmSync(writing, { recursive: true, force: true });
    mkdirSync(writing);
    fill(writing);
    const checksums: Checksums = { version: 1, step, files: {} };
    for (const file of filesUnder(writing)) {
      const path = join(writing, file);
      fsyncPath(path);
      checksums.files[file] = { bytes: statSync(path).size, sha256: sha256(path) };
    }
    writeFileSync(join(writing, CHECKSUMS), `${JSON.stringify(checksums, null, 1)}\n`, { flush: true });
    for (const directory of [...directoriesUnder(writing), writing]) fsyncPath(directory);
    const replaced = join(root, REPLACED + nameOf(step));
    rmSync(replaced, { recursive: true, force: true });
    if (existsSync(target)) renameSync(target, replaced);
    renameSync(writing, target);
    fsyncPath(root);
    pointLastAt(root, nameOf(step));
    rmSync(replaced, { recursive: true, force: true });
  } catch (error) {
    rmSync(writing, { recursive: true, force: true });
    throw new OutputWriteError(target, (error as Error).message, newestGood(runDir)?.directory ?? null);
  }
  if (keepLast > 0) removeOldCheckpoints(root, listCheckpoints(runDir), step, keepLast);
  return target;
}

function pointLastAt(root: string, name: string): void {
  const link = join(root, '.last');
  rmSync(link, { force: true });
  symlinkSync(name, link);
  renameSync(link, join(root, 'last'));
  fsyncPath(root);
}

function removeOldCheckpoints(root: string, all: CheckpointPath[], step: number, keepLast: number): void {
  // Later ones than `step` exist only after a resume from an earlier checkpoint; they are replaced as they are reached.
  const upToNow = all.filter((checkpoint) => checkpoint.step <= step);
  for (const { directory } of upToNow.slice(0, -keepLast)) {
    const removing = join(root, REPLACED + basename(directory));
    rmSync(removing, { recursive: true, force: true });
    renameSync(directory, removing);
    rmSync(removing, { recursive: true, force: true });
  }
}

/** What is wrong with a checkpoint's files, or null if they all match their checksums. */
export function checkpointDamage(directory: string): string | null {
  let checksums: Checksums;
  try {
    checksums = JSON.parse(readFileSync(join(directory, CHECKSUMS), 'utf8')) as Checksums;
    if (checksums.version !== 1 || typeof checksums.files !== 'object') return `${CHECKSUMS} has an unknown form`;
  } catch (error) {
    return `${CHECKSUMS} cannot be read (${(error as Error).message})`;
  }
  for (const [file, expected] of Object.entries(checksums.files)) {
    const path = join(directory, file);
    if (!existsSync(path)) return `${file} is missing`;
    const bytes = statSync(path).size;
    if (bytes !== expected.bytes) return `${file} has ${bytes} bytes instead of ${expected.bytes}`;
    if (sha256(path) !== expected.sha256) return `${file} does not match its SHA-256`;
  }
  return null;
}

/** The checkpoint that `last` names, or the newest if the link is missing or broken. */
function lastCheckpoint(runDir: string): CheckpointPath | null {
  const all = listCheckpoints(runDir);
  const last = lastTarget(checkpointsOf(runDir));
  return all.find(({ directory }) => basename(directory) === last) ?? all.at(-1) ?? null;
}

/** The newest checkpoint of the run's current history (up to `last`) whose files are all intact. */
function newestGood(runDir: string, before = Number.POSITIVE_INFINITY): CheckpointPath | null {
  const newest = lastCheckpoint(runDir)?.step ?? 0;
  const earlier = listCheckpoints(runDir).filter(({ step }) => step < before && step <= newest);
  return earlier.reverse().find(({ directory }) => checkpointDamage(directory) === null) ?? null;
}

/**
 * Checks every file of a checkpoint against its checksum.
 * @throws CorruptCheckpointError naming the file and the newest good checkpoint before it
 */
export function verifyCheckpoint(checkpoint: CheckpointPath): void {
  const damage = checkpointDamage(checkpoint.directory);
  if (damage === null) return;
  const lastGood = newestGood(runOfCheckpoint(checkpoint.directory), checkpoint.step);
  throw new CorruptCheckpointError(checkpoint.directory, damage, lastGood?.directory ?? null);
}

/** The newest verified checkpoint directory for error messages, or null. */
export function lastGoodCheckpoint(runDir: string): string | null {
  return newestGood(runDir)?.directory ?? null;
}

/**
 * Makes a checkpoint the run's `last`: what a resume from an earlier checkpoint does first, so that the ones after it
 * (which stay until training reaches them again) are no longer taken for the run's newest.
 */
export function makeLast(checkpoint: CheckpointPath): void {
  pointLastAt(dirname(checkpoint.directory), basename(checkpoint.directory));
}

/** Removes what an interrupted write left behind. A complete checkpoint that was being replaced is put back. */
export function cleanUpInterruptedWrites(runDir: string): void {
  const root = checkpointsOf(runDir);
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const path = join(root, name);
    if (name.startsWith(REPLACED)) {
      const original = join(root, name.slice(REPLACED.length));
      const wasLast = lastTarget(root) === basename(original);
      if (!existsSync(original) && wasLast) renameSync(path, original);
      else rmSync(path, { recursive: true, force: true });
    } else if (name.startsWith(WRITING) || name === '.last') {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

function lastTarget(root: string): string | null {
  try {
    return readlinkSync(join(root, 'last'));
  } catch {
    return null;
  }
}

/** Where `--resume <path>` continues: a run, and its checkpoint unless the run has none yet. */
export interface ResumePoint {
  runDir: string;
  checkpoint: CheckpointPath | null;
}

/**
 * Finds what `--resume <path>` means: a checkpoint directory (or `last`), or a run directory (its `last`;
 * none if the run was interrupted before the first).
 * @throws NothingToResumeError if the path is neither
 */
export function findResumePoint(path: string): ResumePoint {
  const { runDir, checkpoint } = locateResume(path);
  if (checkpoint !== null) return { runDir, checkpoint };
  cleanUpInterruptedWrites(runDir);
  const last = lastCheckpoint(runDir);
  if (last === null && !existsSync(join(runDir, 'train_config.json'))) {
    throw new NothingToResumeError(path, 'it holds neither checkpoints/ nor train_config.json');
  }
  return { runDir, checkpoint: last };
}

/**
 * The run directory that `--resume <path>` means, and the checkpoint if the path names one. Changes nothing: a trainer may be at work there.
 * @throws NothingToResumeError if the path does not exist
 */
export function locateResume(path: string): ResumePoint {
  const directory = resolve(path);
  if (!existsSync(directory)) throw new NothingToResumeError(path, 'it does not exist');
  const isCheckpoint = (at: string): boolean =>
    /^\d{6,}$/.test(basename(at)) && basename(dirname(at)) === 'checkpoints';
  let at = directory;
  if (basename(at) === 'last') at = join(dirname(at), readlinkSync(at));
  if (basename(at) === 'pretrained_model' || basename(at) === 'training_state') at = dirname(at);
  if (isCheckpoint(at)) {
    return { runDir: runOfCheckpoint(at), checkpoint: { step: Number(basename(at)), directory: at } };
  }
  return { runDir: basename(at) === 'checkpoints' ? dirname(at) : at, checkpoint: null };
}
