import { expect, test } from 'vitest';
import { learningRateFactor, runProgress } from './schedule.js';

const cosine = { type: 'cosine', warmup_ratio: 0.1, final_lr_ratio: 0.2 } as const;

test('cosine: rises to the peak, half way between at the middle, ends at the final ratio and stays', () => {
  expect(learningRateFactor(cosine, 0)).toBe(0);
  expect(learningRateFactor(cosine, 0.05)).toBeCloseTo(0.5, 12);
  expect(learningRateFactor(cosine, 0.1)).toBeCloseTo(1, 12);
  expect(learningRateFactor(cosine, 0.55)).toBeCloseTo(0.6, 12);
  expect(learningRateFactor(cosine, 1)).toBeCloseTo(0.2, 12);
  expect(learningRateFactor(cosine, 1.5)).toBeCloseTo(0.2, 12);
});

test('linear and constant', () => {
  expect(learningRateFactor({ ...cosine, type: 'linear' }, 0.55)).toBeCloseTo(0.6, 12);
  expect(learningRateFactor({ ...cosine, type: 'linear' }, 1)).toBeCloseTo(0.2, 12);
  expect(learningRateFactor({ ...cosine, type: 'constant' }, 0.9)).toBe(1);
});

test('no step has a rate of zero, and progress follows time under a budget', () => {
  const steps = Array.from({ length: 10 }, (_, step) => runProgress({ steps: 10, time_budget_s: null }, step, 0));
  expect(steps.every((p) => learningRateFactor({ ...cosine, final_lr_ratio: 0 }, p) > 0)).toBe(true);
  expect(runProgress({ steps: 10, time_budget_s: 60 }, 9, 15)).toBe(0.25);
});
