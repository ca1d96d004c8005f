/**
 * The directory of a training run: where it lies, and that an existing one is never silently replaced.
 *
 * ```
 * outputs/train/2026-01-31/14-05-59_specialist/
 *   train_config.json   the complete configuration
 *   train.lock          while a process trains here (run-lock.ts)
 *   metrics.jsonl       every step
 *   events.out.tfevents.*
 *   checkpoints/000500/ ..., checkpoints/last
 * ```
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TrainConfig } from './config.js';
import { OutputExistsError, OutputWriteError } from './errors.js';
import { METRICS_FILE } from './metrics-log.js';

export const RUN_CONFIG_FILE = 'train_config.json';

const isRunFile = (name: string): boolean =>
  ['checkpoints', METRICS_FILE, RUN_CONFIG_FILE].includes(name) || name.startsWith('events.out.tfevents.');

/** The default run directory of a job started at `now` (local time). */
export function defaultRunDirectory(jobName: string, now: Date = new Date()): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const time = `${two(now.getHours())}-${two(now.getMinutes())}-${two(now.getSeconds())}`;
  return join('outputs', 'train', date, `${time}_${jobName.replace(/[^\w.-]+/g, '-')}`);
}

/** True if the directory holds (part of) a training run. */
export function holdsRun(directory: string): boolean {
  return existsSync(directory) && readdirSync(directory).some(isRunFile);
}

/** The absolute run directory of a new run started at `now`. */
export function runDirectoryOf(config: TrainConfig, now: Date = new Date()): string {
  return resolve(config.output_dir ?? defaultRunDirectory(config.job_name, now));
}

/**
 * Creates a run's directory and writes its train_config.json.
 * @param overwrite remove the files of a run that is there; other files in the directory are never touched
 * @throws OutputExistsError if a run is there and `overwrite` is false
 */
export function createRunDirectory(config: TrainConfig, directory: string, overwrite: boolean): void {
  if (holdsRun(directory)) {
    if (!overwrite) throw new OutputExistsError(directory);
    for (const name of readdirSync(directory).filter(isRunFile)) {
      rmSync(join(directory, name), { recursive: true, force: true });
    }
  }
  writeRunConfig(directory, config);
}

/** Writes train_config.json atomically. @throws OutputWriteError */
export function writeRunConfig(directory: string, config: TrainConfig, lastGood: string | null = null): void {
  const path = join(directory, RUN_CONFIG_FILE);
  try {
    mkdirSync(directory, { recursive: true });
    const writing = `${path}.writing`;
    writeFileSync(writing, `${JSON.stringify({ ...config, output_dir: directory }, null, 2)}\n`, { flush: true });
    renameSync(writing, path);
  } catch (error) {
    throw new OutputWriteError(path, (error as Error).message, lastGood);
  }
}
