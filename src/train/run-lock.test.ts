import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunLockedError } from './errors.js';
import { RUN_LOCK_FILE, RunLock } from './run-lock.js';
import { writeTinyDataset } from './tiny-run.test-support.js';

let folder: string;
const children: ChildProcess[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-lock-'));
  await writeTinyDataset(join(folder, 'data'));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function start(file: string, ...args: string[]): ChildProcess {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

/** The next line that a child prints. */
async function line(child: ChildProcess): Promise<string> {
  const [data] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return String(data);
}

const taken = (runDir: string): unknown => {
  try {
    using lock = new RunLock();
    lock.acquire(runDir);
    return undefined;
  } catch (error) {
    return error;
  }
};

test('a second trainer is told who trains; one that was killed blocks nobody', async () => {
  const runDir = join(folder, 'run');
  const first = start('./locked-run.test-support.js', join(folder, 'data'), runDir);
  expect(await line(first)).toContain('saved');
  for (const mode of ['new', 'resume']) {
    const second = start('./locked-run.test-support.js', join(folder, 'data'), runDir, mode);
    expect(await line(second)).toMatch(
      new RegExp(`RunLockedError: Process ${first.pid} on ${hostname()} has been training in ${runDir} since 20`),
    );
  }
  first.kill('SIGKILL');
  await once(first, 'exit');
  expect(existsSync(join(runDir, RUN_LOCK_FILE))).toBe(true);
  const third = start('./locked-run.test-support.js', join(folder, 'data'), runDir, 'resume');
  expect(await line(third)).toContain('saved');
  expect(JSON.parse(readFileSync(join(runDir, RUN_LOCK_FILE), 'utf8'))).toMatchObject({ pid: third.pid });
  third.kill('SIGKILL');
}, 60_000);

test('is given back, and counts within one process too', () => {
  const runDir = join(folder, 'own');
  {
    using lock = new RunLock();
    lock.acquire(runDir);
    expect(taken(runDir)).toMatchObject({ name: 'RunLockedError', holder: { pid: process.pid } });
  }
  expect(readdirSync(runDir)).toEqual([]);
  expect(taken(runDir)).toBeUndefined();
});

test('of another machine counts, with the file to remove; a damaged one or one of a reused process id does not', () => {
  const runDir = join(folder, 'other');
  expect(taken(runDir)).toBeUndefined();
  const path = join(runDir, RUN_LOCK_FILE);
  const since = new Date().toISOString();
  const write = (lock: object): void => writeFileSync(path, JSON.stringify(lock));
  write({ pid: 1, host: 'elsewhere', since, start: '1' });
  const error = taken(runDir) as RunLockedError;
  expect(error).toBeInstanceOf(RunLockedError);
  expect(error.message).toContain(`remove ${path}`);
  write({ pid: process.pid, host: hostname(), since, start: 'another time' });
  expect(taken(runDir)).toBeUndefined();
  writeFileSync(path, '{"pid":');
  expect(taken(runDir)).toBeUndefined();
});

test('of a dead process goes to exactly one of many', async () => {
  const runDir = join(folder, 'race');
  expect(taken(runDir)).toBeUndefined();
  const dead = { pid: 2 ** 22 + 1, host: hostname(), since: new Date().toISOString(), start: '1' };
  writeFileSync(join(runDir, RUN_LOCK_FILE), JSON.stringify(dead));
  const contenders = Array.from({ length: 6 }, () => start('./lock-race.test-support.js', runDir));
  const results = await Promise.all(contenders.map(line));
  expect(results.filter((result) => result.startsWith('mine'))).toHaveLength(1);
  expect(results.filter((result) => result.startsWith('RunLockedError'))).toHaveLength(5);
}, 30_000);
