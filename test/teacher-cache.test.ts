/** One cache of teachers' answers under real processes of the command line: kill -9 while it is filled, and two runs at once. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MetricsRecord, readMetrics } from 'dualvla/train';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyConfig, writeTinyDataset, writeTinyQuestions } from '../dist/train/tiny-run.test-support.js';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const steps = 30;
const timeout = 240_000;

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-teachers-'));
  await writeTinyDataset(at('data'));
  writeTinyQuestions(at('questions'));
  await finish(start(writeConfig('teacher', { steps: 2 }))[1]);
  await finish(start(distilled('alone', 'cache-alone'))[1]);
}, timeout);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a run's configuration. @returns the words that start it */
function writeConfig(name: string, changes: object): string[] {
  const { policy, ...base } = tinyConfig(at('data'), at(name), steps);
  const path = at(`${name}.json`);
  const dataset = { root: at('data'), shift_pixels: 0, cache_mb: 16 };
  const discrete = { ...policy, action_head: 'discrete', num_action_bins: 16 };
  const multimodal = { root: at('questions'), share: 0.5 };
  writeFileSync(path, JSON.stringify({ ...base, dataset, multimodal, policy: discrete, ...changes }));
  return ['train', '--config_path', path];
}

const distilled = (name: string, cache: string): string[] =>
  writeConfig(name, {
    init_from: at('teacher'),
    distillation: { action_teacher: at('teacher'), reasoning_teacher: at('teacher'), cache: at(cache) },
  });

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

function start(words: readonly string[]): [ChildProcess, Promise<Ended>] {
  const child = spawn(process.execPath, [bin, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => {
      output += text;
    });
  return [child, new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal, output })))];
}

async function finish(ending: Promise<Ended>): Promise<void> {
  const { code, output } = await ending;
  expect(code, output).toBe(0);
}

const segments = (cache: string): string[] =>
  readdirSync(at(cache)).flatMap((family) => readdirSync(join(at(cache), family)));
const shares = (name: string): unknown[] => readMetrics(at(name)).map(({ teacher_cached }) => teacher_cached);
/** What does not measure time or the cache. */
const lossesOf = (name: string): Partial<MetricsRecord>[] =>
  readMetrics(at(name)).map(({ step, loss, action_kd, reasoning_kd, grad_norm }) => ({
    step,
    loss,
    action_kd,
    reasoning_kd,
    grad_norm,
  })) as Partial<MetricsRecord>[];

test(
  'killed while it fills the cache, a run goes on bit for bit with what is there',
  async () => {
    const [child, ended] = start(distilled('killed', 'cache-killed'));
    while (readMetrics(at('killed')).length < 5) await new Promise((resolve) => setTimeout(resolve, 2));
    child.kill('SIGKILL');
    expect((await ended).signal).toBe('SIGKILL');
    await finish(start(['train', '--resume', at('killed')])[1]);
    expect(lossesOf('killed')).toEqual(lossesOf('alone'));
    // Two teachers, two processes; all ten questions may be known to the first.
    expect(segments('cache-killed').length).toBeGreaterThan(2);
    await finish(start(distilled('again', 'cache-killed'))[1]);
    expect(new Set(shares('again'))).toEqual(new Set([1]));
  },
  timeout,
);

test(
  'two runs fill one cache at once and keep their numbers up to rounding; the next finds everything',
  async () => {
    await Promise.all(['first', 'second'].map((name) => finish(start(distilled(name, 'cache-shared'))[1])));
    await finish(start(distilled('third', 'cache-shared'))[1]);
    for (const name of ['first', 'second', 'third'])
      for (const [i, record] of lossesOf(name).entries())
        for (const [key, value] of Object.entries(record))
          expect(Math.abs((value as number) - (lossesOf('alone')[i]?.[key] as number))).toBeLessThan(1e-4);
    expect(new Set(shares('third'))).toEqual(new Set([1]));
  },
  timeout,
);
