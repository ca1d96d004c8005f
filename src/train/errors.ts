/**
 * The named errors of training: each says what went wrong, where, and the next command.
 * They cross the boundary between the training Worker and the main thread as plain data (`toPortable`, `fromPortable`),
 * so that a caller can test `error instanceof NonFiniteLossError` on either side.
 *
 * Knows nothing about how errors are shown; the command line maps `ConfigError` to exit code 2 and the others to 1.
 */
import { hostname } from 'node:os';
import type { LockHolder } from '../data/process-lock.js';

/** An error as it travels between threads. */
export interface PortableError {
  name: string;
  message: string;
  stack: string | undefined;
  details: Record<string, unknown>;
}

/** Base class: an error whose fields can be rebuilt from plain data. */
export abstract class TrainError extends Error {
  /** Plain fields beyond the message, enough to rebuild the error in another thread. */
  abstract readonly details: Record<string, unknown>;
}

/** A configuration key or value is wrong. `path` is the key's dotted path, the same in file, flag and docs. */
export class ConfigError extends TrainError {
  override readonly name = 'ConfigError';
  override readonly details: { path: string; nearest: string | null };
  constructor(
    message: string,
    readonly path: string,
    readonly nearest: string | null = null,
  ) {
    super(message);
    this.details = { path, nearest };
  }
}

/** The output directory already holds a run, and neither `--resume` nor `--overwrite` was given. */
export class OutputExistsError extends TrainError {
  override readonly name = 'OutputExistsError';
  override readonly details: { directory: string };
  constructor(readonly directory: string) {
    super(
      `${directory} already holds a training run. Continue it with --resume ${directory}, or replace it with --overwrite.`,
    );
    this.details = { directory };
  }
}

/** Another process is training in this directory. */
export class RunLockedError extends TrainError {
  override readonly name = 'RunLockedError';
  override readonly details: { directory: string; holder: LockHolder };
  constructor(
    readonly directory: string,
    lockFile: string,
    readonly holder: LockHolder,
  ) {
    const { pid, host, since } = holder;
    const elsewhere =
      host === hostname() ? '' : ` If that process is no longer there, remove ${lockFile} and start again.`;
    super(
      `Process ${pid} on ${host} has been training in ${directory} since ${since}. Wait for it, stop it (kill -INT ${pid} there: it ` +
        `saves a checkpoint), or train elsewhere with --output_dir.${elsewhere}`,
    );
    this.details = { directory, holder };
  }
}

/** There is nothing to resume from at the given path. */
export class NothingToResumeError extends TrainError {
  override readonly name = 'NothingToResumeError';
  override readonly details: { path: string; why: string };
  constructor(
    readonly path: string,
    why: string,
  ) {
    super(`Cannot resume from ${path}: ${why}.`);
    this.details = { path, why };
  }
}

/** There is no trained model at the given path. */
export class NoPretrainedModelError extends TrainError {
  override readonly name = 'NoPretrainedModelError';
  override readonly details: { path: string };
  constructor(readonly path: string) {
    super(
      `There is no trained model in ${path}: model.safetensors is neither in it, nor in pretrained_model/, nor in ` +
        'checkpoints/last/pretrained_model/. Train one with: dualvla train --recipe demo.',
    );
    this.details = { path };
  }
}

/** A checkpoint's files do not match its checksums, or files are missing. `lastGood` is the newest earlier one that does. */
export class CorruptCheckpointError extends TrainError {
  override readonly name = 'CorruptCheckpointError';
  override readonly details: { directory: string; what: string; lastGood: string | null };
  constructor(
    readonly directory: string,
    what: string,
    readonly lastGood: string | null,
  ) {
    const next =
      lastGood === null
        ? 'There is no earlier good checkpoint; start the run again with --overwrite.'
        : `The newest good checkpoint before it is ${lastGood}. Continue from there with --resume ${lastGood}.`;
    super(`Checkpoint ${directory} is corrupt: ${what}. ${next}`);
    this.details = { directory, what, lastGood };
  }
}

