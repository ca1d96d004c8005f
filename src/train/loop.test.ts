import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { F, nn, type Tensor, torch } from '../torch/index.js';
import * as safetensors from '../torch/safetensors.js';
import { loadCheckpoint, readLoaderState, type TrainingState } from './checkpoint.js';
import { checkpointDamage, findResumePoint, listCheckpoints } from './checkpoint-files.js';
import { parseTrainConfig, type TrainConfig, type TrainConfigInput } from './config.js';
import { oneProcess } from './data-parallel.js';
import { NonFiniteLossError } from './errors.js';
import type { EndEvent, StepEvent, TrainEvent } from './events.js';
import { type LossResult, passSeed, type TrainLoopOptions, trainLoop } from './loop.js';
import { readMetrics } from './metrics-log.js';
import { createOptimizer } from './optimizer.js';
import { learningRateFactor } from './schedule.js';

/** Two layers with noise in between, so that a step depends on the generator as flow matching does. */
class NoisyRegression extends nn.Module {
  readonly first = new nn.Linear(3, 8);
  readonly second = new nn.Linear(8, 1);

  computeLoss(batch: Float32Array): LossResult {
    const x = torch.tensor(batch, { shape: [batch.length / 3, 3] });
    const noise = torch.randn([8]).mul(0.1);
    const prediction = this.second.forward(this.first.forward(x).add(noise).tanh());
    const loss = F.mse_loss(prediction, x.sum([1], true).sin());
    return { loss, metrics: { size: x.abs().mean() } };
  }
}

/** Batch i is a function of i, as the loader's are. */
function batchAt(i: number, size: number): Float32Array {
  return Float32Array.from({ length: size * 3 }, (_, j) => Math.sin(i * size * 3 + j));
}

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'dualvla-loop-'));
});
afterEach(() => rmSync(runDir, { recursive: true, force: true }));

const base: TrainConfigInput = {
  steps: 12,
  batch_size: 4,
  log_every: 4,
  save_every: 5,
  keep_last: 0,
  tensorboard: false,
  threads: 1,
  optimizer: { lr: 0.05 },
};

interface Run extends TrainLoopOptions<Float32Array> {
  model: NoisyRegression;
}

/** A run from its start, or from a checkpoint. */
function prepare(
  config: TrainConfig,
  from: string | null = null,
  changes: Partial<TrainLoopOptions<Float32Array>> = {},
): Run {
  torch.manual_seed(config.seed);
  const model = new NoisyRegression();
  const state: TrainingState = { model, ...createOptimizer(model, config), step: 0, elapsedSeconds: 0 };
  let position = 0;
  if (from !== null) {
    loadCheckpoint(from, state);
    position = readLoaderState<{ position: number }>(from).position;
  }
  return {
    model,
    config,
    runDir,
    state,
    batches: { next: async () => batchAt(position++, config.batch_size), state: () => ({ position }) },
    computeLoss: (batch) => model.computeLoss(batch),
    validation: null,
    writePretrained: () => undefined,
    processes: oneProcess,
    resumedFrom: from,
    shouldStop: () => false,
    ...changes,
  };
}

async function train(run: Run): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of trainLoop(run)) events.push(event);
  return events;
}

const losses = (): unknown[] => readMetrics(runDir).map(({ step, loss, lr, grad_norm }) => [step, loss, lr, grad_norm]);
const weights = (model: nn.Module): unknown => model.parameters().map((p: Tensor) => p.tolist());

