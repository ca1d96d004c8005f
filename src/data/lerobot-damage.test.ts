import { cpSync, readFileSync, rmSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CorruptDatasetError, DataError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { DATA, EPISODES, editData, editInfo, readAll, SoundDataset } from './lerobot-damage.test-support.js';
import { ParquetAppender } from './parquet-append.js';
import { leaf, list, root } from './parquet-schema.js';
import { validateDataset } from './validate-dataset.js';

let sound: SoundDataset;
beforeAll(async () => {
  sound = await SoundDataset.write();
});
afterAll(() => sound.remove());

const damaged = (): string => sound.copy();

describe('broken metadata', () => {
  const cases: [string, (folder: string) => void, typeof DataError, string][] = [
    ['no folder', (folder) => rmSync(folder, { recursive: true }), MissingDatasetError, 'meta/info.json is missing'],
    ['no tasks', (folder) => unlinkSync(join(folder, 'meta/tasks.parquet')), MissingDatasetError, 'tasks.parquet'],
    [
      'no episode table',
      (folder) => unlinkSync(join(folder, EPISODES)),
      MissingDatasetError,
      'episode table is missing',
    ],
    ['no data file', (folder) => unlinkSync(join(folder, DATA)), MissingDatasetError, 'file-000.parquet'],
    [
      'info is no JSON',
      (folder) => writeFileSync(join(folder, 'meta/info.json'), '{'),
      CorruptDatasetError,
      'is not JSON',
    ],
    ['info lacks fps', (folder) => editInfo(folder, (info) => delete info.fps), CorruptDatasetError, 'field fps'],
    [
      'an old version',
      (folder) => editInfo(folder, (info) => Object.assign(info, { codebase_version: 'v2.1' })),
      UnsupportedDatasetError,
      'v2.1',
    ],
    [
      'an unknown dtype',
      (folder) =>
        editInfo(folder, (info) =>
          Object.assign(info.features as object, { odd: { dtype: 'complex64', shape: [1], names: null } }),
        ),
      UnsupportedDatasetError,
      'field odd',
    ],
    [
      'a slash in a name',
      (folder) =>
        editInfo(folder, (info) =>
          Object.assign(info.features as object, { 'a/b': { dtype: 'float32', shape: [1], names: null } }),
        ),
      UnsupportedDatasetError,
      'a/b',
    ],
    [
      'too many episodes',
      (folder) => editInfo(folder, (info) => Object.assign(info, { total_episodes: 9 })),
      CorruptDatasetError,
      'says 9 episodes',
    ],
    [
      'too many frames',
      (folder) => editInfo(folder, (info) => Object.assign(info, { total_frames: 9 })),
      CorruptDatasetError,
      'says 9 frames',
    ],
    [
      'statistics are no JSON',
      (folder) => writeFileSync(join(folder, 'meta/stats.json'), 'x'),
      CorruptDatasetError,
      'stats.json',
    ],
    [
      'statistics are no table',
      (folder) => writeFileSync(join(folder, 'meta/stats.json'), '{"action":3}'),
      CorruptDatasetError,
      'field action',
    ],
    [
      'data cut off',
      (folder) => truncateSync(join(folder, DATA), 5000),
      CorruptDatasetError,
      'Not a complete parquet file',
    ],
    [
      'episode table cut off',
      (folder) => truncateSync(join(folder, EPISODES), 100),
      CorruptDatasetError,
      'Not a complete parquet file',
    ],
    [
      'data is empty',
      (folder) => truncateSync(join(folder, DATA), 0),
      CorruptDatasetError,
      'Not a complete parquet file',
    ],
    [
      'a declared column is missing',
      (folder) =>
        editInfo(folder, (info) =>
          Object.assign(info.features as object, { extra: { dtype: 'float32', shape: [2], names: null } }),
        ),
      CorruptDatasetError,
      'field extra',
    ],
    [
      'a shape that does not fit',
      (folder) =>
        editInfo(folder, (info) =>
          Object.assign((info.features as Record<string, object>).action as object, { shape: [6] }),
        ),
      CorruptDatasetError,
      '7 values, expected 6',
    ],
  ];
  it.each(cases)('%s', async (_, damage, type, message) => {
    const folder = damaged();
    damage(folder);
    const error = await readAll(folder);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toContain(message);
    expect((await validateDataset(folder)).problems.some(({ severity }) => severity === 'error')).toBe(true);
  });
});

describe('broken data', () => {
  it('text where numbers belong', async () => {
    const folder = damaged();
    await editData(folder, (name, values) =>
      name === 'action'
        ? {
            values: values.map(() => ['a', 'b', 'c', 'd', 'e', 'f', 'g']),
            node: list('action', leaf('element', 'string')),
          }
        : { values },
    );
    const error = (await readAll(folder)) as DataError;
    expect(error).toBeInstanceOf(CorruptDatasetError);
    expect(error).toMatchObject({ field: 'action', episode: 0, frame: 0 });
    expect(error.message).toContain('Expected a number, found string');
  });

  it('a null in a number and in a text', async () => {
    for (const column of ['observation.state', 'reasoning.text', 'episode_index']) {
      const folder = damaged();
      await editData(folder, (name, values) => ({
        values: name === column ? values.map((value, row) => (row === 8 ? null : value)) : values,
      }));
      const error = (await readAll(folder)) as DataError;
      expect(error).toBeInstanceOf(CorruptDatasetError);
      expect(error).toMatchObject({ field: column, episode: 1, frame: 2 });
    }
  });

  it('a vector that is too short', async () => {
    const folder = damaged();
    await editData(folder, (name, values) => ({
      values: name === 'action' ? values.map((value, row) => (row === 14 ? [1, 2, 3] : value)) : values,
    }));
    expect(await readAll(folder)).toMatchObject({ field: 'action', episode: 2, frame: 2 });
  });

  it('rows of another episode, an unknown task, fewer rows than promised', async () => {
    let folder = damaged();
    await editData(folder, (name, values) => ({
      values: name === 'episode_index' ? values.map((value, row) => (row === 3 ? 2n : value)) : values,
    }));
    expect(((await readAll(folder)) as Error).message).toContain('belongs to episode 2');
    folder = damaged();
    await editData(folder, (name, values) => ({ values: name === 'task_index' ? values.map(() => 7n) : values }));
    expect(((await readAll(folder)) as Error).message).toContain('No task 7');
    folder = damaged();
    await editData(folder, (_, values) => ({ values: values.slice(0, 16) }));
    expect(((await readAll(folder)) as Error).message).toContain('has 16 rows, the episode table wants 18');
  });

  it('a picture that is damaged, missing or only a path', async () => {
    for (const [replacement, message] of [
      [{ bytes: Uint8Array.of(1, 2, 3), path: null }, 'does not decode'],
      [{ bytes: null, path: 'images/frame.png' }, 'has no bytes'],
      [null, 'has no bytes'],
    ] as const) {
      const folder = damaged();
      await editData(folder, (name, values) => ({
        values: name.startsWith('observation.images')
          ? values.map((value, row) => (row === 7 ? replacement : value))
          : values,
      }));
      const error = (await readAll(folder)) as DataError;
      expect(error.message).toContain(message);
      expect(error).toMatchObject({ episode: 1, frame: 1, field: 'observation.images.third' });
    }
  });

  it('any changed byte gives a named error if it gives one, never another', async () => {
    for (const file of [DATA, EPISODES, 'meta/tasks.parquet']) {
      const bytes = readFileSync(join(sound.folder, file));
      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
          const folder = damaged();
          const copy = Buffer.from(bytes);
          copy[at] = (copy[at] as number) ^ change;
          writeFileSync(join(folder, file), copy);
          const error = await readAll(folder);
          if (error !== undefined) expect(error).toBeInstanceOf(DataError);
          rmSync(folder, { recursive: true });
        }),
        { numRuns: 25 },
      );
    }
  });
});

