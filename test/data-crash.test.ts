/**
 * Commands that write data sets, as processes: killed at any moment, on a full or read-only disk, without ffmpeg, in folders with odd names.
 * What lies at the output is the old data set or the new one, or nothing yet; never a half one.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LeRobotWriter, syntheticEpisode, syntheticFeatures, validateDataset } from 'dualvla/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const bin = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const cameras = ['third'];

let base = '';
const at = (...names: string[]): string => join(base, ...names);
beforeAll(async () => {
  base = join(mkdtempSync(join(tmpdir(), 'dualvla-crash-')), 'Daten ü 数据');
  mkdirSync(base);
  await write(at('a'), 0, 24);
  await write(at('b'), 50, 12);
  await write(at('film'), 0, 2, 'video');
  // --fix has to write all of it.
  cpSync(at('a'), at('wrong'), { recursive: true });
  const path = at('wrong', 'meta', 'stats.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"mean": \[\s*[-\d.e]+/, '"mean": [ 77'));
});
afterAll(() => rmSync(join(base, '..'), { recursive: true, force: true }));

async function write(folder: string, seed: number, count: number, imageStorage: 'image' | 'video' = 'image') {
  const features = syntheticFeatures({ cameras, imageStorage });
  const video = { codec: 'libx264' as const };
  const writer = await LeRobotWriter.create(folder, { fps: 5, robotType: 'test', features, video });
  for (let i = 0; i < count; i++) await writer.addEpisode(syntheticEpisode(seed + i, { cameras }));
  await writer.finish();
}

/** Every file below a folder by name; undefined where there is no folder. */
function contents(folder: string): Record<string, string> | undefined {
  if (!existsSync(folder)) return undefined;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(files.sort().map((file) => [file.slice(folder.length), readFileSync(file, 'base64')]));
}