test('events, metrics and checkpoints of a run', async () => {
  const events = await train(prepare(parseTrainConfig(base)));
  expect(events.map((event) => event.type)).toEqual(
    ['start', 'step', 'checkpoint', 'step', 'checkpoint', 'step', 'checkpoint', 'end'], // steps 4, 8, 12; 5, 10, 12
  );
  expect(events[0]).toMatchObject({ parameters: 41, trainableParameters: 41, samplesPerStep: 4 });
  const records = readMetrics(runDir);
  expect(records.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  const group = events.filter((event): event is StepEvent => event.type === 'step')[1] as StepEvent;
  const mean = records.slice(4, 8).reduce((sum, { loss }) => sum + Number(loss) / 4, 0);
  expect(group.loss).toBeCloseTo(mean, 10);
  expect(group.parts.size).toBeGreaterThan(0);
  expect(listCheckpoints(runDir).map(({ step }) => step)).toEqual([5, 10, 12]);
  expect((events.at(-1) as EndEvent).checkpoint).toBe(join(runDir, 'checkpoints/000012'));
  expect(Number(records[11]?.loss)).toBeLessThan(Number(records[0]?.loss));
});

test.each([5, 10])('resumed at step %i, losses and weights are those of the uninterrupted run', async (step) => {
  const config = parseTrainConfig(base);
  const whole = prepare(config);
  await train(whole);
  const expected = losses();
  const resumed = prepare(config, join(runDir, 'checkpoints', String(step).padStart(6, '0')));
  expect(resumed.state.step).toBe(step);
  await train(resumed);
  expect(losses()).toEqual(expected);
  expect(weights(resumed.model)).toEqual(weights(whole.model));
  expect(resumed.state.ema?.num_updates).toBe(12);
});

test('accumulating two batches is one batch of twice the size', async () => {
  const noiseless = (run: Run): Run => ({
    ...run,
    computeLoss: (batch) => {
      const x = torch.tensor(batch, { shape: [batch.length / 3, 3] });
      const prediction = run.model.second.forward(run.model.first.forward(x).tanh());
      return { loss: F.mse_loss(prediction, x.sum([1], true)), metrics: {} };
    },
  });
  const one = noiseless(prepare(parseTrainConfig({ ...base, batch_size: 8 })));
  await train(one);
  const [whole] = [losses() as number[][]];
  const two = noiseless(prepare(parseTrainConfig({ ...base, batch_size: 4, grad_accumulation: 2 })));
  await train(two);
  for (const [i, [, loss]] of (losses() as number[][]).entries()) expect(loss).toBeCloseTo(whole[i]?.[1] as number, 5);
});

describe('the run ends in order', () => {
  test('when asked to stop: the step is finished and a checkpoint saved', async () => {
    let polls = 0;
    const events = await train(prepare(parseTrainConfig(base), null, { shouldStop: () => ++polls > 7 }));
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'stopped', step: 7 });
    expect(listCheckpoints(runDir).map(({ step }) => step)).toEqual([5, 7]);
  });

  test('when the time budget is used up; the schedule follows the clock', async () => {
    const config = parseTrainConfig({ ...base, steps: 1_000_000, time_budget_s: 0.3, save_every: 0, log_every: 1000 });
    const events = await train(prepare(config));
    const end = events.at(-1) as EndEvent;
    expect(end.reason).toBe('time budget');
    expect(end.elapsedSeconds).toBeGreaterThanOrEqual(0.3);
    // A step's rate is that of a moment between the end of the step before and its own end.
    const records = readMetrics(runDir);
    const rateAt = (seconds: unknown): number => 0.05 * learningRateFactor(config.scheduler, Number(seconds) / 0.3);
    for (const [i, record] of records.entries()) {
      const before = records[i - 1];
      if (before === undefined || Number(before.elapsed_s) < config.scheduler.warmup_ratio * 0.3) continue;
      expect(Number(record.lr)).toBeLessThanOrEqual(rateAt(before.elapsed_s));
      expect(Number(record.lr)).toBeGreaterThanOrEqual(rateAt(record.elapsed_s));
    }
    const again = await train(prepare(config, end.checkpoint));
    expect(again.map(({ type }) => type)).toEqual(['start', 'end']);
  });
});

test.each([
  ['loss', (loss: Tensor) => loss.mul(Number.NaN)],
  ['gradient norm', (loss: Tensor) => loss.sub(loss.detach()).sqrt()], // 0, with an infinite slope
])('a %s that is not finite is a named error, and the last good checkpoint stays', async (quantity, spoil) => {
  let calls = 0;
  const run = prepare(parseTrainConfig(base));
  const spoiled: Run = {
    ...run,
    computeLoss: (batch) => {
      const result = run.model.computeLoss(batch);
      return ++calls === 8 ? { ...result, loss: spoil(result.loss) } : result;
    },
  };
  const error = await train(spoiled).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(NonFiniteLossError);
  expect(error).toMatchObject({ step: 8, quantity, lastGood: join(runDir, 'checkpoints/000005') });
  expect(readMetrics(runDir)).toHaveLength(7);
  const { checkpoint } = findResumePoint(runDir);
  expect(checkpoint?.step).toBe(5);
  expect(checkpointDamage(checkpoint?.directory as string)).toBeNull();
});

