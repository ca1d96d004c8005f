/**
 * What is in a training checkpoint, in LeRobot's layout, and back:
 *
 * ```
 * 000500/
 *   pretrained_model/   config.json model.safetensors tokenizer.json dataset_statistics.json train_config.json
 *   training_state/
 *     model.safetensors              the trained weights, where model.safetensors above holds their average
 *     optimizer_state.safetensors    optimizer_param_groups.json
 *     rng_state.safetensors          generator of the CPU
 *     training_step.json             step, elapsed seconds, updates of the average
 *     loader_state.json              position in the data
 * ```
 * The learning-rate schedule has no state of its own: it is a function of the step (or the elapsed seconds).
 * Everything a step depends on is exact, so that resuming continues bit for bit. Atomicity is checkpoint-files.ts'.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scope, type Tensor, torch } from '../torch/index.js';
import type { Module } from '../torch/module.js';
import type { AdamW, EMA, SavedGroup } from '../torch/optim.js';
import * as safetensors from '../torch/safetensors.js';
import { WEIGHTS_FILE, writeCheckpoint } from './checkpoint-files.js';
import type { TrainConfig } from './config.js';

/** Everything that changes while training. */
export interface TrainingState {
  model: Module;
  optimizer: AdamW;
  ema: EMA | null;
  /** Optimiser steps done. */
  step: number;
  /** Seconds of training so far, over all resumes. */
  elapsedSeconds: number;
}

interface TrainingStep {
  step: number;
  elapsed_s: number;
  ema_updates: number | null;
}

const json = (data: unknown): string => `${JSON.stringify(data, null, 1)}\n`;

/**
 * Writes the checkpoint of `state.step`, all or nothing.
 * @returns its directory
 * @throws OutputWriteError
 */
export function saveCheckpoint(
  runDir: string,
  state: TrainingState,
  rest: { config: TrainConfig; loaderState: unknown; writePretrained(directory: string): void },
): string {
  const fill = (directory: string): void => {
    const pretrained = join(directory, 'pretrained_model');
    const training = join(directory, 'training_state');
    mkdirSync(pretrained);
    mkdirSync(training);
    rest.writePretrained(pretrained);
    writeFileSync(join(pretrained, 'train_config.json'), json({ ...rest.config, output_dir: runDir }));
    const weights = state.model.state_dict();
    if (state.ema === null) {
      safetensors.save(join(pretrained, WEIGHTS_FILE), weights, { format: 'pt' });
    } else {
      safetensors.save(join(pretrained, WEIGHTS_FILE), averagedWeights(state.model, state.ema), { format: 'pt' });
      safetensors.save(join(training, WEIGHTS_FILE), weights, { format: 'pt' });
    }
    scope(() => {
      const optimizer = state.optimizer.state_dict();
      safetensors.save(join(training, 'optimizer_state.safetensors'), optimizer.state);
      writeFileSync(join(training, 'optimizer_param_groups.json'), json(optimizer.param_groups));
      safetensors.save(join(training, 'rng_state.safetensors'), { torch_cpu: torch.get_rng_state() });
    });
    const { step, elapsedSeconds, ema } = state;
    const done: TrainingStep = { step, elapsed_s: elapsedSeconds, ema_updates: ema?.num_updates ?? null };
    writeFileSync(join(training, 'training_step.json'), json(done));
    writeFileSync(join(training, 'loader_state.json'), json(rest.loaderState));
  };
  return writeCheckpoint(runDir, state.step, fill, rest.config.keep_last);
}

/** The state dict of a model with the averages in the place of its parameters, tied names included. */
function averagedWeights(model: Module, ema: EMA): Record<string, Tensor> {
  const { shadow } = ema.state_dict();
  const averageOf = new Map(model.named_parameters().map(([name, parameter]) => [parameter, shadow[name]]));
  return Object.fromEntries(
    Object.entries(model.state_dict()).map(([name, tensor]) => [name, averageOf.get(tensor) ?? tensor]),
  );
}

/**
 * Puts a verified checkpoint into a state made for the same configuration.
 * @throws StateDictError, OptimizerStateError if the model is another one
 */
export function loadCheckpoint(directory: string, state: TrainingState): void {
  const training = join(directory, 'training_state');
  const averaged = join(directory, 'pretrained_model', WEIGHTS_FILE);
  const trained = join(training, WEIGHTS_FILE);
  const { step, elapsed_s, ema_updates } = readJson<TrainingStep>(training, 'training_step.json');
  scope(() => {
    state.model.load_state_dict(safetensors.load(existsSync(trained) ? trained : averaged));
    state.optimizer.load_state_dict({
      state: safetensors.load(join(training, 'optimizer_state.safetensors')),
      param_groups: readJson<SavedGroup[]>(training, 'optimizer_param_groups.json'),
    });
    if (state.ema !== null) {
      const weights = safetensors.load(averaged);
      const names = state.model.named_parameters().map(([name]) => name);
      const shadow = Object.fromEntries(names.map((name) => [name, weights[name] as Tensor]));
      state.ema.load_state_dict({ shadow, num_updates: ema_updates ?? 0 });
    }
    torch.set_rng_state(safetensors.load(join(training, 'rng_state.safetensors')).torch_cpu as Tensor);
  });
  state.step = step;
  state.elapsedSeconds = elapsed_s;
}

/** The loader's position in a checkpoint, as the loader gave it. */
export function readLoaderState<T>(directory: string): T {
  return readJson<T>(join(directory, 'training_state'), 'loader_state.json');
}

function readJson<T>(directory: string, name: string): T {
  return JSON.parse(readFileSync(join(directory, name), 'utf8')) as T;
}
