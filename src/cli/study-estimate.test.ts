import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StageRecords } from '../eval/stage-record.js';
import { studyPaths } from '../eval/study-folder.js';
import { paper } from '../recipes/index.js';
import { estimateLeft, estimateOf } from './study-estimate.js';
import { planStudy, type StudyStep } from './study-plan.js';

let out: string;
let steps: StudyStep[];
let records: StageRecords;
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'dualvla-estimate-'));
  steps = planStudy({ study: paper('flow'), out, seeds: [0, 1], split: 'test', threads: 1 });
  records = new StageRecords(studyPaths(out).records);
});
afterEach(() => rmSync(out, { recursive: true, force: true }));

const named = (name: string): StudyStep => steps.find((step) => step.name === name) as StudyStep;
function finish(name: string, seconds: number): void {
  const { hash, output } = named(name);
  mkdirSync(dirname(output), { recursive: true });
  mkdirSync(output, { recursive: true });
  records.begin(name, hash, 'commit');
  records.addSeconds(name, seconds);
  records.finish(name, '');
}

test('the same model of another seed tells most, then other steps of its kind by their size', () => {
  finish('seed-0/train/continued', 600);
  expect(estimateOf(named('seed-1/train/continued'), steps, records)).toBeCloseTo(600);
  const { work } = named('seed-0/train/continued');
  const other = named('seed-0/train/base');
  expect(estimateOf(other, steps, records)).toBeCloseTo((600 * other.work) / work);
});

test('what is done or has run for a while is not counted again; a chain is no faster with more jobs', () => {
  const all = estimateLeft(steps, records, 1);
  finish('data', 100);
  const less = estimateLeft(steps, records, 1);
  expect(less).toBeLessThan(all);
  const begun = estimateLeft(steps, records, 1, new Map([['seed-0/train/vlm', 60]]));
  expect(less - begun).toBeCloseTo(60);
  const chain = [
    'questions',
    'seed-0/train/vlm',
    'seed-0/train/specialist',
    'seed-0/train/base',
    'seed-0/train/dualvla',
  ]
    .map((name) => estimateOf(named(name), steps, records))
    .reduce((sum, seconds) => sum + seconds, 0);
  expect(estimateLeft(steps, records, 1000)).toBeGreaterThan(chain);
});

test('a changed setting makes a step unfinished', () => {
  finish('data', 100);
  const study = paper('flow');
  const changed = { ...study, demonstrations: { ...study.demonstrations, episodes_per_task: 5 } };
  const replanned = planStudy({ study: changed, out, seeds: [0, 1], split: 'test', threads: 1 });
  expect(estimateLeft(replanned.slice(0, 1), records, 1)).toBeGreaterThan(0);
  expect(estimateLeft(steps.slice(0, 1), records, 1)).toBe(0);
});