test('the checkpoint holds the averaged weights for inference and the trained ones for resuming', async () => {
  const run = prepare(parseTrainConfig({ ...base, ema: { decay: 0.5 } }));
  await train(run);
  const directory = join(runDir, 'checkpoints/000012');
  const averaged = safetensors.load(join(directory, 'pretrained_model/model.safetensors'));
  const trained = safetensors.load(join(directory, 'training_state/model.safetensors'));
  const shadow: Record<string, Tensor> = run.state.ema?.state_dict().shadow ?? {};
  for (const [name, parameter] of run.model.named_parameters()) {
    expect(trained[name]?.tolist()).toEqual(parameter.tolist());
    expect(averaged[name]?.tolist()).toEqual(shadow[name]?.tolist());
  }
  expect(averaged['first.weight']?.tolist()).not.toEqual(trained['first.weight']?.tolist());
});

test('validation uses the averaged weights, leaves the trained ones and the losses alone', async () => {
  await train(prepare(parseTrainConfig(base)));
  const expected = losses();
  const run = prepare(parseTrainConfig({ ...base, eval_every: 6 }));
  let seen: unknown;
  run.validation = {
    batches: async () => [batchAt(1000, 4), batchAt(1001, 4)],
    computeLoss: (batch) => {
      expect(run.model.training).toBe(false);
      seen = weights(run.model);
      return run.model.computeLoss(batch);
    },
  };
  const events = await train(run);
  const results = events.filter((event) => event.type === 'validation');
  expect(results.map(({ step }) => step)).toEqual([6, 12]);
  expect(Number(results[1]?.loss)).toBeLessThan(Number(results[0]?.loss));
  const [training, validation] = [0, 1].map((kind) =>
    readMetrics(runDir).filter((record) => ('lr' in record ? 0 : 1) === kind),
  );
  expect(training?.map(({ step, loss, lr, grad_norm }) => [step, loss, lr, grad_norm])).toEqual(expected);
  expect(validation).toHaveLength(2);
  expect(run.model.training).toBe(true);
  const averages = Object.values(run.state.ema?.state_dict().shadow ?? {}).map((average) => average.tolist());
  expect(seen).toEqual(averages);
  expect(weights(run.model)).not.toEqual(averages);
});

test('no tensor is left behind by a step', async () => {
  const run = prepare(parseTrainConfig({ ...base, steps: 30, grad_accumulation: 2 }));
  const alive: number[] = [];
  run.computeLoss = (batch) => {
    alive.push(torch.live_tensors());
    return run.model.computeLoss(batch);
  };
  await train(run);
  expect(alive).toHaveLength(60);
  expect(alive.at(-1)).toBe(alive[10]);
});

test('bf16 runs under autocast and keeps float32 weights', async () => {
  const run = prepare(parseTrainConfig({ ...base, precision: 'bf16' }));
  const dtypes: string[] = [];
  const watched: Run = {
    ...run,
    computeLoss: (batch) => {
      dtypes.push(run.model.first.forward(torch.tensor(batch, { shape: [4, 3] })).dtype);
      return run.model.computeLoss(batch);
    },
  };
  await train(watched);
  expect(new Set(dtypes)).toEqual(new Set(['bfloat16']));
  expect(run.model.first.weight.dtype).toBe('float32');
});

test('pass seeds are distinct and exact integers', () => {
  const seeds = new Set<number>();
  for (const seed of [0, 1]) {
    for (let step = 0; step < 50; step++) {
      for (const micro of [0, 1]) for (const rank of [0, 1]) seeds.add(passSeed(seed, step, micro, rank));
    }
  }
  expect(seeds.size).toBe(400);
  expect([...seeds].every(Number.isSafeInteger)).toBe(true);
});
