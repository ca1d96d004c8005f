import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as schedules from './schedules.js';

interface Case {
  name: string;
  base_lr: number;
  config: Record<string, never> & {
    num_warmup_steps: number;
    num_training_steps: number;
    num_cycles: number;
    min_lr: number;
    lr_end: number;
    power: number;
    T_max: number;
    eta_min: number;
    start_factor: number;
    end_factor: number;
    total_iters: number;
    warmup: { start_factor: number; end_factor: number; total_iters: number };
    cosine: { T_max: number; eta_min: number };
    milestone: number;
  };
  lr: number[];
}
const cases = (
  JSON.parse(readFileSync(new URL('../../test/fixtures/torch/09b_schedules.json', import.meta.url), 'utf8')) as {
    cases: Case[];
  }
).cases;

const build: Record<string, (c: Case['config'], lr: number) => schedules.Schedule> = {
  'transformers.get_cosine_schedule_with_warmup': (c) => schedules.cosine_with_warmup(c),
  'transformers.get_cosine_schedule_with_warmup, 1.5 cycles': (c) => schedules.cosine_with_warmup(c),
  'prismatic linear-warmup+cosine-decay': (c) => schedules.linear_warmup_cosine_decay(c),
  'transformers.get_linear_schedule_with_warmup': (c) => schedules.linear(c),
  'transformers.get_constant_schedule_with_warmup': (c) => schedules.constant_with_warmup(c),
  'transformers.get_constant_schedule': () => schedules.constant(),
  'transformers.get_cosine_with_min_lr_schedule_with_warmup': (c, lr) =>
    schedules.cosine_with_min_lr({ ...c, min_lr_rate: c.min_lr / lr }),
  'transformers.get_cosine_with_hard_restarts_schedule_with_warmup': (c) => schedules.cosine_with_hard_restarts(c),
  'transformers.get_polynomial_decay_schedule_with_warmup': (c, lr) =>
    schedules.polynomial({ ...c, lr_end_rate: c.lr_end / lr }),
  'torch.CosineAnnealingLR': (c, lr) => schedules.cosine_annealing({ T_max: c.T_max, eta_min_rate: c.eta_min / lr }),
  'torch.LinearLR': (c) => schedules.linear_ramp(c),
  'torch.SequentialLR(LinearLR, CosineAnnealingLR)': (c, lr) =>
    schedules.sequential(
      [
        schedules.linear_ramp(c.warmup),
        schedules.cosine_annealing({ T_max: c.cosine.T_max, eta_min_rate: c.cosine.eta_min / lr }),
      ],
      [c.milestone],
    ),
};

describe('learning-rate schedules against transformers and torch', () => {
  expect(cases.length).toBe(14);
  for (const [i, c] of cases.entries()) {
    it(`${i}: ${c.name}`, () => {
      const schedule = build[c.name]?.(c.config, c.base_lr);
      if (schedule === undefined) throw new Error(`no schedule for ${c.name}`);
      for (const [step, lr] of c.lr.entries()) {
        expect(Math.abs(schedule(step) * c.base_lr - lr), `step ${step}`).toBeLessThanOrEqual(
          1e-9 * Math.abs(lr) + 1e-18,
        );
      }
    });
  }

  it('says how many milestones a sequence needs', () => {
    expect(() => schedules.sequential([schedules.constant(), schedules.constant()], [])).toThrow(/need 1 milestones/);
  });
});
