/**
 * What can end a training run from outside, on real processes of the command line with a real (tiny) model and data set:
 * kill -9 at moments drawn at random, checkpoint writes included, Ctrl-C, a full disk, a damaged checkpoint. Afterwards the
 * sequence of losses continues bit for bit.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkpointDamage, listCheckpoints, readMetrics } from 'dualvla/train';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyConfig, writeTinyDataset } from '../dist/train/tiny-run.test-support.js';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const steps = 40;
const timeout = 240_000;

let folder: string;
/** Losses of a run that nobody disturbed. */
let uninterrupted: object[];
let undisturbedRun: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-resume-'));
  await writeTinyDataset(join(folder, 'data'));
  const { runDir, start } = newRun('undisturbed');
  await finish(start);
  undisturbedRun = runDir;
  uninterrupted = losses(runDir);
  expect(uninterrupted).toHaveLength(steps);
}, timeout);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes the configuration of a run and returns the words that start and resume it. */
function newRun(name: string, changes: object = {}): { runDir: string; start: string[]; resume: string[] } {
  const runDir = join(folder, name);
  const configPath = join(folder, `${name}.json`);
  writeFileSync(configPath, JSON.stringify({ ...tinyConfig(join(folder, 'data'), runDir, steps), ...changes }));
  return { runDir, start: ['train', '--config_path', configPath], resume: ['train', '--resume', runDir] };
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

function start(words: readonly string[], limits = ''): [ChildProcess, Promise<Ended>] {
  const child = spawn('bash', ['-c', `${limits} exec "$@"`, 'bash', process.execPath, bin, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (text: Buffer): void => {
    output += text;
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return [child, new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal, output })))];
}

const run = (words: readonly string[], limits?: string): Promise<Ended> => start(words, limits)[1];
/** Runs to the end. */
async function finish(words: readonly string[]): Promise<void> {
  const { code, output } = await run(words);
  expect(code, output).toBe(0);
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const numLogged = (runDir: string): number => readMetrics(runDir).length;

/** Everything in metrics.jsonl that does not measure time. */
function losses(runDir: string): object[] {
  return readMetrics(runDir).map(({ seconds: _, data_wait: __, elapsed_s: ___, ...rest }) => rest);
}

/** Starts, waits until `step` steps are logged and a moment more, and sends a signal. */
async function interrupt(
  words: readonly string[],
  runDir: string,
  { step, ms, signal }: { step: number; ms: number; signal: NodeJS.Signals },
): Promise<Ended> {
  const [child, ended] = start(words);
  while (child.exitCode === null && (!existsSync(runDir) || numLogged(runDir) < step)) await pause(2);
  await pause(ms);
  child.kill(signal);
  return ended;
}

test(
  'killed at random moments and resumed, a run logs the losses of the undisturbed one',
  async () => {
    const { runDir, start, resume } = newRun('killed', { save_every: 2 });
    let words = start;
    let kills = 0;
    while (kills < 4) {
      const logged = existsSync(runDir) ? numLogged(runDir) : 0;
      const step = Math.min(steps - 2, logged + Math.floor(Math.random() * 8));
      const { signal } = await interrupt(words, runDir, { step, ms: Math.random() * 50, signal: 'SIGKILL' });
      for (const { directory } of listCheckpoints(runDir)) expect(checkpointDamage(directory)).toBeNull();
      if (signal === null) break;
      kills++;
      words = existsSync(join(runDir, 'train_config.json')) ? resume : start;
    }
    expect(kills).toBeGreaterThan(0);
    await finish(words);
    expect(losses(runDir)).toEqual(uninterrupted);
  },
  timeout,
);

test(
  'Ctrl-C finishes the step, saves a checkpoint and says how to go on; then the losses are the same',
  async () => {
    const { runDir, start, resume } = newRun('stopped', { save_every: 0 });
    const ended = await interrupt(start, runDir, { step: 3, ms: 0, signal: 'SIGINT' });
    if (ended.code !== 0) {
      expect(ended.code).toBe(130);
      const [checkpoint] = listCheckpoints(runDir);
      expect(checkpoint?.step).toBe(numLogged(runDir));
      expect(ended.output).toContain(`--resume ${checkpoint?.directory}`);
    }
    await finish(resume);
    expect(losses(runDir)).toEqual(uninterrupted);
  },
  timeout,
);

test(
  'a damaged checkpoint and a full disk are named errors with the next command; the last good checkpoint stays',
  async () => {
    const last = join(undisturbedRun, 'checkpoints/000040');
    const good = join(undisturbedRun, 'checkpoints/000035');
    truncateSync(join(last, 'training_state/optimizer_state.safetensors'), 1000);
    const damaged = await run(['train', '--resume', undisturbedRun]);
    expect(damaged.code).toBe(1);
    expect(damaged.output).toMatch(/000040 is corrupt: training_state\/optimizer_state.safetensors has 1000 bytes/);
    expect(damaged.output).toContain(`--resume ${good}`);

    await finish(['train', '--resume', good]);
    expect(losses(undisturbedRun)).toEqual(uninterrupted);
    expect(checkpointDamage(last)).toBeNull();

    // Files may have at most 64 KiB: writing the optimizer's state fails as it does on a full disk.
    const full = await run(['train', '--resume', undisturbedRun, '--steps=60'], 'ulimit -f 64;');
    expect(full.code).toBe(1);
    expect(full.output).toMatch(/Could not write .*000045: EFBIG/);
    expect(full.output).toContain(`--resume ${last}`);
    expect(listCheckpoints(undisturbedRun).at(-1)?.directory).toBe(last);
    expect(checkpointDamage(last)).toBeNull();
  },
  timeout,
);

test('an existing run is not replaced, and a wrong key exits with 2 and the nearest name', async () => {
  const [again, wrong] = await Promise.all([
    run(newRun('undisturbed').start),
    run(['train', '--recipe', 'debug', '--optimizer.lrr=1']),
  ]);
  expect(again.code).toBe(1);
  expect(again.output).toMatch(/already holds a training run.*--overwrite/);
  expect(wrong.code).toBe(2);
  expect(wrong.output).toContain('optimizer.lrr is not a known key (did you mean optimizer.lr?)');
});
