import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Episode } from './episode.js';
import { DatasetConflictError, InvalidEpisodeError, MissingDatasetError, StorageError } from './errors.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
import { validateDataset } from './validate-dataset.js';
import { datasetState, partialFolder } from './writer-folder.js';
import type { LeRobotWriterOptions } from './writer-options.js';

let base = '';
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-writer-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

let folders = 0;
const newFolder = (): string => join(base, `set-${folders++}`);
const options: LeRobotWriterOptions = { fps: 5, robotType: 'test', features: syntheticFeatures() };

async function write(folder: string, numEpisodes: number, extra: Partial<LeRobotWriterOptions> = {}): Promise<void> {
  const writer = await LeRobotWriter.create(folder, { ...options, ...extra });
  for (let i = 0; i < numEpisodes; i++) await writer.addEpisode(syntheticEpisode(i));
  await writer.finish();
}

/** Every file of a folder with its bytes. */
function contents(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    entries.map((entry) => [
      join(entry.parentPath, entry.name).slice(folder.length),
      readFileSync(join(entry.parentPath, entry.name), 'base64'),
    ]),
  );
}

describe('a written data set', () => {
  it('is read back as it was given', async () => {
    const folder = newFolder();
    await write(folder, 7);
    const dataset = await LeRobotDataset.open(folder);
    expect(dataset.numEpisodes).toBe(7);
    for (let i = 0; i < 7; i++) {
      const { timestamps, ...read } = await dataset.episode(i, { images: true });
      const wanted = syntheticEpisode(i);
      expect(timestamps).toEqual(Float32Array.from({ length: wanted.length }, (_, t) => t / 5));
      expect({ ...read, languagePersistent: [] }).toEqual({ ...wanted, languagePersistent: [] });
      expect(read.languagePersistent).toEqual(
        wanted.languagePersistent.map((row) => ({ ...row, timestamp: Math.fround(row.timestamp) })),
      );
    }
    expect(dataset.tasks).toEqual(['lift the block', 'push the block']);
  });

  it('passes every check of the official loader', async () => {
    const folder = newFolder();
    await write(folder, 6, { dataFilesSizeInMb: 0.008 });
    const report = await validateDataset(folder, { decodeAll: true });
    expect(report.problems).toEqual([]);
    expect(report).toMatchObject({ episodes: 6 });
    expect(readdirSync(join(folder, 'data/chunk-000')).length).toBeGreaterThan(1);
    expect(readdirSync(folder).sort()).toEqual(['data', 'meta']);
  });

  it('begins a data file anew after dataFileEpisodes episodes', async () => {
    const folder = newFolder();
    await write(folder, 5, { dataFileEpisodes: 2 });
    const files = ['file-000.parquet', 'file-001.parquet', 'file-002.parquet'];
    expect(readdirSync(join(folder, 'data/chunk-000')).sort()).toEqual(files);
    expect((await validateDataset(folder)).problems).toEqual([]);
  });

  it('rotates folders after chunksSize files', async () => {
    const folder = newFolder();
    await write(folder, 6, { dataFilesSizeInMb: 0.001, chunksSize: 2 });
    expect(readdirSync(join(folder, 'data')).sort()).toEqual(['chunk-000', 'chunk-001', 'chunk-002']);
    expect((await validateDataset(folder)).problems).toEqual([]);
  });

  it('may hold any valid numbers, texts and lengths', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const episodes = fc.array(
      fc.record({
        length: fc.integer({ min: 1, max: 6 }),
        values: fc.float({ noNaN: true, noDefaultInfinity: true }),
        text,
        task: fc.string({ minLength: 1, maxLength: 20 }).filter((task) => task.trim() !== ''),
      }),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(episodes, async (list) => {
        const folder = newFolder();
        const writer = await LeRobotWriter.create(folder, { ...options, features: syntheticFeatures({ cameras: [] }) });
        const given: Episode[] = list.map(({ length, values, text: reasoning, task }, i) => {
          const one = syntheticEpisode(i, { length, cameras: [] });
          return {
            ...one,
            task,
            state: one.state.fill(values),
            columns: {
              ...one.columns,
              'reasoning.text': { dtype: 'string', values: new Array<string>(length).fill(reasoning) },
            },
          };
        });
        for (const episode of given) await writer.addEpisode(episode);
        await writer.finish();
        const dataset = await LeRobotDataset.open(folder);
        for (const [i, episode] of given.entries()) {
          const read = await dataset.episode(i);
          expect(read.task).toBe(episode.task);
          expect(read.state).toEqual(episode.state);
          // Lone surrogates have no UTF-8 form.
          const wellFormed = ((episode.columns['reasoning.text']?.values ?? []) as string[]).map((value) =>
            Buffer.from(value).toString(),
          );
          expect(read.columns['reasoning.text']?.values).toEqual(wellFormed);
        }
        rmSync(folder, { recursive: true });
      }),
      { numRuns: 12 },
    );
  });

  it('keeps several instructions within an episode', async () => {
    const folder = newFolder();
    const writer = await LeRobotWriter.create(folder, options);
    const episode = syntheticEpisode(0, { length: 4 });
    const frameTasks = ['reach', 'reach', 'grasp', 'grasp'];
    await writer.addEpisode({ ...episode, task: 'reach', frameTasks });
    await writer.finish();
    const dataset = await LeRobotDataset.open(folder);
    expect((await dataset.episode(0)).frameTasks).toEqual(frameTasks);
    expect(dataset.episodes[0]?.tasks).toEqual(['reach', 'grasp']);
  });
});