describe('a damaged page header', () => {
  const TASKS = 'meta/tasks.parquet';
  const damagedTasks = (at: number, change: number): string => {
    const folder = damaged();
    const bytes = readFileSync(join(folder, TASKS));
    bytes[at] = (bytes[at] as number) ^ change;
    writeFileSync(join(folder, TASKS), bytes);
    return folder;
  };

  it('that puts the size of the page into another field is an error, not a loop', async () => {
    // Byte 12 of the first header: the decoder read the missing size as NaN and the same byte for ever.
    for (const at of [12, 16, 20]) {
      const error = await readAll(damagedTasks(at, 128));
      expect(error).toBeInstanceOf(CorruptDatasetError);
      expect((error as Error).message).toMatch(/column task_index: .*tasks\.parquet/);
    }
  });

  it('with an impossible number of columns in its schema is an error, not a loop', async () => {
    const folder = damaged();
    const path = join(folder, EPISODES);
    const bytes = readFileSync(path);
    // The list `tasks` has one child, the zigzag number 2: with another bit it is -2, and a count of children that never comes to it.
    const at = bytes.indexOf(Buffer.concat([Buffer.from('tasks'), Uint8Array.of(0x15, 0x02)])) + 5;
    expect(at).toBeGreaterThan(5);
    for (const change of [1, 8, 128]) {
      const copy = Buffer.from(bytes);
      copy[at + 1] = (copy[at + 1] as number) ^ change;
      writeFileSync(path, copy);
      expect(await readAll(folder)).toBeInstanceOf(CorruptDatasetError);
    }
  });

  it('says which number does not fit', async () => {
    // Three zigzag numbers behind their field bytes: page type, decompressed and compressed size.
    const sizes = await readAll(damagedTasks(7, 64));
    expect((sizes as Error).message).toMatch(/decompressed size of a page is \d+, at most \d+ fit/);
    const footer = damaged();
    const bytes = readFileSync(join(footer, TASKS));
    // Behind the file's schema lies the number of rows, 2, as the field byte 0x16 and a zigzag number.
    const start = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
    const at = bytes.indexOf(Uint8Array.of(0x16, 0x04, 0x19), start) + 1;
    expect(at).toBeGreaterThan(start);
    bytes[at] = 0x7e;
    writeFileSync(join(footer, TASKS), bytes);
    expect(((await readAll(footer)) as Error).message).toContain('the file has 63 rows, its row groups 2');
  });
});

