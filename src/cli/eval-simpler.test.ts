/** `dualvla eval simpler` as users type it. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const BIN = fileURLToPath(new URL('../../bin/dualvla.js', import.meta.url));
let folder = '';
let results = '';

const simpler = (...args: readonly string[]) =>
  spawnSync(process.execPath, [BIN, 'eval', 'simpler', ...args], { encoding: 'utf8', cwd: folder });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'eval-simpler-'));
  results = join(folder, 'mine.jsonl');
  const header = { type: 'simpler-env', version: 1, policy: 'mine' };
  const run = (at: number, success: string) => ({ run: at, success, max_episode_steps: 60 });
  const lines = [header, run(336, '110'.repeat(8)), run(337, '0'.repeat(24)), run(338, '1'.repeat(12))];
  writeFileSync(results, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  appendFileSync(results, '{"run": 338, "episode": 12, "suc');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('dualvla eval simpler', () => {
  test('prints the columns as JSON', () => {
    const { status, stdout } = simpler('--results', results, '--json');
    expect(status).toBe(0);
    const printed = JSON.parse(stdout) as { columns: Record<string, number | null>; notes: string[] };
    expect(printed).toMatchObject({ policy: 'mine', episodes: 60, partial: true });
    expect(printed.columns).toMatchObject({ put_carrot: 2 / 3, stack_blocks: 0, put_spoon: 1, 'drawer/VM': null });
    expect(printed.notes[0]).toContain('cut off by a crash');
  });

  test('prints tables and writes Markdown once', () => {
    const args = ['--results', results, '--against', results, '--markdown', 'table.md'];
    const { status, stdout } = simpler(...args);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^mine .*\(100\.0\) +66\.7 +0\.0 +\(55\.6\)/m);
    expect(stdout).toContain('note: Partial');
    expect(readFileSync(join(folder, 'table.md'), 'utf8')).toContain('# SimplerEnv: mine');
    expect(simpler(...args)).toMatchObject({ status: 2, stderr: expect.stringContaining('--overwrite') });
  });

  test('plans what is left', () => {
    const { status, stdout } = simpler('--plan', '--paper-only', '--results', results, '--output', 'left.jsonl');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^bridge +visual_matching +2\/3 +60\/72$/m);
    const left = readFileSync(join(folder, 'left.jsonl'), 'utf8').trim().split('\n');
    expect(JSON.parse(left.at(-1) as string)).toMatchObject({
      run: 338,
      left: [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23],
    });
  });

  test('says what is wrong', () => {
    expect(simpler()).toMatchObject({ status: 2, stderr: expect.stringContaining('--results') });
    expect(simpler('--plan', '--markdown', 'x.md').status).toBe(2);
    expect(existsSync(join(folder, 'x.md'))).toBe(false);
    expect(simpler('--results', 'none.jsonl')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('none.jsonl'),
    });
  });
});
