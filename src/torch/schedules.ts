/**
 * Learning-rate schedules: pure functions from the step's index (0 for the first optimizer step) to a multiplier of the
 * base learning rate. Semantics as in transformers' `get_*_schedule*` and torch's `lr_scheduler`, edge cases included.
 *
 * Knows nothing about optimizers; `setLearningRates` in adamw.ts applies a multiplier.
 */

/** Multiplier of the base learning rate at an optimizer step. */
export type Schedule = (step: number) => number;

export interface WarmupOptions {
  /** Steps over which the rate rises linearly from 0. */
  num_warmup_steps: number;
  num_training_steps: number;
}

/** Rises linearly from 0 over `n` steps; undefined afterwards. */
function warmup(step: number, n: number): number | undefined {
  return step < n ? step / Math.max(1, n) : undefined;
}

/** Share of the steps after the warm-up that are done; goes above 1 past the end. */
function progress(step: number, { num_warmup_steps, num_training_steps }: WarmupOptions): number {
  return (step - num_warmup_steps) / Math.max(1, num_training_steps - num_warmup_steps);
}

/** The base rate throughout. */
export function constant(): Schedule {
  return () => 1;
}

/** Linear warm-up, then the base rate. */
export function constant_with_warmup({ num_warmup_steps }: { num_warmup_steps: number }): Schedule {
  return (step) => warmup(step, num_warmup_steps) ?? 1;
}

/** Linear warm-up, then linear to 0 at `num_training_steps` (0 after it). */
export function linear(options: WarmupOptions): Schedule {
  const { num_warmup_steps, num_training_steps } = options;
  return (step) =>
    warmup(step, num_warmup_steps) ??
    Math.max(0, (num_training_steps - step) / Math.max(1, num_training_steps - num_warmup_steps));
}

/**
 * Linear warm-up, then a cosine: max(0, (1 + cos(2 pi num_cycles p)) / 2) with p the progress after the warm-up.
 * As in transformers, p is not clamped: past `num_training_steps` the rate rises again.
 */
export function cosine_with_warmup(options: WarmupOptions & { num_cycles?: number }): Schedule {
  const { num_warmup_steps, num_cycles = 0.5 } = options;
  return (step) =>
    warmup(step, num_warmup_steps) ??
    Math.max(0, 0.5 * (1 + Math.cos(Math.PI * num_cycles * 2 * progress(step, options))));
}

/** As `cosine_with_warmup`, but the cosine falls to `min_lr_rate` (a share of the base rate) instead of 0. */
export function cosine_with_min_lr(options: WarmupOptions & { num_cycles?: number; min_lr_rate: number }): Schedule {
  const { num_warmup_steps, num_cycles = 0.5, min_lr_rate } = options;
  return (step) => {
    const rising = warmup(step, num_warmup_steps);
    if (rising !== undefined) return rising;
    const cosine = 0.5 * (1 + Math.cos(Math.PI * num_cycles * 2 * progress(step, options)));
    return Math.max(0, cosine * (1 - min_lr_rate) + min_lr_rate);
  };
}

/** Linear warm-up, then `num_cycles` cosines that each start again at the base rate; 0 from the end on. */
export function cosine_with_hard_restarts(options: WarmupOptions & { num_cycles?: number }): Schedule {
  const { num_warmup_steps, num_cycles = 1 } = options;
  return (step) => {
    const rising = warmup(step, num_warmup_steps);
    if (rising !== undefined) return rising;
    const p = progress(step, options);
    return p >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((num_cycles * p) % 1))));
  };
}

/** Linear warm-up, then (1 - p)^power from the base rate to `lr_end_rate` (a share of the base rate), which stays. */
export function polynomial(options: WarmupOptions & { power?: number; lr_end_rate: number }): Schedule {
  const { num_warmup_steps, num_training_steps, power = 1, lr_end_rate } = options;
  return (step) => {
    const rising = warmup(step, num_warmup_steps);
    if (rising !== undefined) return rising;
    if (step > num_training_steps) return lr_end_rate;
    return (1 - lr_end_rate) * (1 - progress(step, options)) ** power + lr_end_rate;
  };
}

/**
 * The released OpenVLA / InstructVLA trainer's "linear-warmup+cosine-decay": the cosine schedule, with the rate of the
 * first step forced to 0 also where there is no warm-up (that step is lost).
 */
export function linear_warmup_cosine_decay(options: WarmupOptions): Schedule {
  const cosine = cosine_with_warmup(options);
  return (step) => (step === 0 ? 0 : cosine(step));
}

/** torch's CosineAnnealingLR in closed form: from 1 to `eta_min_rate` at `T_max`, and up again after it. */
export function cosine_annealing({ T_max, eta_min_rate = 0 }: { T_max: number; eta_min_rate?: number }): Schedule {
  return (step) => eta_min_rate + ((1 - eta_min_rate) * (1 + Math.cos((Math.PI * step) / T_max))) / 2;
}

/** torch's LinearLR: from `start_factor` to `end_factor` over `total_iters` steps, then `end_factor`. */
export function linear_ramp({
  start_factor,
  end_factor = 1,
  total_iters,
}: {
  start_factor: number;
  end_factor?: number;
  total_iters: number;
}): Schedule {
  return (step) => start_factor + ((end_factor - start_factor) * Math.min(step, total_iters)) / total_iters;
}

/** torch's SequentialLR: each schedule counts from 0 again at its milestone. Needs one milestone less than schedules. */
export function sequential(schedules: readonly [Schedule, ...Schedule[]], milestones: readonly number[]): Schedule {
  if (milestones.length !== schedules.length - 1) {
    throw new RangeError(
      `sequential: ${schedules.length} schedules need ${schedules.length - 1} milestones, got ${milestones.length}`,
    );
  }
  return (step) => {
    const i = milestones.filter((m) => step >= m).length;
    return (schedules[i] as Schedule)(step - (i === 0 ? 0 : (milestones[i - 1] as number)));
  };
}
