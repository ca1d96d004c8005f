/**
 * A study as a user runs it, on the `debug` recipe: its runner is killed, then one of its steps; the same command continues each time.
 * Its success rates mean nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-study-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  code: number | null;
  text: string;
}

/** Runs a command line; `watch` sees the output as it comes. */
function dualvla(
  words: readonly string[],
  watch: (text: string, child: ChildProcess) => void = () => undefined,
): Promise<Outcome> {
  const child = spawn(process.execPath, [bin, ...words], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const outcome: Outcome = { code: null, text: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      outcome.text += data.toString();
      watch(outcome.text, child);
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...outcome, code })));
}

test('a killed runner, a killed step, and nothing left to do', { timeout: 400_000 }, async () => {
  const out = join(folder, 'study');
  const words = ['study', 'run', 'debug', '--output', out, '--only', 'specialist', '--jobs', '1'];
  const once = (pattern: RegExp, act: (child: ChildProcess) => void) => {
    let done = false;
    return (text: string, child: ChildProcess): void => {
      if (done || !pattern.test(text)) return;
      done = true;
      act(child);
    };
  };
  const killed = await dualvla(
    words,
    once(/start held-out/, (child) => child.kill('SIGKILL')),
  );
  expect(killed.code).toBeNull();
  expect(killed.text).toMatch(/done data in/);

  const pidOf = (step: string): number =>
    (JSON.parse(readFileSync(join(out, 'running', `${step}.json`), 'utf8')) as { pid: number }).pid;
  const second = await dualvla(
    words,
    once(/start seed-0\/train\/specialist/, () => process.kill(pidOf('seed-0-train-specialist'), 'SIGKILL')),
  );
  expect(second.text).not.toMatch(/start data/);
  expect(second.text).toMatch(/failed seed-0\/train\/specialist/);
  expect(second.text).toMatch(/was ended by SIGKILL; the end of its log/);
  expect(second.text).toMatch(/by itself: npx dualvla train --recipe debug/);
  expect(second.code).toBe(1);

  const third = await dualvla(words);
  expect(third.text).toMatch(/done seed-0\/test\/specialist in .*\n/);
  expect(third.text).toMatch(/^done; next: dualvla study report/m);
  expect(third.code).toBe(0);
  expect(existsSync(join(out, 'seed-0', 'specialist', 'test', 'measurement.json'))).toBe(true);

  const last = await dualvla(words);
  expect(last.text).toMatch(/5 steps, 5 done/);
  expect(last.text).not.toMatch(/start /);
  const status = await dualvla(['study', 'status', out, '--only', 'specialist', '--json']);
  const { steps, secondsLeft } = JSON.parse(status.text) as { steps: { state: string }[]; secondsLeft: number };
  expect(steps.map(({ state }) => state)).toEqual(['done', 'done', 'done', 'done', 'done']);
  expect(secondsLeft).toBe(0);
});

test('wrong names are wrong usage', async () => {
  const noModel = await dualvla(['study', 'run', 'debug', '--output', join(folder, 'x'), '--only', 'specialst']);
  expect(noModel).toMatchObject({
    code: 2,
    text: expect.stringMatching(/no model specialst; it has specialist, base/),
  });
  const noStudy = await dualvla(['study', 'run', 'full', '--output', join(folder, 'x')]);
  expect(noStudy).toMatchObject({ code: 2, text: expect.stringMatching(/full is no study; studies are debug, demo/) });
  const noFolder = await dualvla(['study', 'status', join(folder, 'nothing')]);
  expect(noFolder).toMatchObject({ code: 2, text: expect.stringMatching(/holds no study; next: dualvla study run/) });
});
