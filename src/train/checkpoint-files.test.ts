import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  checkpointDamage,
  cleanUpInterruptedWrites,
  findResumePoint,
  lastGoodCheckpoint,
  listCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from './checkpoint-files.js';
import { CorruptCheckpointError, NothingToResumeError, OutputWriteError } from './errors.js';

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'dualvla-checkpoint-'));
});
afterEach(() => rmSync(run, { recursive: true }));

function fill(text: string) {
  return (directory: string): void => {
    mkdirSync(join(directory, 'pretrained_model'));
    writeFileSync(join(directory, 'pretrained_model', 'weights'), text);
    writeFileSync(join(directory, 'state'), `${text} state`);
  };
}
const entries = (): string[] => readdirSync(join(run, 'checkpoints')).sort();
function thrown(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error');
}

test('a checkpoint is complete, verified and last; older ones go', () => {
  for (const step of [10, 20, 30]) writeCheckpoint(run, step, fill(`step ${step}`), 2);
  expect(entries()).toEqual(['000020', '000030', 'last']);
  expect(readlinkSync(join(run, 'checkpoints/last'))).toBe('000030');
  expect(readFileSync(join(run, 'checkpoints/last/pretrained_model/weights'), 'utf8')).toBe('step 30');
  for (const checkpoint of listCheckpoints(run)) verifyCheckpoint(checkpoint);
});

test('a refused write (ENOSPC) is a named error, and the last good checkpoint stays', () => {
  const good = writeCheckpoint(run, 10, fill('good'));
  const error = thrown(() =>
    writeCheckpoint(run, 20, (directory) => {
      fill('half')(directory);
      writeFileSync('/dev/full', 'x');
    }),
  );
  expect(error).toBeInstanceOf(OutputWriteError);
  expect(error.message).toMatch(/000020.*ENOSPC.*--resume .*000010/s);
  expect(entries()).toEqual(['000010', 'last']);
  expect(checkpointDamage(good)).toBeNull();
});

test('replacing a checkpoint of the same step', () => {
  writeCheckpoint(run, 10, fill('old'));
  const directory = writeCheckpoint(run, 10, fill('new'));
  expect(readFileSync(join(directory, 'state'), 'utf8')).toBe('new state');
  expect(checkpointDamage(directory)).toBeNull();
  expect(entries()).toEqual(['000010', 'last']);
});

test.each([
  ['a flipped byte', (d: string) => writeFileSync(join(d, 'state'), 'step 2O state'), /state does not match/],
  ['a cut file', (d: string) => truncateSync(join(d, 'state'), 3), /state has 3 bytes instead of 13/],
  ['a missing file', (d: string) => rmSync(join(d, 'pretrained_model/weights')), /weights is missing/],
  ['no checksums', (d: string) => rmSync(join(d, 'checksums.json')), /checksums.json cannot be read/],
])('%s is found, and the error names the newest good one before it', (_name, harm, expected) => {
  for (const step of [10, 15, 20, 30]) writeCheckpoint(run, step, fill(`step ${step}`));
  harm(join(run, 'checkpoints/000020'));
  writeFileSync(join(run, 'checkpoints/000015/state'), '');
  const error = thrown(() => verifyCheckpoint({ step: 20, directory: join(run, 'checkpoints/000020') }));
  expect(error).toBeInstanceOf(CorruptCheckpointError);
  expect(error.message).toMatch(expected);
  expect((error as CorruptCheckpointError).lastGood).toBe(join(run, 'checkpoints/000010'));
  expect(error.message).toContain(`--resume ${join(run, 'checkpoints/000010')}`);
  expect(lastGoodCheckpoint(run)).toBe(join(run, 'checkpoints/000030'));
});

test('what a killed write leaves behind is removed', () => {
  writeCheckpoint(run, 10, fill('good'));
  mkdirSync(join(run, 'checkpoints/.writing-000020'));
  writeFileSync(join(run, 'checkpoints/.writing-000020/state'), 'half');
  cleanUpInterruptedWrites(run);
  expect(entries()).toEqual(['000010', 'last']);
});

test('killed between the two renames of a replacement: the old checkpoint comes back', () => {
  writeCheckpoint(run, 10, fill('good'));
  renameSync(join(run, 'checkpoints/000010'), join(run, 'checkpoints/.replaced-000010'));
  expect(findResumePoint(run).checkpoint?.step).toBe(10);
  expect(existsSync(join(run, 'checkpoints/000010/state'))).toBe(true);
});

test('resume points: run, checkpoint, last, run without checkpoint, nothing', () => {
  writeCheckpoint(run, 10, fill('a'));
  writeCheckpoint(run, 20, fill('b'));
  const step = (path: string) => findResumePoint(path).checkpoint?.step;
  expect(step(run)).toBe(20);
  expect(step(join(run, 'checkpoints/last'))).toBe(20);
  expect(step(join(run, 'checkpoints/000010'))).toBe(10);
  expect(step(join(run, 'checkpoints/000010/pretrained_model'))).toBe(10);
  expect(findResumePoint(join(run, 'checkpoints/000010')).runDir).toBe(run);
  rmSync(join(run, 'checkpoints'), { recursive: true });
  expect(thrown(() => findResumePoint(run))).toBeInstanceOf(NothingToResumeError);
  writeFileSync(join(run, 'train_config.json'), '{}');
  expect(findResumePoint(run)).toEqual({ runDir: run, checkpoint: null });
  expect(thrown(() => findResumePoint('/nowhere'))).toBeInstanceOf(NothingToResumeError);
});
