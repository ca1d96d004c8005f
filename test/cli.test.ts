/** The command as a user meets it: a process with exit codes, one-line errors, JSON, and no cursor codes in pipes. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probeVideo } from 'dualvla/data';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));

function dualvla(args: string, env: NodeJS.ProcessEnv = {}): { code: number | null; stdout: string; stderr: string } {
  const options = { encoding: 'utf8', cwd: tmpdir(), env: { ...process.env, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args.split(' ').filter(Boolean)], options);
  return { code: status, stdout, stderr };
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('help and wrong usage', () => {
  test('help of every verb begins with examples and works without loading anything', () => {
    const main = dualvla('--help');
    expect(main.code).toBe(0);
    expect(main.stdout).toMatch(/^Examples:\n/);
    const verbs = [...main.stdout.matchAll(/^ {2}([a-z]+) .*\b[a-z]/gm)]
      .map(([, verb]) => verb)
      .filter((v) => v !== 'dualvla');
    expect(verbs).toEqual(
      expect.arrayContaining(['doctor', 'demo', 'data', 'train', 'rollout', 'eval', 'sim', 'recipes', 'launch']),
    );
    for (const verb of ['demo', 'train', 'rollout', 'eval', 'launch', 'recipes', 'data generate', 'sim expert-table']) {
      const help = dualvla(`${verb} --help`, { LIBTORCH: '/nowhere' });
      expect(help.code, verb).toBe(0);
      expect(help.stdout, verb).toMatch(/^Examples:\n {2}dualvla /);
    }
  });

  test.each([
    ['', /^Examples/],
    ['rolout', /unknown command 'rolout' \(did you mean rollout\?\); next: dualvla --help/],
    [
      'rollout --task widowx/put-carrot-on-plate --polcy expert',
      /unknown option '--polcy' \(did you mean --policy\?\)/,
    ],
    ['rollout --policy expert', /option --task <robot\/task> is needed; next: dualvla rollout --help/],
    ['rollout --task widowx/put-carot --policy expert', /did you mean 'widowx\/put-carrot-on-plate'/],
    ['rollout --task google/move-near --policy expert --variant vb', /did you mean 'v[am]'/],
    ['rollout --task google/move-near --policy expert --episodes two', /'two' is no whole number of 1 or more/],
    ['rollout --task google/move-near --policy /no/such/checkpoint', /there is no checkpoint \/no\/such\/checkpoint/],
    ['train --recipe debg', /did you mean debug/],
    ['train --recipe debug', /--dataset\.root is needed.*dualvla data generate --recipe debug/],
    ['train --recipe debug --dataset.root x --optimiser.lr=1', /did you mean optimizer\.lr/],
    ['train --resume /nowhere', /holds no training run/],
    ['eval --policy expert --resume', /need --output/],
    ['data generate --recipe debug', /option --output <dir> is needed/],
    ['data info /nowhere', /there is no folder/],
    ['launch --nproc none -- train', /no whole number/],
    ['recipes demi', /did you mean demo/],
    ['doctor --jsn', /next: dualvla doctor --help/],
  ])('`%s` exits with 2 and one line', (args, message) => {
    const { code, stderr } = dualvla(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    if (args !== '') expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('a stack trace only for DUALVLA_DEBUG', () => {
    expect(dualvla('recipes demi', { DUALVLA_DEBUG: '1' }).stderr).toMatch(/\n\s+at /);
  });
});

describe('doctor', () => {
  test('tells programs what is there', () => {
    const { code, stdout } = dualvla('doctor --json');
    const report = JSON.parse(stdout);
    expect(code).toBe(report.ok ? 0 : 1);
    expect(report.checks.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining([
        'node',
        'engine',
        'addon',
        'BLAS',
        'threads',
        'bfloat16',
        'GPU',
        'ffmpeg',
        'cmake',
        'disk',
      ]),
    );
    for (const { status, mend, name } of report.checks) {
      if (status === 'missing') expect(mend, name).toBeTruthy();
    }
    expect(report.addon.version).toMatch(/^\d+\.\d+/);
    expect(report.cores).toBeGreaterThan(0);
  });

  test('a wrong LIBTORCH is one clear line and not passed over', () => {
    const { code, stdout } = dualvla('doctor', { LIBTORCH: '/nowhere' });
    expect(code).toBe(1);
    expect(stdout).toMatch(/MISSING {2}engine +LIBTORCH is \/nowhere, which holds no/);
    expect(stdout).toMatch(/mend: point LIBTORCH at/);
  });
});

describe('rollout', () => {
  test('counts successes of the expert and films them', async () => {
    const video = join(folder, 'expert.mp4');
    const command = `rollout --task google/pick-coke-can --policy expert --episodes 2 --seed 5 --split validation --size 64`;
    const { code, stdout, stderr } = dualvla(`${command} --video ${video} --json`);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ task: 'google/pick-coke-can', variant: 'vm', successes: 2, trials: 2 });
    expect([...stderr].filter((letter) => letter === '\r' || letter === '\x1b')).toEqual([]);
    const facts = await probeVideo(video);
    expect(facts).toMatchObject({ width: 64, height: 64, codec: 'h264', pixelFormat: 'yuv420p' });
    expect(facts.numFrames).toBeGreaterThan(10);
  });
});

describe('eval', () => {
  test('keeps finished episodes, continues, and does not mix policies', () => {
    const output = join(folder, 'eval');
    const command = `eval --tasks google/pick-coke-can --split validation --output ${output}`;
    expect(dualvla(`${command} --policy expert --episodes 1`).stdout).toMatch(
      /google\/pick-coke-can +100 % +1\/1 +21-100/,
    );
    expect(dualvla(`${command} --policy expert --episodes 2`)).toMatchObject({ code: 2 });
    const resumed = dualvla(`${command} --policy expert --episodes 2 --resume --json`);
    expect(JSON.parse(resumed.stdout).success).toEqual({ 'google/pick-coke-can/vm': { successes: 2, trials: 2 } });
    expect(readFileSync(join(output, 'episodes.jsonl'), 'utf8').trim().split('\n')).toHaveLength(2);
    expect(JSON.parse(readFileSync(join(output, 'result.json'), 'utf8'))).toEqual(JSON.parse(resumed.stdout));
    expect(dualvla(`${command} --policy random --episodes 2 --resume`).stderr).toMatch(/another policy/);
  });
});

describe('data', () => {
  test('generates, describes and validates; never replaces silently', () => {
    const output = join(folder, 'data');
    const generate = `data generate --recipe debug --episodes 1 --output ${output}`;
    expect(dualvla(`${generate} --json`)).toMatchObject({ code: 0 });
    expect(existsSync(join(output, 'meta', 'info.json'))).toBe(true);
    expect(dualvla(generate)).toMatchObject({ code: 1, stderr: expect.stringMatching(/exists already.*--overwrite/) });
    const [described] = JSON.parse(dualvla(`data info ${output} --json`).stdout);
    expect(described).toMatchObject({ robot: 'widowx', fps: 5, episodes: 1 });
    expect(dualvla(`data validate ${output}`).stdout).toMatch(/: valid, 1 episodes, \d+ frames/);
  });
});
