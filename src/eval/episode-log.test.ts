import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EpisodeLog, type EpisodeRecord } from './episode-log.js';

const episode = (index: number): EpisodeRecord => ({
  task: 'widowx/put-carrot-on-plate',
  variant: 'vm',
  split: 'test',
  index,
  seed: 300_000_000 + index,
  success: index % 2 === 0,
  steps: 20,
  maxSteps: 60,
  instruction: 'put the carrot on the plate',
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('another process continues where the first one was cut off in the middle of a line', () => {
  const path = join(folder, 'eval', 'episodes.jsonl');
  const first = new EpisodeLog(path);
  first.add(episode(0));
  first.add(episode(1));
  appendFileSync(path, '{"task":"widowx/put-ca');
  const second = new EpisodeLog(path);
  expect(second.records).toEqual([episode(0), episode(1)]);
  expect(second.has(episode(1))).toBe(true);
  expect(second.has(episode(2))).toBe(false);
  expect(second.has({ ...episode(1), variant: 'va' })).toBe(false);
  second.add(episode(2));
  expect(
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).index),
  ).toEqual([0, 1, 2]);
  second.clear();
  expect(new EpisodeLog(path).records).toEqual([]);
});

test('without a path it stays in memory', () => {
  const log = new EpisodeLog();
  log.add(episode(3));
  expect(log.get(episode(3))?.seed).toBe(300_000_003);
});
