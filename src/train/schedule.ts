/**
 * The learning rate as a function of the fraction of the run that is done, so that one formula serves runs limited by
 * steps and runs limited by time:
 *
 *   p < w:  p / w                                     (warm-up)
 *   else:   f + (1 - f) g(q),  q = (p - w) / (1 - w)  (decay; g = 1, 1 - q, or (1 + cos pi q) / 2)
 *
 * with w = `warmup_ratio`, f = `final_lr_ratio`. In a run limited by steps, step s of S (from 0) is at p = (s + 1/2) / S: the
 * middle of the step, so that neither the first nor the last step is spent at a rate of zero.
 */
import type { TrainConfig } from './config.js';

type Scheduler = TrainConfig['scheduler'];

const decay: Record<Scheduler['type'], (q: number) => number> = {
  constant: () => 1,
  linear: (q) => 1 - q,
  cosine: (q) => (1 + Math.cos(Math.PI * q)) / 2,
};

/** Learning rate as a part of its peak at `progress` in [0, 1]; later progress counts as 1. */
export function learningRateFactor(scheduler: Scheduler, progress: number): number {
  const p = Math.min(1, Math.max(0, progress));
  const { warmup_ratio: warmup, final_lr_ratio: final } = scheduler;
  if (p < warmup) return p / warmup;
  const q = warmup < 1 ? (p - warmup) / (1 - warmup) : 1;
  if (scheduler.type === 'constant') return 1;
  return final + (1 - final) * decay[scheduler.type](q);
}

/** Progress of a run before step `step` (from 0): by elapsed time if there is a time budget, else by steps. */
export function runProgress(
  config: Pick<TrainConfig, 'steps' | 'time_budget_s'>,
  step: number,
  elapsed: number,
): number {
  return config.time_budget_s === null ? (step + 0.5) / config.steps : elapsed / config.time_budget_s;
}