/** A checkpoint or log could not be written (disk full, quota, file size limit, permissions). The last good checkpoint is untouched. */
export class OutputWriteError extends TrainError {
  override readonly name = 'OutputWriteError';
  override readonly details: { target: string; reason: string; lastGood: string | null };
  constructor(
    readonly target: string,
    readonly reason: string,
    readonly lastGood: string | null,
  ) {
    const next =
      lastGood === null
        ? 'No checkpoint was written yet; free space and start again.'
        : `The last good checkpoint is ${lastGood}. Free space, then continue with --resume ${lastGood}.`;
    super(`Could not write ${target}: ${reason}. ${next}`);
    this.details = { target, reason, lastGood };
  }
}

/** The loss or the gradient norm became NaN or infinite. The step was not applied and nothing was saved after it. */
export class NonFiniteLossError extends TrainError {
  override readonly name = 'NonFiniteLossError';
  override readonly details: { step: number; quantity: string; value: string; lastGood: string | null };
  constructor(
    readonly step: number,
    readonly quantity: string,
    readonly value: string,
    readonly lastGood: string | null,
  ) {
    const next =
      lastGood === null
        ? 'No checkpoint was written yet; start again'
        : `The last good checkpoint is ${lastGood}. Continue with --resume ${lastGood}`;
    super(
      `The ${quantity} is ${value} at step ${step}; training stopped before the step was applied. ${next} ` +
        'and a lower --optimizer.lr or --optimizer.grad_clip_norm, or with --precision=f32.',
    );
    this.details = { step, quantity, value, lastGood };
  }
}

/** The training Worker ended without a result (out of memory, native crash). */
export class TrainerExitError extends TrainError {
  override readonly name = 'TrainerExitError';
  override readonly details: { code: number };
  constructor(readonly code: number) {
    super(
      `The training thread ended with code ${code} before it finished. If memory ran out, lower --batch_size and raise ` +
        '--grad_accumulation; then continue with --resume.',
    );
    this.details = { code };
  }
}

/** Training data cannot be used (no episodes, missing statistics, wrong cameras). */
export class TrainingDataError extends TrainError {
  override readonly name = 'TrainingDataError';
  override readonly details: { dataset: string; what: string };
  constructor(
    readonly dataset: string,
    what: string,
  ) {
    super(`Data set ${dataset}: ${what}.`);
    this.details = { dataset, what };
  }
}

/** Turns any thrown value into plain data. */
export function toPortable(error: unknown): PortableError {
  if (error instanceof TrainError) {
    return { name: error.name, message: error.message, stack: error.stack, details: { ...error.details } };
  }
  if (error instanceof Error) {
    return { name: error.name, message: error.message, stack: error.stack, details: {} };
  }
  return { name: 'Error', message: String(error), stack: undefined, details: {} };
}

const prototypes: Record<string, TrainError> = {
  ConfigError: ConfigError.prototype,
  OutputExistsError: OutputExistsError.prototype,
  RunLockedError: RunLockedError.prototype,
  NothingToResumeError: NothingToResumeError.prototype,
  NoPretrainedModelError: NoPretrainedModelError.prototype,
  CorruptCheckpointError: CorruptCheckpointError.prototype,
  OutputWriteError: OutputWriteError.prototype,
  NonFiniteLossError: NonFiniteLossError.prototype,
  TrainerExitError: TrainerExitError.prototype,
  TrainingDataError: TrainingDataError.prototype,
};

/** Rebuilds an error from plain data; unknown names become an `Error` that keeps its name, message and stack. */
export function fromPortable(portable: PortableError): Error {
  const error = new Error(portable.message);
  if (portable.stack !== undefined) error.stack = portable.stack;
  const prototype = prototypes[portable.name];
  if (prototype !== undefined) {
    Object.setPrototypeOf(error, prototype);
    Object.assign(error, portable.details, { details: portable.details });
  }
  Object.defineProperty(error, 'name', { value: portable.name, configurable: true, writable: true });
  return error;
}
