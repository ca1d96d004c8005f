/**
 * The learning rate as a function of the fraction p of the run that is done, so that one schedule serves runs limited by
 * steps and runs limited by time: linear warm-up over `warmup_ratio` of the run, then constant, linear or cosine down to
 * `final_lr_ratio` of the peak (formulas in torch/schedules.ts).
 *
 * In a run limited by steps, step s of S (from 0) is at p = (s + 1/2) / S: the middle of the step, so that neither the
 * first nor the last step is spent at a rate of zero.
 */
import { constant_with_warmup, cosine_with_min_lr, polynomial, type Schedule } from '../torch/schedules.js';
import type { TrainConfig } from './config.js';

/** Resolution of the schedule: progress is mapped to this many virtual steps. */
const UNITS = 1e6;

/** Learning rate as a part of its peak at `progress` in [0, 1]; progress beyond 1 counts as 1. */
export function learningRateFactor(scheduler: TrainConfig['scheduler'], progress: number): number {
  const span = { num_warmup_steps: scheduler.warmup_ratio * UNITS, num_training_steps: UNITS };
  const schedules: Record<typeof scheduler.type, () => Schedule> = {
    constant: () => constant_with_warmup(span),
    linear: () => polynomial({ ...span, lr_end_rate: scheduler.final_lr_ratio }),
    cosine: () => cosine_with_min_lr({ ...span, min_lr_rate: scheduler.final_lr_ratio }),
  };
  return schedules[scheduler.type]()(Math.min(1, Math.max(0, progress)) * UNITS);
}

/** Progress of a run before step `step` (from 0): by elapsed seconds if there is a time budget, else by steps. */
export function runProgress(
  config: Pick<TrainConfig, 'steps' | 'time_budget_s'>,
  step: number,
  elapsed: number,
): number {
  return config.time_budget_s === null ? (step + 0.5) / config.steps : elapsed / config.time_budget_s;
}
