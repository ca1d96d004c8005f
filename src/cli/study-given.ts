/**
 * Models of a study that were made elsewhere: another folder of the same study on another machine, or the specialist that ships. Each is
 * copied to where its training would have left it, so that everything after it runs as if it had been trained here.
 *
 * Only a model with this study's settings is taken: numbers of one table come from one recipe.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { StageRecords } from '../eval/stage-record.js';
import { sha256, WEIGHTS_FILE, writeCheckpoint } from '../train/checkpoint-files.js';
import { findPretrained } from '../train/pretrained.js';
import { UsageError } from './errors.js';
import type { StudyStep } from './study-plan.js';
import { isFinished } from './study-runner.js';

/** What inference and further training need (train/pretrained.ts). */
const FILES = ['config.json', WEIGHTS_FILE, 'tokenizer.json', 'dataset_statistics.json', 'train_config.json'];
/** Settings that say where and how fast, not what. */
const PLACES = new Set([
  ...['job_name', 'output_dir', 'device', 'threads', 'init_from', 'eval_every', 'keep_labels'],
  ...['root', 'validation_root', 'action_teacher', 'reasoning_teacher'],
]);

/** A model and where it lies: a run, a checkpoint or its pretrained_model. */
export interface GivenModel {
  name: string;
  folder: string;
}

/** `specialist=models/specialist`. @throws UsageError */
export function parseGiven(text: string): GivenModel {
  const [, name = '', folder = ''] = text.match(/^([^=]+)=(.+)$/) ?? [];
  if (name === '') throw new UsageError(`--given: '${text}' is no MODEL=FOLDER, as specialist=models/specialist`);
  return { name, folder };
}

/**
 * Takes a given model for every training step of its name that is not done.
 * @returns names of the steps that it stands for
 * @throws UsageError if the study has no such training, or the model was made with other settings
 * @throws NoPretrainedModelError if there is no model in the folder
 */
export function takeGiven({ name, folder }: GivenModel, steps: readonly StudyStep[], records: StageRecords): string[] {
  const own = steps.filter((step) => step.kind === 'train' && step.name.endsWith(`/train/${name}`));
  if (own.length === 0) throw new UsageError(`--given ${name}: nothing here is made from a model of that name`);
  const left = own.filter((step) => !isFinished(step, records));
  if (left.length === 0) return [];
  const from = findPretrained(folder);
  const missing = FILES.find((file) => !existsSync(join(from, file)));
  if (missing !== undefined) throw new UsageError(`--given ${name}: ${from} has no ${missing}`);
  const made = readJson(join(from, 'train_config.json'));
  for (const step of left) {
    const other = difference(step.config?.data, made);
    if (other !== null)
      throw new UsageError(`--given ${name}: ${from} was made with other settings than ${step.name}: ${other}`);
  }
  for (const step of left) {
    // A training that was begun here is given up for it.
    for (const path of step.leftovers) rmSync(path, { recursive: true, force: true });
    writeCheckpoint(step.output, (made as { steps: number }).steps, (directory) => {
      const target = join(directory, 'pretrained_model');
      mkdirSync(target);
      for (const file of FILES) copyFileSync(join(from, file), join(target, file));
    });
    records.begin(step.name, step.hash, commitOf(from));
    records.finish(step.name, `given, not trained here: weights ${sha256(join(from, WEIGHTS_FILE)).slice(0, 16)}`);
  }
  return left.map((step) => step.name);
}

/** The first setting of `asked` that `made` has otherwise, as `key: this in place of that`; null where all agree. */
function difference(asked: unknown, made: unknown, key = ''): string | null {
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) {
    const [a, b] = [JSON.stringify(made), JSON.stringify(asked)];
    return a === b ? null : `${key} is ${a} in place of ${b}`;
  }
  const other = (typeof made === 'object' && made !== null ? made : {}) as Record<string, unknown>;
  for (const [name, value] of Object.entries(asked)) {
    if (PLACES.has(name) || value === undefined) continue;
    const found = difference(value, other[name], key === '' ? name : `${key}.${name}`);
    if (found !== null) return found;
  }
  return null;
}

/** The commit that a shipped model says it was made by. */
function commitOf(folder: string): string {
  const path = join(folder, 'origin.json');
  return existsSync(path) ? ((readJson(path) as { commit?: string }).commit ?? 'unknown') : 'unknown';
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
