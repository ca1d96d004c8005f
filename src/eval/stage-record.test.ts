import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hashOf, StageRecords } from './stage-record.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-stages-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a stage goes from new over begun to finished, and another process sees it', () => {
  const path = join(folder, 'deeper', 'stages.json');
  const first = new StageRecords(path);
  expect(first.state('train', 'a')).toBe('new');
  first.begin('train', 'a', 'c0');
  first.addSeconds('train', 2);
  const second = new StageRecords(path);
  expect(second.state('train', 'a')).toBe('begun');
  second.begin('train', 'a', 'c1');
  second.addSeconds('train', 3);
  second.finish('train', '100 steps', new Date(0));
  expect(new StageRecords(path).state('train', 'a')).toBe('finished');
  expect(new StageRecords(path).get('train')).toEqual({
    hash: 'a',
    commit: 'c0',
    seconds: 5,
    finished: '1970-01-01T00:00:00.000Z',
    summary: '100 steps',
  });
  expect(readdirSync(join(folder, 'deeper'))).toEqual(['stages.json']);
});

test('other settings start a stage anew', () => {
  const records = new StageRecords(join(folder, 'stages.json'));
  records.begin('train', 'a', 'c0');
  records.addSeconds('train', 9);
  records.finish('train', 'done');
  expect(records.state('train', 'b')).toBe('changed');
  records.begin('train', 'b', 'c1');
  expect(records.get('train')).toEqual({ hash: 'b', commit: 'c1', seconds: 0 });
  records.forget('train');
  expect(new StageRecords(records.path).state('train', 'b')).toBe('new');
});

test('a file that is no JSON counts as absent; a stage has to be begun first', () => {
  writeFileSync(join(folder, 'stages.json'), '{"train": {"ha');
  const records = new StageRecords(join(folder, 'stages.json'));
  expect(records.state('train', 'a')).toBe('new');
  expect(() => records.addSeconds('train', 1)).toThrow('not begun');
});

test('the hash is of content, not of key order', () => {
  expect(hashOf({ a: 1, b: { c: [1, 2] } })).toBe(hashOf({ b: { c: [1, 2] }, a: 1 }));
  expect(hashOf({ a: 1 })).not.toBe(hashOf({ a: 2 }));
  expect(hashOf([1, 2])).not.toBe(hashOf([2, 1]));
});