const start = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [bin, ...args], { cwd: base, stdio: ['ignore', 'ignore', 'pipe'] });
function dualvla(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    cwd: base,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

/** Runs a command and kills it `delay` ms after the first sign of an unfinished data set. Returns its exit code, null where killed. */
async function killed(args: readonly string[], partials: readonly string[], delay: number): Promise<number | null> {
  const child = start(args);
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  let code: number | null | undefined;
  child.once('close', (exit) => {
    code = exit;
  });
  const isWriting = (): boolean => partials.some((folder) => existsSync(join(folder, 'writer.lock')));
  while (code === undefined && !isWriting()) await sleep(1);
  await sleep(delay);
  child.kill('SIGKILL');
  while (code === undefined) await sleep(1);
  expect(code === null || code === 0, errors).toBe(true);
  return code;
}

/** A command that writes the data set OUT, and the data sets that it makes of it. */
const COMMANDS: [string, string[], string[]][] = [
  ['convert', ['data', 'convert', 'a', '--output', 'OUT'], ['']],
  ['merge', ['data', 'merge', 'a', 'b', '--output', 'OUT'], ['']],
  ['split', ['data', 'split', 'a', '--output', 'OUT', '--parts', 'one=0.5,two=0.5'], ['one', 'two']],
  ['validate --fix', ['data', 'validate', 'wrong', '--fix', 'OUT'], ['']],
  ['prune', ['prune', 'a', '--scene', 'labels', '--out', 'OUT'], ['']],
];

describe.each(COMMANDS)('kill -9 while data %s writes', (name, words, parts) => {
  const label = name.replace(/\W+/g, '-');
  const command = (out: string): string[] => words.map((word) => (word === 'OUT' ? out : word));
  const folders = (out: string): string[] => parts.map((part) => join(at(out), part).replace(/\/$/, ''));
  const partials = (out: string): string[] => folders(out).map((folder) => `${folder}.partial`);
  /** Delays that grow, so that it ends; the first ones strike at once. */
  function* delays(): Generator<number> {
    for (let delay = 2; ; delay *= 4) yield delay * (0.5 + Math.random());
  }

  it('leaves nothing or the whole, and --resume goes on to the same bytes', { timeout: 400_000 }, async () => {
    const [whole, out] = [`${label}-whole`, `${label}-new`];
    expect(dualvla(command(whole))).toMatchObject({ code: 0 });
    const expected = folders(whole).map(contents);
    let kills = 0;
    for (const delay of delays()) {
      const code = await killed([...command(out), ...(kills > 0 ? ['--resume'] : [])], partials(out), delay);
      for (const [i, folder] of folders(out).entries())
        if (existsSync(folder)) expect(contents(folder)).toEqual(expected[i]);
      if (code === 0) break;
      kills++;
      if (folders(out).every(existsSync)) break;
    }
    expect(kills).toBeGreaterThan(0);
    expect(folders(out).map(contents)).toEqual(expected);
    expect(partials(out).filter(existsSync)).toEqual([]);
  });

  it('over an older data set leaves that or the new one', { timeout: 400_000 }, async () => {
    const [whole, out] = [`${label}-whole`, `${label}-over`];
    for (const folder of folders(out)) await write(folder, 90, 2);
    const old = folders(out).map(contents);
    const fresh = folders(whole).map(contents);
    for (const delay of delays()) {
      const code = await killed([...command(out), '--overwrite'], partials(out), delay);
      for (const [i, folder] of folders(out).entries()) {
        // Killed between the two renames it lies whole beside its place; whoever names it next moves it there.
        if (!existsSync(folder)) expect(dualvla(['data', 'info', folder])).toMatchObject({ code: 0 });
        expect([old[i], fresh[i]]).toContainEqual(contents(folder));
      }
      if (code === 0) break;
    }
    expect(folders(out).map(contents)).toEqual(fresh);
    expect((await validateDataset(folders(out)[0] ?? '', { decodeAll: true })).problems).toEqual([]);
  });
});

/** The commands in their shortest form, writing to `out`. */
const writing = (out: string): string[][] =>
  COMMANDS.map(([, words]) => words.map((word) => (word === 'OUT' ? out : word)));

describe('a disk or tool that refuses is a sentence', () => {
  const isSentence = (err: string): void => {
    expect(err.trim().split('\n').at(-1)).toMatch(/^error: .*(\. |next: )/);
    expect(err).not.toMatch(/\n\s+at |undefined|\[object/);
  };

  it('a file where a folder should be', () => {
    writeFileSync(at('file'), '');
    for (const words of writing('file/out')) {
      const { code, err } = dualvla(words);
      expect(code, words.join(' ')).toBe(1);
      isSentence(err);
      expect(err).toMatch(/ENOTDIR|EEXIST/);
    }
  });

  const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;
  /** Runs a command where `folder` is a file system of its own, and then `after`, a line of shell. */
  function mounted(folder: string, options: string, words: readonly string[], after = 'true') {
    mkdirSync(at(folder), { recursive: true });
    const script = `mount -t tmpfs -o ${options} none "$1" && shift && { "$@"; code=$?; ${after}; exit $code; }`;
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['-m', 'sh', '-c', script, 'sh', at(folder), process.execPath, bin, ...words],
      { cwd: base, encoding: 'utf8' },
    );
    return { code: status, out: stdout, err: stderr };
  }

  it.skipIf(!canMount)('a read-only disk (needs the right to mount)', () => {
    for (const words of writing('ro/out')) {
      const { code, err } = mounted('ro', 'ro,size=1m', words);
      expect(code, `${words.join(' ')}: ${err}`).toBe(1);
      isSentence(err);
      expect(err).toMatch(/EROFS/);
    }
  });

  it.skipIf(!canMount)('a full disk: nothing half appears (needs the right to mount)', { timeout: 300_000 }, () => {
    for (const words of writing('full/out')) {
      // What lies there in the end is told on standard error.
      const { code, err } = mounted('full', 'size=48k', words, 'ls full >&2');
      expect(code, `${words.join(' ')}: ${err}`).toBe(1);
      const lines = err.trim().split('\n');
      const error = lines.find((line) => line.startsWith('error: ')) ?? '';
      isSentence(error);
      expect(error).toMatch(/ENOSPC|no space/i);
      expect(lines.filter((line) => line === 'out' && !words.includes('split'))).toEqual([]);
    }
  });

  it('ffmpeg that is not there', () => {
    const env = { FFMPEG: at('no', 'ffmpeg') };
    for (const [i, words] of [
      ['data', 'convert', 'film', '--output', 'f0'],
      ['data', 'merge', 'film', 'film', '--output', 'f1'],
      ['data', 'split', 'film', '--output', 'f2', '--parts', 'one=1'],
      ['prune', 'film', '--scene', 'motion-energy', '--out', 'f3'],
    ].entries()) {
      const { code, err } = dualvla(words, env);
      expect(code, words.join(' ')).toBe(1);
      isSentence(err);
      expect(err).toMatch(/cannot be started.*apt-get install ffmpeg/);
      expect(existsSync(at(`f${i}`, 'meta'))).toBe(false);
    }
    const { code, out } = dualvla(['data', 'validate', 'film', '--json'], env);
    expect(code).toBe(1);
    expect(out).toMatch(/ffprobe cannot be started/);
  });

  it('an unfinished data set is named as such', () => {
    mkdirSync(at('half.partial'));
    writeFileSync(at('half.partial', 'journal.jsonl'), '');
    expect(dualvla(['data', 'validate', 'half'])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/half is not finished .*--resume/),
    });
  });
});
