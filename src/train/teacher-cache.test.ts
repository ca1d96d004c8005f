import { spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DIGEST_BYTES, TeacherCache, type TeacherCacheOptions } from './teacher-cache.js';

const numSamples = 50;
let folder: string;
let notices: string[];
let opened: TeacherCache[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-cache-'));
  notices = [];
  opened = [];
});
afterEach(() => {
  for (const cache of opened) cache[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

function open(changes: Partial<TeacherCacheOptions> = {}): TeacherCache {
  const notice = (message: string): void => void notices.push(message);
  const identity = { teacher: 'specialist', data: 'tables' };
  const cache = new TeacherCache({ folder, identity, numSamples, limitBytes: 2 ** 30, notice, ...changes });
  opened.push(cache);
  return cache;
}

const digestOf = (question: number): Uint8Array => new Uint8Array(DIGEST_BYTES).fill(question);
/** An answer that no two samples share, with all the bits of float32. */
const answerOf = (sample: number): Float32Array => Float32Array.from({ length: 6 }, (_, i) => Math.sin(sample * 7 + i));
const fill = (cache: TeacherCache, samples: readonly number[]): void => {
  for (const sample of samples) cache.add(sample, digestOf(sample), answerOf(sample));
};
const found = (cache: TeacherCache, samples: readonly number[]): number[] =>
  samples.filter((sample) => {
    const answer = cache.read(sample, digestOf(sample));
    // Wrong numbers are never an answer.
    if (answer !== null) expect(answer).toEqual(answerOf(sample));
    return answer !== null;
  });
const families = (): string[] => readdirSync(folder).map((name) => join(folder, name));
const segments = (): string[] => families().flatMap((family) => readdirSync(family).map((name) => join(family, name)));
const bits = (values: Float32Array | null): number[] => [...new Uint32Array((values as Float32Array).slice().buffer)];

describe('answers', () => {
  test('come back with the bits they had, in this process and the next', () => {
    const exact = Float32Array.of(1 / 3, -0, Number.NaN, Number.NEGATIVE_INFINITY, 1e-45, 3e38);
    const half = Float32Array.of(1.5, -0, 0.0078125, Number.POSITIVE_INFINITY);
    const cache = open();
    cache.add(3, digestOf(1), exact);
    cache.add(4, digestOf(1), half);
    cache.add(5, digestOf(1), new Float32Array());
    for (const reader of [cache, open()]) {
      expect(bits(reader.read(3, digestOf(1)))).toEqual(bits(exact));
      expect(bits(reader.read(4, digestOf(1)))).toEqual(bits(half));
      expect(reader.read(5, digestOf(1))).toHaveLength(0);
      expect(reader.read(6, digestOf(1))).toBeNull();
    }
  });

  test('take two bytes a value where bfloat16 holds them', () => {
    const bytesFor = (values: Float32Array): number => {
      const before = segments()[0] === undefined ? 0 : statSync(segments()[0] as string).size;
      cache.add(0, digestOf(0), values);
      return statSync(segments()[0] as string).size - before;
    };
    const cache = open();
    fill(cache, [1]);
    expect(bytesFor(new Float32Array(1000).fill(1 / 3)) - bytesFor(new Float32Array(1000).fill(0.5))).toBe(2000);
  });

  test('belong to one question about the sample, and a later answer replaces the former', () => {
    const cache = open();
    fill(cache, [7]);
    expect(cache.read(7, digestOf(8))).toBeNull();
    cache.add(7, digestOf(8), answerOf(8));
    for (const reader of [cache, open()]) {
      expect(reader.read(7, digestOf(8))).toEqual(answerOf(8));
      expect(reader.read(7, digestOf(7))).toBeNull();
    }
  });

  test('belong to one identity, even if a segment is put elsewhere', () => {
    fill(open(), [1, 2]);
    const other = { identity: { teacher: 'another', data: 'tables' } };
    const cache = open(other);
    expect(found(cache, [1, 2])).toEqual([]);
    fill(cache, [3]);
    const [own] = segments().filter((path) => readFileSync(path).includes('specialist'));
    const family = families().find((path) => !own?.startsWith(path)) as string;
    copyFileSync(own as string, join(family, '0-moved.tfrecord'));
    expect(found(open(other), [1, 2, 3])).toEqual([3]);
  });

  test('of samples beyond the data set are passed over', () => {
    fill(open(), [1, 20, 2]);
    expect(found(open({ numSamples: 10 }), [1, 2])).toEqual([1, 2]);
    expect(open({ numSamples: 10 }).read(20, digestOf(20))).toBeNull();
  });
});

describe('damage', () => {
  test('a segment that is cut anywhere gives what is whole before the cut', () => {
    const samples = [0, 1, 2, 3];
    fill(open(), samples);
    const [path] = segments() as [string];
    const whole = readFileSync(path);
    const counts = new Set<number>();
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const left = found(open(), samples);
      expect(left).toEqual(samples.slice(0, left.length));
      counts.add(left.length);
    }
    expect(counts).toEqual(new Set([0, 1, 2, 3, 4]));
  });

  test('a byte that changed anywhere loses answers, never gives another', () => {
    const samples = [0, 1, 2];
    fill(open(), samples);
    const [path] = segments() as [string];
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] as number) ^ 0x41;
      writeFileSync(path, damaged);
      expect(found(open(), samples).length).toBeLessThan(samples.length);
    }
  });

  test('what is lost can be added again', () => {
    fill(open(), [0, 1]);
    const [path] = segments() as [string];
    writeFileSync(path, readFileSync(path).subarray(0, -3));
    const cache = open();
    expect(found(cache, [0, 1])).toEqual([0]);
    fill(cache, [1]);
    expect(found(open(), [0, 1])).toEqual([0, 1]);
    rmSync(path);
    expect(found(cache, [0, 1])).toEqual([1]);
  });

  test('a process killed while it writes leaves whole answers, and the next goes on', async () => {
    const script = `
      const { TeacherCache } = await import(${JSON.stringify(new URL('./teacher-cache.js', import.meta.url).href)});
      const cache = new TeacherCache({ folder: ${JSON.stringify(folder)}, identity: { teacher: 'specialist', data: 'tables' },
        numSamples: ${numSamples}, limitBytes: 2 ** 30, notice: () => {} });
      for (let i = 0; ; i++) {
        const sample = i % ${numSamples};
        cache.add(sample, new Uint8Array(${DIGEST_BYTES}).fill(sample), Float32Array.from({ length: 6 }, (_, k) => Math.sin(sample * 7 + k)));
        if (i === 200) process.stdout.write('going');
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<string | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    const all = Array.from({ length: numSamples }, (_, sample) => sample);
    const cache = open();
    expect(found(cache, all)).toEqual(all);
    fill(cache, [9]);
    expect(segments()).toHaveLength(2);
    expect(found(open(), all)).toEqual(all);
  });
});

describe('several processes', () => {
  test('append to segments of their own and see what the others added', () => {
    const [a, b] = [open(), open()];
    for (let sample = 0; sample < 20; sample += 2) {
      fill(a, [sample]);
      fill(b, [sample + 1]);
    }
    const all = Array.from({ length: 20 }, (_, sample) => sample);
    expect(segments()).toHaveLength(2);
    expect(found(a, all)).toEqual(all.filter((sample) => sample % 2 === 0));
    a.refresh();
    b.refresh();
    expect(found(a, all)).toEqual(all);
    expect(found(b, all)).toEqual(all);
    expect(found(open(), all)).toEqual(all);
  });

  test('a record that is still being written is taken up when it is whole', () => {
    fill(open(), [1, 2]);
    const [path] = segments() as [string];
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, 10));
    const reader = open();
    const steps = [
      [100, []],
      [whole.length - 20, [1]],
      [whole.length, [1, 2]],
    ] as const;
    for (const [end, expected] of steps) {
      appendFileSync(path, whole.subarray(statSync(path).size, end));
      reader.refresh();
      expect(found(reader, [1, 2])).toEqual(expected);
    }
  });
});

describe('limits', () => {
  test('above the size limit of all families nothing is added, which is said once', () => {
    const limitBytes = 2000;
    const [a, b] = [open({ limitBytes }), open({ limitBytes, identity: { teacher: 'another' } })];
    for (let sample = 0; sample < numSamples; sample++) fill(sample % 2 ? a : b, [sample]);
    const size = segments().reduce((sum, path) => sum + statSync(path).size, 0);
    expect(size).toBeGreaterThan(limitBytes / 2);
    expect(size).toBeLessThan(limitBytes * 1.2);
    expect(notices).toHaveLength(2);
    expect(new Set(notices)).toEqual(
      new Set([expect.stringMatching(/cache_gb\) are full; nothing is added any more/)]),
    );
    expect(found(a, [1])).toEqual([1]);
    const next = open({ limitBytes });
    fill(next, [48]);
    expect(found(next, [1, 48])).toEqual([1]);
    expect(segments()).toHaveLength(2);
  });

  test('where nothing can be written, what is there is still read, which is said once', () => {
    fill(open(), [1]);
    const other = { identity: { teacher: 'another' } };
    const cache = open(other);
    const [family] = families() as [string];
    fill(cache, [2]);
    const written = families().find((path) => path !== family) as string;
    cache[Symbol.dispose]();
    rmSync(written, { recursive: true });
    // A file stands where the family's folder should be.
    writeFileSync(written, '');
    const blocked = open(other);
    fill(blocked, [3, 4]);
    expect(notices).toEqual([expect.stringMatching(/EEXIST|ENOTDIR/)]);
    expect(found(blocked, [3, 4])).toEqual([]);
    expect(found(open(), [1])).toEqual([1]);
  });

  test('a folder that cannot be created is an error', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => open({ folder: join(file, 'cache') })).toThrow(/ENOTDIR/);
    mkdirSync(join(folder, 'there'));
    expect(() => open({ folder: join(folder, 'there') })).not.toThrow();
  });
});
