/**
 * The training loop: batch -> loss -> backward -> gradient accumulation -> average over processes -> clip -> AdamW ->
 * learning-rate schedule -> weight average, as one visible `for`. It yields typed events and writes metrics and checkpoints.
 *
 * Randomness: every forward pass seeds the generators from (seed, step, micro-batch, rank), so step s draws the same numbers
 * whether the run was interrupted before it or not; that, the exact state in the checkpoint and a loader that counts batches
 * make a resumed run continue bit for bit (with `steps`; under `time_budget_s` the schedule follows the clock).
 *
 * Knows nothing about what the model is, what a batch holds or how the loss is made: `computeLoss` does.
 */
import { autocast, noGrad, scope, type Tensor, torch } from '../torch/index.js';
import { clip_grad_norm_ } from '../torch/optim.js';
import { saveCheckpoint, type TrainingState } from './checkpoint.js';
import { checkpointDirectory, lastGoodCheckpoint } from './checkpoint-files.js';
import type { TrainConfig } from './config.js';
import type { Processes } from './data-parallel.js';
import { NonFiniteLossError } from './errors.js';
import type { EndReason, TrainEvent } from './events.js';
import { MetricsLog } from './metrics-log.js';
import { learningRateFactor, runProgress } from './schedule.js';
import { StepGroup } from './step-group.js';

/** A scalar loss with its graph, and scalars worth showing. */
export interface LossResult {
  loss: Tensor;
  metrics: Record<string, Tensor>;
}

/** An endless source of training batches, whose position can be saved. Batch i depends on the configuration and i only. */
export interface BatchSource<B> {
  next(): Promise<B>;
  /** Position as plain data; the source given to the loop on resume already stands there. */
  state(): unknown;
}

export interface TrainLoopOptions<B> {
  config: TrainConfig;
  runDir: string;
  state: TrainingState;
  batches: BatchSource<B>;
  /** Loss of one (local) batch. Called inside a scope, under autocast where the configuration asks for it. */
  computeLoss(batch: B): LossResult;
  /** Held-out batches, the same ones at every call, and what is measured on each; null if there are none. */
  validation: { batches(): Promise<readonly B[]>; computeLoss(batch: B): LossResult } | null;
  /** Writes what inference needs into `pretrained_model/`; the weights are written by the loop. */
  writePretrained(directory: string): void;
  processes: Processes;
  resumedFrom: string | null;
  /** Polled before every step: true ends the run with a checkpoint. */
  shouldStop(): boolean;
}

/** Seconds on a clock that only goes forward. */
const now = (): number => performance.now() / 1000;