describe('videos', () => {
  it('are encoded, joined and decoded frame by frame', { timeout: 180_000 }, async () => {
    const folder = newFolder();
    const features = syntheticFeatures({ imageStorage: 'video', imageSize: 64, cameras: ['third'] });
    const size = { imageSize: 64, cameras: ['third'] };
    const writer = await LeRobotWriter.create(folder, {
      ...options,
      features,
      fps: 15,
      videoFilesSizeInMb: 0.015,
      video: { codec: 'libx264', crf: 12 },
    });
    for (let i = 0; i < 6; i++) await writer.addEpisode(syntheticEpisode(i, { ...size, fps: 15 }));
    const info = await writer.finish();
    expect(info.features['observation.images.third']?.info).toMatchObject({
      'video.codec': 'h264',
      'video.fps': 15,
      has_audio: false,
    });
    expect(readdirSync(join(folder, 'videos/observation.images.third/chunk-000')).length).toBeGreaterThan(1);
    expect((await validateDataset(folder)).problems).toEqual([]);
    const dataset = await LeRobotDataset.open(folder);
    const episodes = await dataset.readEpisodes({ from: 0, to: 6 }, { images: true });
    for (const i of [0, 3, 5]) {
      const wanted = syntheticEpisode(i, size).images.third?.data as Uint8Array;
      const got = episodes[i]?.images.third?.data as Uint8Array;
      const error = got.reduce((sum, value, at) => sum + Math.abs(value - (wanted[at] as number)), 0) / got.length;
      // Blue tells frame t of episode i from every other: a shift by one frame would show.
      expect(error).toBeLessThan(4);
    }
  });

  it('in AV1 keep their times through many joins', { timeout: 180_000 }, async () => {
    const folder = newFolder();
    const features = syntheticFeatures({ imageStorage: 'video', imageSize: 64, cameras: ['third'] });
    const writer = await LeRobotWriter.create(folder, { ...options, features, fps: 30 });
    for (let i = 0; i < 3; i++)
      await writer.addEpisode(syntheticEpisode(i, { imageSize: 64, cameras: ['third'], fps: 30, length: 5 }));
    await writer.finish();
    expect((await validateDataset(folder, { decodeAll: true })).problems).toEqual([]);
  });
});

