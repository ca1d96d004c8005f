import { expect, test } from 'vitest';
import { formatDuration, formatScalar, formatTrainEvent } from './progress-line.js';

test('a step is one line with step, loss, parts, lr, gradient norm, speed, data wait and ETA', () => {
  const line = formatTrainEvent({
    type: 'step',
    step: 50,
    steps: 1000,
    loss: 0.12345,
    parts: { flow_loss: 0.12345 },
    lr: 1e-4,
    gradNorm: 2,
    samplesPerSecond: 123.4,
    dataWait: 0.0123,
    elapsedSeconds: 26,
    etaSeconds: 493.4,
  });
  expect(line).toBe(
    'step 50/1000 loss 0.1235 flow_loss 0.1235 lr 1.00e-4 grad 2.000 123.4 samples/s data 1.2% eta 8m13s',
  );
});

test('durations and numbers', () => {
  expect([0.4, 59.4, 60, 3600, 7620, Number.POSITIVE_INFINITY].map(formatDuration)).toEqual([
    '0s',
    '59s',
    '1m00s',
    '1h00m',
    '2h07m',
    '?',
  ]);
  expect([0, 0.5, 12345, 123456, 1e-5, Number.NaN].map(formatScalar)).toEqual([
    '0.000',
    '0.5000',
    '12345',
    '1.23e+5',
    '1.00e-5',
    'NaN',
  ]);
});
