import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseTrainConfig } from './config.js';
import { OutputExistsError } from './errors.js';
import { createRunDirectory, defaultRunDirectory, runDirectoryOf } from './run-directory.js';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'dualvla-run-'));
});
afterEach(() => rmSync(parent, { recursive: true }));

test('the default directory has date, time and job', () => {
  expect(defaultRunDirectory('my job/1', new Date(2026, 0, 31, 4, 5, 9))).toBe(
    'outputs/train/2026-01-31/04-05-09_my-job-1',
  );
});

test('an existing run is refused, and --overwrite removes only the files of a run', () => {
  const config = parseTrainConfig({ output_dir: join(parent, 'run') });
  const directory = runDirectoryOf(config);
  expect(directory).toBe(join(parent, 'run'));
  createRunDirectory(config, directory, false);
  mkdirSync(join(directory, 'checkpoints/000010'), { recursive: true });
  writeFileSync(join(directory, 'notes.txt'), 'mine');
  expect(() => createRunDirectory(config, directory, false)).toThrow(OutputExistsError);
  expect(existsSync(join(directory, 'checkpoints/000010'))).toBe(true);
  createRunDirectory(config, directory, true);
  expect(readdirSync(directory).sort()).toEqual(['notes.txt', 'train_config.json']);
});