describe('the writer refuses', () => {
  it('episodes that do not fit, naming episode and field', async () => {
    const writer = await LeRobotWriter.create(newFolder(), options);
    const good = syntheticEpisode(0);
    const cases: [Partial<Episode>, string][] = [
      [{ state: new Float32Array(3) }, 'field observation.state'],
      [{ action: good.action.map((value, i) => (i === 9 ? Number.NaN : value)) }, 'frame 1, field action'],
      [{ task: '  ' }, 'field task'],
      [{ fps: 10 }, 'field fps'],
      [{ length: 0 }, 'at least one frame'],
      [{ images: {} }, 'camera is missing'],
      [{ images: { ...good.images, third: { width: 8, height: 8, data: new Uint8Array(0) } } }, '8x8'],
      [{ images: { ...good.images, side: good.images.third as Episode['images'][string] } }, 'not declared'],
      [{ columns: {} }, 'field reasoning.text'],
      [{ columns: { ...good.columns, extra: { dtype: 'string', values: [] } } }, 'field extra'],
      [
        {
          columns: {
            ...good.columns,
            'reasoning.keep': { dtype: 'float32', shape: [1], values: new Float32Array(good.length) },
          },
        },
        'dtype is float32',
      ],
      [
        {
          columns: {
            ...good.columns,
            'reasoning.text': { dtype: 'string', values: new Array(good.length).fill(null) },
          },
        },
        'must be a string',
      ],
      [{ languageEvents: [[]] }, 'field language_events'],
      [
        { languagePersistent: [{ role: 'assistant', style: 'plan', content: '', camera: null, timestamp: 99 }] },
        'outside the episode',
      ],
      [{ timestamps: new Float32Array(good.length) }, 'field timestamp'],
    ];
    for (const [change, message] of cases) {
      const error = await writer.addEpisode({ ...good, ...change }).catch((reason: unknown) => reason);
      expect(error, message).toBeInstanceOf(InvalidEpisodeError);
      expect((error as Error).message).toContain(message);
      expect((error as Error).message).toContain('episode 0');
    }
    // None of them left a trace.
    await writer.addEpisode(good);
    const info = await writer.finish();
    expect(info).toMatchObject({ totalEpisodes: 1, totalTasks: 1 });
    expect((await validateDataset(writer.folder)).problems).toEqual([]);
  });

  it('an empty data set, an existing folder and a second writer', async () => {
    const folder = newFolder();
    const writer = await LeRobotWriter.create(folder, options);
    await expect(writer.finish()).rejects.toThrow('at least one episode');
    await expect(LeRobotWriter.create(folder, { ...options, resume: true })).rejects.toThrow(
      `Process ${process.pid} is writing`,
    );
    await writer.addEpisode(syntheticEpisode(0));
    await writer.finish();
    await expect(LeRobotWriter.create(folder, options)).rejects.toThrow(DatasetConflictError);
    await expect(writer.addEpisode(syntheticEpisode(1))).rejects.toThrow('closed');
    // Overwriting leaves the old one readable until the new one is complete.
    const second = await LeRobotWriter.create(folder, { ...options, overwrite: true });
    await second.addEpisode(syntheticEpisode(3));
    expect((await LeRobotDataset.open(folder)).numEpisodes).toBe(1);
    await second.addEpisode(syntheticEpisode(4));
    await second.finish();
    expect((await LeRobotDataset.open(folder)).numEpisodes).toBe(2);
  });

  it('to resume under other options, naming the difference', async () => {
    const folder = newFolder();
    const writer = await LeRobotWriter.create(folder, { ...options, provenance: { seed: 1, nested: { a: 2 } } });
    await writer.addEpisode(syntheticEpisode(0));
    writer.close();
    await expect(LeRobotWriter.create(folder, options)).rejects.toThrow('--resume');
    const other = LeRobotWriter.create(folder, { ...options, resume: true, provenance: { seed: 1, nested: { a: 3 } } });
    await expect(other).rejects.toThrow('provenance.nested.a was 2, now 3');
    await expect(LeRobotDataset.open(folder)).rejects.toThrow(MissingDatasetError);
    await expect(LeRobotDataset.open(folder)).rejects.toThrow('never finished');
  });
});

