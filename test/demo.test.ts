/**
 * The whole pipeline on the `debug` recipe, as a user runs it: stopped in the middle with Ctrl-C, started again, and
 * again when everything is done. Its success rates mean nothing; that every part is reached and recorded does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-demo-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Measured {
  success: unknown;
  multimodal: Record<string, unknown>;
  vlaScore: { R?: number };
  thinking: { predictions: number };
}

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the demo; `watch` sees the output as it comes. */
function demo(watch: (text: string, child: ChildProcess) => void = () => undefined): Promise<Outcome> {
  const args = [bin, 'demo', '--recipe', 'debug', '--output', join(folder, 'out')];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const outcome: Outcome = { code: null, stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].on('data', (data: Buffer) => {
      outcome[stream] += data.toString();
      watch(outcome.stdout + outcome.stderr, child);
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...outcome, code })));
}

test('runs, is stopped, continues, and has nothing left to do', { timeout: 500_000 }, async () => {
  let stopped = false;
  const first = await demo((text, child) => {
    if (!stopped && /\[6\/12\] train\/specialist/.test(text)) stopped = child.kill('SIGINT');
  });
  expect(first.code).toBe(130);
  expect(first.stderr).toMatch(/stopping, .* continues here/);
  expect(first.stderr).not.toMatch(/error/);
  expect(existsSync(join(folder, 'out', 'result.json'))).toBe(false);

  const second = await demo();
  expect(second.stderr + second.stdout).toMatch(/\[1\/12\] data: already done/);
  expect(second.code).toBe(0);
  const report = second.stdout.trim().split('\n').at(-1) ?? '';
  expect(report).toBe(join(folder, 'out', 'report.html'));
  const page = readFileSync(report, 'utf8');
  expect(page.match(/<video src="data:video\/mp4;base64,/g)).toHaveLength(2);
  expect(page).toMatch(/<svg class="loss"/);
  // not in the bytes of pictures and videos, where these letters stand by chance
  const words = page.replaceAll(/base64,[\w+/=]+/g, '');
  expect(words).toContain('<video');
  expect(words.match(/.{0,80}(NaN|undefined|Infinity).{0,80}/)?.[0]).toBeUndefined();

  const result = JSON.parse(readFileSync(join(folder, 'out', 'result.json'), 'utf8'));
  const parts = ['recipe', 'seed', 'commit', 'engine', 'seconds', 'models', 'pruning', 'guessing'];
  expect(Object.keys(result)).toEqual(parts);
  expect(result).toMatchObject({ recipe: 'debug', seed: 0, commit: expect.any(String) });
  expect(result.engine).toMatch(/^libtorch \d/);
  expect(Object.keys(result.models)).toEqual(['specialist', 'base', 'dualvla']);
  for (const [name, { success, multimodal, vlaScore, thinking }] of Object.entries<Measured>(result.models)) {
    expect(success).toEqual({ 'widowx/put-carrot-on-plate/vm': { successes: expect.any(Number), trials: 2 } });
    expect(Object.values(multimodal)).toContainEqual({ correct: expect.any(Number), total: 2 });
    expect(vlaScore).toMatchObject({ A: expect.any(Number), I: expect.any(Number), score: expect.any(Number) });
    expect(vlaScore.R === undefined).toBe(name === 'specialist');
    expect(thinking.predictions).toBeGreaterThan(0);
  }
  for (const family of Object.keys(result.models.dualvla.multimodal)) {
    expect(result.guessing[family]).toBeGreaterThanOrEqual(0);
    expect(result.guessing[family]).toBeLessThan(1);
  }
  expect(result.pruning.frames).toBeGreaterThan(result.pruning.kept);
  expect(result.pruning.kept).toBeGreaterThanOrEqual(4);
  expect(second.stdout).toMatch(/dualvla +\d+ % +2 /);

  const run = join(folder, 'out', 'seed-0', 'specialist', 'train');
  const steps = readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ lr }) => lr !== undefined)
    .map(({ step }) => step);
  expect(steps).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(readdirSync(join(run, 'checkpoints'))).toContain('last');

  const third = await demo();
  expect(third.code).toBe(0);
  expect(third.stdout.match(/already done/g)).toHaveLength(12);
  expect(third.stdout.trim().split('\n').at(-1)).toBe(report);
});
