import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeepLabelsError } from './errors.js';
import { bitsToText, keepLabels, keepOfFrames, readKeepLabels, textToBits, writeKeepLabels } from './keep-labels.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'keep-labels-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const labels = keepLabels({ combine: 'and' }, [
  { folder: 'google', episode: 0, keep: '010', scene: '011', motion: '110' },
  { folder: 'widowx', episode: 0, keep: '11' },
  { folder: 'widowx', episode: 1, keep: '0001' },
]);
const folders = [
  { name: 'google', episodes: [{ index: 0, length: 3 }] },
  {
    name: 'widowx',
    episodes: [
      { index: 0, length: 2 },
      { index: 1, length: 4 },
    ],
  },
];

describe('keep labels', () => {
  it('are read as written, and no temporary file stays', () => {
    const path = join(folder, 'keep.json');
    writeKeepLabels(path, labels);
    expect(readKeepLabels(path)).toEqual(labels);
    expect(labels).toMatchObject({ kept: 4, dataset: { numFrames: 9 } });
    expect(readdirSync(folder)).toEqual(['keep.json']);
  });

  it('give one array in the order of the loader', () => {
    expect([...keepOfFrames(labels, folders)]).toEqual([0, 1, 0, 1, 1, 0, 0, 0, 1]);
    expect([...keepOfFrames(labels, folders.toReversed())]).toEqual([1, 1, 0, 0, 0, 1, 0, 1, 0]);
  });

  it('name the episode that does not fit the data', () => {
    const shorter = [folders[0]!, { name: 'widowx', episodes: [{ index: 0, length: 2 }] }];
    expect(() => keepOfFrames(labels, shorter)).toThrow(/1 labelled episodes are not in the data.*episode 1/);
    const longer = [folders[0]!, { name: 'widowx', episodes: [...folders[1]!.episodes, { index: 2, length: 1 }] }];
    expect(() => keepOfFrames(labels, longer)).toThrow(/No keep labels.*"widowx".*episode 2/);
    const other = [{ name: 'google', episodes: [{ index: 0, length: 4 }] }, folders[1]!];
    expect(() => keepOfFrames(labels, other)).toThrow(/3 keep labels for 4 frames/);
  });

  it('that are malformed are refused with the file and the field', () => {
    const path = join(folder, 'bad.json');
    const refuse = (content: string, message: RegExp): void => {
      writeFileSync(path, content);
      expect(() => readKeepLabels(path)).toThrow(KeepLabelsError);
      expect(() => readKeepLabels(path)).toThrow(message);
    };
    const json = JSON.stringify(labels);
    refuse('{', /not readable JSON.*bad\.json/);
    refuse(json.replace('0001', '0021'), /only 0 and 1.*episodes\.2\.keep/);
    refuse(json.replace('0001', '0101'), /5 kept of 9 frames, the head says 4 of 9/);
    refuse(json.replace('"011"', '"0110"'), /4 labels beside 3.*field scene/);
    refuse(json.replace('"episode":1', '"episode":0'), /comes twice/);
    expect(() => readKeepLabels(join(folder, 'none.json'))).toThrow(/no such keep-labels file.*dualvla prune/);
  });

  it('that contradict themselves are not written over good ones', () => {
    const path = join(folder, 'keep.json');
    writeKeepLabels(path, labels);
    const before = readFileSync(path);
    expect(() => writeKeepLabels(path, { ...labels, kept: 3 })).toThrow(KeepLabelsError);
    expect(readFileSync(path)).toEqual(before);
  });

  it('convert between text and bits', () => {
    expect(bitsToText([1, 0, true, false])).toBe('1010');
    expect([...textToBits('1010')]).toEqual([1, 0, 1, 0]);
  });
});