describe('a writer that stopped', () => {
  it('continues where it was, whatever a crash left behind the last episode', async () => {
    const whole = newFolder();
    await write(whole, 6, { dataFilesSizeInMb: 0.008 });
    const folder = newFolder();
    const resumed: LeRobotWriterOptions = { ...options, dataFilesSizeInMb: 0.008, resume: true };
    for (let i = 0; i < 6; i++) {
      const writer = await LeRobotWriter.create(folder, resumed);
      expect(writer.numEpisodes).toBe(i);
      await writer.addEpisode(syntheticEpisode(i), { note: { seed: i } });
      writer.close();
      // A torn row group, a torn journal line, a data file that no episode made it into, a half-written video.
      const data = join(partialFolder(folder), 'data/chunk-000');
      const last = readdirSync(data).sort().at(-1) as string;
      writeFileSync(join(data, last), 'torn row group', { flag: 'a' });
      writeFileSync(join(data, 'file-999.parquet'), 'stray');
      writeFileSync(join(partialFolder(folder), 'journal.jsonl'), '{"kind":"episode","ind', { flag: 'a' });
    }
    const writer = await LeRobotWriter.create(folder, resumed);
    expect(writer.episodeNotes).toEqual([0, 1, 2, 3, 4, 5].map((seed) => ({ seed })));
    await writer.finish();
    const [a, b] = [contents(whole), contents(folder)];
    a.delete('/meta/dualvla.json');
    b.delete('/meta/dualvla.json');
    expect(b).toEqual(a);
  });

  it('finishes a move that a crash interrupted', async () => {
    const folder = newFolder();
    await write(folder, 2);
    // Complete, its journal gone, not yet renamed; the data set that it replaces already moved aside.
    renameSync(folder, partialFolder(folder));
    await write(`${folder}.old`, 1);
    expect(datasetState(folder)).toBe('finished');
    expect((await LeRobotDataset.open(folder)).numEpisodes).toBe(2);
    expect([existsSync(partialFolder(folder)), existsSync(`${folder}.old`)]).toEqual([false, false]);
  });

  it('for want of disk space names it, keeps what it had, and continues', async () => {
    const folder = newFolder();
    const small: LeRobotWriterOptions = { ...options, dataFilesSizeInMb: 0.001, resume: true };
    const writer = await LeRobotWriter.create(folder, small);
    await writer.addEpisode(syntheticEpisode(0));
    // The next data file cannot be written.
    symlinkSync('/dev/full', join(partialFolder(folder), 'data/chunk-000/file-001.parquet'));
    const error = await writer.addEpisode(syntheticEpisode(1)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as Error).message).toContain('--resume');
    await expect(writer.addEpisode(syntheticEpisode(1))).rejects.toThrow('closed');
    const again = await LeRobotWriter.create(folder, small);
    expect(again.numEpisodes).toBe(1);
    await again.addEpisode(syntheticEpisode(1));
    await again.finish();
    expect((await validateDataset(folder)).problems).toEqual([]);
  });

  it('says so when its data file lost bytes that were on disk', async () => {
    const folder = newFolder();
    const writer = await LeRobotWriter.create(folder, options);
    await writer.addEpisode(syntheticEpisode(0));
    writer.close();
    truncateSync(join(partialFolder(folder), 'data/chunk-000/file-000.parquet'), 100);
    await expect(LeRobotWriter.create(folder, { ...options, resume: true })).rejects.toThrow(
      'shorter than its journal says',
    );
  });

  it.each(['image', 'video'])('survives kill -9 at any moment (%s)', { timeout: 400_000 }, async (storage) => {
    const numEpisodes = storage === 'image' ? 60 : 4;
    const script = fileURLToPath(new URL('./writer-crash.test-support.js', import.meta.url));
    const folder = newFolder();
    /** Runs the child; kills it `delay` ms after it has begun to write. Returns the episode count it began with and whether it finished. */
    const run = (delay: number): Promise<{ resumedAt: number; finished: boolean }> =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [script, folder, String(numEpisodes), storage], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let output = '';
        child.stdout.on('data', (data: Buffer) => {
          if (output === '') setTimeout(() => child.kill('SIGKILL'), delay);
          output += data.toString();
        });
        child.on('error', reject);
        child.on('close', (code, signal) => {
          if (code !== 0 && signal !== 'SIGKILL') reject(new Error(`child ended with ${code}: ${output}`));
          else
            resolve({
              resumedAt: Number(/resumed at (\d+)/.exec(output)?.[1] ?? -1),
              finished: output.includes('finished'),
            });
        });
      });
    let kills = 0;
    let before = 0;
    // Each attempt lives longer, so that the test ends; the first ones die within the first episodes.
    let delay = storage === 'image' ? 4 : 60;
    while (datasetState(folder) !== 'finished') {
      const { resumedAt, finished } = await run(delay * (0.5 + Math.random()));
      delay *= 1.7;
      if (resumedAt >= 0) {
        // Never fewer than an earlier run had.
        expect(resumedAt).toBeGreaterThanOrEqual(before);
        before = resumedAt;
      }
      if (!finished) kills++;
    }
    expect(kills).toBeGreaterThan(1);
    expect(existsSync(partialFolder(folder))).toBe(false);
    expect((await validateDataset(folder, { decodeAll: true })).problems).toEqual([]);
    const dataset = await LeRobotDataset.open(folder);
    expect(dataset.numEpisodes).toBe(numEpisodes);
    for (let i = 0; i < numEpisodes; i++) expect((await dataset.episode(i)).state).toEqual(syntheticEpisode(i).state);
  });
});
