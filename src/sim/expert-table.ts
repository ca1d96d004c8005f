/**
 * Expert success by task and variant over a split's first seeds: what the benchmark's demonstrations rest on. Runs on an `EnvPool`
 * without cameras and yields a row per task and variant.
 */
import { EnvPool } from './env-pool.js';
import type { ExpertOptions } from './expert.js';
import { type Split, seedOf } from './random.js';
import { TASK_IDS, type TaskId } from './tasks/index.js';
import type { Variant } from './variation.js';

export interface ExpertTableOptions {
  readonly tasks?: readonly TaskId[];
  readonly variants?: readonly Variant[];
  /** Episodes per row; default 200. */
  readonly episodes?: number;
  /** Default validation. */
  readonly split?: Split;
  readonly workers?: number;
  /** Disturbances; none by default. */
  readonly expert?: Omit<ExpertOptions, 'seed'>;
}

export interface ExpertRow {
  readonly task: TaskId;
  readonly variant: Variant;
  readonly trials: number;
  readonly successes: number;
  /** Control steps of the successful episodes. */
  readonly medianSteps: number;
  readonly maxSteps: number;
  readonly failedSeeds: readonly number[];
}

/** Runs the expert and yields one row per task and variant, in order. */
export async function* expertTable(options: ExpertTableOptions = {}): AsyncGenerator<ExpertRow> {
  const {
    tasks = TASK_IDS,
    variants = ['vm'],
    episodes = 200,
    split = 'validation',
    workers = 2,
    expert = {},
  } = options;
  for (const task of tasks) {
    for (const variant of variants) {
      const pool = await EnvPool.create({
        envs: Array.from({ length: workers }, () => ({ task, variant, cameras: [] })),
        workers,
      });
      try {
        const seeds = Array.from({ length: episodes }, (_, i) => seedOf(split, i));
        const results = (
          await Promise.all(Array.from({ length: pool.size }, (_, lane) => runLane(pool, lane, seeds, expert)))
        ).flat();
        const steps = results
          .filter((r) => r.success)
          .map((r) => r.steps)
          .sort((a, b) => a - b);
        yield {
          task,
          variant,
          trials: episodes,
          successes: steps.length,
          medianSteps: steps[steps.length >> 1] ?? 0,
          maxSteps: steps.at(-1) ?? 0,
          failedSeeds: results
            .filter((r) => !r.success)
            .map((r) => r.seed)
            .sort((a, b) => a - b),
        };
      } finally {
        await pool.dispose();
      }
    }
  }
}

interface Outcome {
  readonly seed: number;
  readonly success: boolean;
  readonly steps: number;
}

/** One environment takes every `pool.size`-th seed. */
async function runLane(
  pool: EnvPool,
  lane: number,
  seeds: readonly number[],
  expert: Omit<ExpertOptions, 'seed'>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const seed of seeds.filter((_, i) => i % pool.size === lane)) {
    await pool.reset(lane, seed);
    await pool.expert(lane, { ...expert, seed });
    for (;;) {
      const result = await pool.step(lane, (await pool.act(lane)).action);
      if (!result.done) continue;
      outcomes.push({ seed, success: result.success, steps: result.step });
      break;
    }
  }
  return outcomes;
}
