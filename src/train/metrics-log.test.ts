import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OutputWriteError } from './errors.js';
import { METRICS_FILE, MetricsLog, readMetrics } from './metrics-log.js';

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'dualvla-metrics-'));
});
afterEach(() => rmSync(run, { recursive: true }));
const options = { tensorboard: true, lastGood: () => null };

test('resume drops lines after the checkpoint and a cut last line; numbers keep their digits', () => {
  const log = new MetricsLog(run, 0, options);
  for (let step = 1; step <= 5; step++) log.write({ step, loss: Math.fround(1 / step) }, 'train');
  log.close();
  appendFileSync(join(run, METRICS_FILE), '{"step":6,"lo');
  const resumed = new MetricsLog(run, 3, options);
  resumed.write({ step: 4, loss: 0.25 }, 'train');
  resumed.close();
  expect(readMetrics(run)).toEqual([1, 2, 3, 4].map((step) => ({ step, loss: Math.fround(1 / step) })));
  expect(readFileSync(join(run, METRICS_FILE), 'utf8').endsWith('}\n')).toBe(true);
  expect(readdirSync(run).filter((name) => name.startsWith('events.out.tfevents.'))).toHaveLength(2);
});

test('a full disk is a named error', () => {
  symlinkSync('/dev/full', join(run, METRICS_FILE));
  const log = (): void => {
    new MetricsLog(run, 0, { tensorboard: false, lastGood: () => '/run/checkpoints/000010' }).write(
      { step: 1 },
      'train',
    );
  };
  expect(log).toThrow(OutputWriteError);
  expect(log).toThrow(/metrics.jsonl.*ENOSPC.*--resume \/run\/checkpoints\/000010/s);
});