describe('validation finds what the official loader would trip over', () => {
  const problemsAfter = async (damage: (folder: string) => Promise<void> | void): Promise<string> => {
    const folder = damaged();
    await damage(folder);
    return (await validateDataset(folder, { decodeAll: true })).problems
      .map(({ severity, message }) => `${severity}: ${message}`)
      .join('\n');
  };

  it('nothing in a sound one', async () => {
    expect(await problemsAfter(() => undefined)).toBe('');
  });

  it('undeclared columns, stray files, wrong order, wrong times, wrong statistics, missing quantiles', async () => {
    const extra = { values: new Array(18).fill(1), node: leaf('extra', 'float32'), rename: 'extra' };
    expect(
      await problemsAfter((folder) =>
        editData(folder, (name, values) => (name === 'reasoning.keep' ? extra : { values })),
      ),
    ).toMatch(/column extra is not declared[\s\S]*column reasoning.keep is declared and missing/);
    expect(
      await problemsAfter((folder) => cpSync(join(folder, DATA), join(folder, 'data/chunk-000/file-001.parquet'))),
    ).toContain('belongs to no episode');
    const reindex = (column: string, change: (value: unknown, row: number) => unknown) => (folder: string) =>
      editData(folder, (name, values) => ({ values: name === column ? values.map(change) : values }));
    expect(await problemsAfter(reindex('index', (value) => (value as bigint) + 1n))).toContain(
      'index is 1, expected 0',
    );
    expect(await problemsAfter(reindex('frame_index', () => 0n))).toContain('frame_index is 0, expected 1');
    expect(await problemsAfter(reindex('timestamp', (value) => (value as number) * 1.01))).toContain('timestamp is');
    expect(await problemsAfter(reindex('observation.state', (value) => (value as number[]).map((x) => x * 2)))).toMatch(
      /observation.state: min\[0\] is .* the data say/,
    );
    expect(
      await problemsAfter((folder) => {
        const path = join(folder, 'meta/stats.json');
        const stats = JSON.parse(readFileSync(path, 'utf8')) as Record<string, Record<string, unknown>>;
        delete stats.action?.q01;
        delete stats.timestamp;
        if (stats['observation.images.third']) stats['observation.images.third'].mean = [0.1, 0.2, 0.3];
        writeFileSync(path, JSON.stringify(stats));
      }),
    ).toBe(
      [
        'warning: action has no q01',
        'error: observation.images.third: mean must have the shape (3, 1, 1)',
        'error: timestamp has no statistics',
      ].join('\n'),
    );
  });

  it('statistics that NaN makes impossible, and files cut off, with what mends them', async () => {
    const folder = damaged();
    await editData(folder, (name, values) => ({
      values:
        name === 'action'
          ? values.map((row, t) => (t === 8 ? [Number.NaN, ...(row as number[]).slice(1)] : row))
          : values,
    }));
    const { problems } = await validateDataset(folder);
    expect(problems.filter(({ check }) => check === 'statistics')).toMatchObject([
      { message: 'action: dimension 0 holds values that are not finite, so it has no statistics', file: 'data' },
    ]);
    const cut = damaged();
    truncateSync(join(cut, DATA), statSync(join(cut, DATA)).size - 20);
    for (const { check, file, fix } of (await validateDataset(cut)).problems) {
      expect(file, check).toBe(DATA);
      expect(fix, check).toMatch(/leaves the .*episodes? out/);
    }
  });

  it('tasks that pandas could not find', async () => {
    const problems = await problemsAfter((folder) => {
      const writer = new ParquetAppender(
        join(folder, 'meta/tasks.parquet'),
        root([leaf('task_index', 'int64'), leaf('task', 'string')]),
      );
      writer.append([
        { name: 'task_index', data: [1n, 0n] },
        { name: 'task', data: ['push the block', 'lift the block'] },
      ]);
      writer.close();
    });
    expect(problems).toContain('no pandas index column');
    expect(problems).toContain('row i of tasks.parquet must have task_index i');
  });
});