/** A 53-bit seed for one forward pass, a mix of its coordinates (SplitMix64's finaliser, applied to each in turn). */
export function passSeed(seed: number, step: number, micro: number, rank: number): number {
  let x = 0n;
  for (const part of [seed, step, micro, rank]) {
    x = BigInt.asUintN(64, x + BigInt(part) + 0x9e3779b97f4a7c15n);
    x = BigInt.asUintN(64, (x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
    x = BigInt.asUintN(64, (x ^ (x >> 27n)) * 0x94d049bb133111ebn);
    x ^= x >> 31n;
  }
  return Number(x >> 11n);
}

/**
 * Trains from `state.step` to the end of the run.
 * @throws NonFiniteLossError, OutputWriteError; the last good checkpoint is untouched by either
 */
export async function* trainLoop<B>(options: TrainLoopOptions<B>): AsyncGenerator<TrainEvent, void> {
  const { config, runDir, state, batches, processes } = options;
  const { model, optimizer, ema } = state;
  const trained = model.parameters().filter((parameter) => parameter.requires_grad);
  const lastGood = (): string | null => lastGoodCheckpoint(runDir);
  const log = processes.isFirst
    ? new MetricsLog(runDir, state.step, { tensorboard: config.tensorboard, lastGood })
    : null;

  processes.attach(model);
  yield startEvent(options, trained);
  const group = new StepGroup(config);
  const elapsedBefore = state.elapsedSeconds;
  const started = now();
  let lastSave = started;
  let checkpoint = options.resumedFrom;
  let savedStep = state.step;
  let reason: EndReason = 'finished';
  try {
    for (let step = state.step; step < config.steps; step++) {
      // All processes must agree on when to stop: the first one's clock and anyone's stop request count.
      const control = processes.agree({ elapsed: elapsedBefore + now() - started, stop: options.shouldStop() });
      state.elapsedSeconds = control.elapsed;
      if (control.stop) reason = 'stopped';
      else if (config.time_budget_s !== null && control.elapsed >= config.time_budget_s) reason = 'time budget';
      if (reason !== 'finished') break;

      const stepStarted = now();
      let waited = 0;
      const losses: Record<string, number>[] = [];
      for (let micro = 0; micro < config.grad_accumulation; micro++) {
        const waitStarted = now();
        const batch = await batches.next();
        waited += now() - waitStarted;
        torch.manual_seed(passSeed(config.seed, step, micro, processes.rank));
        losses.push(
          scope(() => {
            const { loss, metrics } = withPrecision(config, () => options.computeLoss(batch));
            const isLast = micro + 1 === config.grad_accumulation;
            processes.backward(isLast, () => loss.div(config.grad_accumulation).backward());
            return scalars({ loss, ...metrics });
          }),
        );
      }
      processes.finishGradients();
      const { loss = Number.NaN, ...parts } = processes.average(meanOf(losses));
      if (!Number.isFinite(loss)) throw new NonFiniteLossError(step + 1, 'loss', String(loss), lastGood());
      const maxNorm = config.optimizer.grad_clip_norm || Number.POSITIVE_INFINITY;
      const gradNorm = scope(() => clip_grad_norm_(trained, maxNorm).item());
      if (!Number.isFinite(gradNorm)) {
        throw new NonFiniteLossError(step + 1, 'gradient norm', String(gradNorm), lastGood());
      }

      const progress = runProgress(config, step, control.elapsed);
      const lr = config.optimizer.lr * learningRateFactor(config.scheduler, progress);
      for (const parameters of optimizer.param_groups) parameters.lr = lr;
      optimizer.step();
      optimizer.zero_grad();
      ema?.update();
      state.step = step + 1;

      const seconds = now() - stepStarted;
      const record = { loss, ...parts, lr, grad_norm: gradNorm };
      const timing = { seconds, data_wait: waited / seconds, elapsed_s: elapsedBefore + now() - started };
      log?.write({ step: state.step, ...record, ...timing }, 'train');
      group.add(loss, parts, gradNorm, seconds, waited);
      if (state.step % config.log_every === 0 || state.step === config.steps) {
        yield group.take(state.step, lr, timing.elapsed_s);
      }

      if (options.validation !== null && config.eval_every > 0 && state.step % config.eval_every === 0) {
        const result = await validate(options, options.validation);
        log?.write({ step: state.step, loss: result.loss, ...result.parts }, 'validation');
        yield { type: 'validation', step: state.step, ...result };
      }

      // Only the first process writes; the others meet it again at the next exchange.
      const due = config.save_every > 0 && state.step % config.save_every === 0;
      const overdue = config.save_every_s !== null && now() - lastSave >= config.save_every_s;
      if (processes.isFirst && state.step < config.steps && (due || overdue)) {
        state.elapsedSeconds = elapsedBefore + now() - started;
        const saved = save(options);
        checkpoint = saved.directory;
        savedStep = state.step;
        lastSave = now();
        yield saved;
      }
    }

    state.elapsedSeconds = elapsedBefore + now() - started;
    if (processes.isFirst && (checkpoint === null || savedStep !== state.step)) yield save(options);
    processes.barrier();
    const { step, elapsedSeconds } = state;
    checkpoint = checkpointDirectory(runDir, step);
    yield { type: 'end', reason, step, steps: config.steps, checkpoint, elapsedSeconds };
  } finally {
    log?.close();
  }
}

function withPrecision<T>(config: TrainConfig, compute: () => T): T {
  if (config.precision === 'f32') return compute();
  return autocast({ device: config.device.startsWith('cuda') ? 'cuda' : 'cpu', dtype: 'bfloat16' }, compute);
}

/** Reads named scalars in one copy from the device. */
function scalars(tensors: Record<string, Tensor>): Record<string, number> {
  const names = Object.keys(tensors);
  const values = torch
    .stack(names.map((name) => (tensors[name] as Tensor).detach().to('float64').reshape([])))
    .tolist();
  return Object.fromEntries(names.map((name, i) => [name, (values as number[])[i] as number]));
}

/** Mean of every scalar over the records that have it. */
function meanOf(records: readonly Record<string, number>[]): Record<string, number> {
  const values: Record<string, number[]> = {};
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) values[name] = [...(values[name] ?? []), value];
  }
  return Object.fromEntries(
    Object.entries(values).map(([name, list]) => [name, list.reduce((sum, value) => sum + value, 0) / list.length]),
  );
}

async function validate<B>(
  { config, state, processes }: TrainLoopOptions<B>,
  validation: NonNullable<TrainLoopOptions<B>['validation']>,
): Promise<{ loss: number; parts: Record<string, number>; seconds: number }> {
  const started = now();
  const batches = await validation.batches();
  state.model.eval();
  const measure = (): Record<string, number>[] =>
    batches.map((batch, i) =>
      scope(() =>
        noGrad(() => {
          torch.manual_seed(passSeed(config.seed, i, 0, processes.rank)); // the same noise at every validation
          const { loss, metrics } = withPrecision(config, () => validation.computeLoss(batch));
          return scalars({ loss, ...metrics });
        }),
      ),
    );
  const results = state.ema === null ? measure() : state.ema.swapped(measure);
  state.model.train();
  const { loss = Number.NaN, ...parts } = processes.average(meanOf(results));
  return { loss, parts, seconds: now() - started };
}

function save<B>(options: TrainLoopOptions<B>): TrainEvent & { type: 'checkpoint' } {
  const started = now();
  const { config, runDir, state, batches } = options;
  const loaderState = batches.state();
  const directory = saveCheckpoint(runDir, state, { config, loaderState, writePretrained: options.writePretrained });
  return { type: 'checkpoint', step: state.step, directory, seconds: now() - started };
}

function startEvent<B>(options: TrainLoopOptions<B>, trained: readonly Tensor[]): TrainEvent {
  const { config, state, processes } = options;
  const count = (tensors: readonly Tensor[]): number => tensors.reduce((sum, tensor) => sum + tensor.numel(), 0);
  return {
    type: 'start',
    runDir: options.runDir,
    job: config.job_name,
    step: state.step,
    steps: config.steps,
    resumedFrom: options.resumedFrom,
    parameters: count(state.model.parameters()),
    trainableParameters: count(trained),
    samplesPerStep: config.batch_size * config.grad_accumulation,
    worldSize: processes.worldSize,
    threads: torch.get_num_threads(),
    device: config.device,
    precision: config.precision,
  };
}
