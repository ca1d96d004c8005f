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

test('runs, is stopped, continues, and has nothing left to do', { timeout: 300_000 }, async () => {
  let stopped = false;
  const first = await demo((text, child) => {
    if (!stopped && /\[2\/4\] training/.test(text)) stopped = child.kill('SIGINT');
  });
  expect(first.code).toBe(130);
  expect(first.stderr).toMatch(/stopping; .* continues here/);
  expect(first.stderr).not.toMatch(/error/);
  expect(existsSync(join(folder, 'out', 'result.json'))).toBe(false);

  const second = await demo();
  expect(second.stderr + second.stdout).toMatch(/demonstrations: already done/);
  expect(second.code).toBe(0);
  const report = second.stdout.trim().split('\n').at(-1) ?? '';
  expect(report).toBe(join(folder, 'out', 'report.html'));
  const page = readFileSync(report, 'utf8');
  expect(page.match(/<video src="data:video\/mp4;base64,/g)?.length).toBeGreaterThanOrEqual(1);
  expect(page).toMatch(/<svg class="loss"/);

  const result = JSON.parse(readFileSync(join(folder, 'out', 'result.json'), 'utf8'));
  expect(Object.keys(result)).toEqual(['recipe', 'seed', 'commit', 'engine', 'seconds', 'models']);
  expect(result).toMatchObject({ recipe: 'debug', seed: 0, commit: expect.any(String) });
  expect(result.engine).toMatch(/^libtorch \d/);
  const cells = result.models.specialist.success;
  expect(Object.keys(cells)).toEqual(['widowx/put-carrot-on-plate/vm']);
  expect(cells['widowx/put-carrot-on-plate/vm']).toEqual({ successes: expect.any(Number), trials: 2 });
  expect(second.stdout).toMatch(/widowx\/put-carrot-on-plate +\d+ % +\d\/2 /);

  const steps = readFileSync(join(folder, 'out', 'train', 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ lr }) => lr !== undefined)
    .map(({ step }) => step);
  expect(steps).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(readdirSync(join(folder, 'out', 'train', 'checkpoints'))).toContain('last');

  const third = await demo();
  expect(third.code).toBe(0);
  expect(third.stdout.match(/already done/g)).toHaveLength(4);
  expect(third.stdout.trim().split('\n').at(-1)).toBe(report);
});
