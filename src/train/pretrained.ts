/**
 * What inference needs of a trained model, as a directory: `pretrained_model/` of a checkpoint.
 *
 * ```
 * config.json               the model (model/vla-config.ts)
 * model.safetensors         weights; the averaged ones where the run kept an average
 * tokenizer.json            Hugging Face tokenizer
 * dataset_statistics.json   what normalises states and action chunks
 * train_config.json         the configuration the run was made with
 * ```
 * Knows nothing about optimisers or where checkpoints lie.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChunkStats, chunkStatsFromJson, chunkStatsToJson } from '../data/action-chunk.js';
import { normaliseState } from '../data/loader.js';
import type { StateStats } from '../data/loader-table.js';
import { VlaPolicy, type VlaPolicyOptions } from '../model/policy.js';
import { TextTokenizer } from '../model/tokenizer.js';
import { Vla } from '../model/vla.js';
import { parseVlaConfig, type VlaConfig } from '../model/vla-config.js';
import { scope } from '../torch/index.js';
import * as safetensors from '../torch/safetensors.js';
import { WEIGHTS_FILE } from './checkpoint-files.js';
import { NoPretrainedModelError } from './errors.js';

/** What normalises a policy's input and output; travels with the weights. */
export interface DatasetStatistics {
  chunk: ChunkStats;
  state: StateStats;
  /** Frames the statistics were computed over. */
  numFrames: number;
}

/** A model without its weights: the parts of `pretrained_model/` that stay the same through a run. */
export interface PretrainedParts {
  config: VlaConfig;
  tokenizer: TextTokenizer;
  statistics: DatasetStatistics;
}

const json = (data: unknown): string => `${JSON.stringify(data, null, 2)}\n`;

/** Writes everything but the weights and train_config.json. */
export function writePretrainedParts(directory: string, { config, tokenizer, statistics }: PretrainedParts): void {
  writeFileSync(join(directory, 'config.json'), json(config));
  tokenizer.save(directory);
  writeFileSync(join(directory, 'dataset_statistics.json'), json(statisticsToJson(statistics)));
}

/** Plain data of statistics: `action_chunk` (see chunkStatsToJson), `observation.state` {q01, q99}, num_transitions. */
export function statisticsToJson({ chunk, state, numFrames }: DatasetStatistics): Record<string, unknown> {
  return {
    action_chunk: chunkStatsToJson(chunk),
    'observation.state': { q01: Array.from(state.q01), q99: Array.from(state.q99) },
    num_transitions: numFrames,
  };
}

/** The inverse of `statisticsToJson`. @throws RangeError if the data is not such a table */
export function statisticsFromJson(data: unknown): DatasetStatistics {
  const table = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>;
  const state = (table['observation.state'] ?? {}) as { q01?: number[]; q99?: number[] };
  if (!Array.isArray(state.q01) || !Array.isArray(state.q99) || state.q01.length !== state.q99.length) {
    throw new RangeError('not dataset statistics: observation.state needs q01 and q99 of equal length');
  }
  return {
    chunk: chunkStatsFromJson(table.action_chunk),
    state: { q01: Float32Array.from(state.q01), q99: Float32Array.from(state.q99) },
    numFrames: Number(table.num_transitions ?? 0),
  };
}

/**
 * The \`pretrained_model\` directory that a path means: itself, one of a checkpoint, or the last one of a run.
 * @throws NoPretrainedModelError if there is none
 */
export function findPretrained(path: string): string {
  const candidates = [path, join(path, 'pretrained_model'), join(path, 'checkpoints', 'last', 'pretrained_model')];
  const found = candidates.find((directory) => existsSync(join(directory, WEIGHTS_FILE)));
  if (found === undefined) {
    throw new NoPretrainedModelError(path);
  }
  return found;
}

/** Reads config, tokenizer and statistics of a `pretrained_model` directory (or of a run or checkpoint that has one). */
export function readPretrainedParts(path: string): PretrainedParts {
  const directory = findPretrained(path);
  const read = (name: string): unknown => JSON.parse(readFileSync(join(directory, name), 'utf8'));
  const { cameras, vocab_size, ...policy } = read('config.json') as VlaConfig;
  return {
    config: parseVlaConfig(policy, { cameras, vocab_size }),
    tokenizer: TextTokenizer.load(directory),
    statistics: statisticsFromJson(read('dataset_statistics.json')),
  };
}

/** Puts the weights of a run, checkpoint or `pretrained_model` into a model of the same shape. @throws StateDictError */
export function loadPretrainedWeights(model: Vla, path: string): void {
  scope(() => void model.load_state_dict(safetensors.load(join(findPretrained(path), WEIGHTS_FILE))));
}

/** Loads a trained model with its parts, ready for inference on `device`. */
export function loadPretrained(path: string, device = 'cpu'): PretrainedParts & { model: Vla } {
  const directory = findPretrained(path);
  const parts = readPretrainedParts(directory);
  const model = new Vla(parts.config);
  loadPretrainedWeights(model, directory);
  model.to({ device });
  model.eval();
  return { ...parts, model };
}

/** A trained model as a policy: what rollouts, evaluations and servers run. @throws NoPretrainedModelError */
export function loadPolicy(path: string, options: VlaPolicyOptions = {}): VlaPolicy {
  const { model, tokenizer, statistics } = loadPretrained(path, options.device);
  const { chunk, state } = statistics;
  return new VlaPolicy(model, tokenizer, { chunk, normaliseState: (values) => normaliseState(values, state) }, options);
}
