import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StageRecords } from '../eval/stage-record.js';
import { paper, SHIPPED_SPECIALIST } from '../recipes/index.js';
import { checkpointDamage } from '../train/checkpoint-files.js';
import { UsageError } from './errors.js';
import { parseGiven, takeGiven } from './study-given.js';
import { planStudy, type StudyStep, shippedCheckpoint } from './study-plan.js';
import { stepsLeft } from './study-runner.js';

const shipped = shippedCheckpoint(SHIPPED_SPECIALIST);
const STEP = 'seed-0/train/specialist';

let out: string;
let steps: StudyStep[];
let records: StageRecords;
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'study-given-'));
  steps = planStudy({ study: paper('discrete'), out, seeds: [1, 2], split: 'test', threads: 1, only: ['base'] });
  records = new StageRecords(join(out, 'steps.json'));
});
afterEach(() => rmSync(out, { recursive: true, force: true }));

const stepNamed = (name: string): StudyStep => {
  const step = steps.find((one) => one.name === name);
  if (step === undefined) throw new Error(`no step ${name}`);
  return step;
};

test('the specialist that ships stands for its training in every seed, and what it was made from is not made', () => {
  expect(stepsLeft(steps, records)).toEqual(steps);
  expect(takeGiven({ name: 'specialist', folder: shipped }, steps, records)).toEqual([STEP]);

  const checkpoint = join(stepNamed(STEP).output, 'checkpoints', 'last');
  expect(checkpointDamage(checkpoint)).toBeNull();
  const weights = (folder: string): Buffer => readFileSync(join(folder, 'model.safetensors'));
  expect(weights(join(checkpoint, 'pretrained_model')).equals(weights(shipped))).toBe(true);

  const left = stepsLeft(steps, new StageRecords(records.path)).map(({ name }) => name);
  expect(left).toContain('seed-1/train/base');
  expect(left).toContain('seed-2/test/base');
  expect(left).not.toContain('seed-0/train/vlm');
  const origin = JSON.parse(readFileSync(join(shipped, 'origin.json'), 'utf8')) as { commit: string };
  expect(records.get(STEP)?.commit).toBe(origin.commit);
  // It is there: a second time nothing is taken.
  expect(takeGiven({ name: 'specialist', folder: '/nowhere' }, steps, records)).toEqual([]);
});

test('a model that was made with other settings is not taken, and what was begun here stays', () => {
  const other = join(out, 'other');
  cpSync(shipped, other, { recursive: true });
  const config = JSON.parse(readFileSync(join(other, 'train_config.json'), 'utf8')) as { optimizer: { lr: number } };
  config.optimizer.lr = 0.002;
  writeFileSync(join(other, 'train_config.json'), JSON.stringify(config));
  const begun = join(stepNamed(STEP).output, 'train_config.json');
  mkdirSync(stepNamed(STEP).output, { recursive: true });
  writeFileSync(begun, '{}');
  const take = () => takeGiven({ name: 'specialist', folder: other }, steps, records);
  expect(take).toThrow(/other settings than seed-0\/train\/specialist: optimizer.lr is 0.002 in place of 0.001/);
  expect(take).toThrow(UsageError);
  expect(records.get(STEP)).toBeUndefined();
  expect(existsSync(begun)).toBe(true);
});

test('names and folders that mean nothing are refused', () => {
  expect(parseGiven('specialist=a=b')).toEqual({ name: 'specialist', folder: 'a=b' });
  expect(() => parseGiven('specialist')).toThrow(UsageError);
  expect(() => takeGiven({ name: 'dualvla', folder: shipped }, steps, records)).toThrow(/nothing here is made from/);
  expect(() => takeGiven({ name: 'specialist', folder: out }, steps, records)).toThrow(/There is no trained model/);
  const bare = join(out, 'bare');
  mkdirSync(bare);
  cpSync(join(shipped, 'model.safetensors'), join(bare, 'model.safetensors'));
  expect(() => takeGiven({ name: 'specialist', folder: bare }, steps, records)).toThrow(/has no config.json/);
});
