/**
 * A study as steps: each one command of this program with what it needs done before and what it makes, so that every number can be
 * made again by hand.
 *
 *   data, held-out, questions            shared by all seeds
 *   scene, labels/<pruning>              from the data
 *   seed-S/train/<model>                 from the model it starts from, its teachers and labels
 *   seed-S/<split>/<model>               success, questions, VLA Score, action error
 *
 * Knows nothing about how steps are run.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashOf } from '../eval/stage-record.js';
import { type StudyPaths, seedOf, studyPaths, trainStep } from '../eval/study-folder.js';
import type { PruningRecipe, Study, StudyModel } from '../recipes/index.js';
import { sha256, WEIGHTS_FILE } from '../train/checkpoint-files.js';
import { mergeConfig } from '../train/config-sources.js';

/** Kinds of steps, for estimates of their time. */
export type StepKind = 'demonstrations' | 'questions' | 'scene' | 'labels' | 'train' | 'measure';

export interface StudyStep {
  name: string;
  kind: StepKind;
  /** What is done, for people. */
  what: string;
  needs: string[];
  /** Words after `dualvla`. */
  words: string[];
  /** Continues a half-done step, where one of `marks` is there; null: it always starts anew. */
  resume: { words: string[]; marks: string[] } | null;
  /** Configuration file to be written before, if any. */
  config?: { path: string; data: unknown };
  /** What it makes; there when it is done. */
  output: string;
  /** What a new start removes. */
  leftovers: string[];
  /** Hash of its settings and those of the steps it needs. */
  hash: string;
  /** Engine threads; 0: it keeps all cores busy by itself. */
  threads: number;
  /** Size in units of its kind: episodes, questions, training samples ... */
  work: number;
  /** Seconds that it takes by its settings, where these say so. */
  seconds: number | null;
}

export interface PlanOptions {
  study: Study;
  /** Directory of everything. */
  out: string;
  seeds: readonly number[];
  split: 'test' | 'validation';
  /** Engine threads of a step. */
  threads: number;
  /** cpu, cuda ... for training and measuring. */
  device?: string;
  /** Which scenes the demonstrations are of; default 0, the same for all training seeds. */
  dataSeed?: number;
  /** Scenes a cell, in place of the study's. */
  trials?: number;
  /** Measure only these models; those that they are made from are trained too. */
  only?: readonly string[];
}

/** The study has no model or pruning of that name. Wrong usage: the command line exits with 2. */
export class StudyNameError extends Error {
  override readonly name = 'StudyNameError';
}

/** Steps between measurements of the angle of text and action gradients: often enough for a curve, 2 % of the time. */
const GRADIENT_COSINE_EVERY = 50;
/** Other scenes than those of the demonstrations (see `data generate --seed`). */
const HELD_OUT_SEED = 99;
/** Training steps of `prune train-scene` by default, for estimates. */
const SCENE_STEPS = 300;

type NewStep = Omit<StudyStep, 'hash' | 'leftovers' | 'seconds'> & Partial<Pick<StudyStep, 'leftovers' | 'seconds'>>;
type Add = (step: NewStep, ...settings: unknown[]) => void;

/** Every step, in an order in which they can be run. @throws StudyNameError */
export function planStudy(options: PlanOptions): StudyStep[] {
  const { study, out, seeds } = options;
  const paths = studyPaths(out);
  const steps = new Map<string, StudyStep>();
  const add: Add = (step, ...settings) => {
    const before = step.needs.map((name) => steps.get(name)?.hash ?? '');
    const hash = hashOf(step.name, before, settings);
    steps.set(step.name, { leftovers: [step.output], seconds: null, ...step, hash });
  };
  const { models, measured } = chooseModels(study, options.only);
  addData(options, paths, add);
  const prunings = new Set(models.flatMap(({ pruning }) => pruning ?? []));
  addPrunings(study, paths, [...prunings], add);
  for (const asked of seeds) {
    for (const model of models) {
      const seed = seedOf(model, asked);
      if (steps.has(trainStep(seed, model.name)) || steps.has(measureName(seed, options.split, model.name))) continue;
      if (isTrained(model)) addTraining(options, paths, model, seed, add);
      if (measured.has(model.name)) addMeasurement(options, paths, model, seed, add);
    }
  }
  return [...steps.values()];
}

function addData({ study, dataSeed = 0 }: PlanOptions, paths: StudyPaths, add: Add): void {
  const { demonstrations, reasoning, multimodal } = study;
  const generate = (name: string, output: string, episodes: number, seed: number): void => {
    const { tasks } = demonstrations;
    const words = ['data', 'generate', '--recipe', study.name, '--output', output, '--reasoning', reasoning];
    const all = [...words, '--episodes', String(episodes), '--seed', String(seed)];
    add(
      {
        name,
        kind: 'demonstrations',
        what: `the scripted expert solves ${tasks.length} task${tasks.length === 1 ? '' : 's'}, ${episodes} times each`,
        needs: [],
        words: all,
        ...half(output, all),
        output,
        threads: 0,
        work: tasks.length * episodes,
      },
      { ...demonstrations, episodes_per_task: episodes },
      reasoning,
      seed,
    );
  };
  generate('data', paths.data, demonstrations.episodes_per_task, dataSeed);
  generate('held-out', paths.heldOut, study.held_out_per_task, HELD_OUT_SEED);
  const { samples, test } = multimodal;
  // Below this nothing in the pictures can be read; loaders scale them to what a model sees.
  const size = String(Math.max(64, demonstrations.image_size));
  const words = ['data', 'multimodal', '--out', paths.questions, '--samples', String(samples), '--test', String(test)];
  words.push('--validation', String(test), '--image-size', size);
  add(
    {
      name: 'questions',
      kind: 'questions',
      what: `${samples} questions about pictures to learn from, ${test} of each family to test with`,
      needs: [],
      words,
      ...half(paths.questions, words),
      output: paths.questions,
      threads: 0,
      work: samples,
    },
    multimodal,
    size,
  );
}

/** Data sets are written beside their place and moved there when they are whole. */
function half(output: string, words: readonly string[]): Pick<StudyStep, 'resume' | 'leftovers'> {
  const partial = `${output}.partial`;
  return { resume: { words: [...words, '--resume'], marks: [output, partial] }, leftovers: [output, partial] };
}

function addPrunings(study: Study, paths: StudyPaths, names: readonly string[], add: Add): void {
  const chosen = names.map((name) => ({ name, pruning: pruningOf(study, name) }));
  const episodes = study.scene_episodes;
  if (chosen.some(({ pruning }) => pruning.scene === 'ddm-net')) {
    const words = ['prune', 'train-scene', paths.data, '--labels', 'phases', '--episodes', String(episodes)];
    const steps = study.scene_steps === undefined ? [] : ['--steps', String(study.scene_steps)];
    add(
      {
        name: 'scene',
        kind: 'scene',
        what: `the scene layer learns event boundaries from ${episodes} labelled episodes`,
        needs: ['data'],
        words: [...words, ...steps, '--out', paths.scene],
        resume: null,
        output: paths.scene,
        threads: 1,
        work: study.scene_steps ?? SCENE_STEPS,
      },
      episodes,
      study.scene_steps ?? null,
    );
  }
  for (const { name, pruning } of chosen) {
    const { scene, motion } = pruning;
    const output = paths.labels(name);
    const report = paths.pruneReport(name);
    const words = ['prune', paths.data, '--out', output, '--report', report, '--overwrite'];
    words.push('--scene', scene, '--motion', motion, '--combine', combination(pruning));
    if (scene === 'ddm-net') words.push('--detector', paths.scene);
    add(
      {
        name: `labels/${name}`,
        kind: 'labels',
        what: `which frames keep their reasoning: ${name}`,
        needs: ['data', ...(scene === 'ddm-net' ? ['scene'] : [])],
        words,
        resume: null,
        output,
        leftovers: [output, report],
        threads: 1,
        work: study.demonstrations.tasks.length * study.demonstrations.episodes_per_task,
      },
      pruning,
    );
  }
}

/** Without a layer the other one decides alone. */
function combination({ scene, motion, combine }: PruningRecipe): string {
  if (combine === 'random') return combine;
  if (scene === 'none') return 'motion';
  return motion === 'none' ? 'scene' : combine;
}

const measureName = (seed: number, split: string, model: string): string => `seed-${seed}/${split}/${model}`;

/** Neither ships with this package nor is another model under other settings. */
const isTrained = ({ checkpoint, train }: StudyModel): boolean => checkpoint === undefined && train !== null;

/** The model whose weights these are: itself, or the one that it measures with other settings. */
function weightsOf({ models }: Study, model: StudyModel): StudyModel {
  return model.train === null ? (models.find(({ name }) => name === model.from) ?? model) : model;
}

/** Where a model lies: its run, or what it ships as. */
function placeOf({ name, checkpoint }: StudyModel, paths: StudyPaths, seed: number): string {
  return checkpoint === undefined ? paths.run(seed, name) : shippedCheckpoint(checkpoint);
}

/** A checkpoint that ships with this package. @param folder as recipes name it, `models/...` */
export function shippedCheckpoint(folder: string): string {
  return fileURLToPath(new URL(`../../${folder}`, import.meta.url));
}

/** What stands in a step's hash for a model that ships. */
const shippedHash = ({ checkpoint }: StudyModel): string | null =>
  checkpoint === undefined ? null : sha256(join(shippedCheckpoint(checkpoint), WEIGHTS_FILE));

function addTraining(options: PlanOptions, paths: StudyPaths, model: StudyModel, seed: number, add: Add): void {
  const { study, threads, device = 'cpu' } = options;
  const modelOf = (name: string): StudyModel => study.models.find((other) => other.name === name) ?? model;
  const own = (name: string): string => placeOf(modelOf(name), paths, seedOf(modelOf(name), seed));
  const { from, pruning, actionTeacher, reasoningTeacher } = model;
  const common = mergeConfig({ gradient_cosine_every: GRADIENT_COSINE_EVERY }, { ...study.train });
  const settings = mergeConfig(mergeConfig(common, { ...model.train }), { seed });
  const steps = Number(settings.steps ?? 1000);
  const budget = typeof settings.time_budget_s === 'number' ? settings.time_budget_s : null;
  const places = {
    job_name: model.name,
    threads,
    device,
    init_from: from === null ? null : own(from),
    dataset: { root: paths.data, validation_root: paths.heldOut },
    // A run by the clock does not know its steps: no passes that take of its time.
    eval_every: budget === null ? Math.max(1, Math.ceil(steps / 5)) : 0,
    multimodal: { root: paths.questions },
    reasoning: { keep_labels: pruning === undefined ? null : paths.labels(pruning) },
    distillation: {
      action_teacher: actionTeacher === undefined ? null : own(actionTeacher),
      reasoning_teacher: reasoningTeacher === undefined ? null : own(reasoningTeacher),
    },
  };
  const run = own(model.name);
  const config = { path: paths.config(seed, model.name), data: mergeConfig(settings, places) };
  const names = [from, actionTeacher, reasoningTeacher].filter((name) => name !== null && name !== undefined);
  const others = [...new Set(names)].map(modelOf);
  add(
    {
      name: trainStep(seed, model.name),
      kind: 'train',
      what: model.role,
      needs: [
        ...['data', 'held-out', 'questions'],
        ...(pruning === undefined ? [] : [`labels/${pruning}`]),
        ...others
          .filter(({ checkpoint }) => checkpoint === undefined)
          .map((other) => trainStep(seedOf(other, seed), other.name)),
      ],
      words: ['train', '--recipe', study.name, '--config_path', config.path, '--output_dir', run, '--overwrite'],
      resume: { words: ['train', '--resume', run], marks: [join(run, 'train_config.json')] },
      config,
      output: run,
      threads,
      work: steps * Number(settings.batch_size ?? 32),
      seconds: budget,
    },
    settings,
    { from, actionTeacher, reasoningTeacher, pruning },
    ...others.flatMap((other) => shippedHash(other) ?? []),
  );
}

function addMeasurement(options: PlanOptions, paths: StudyPaths, model: StudyModel, seed: number, add: Add): void {
  const { study, split, device = 'cpu' } = options;
  const { evaluation } = study;
  const weights = weightsOf(study, model);
  const run = placeOf(weights, paths, seedOf(weights, seed));
  const output = paths.measure(seed, model.name, split);
  const trials = options.trials ?? evaluation.trials;
  const words = ['measure', '--study', study.name, '--policy', run, '--out', output, '--split', split];
  words.push('--episodes', String(trials), '--questions', paths.questions, '--held-out', paths.heldOut);
  if (model.sampleSkipping) words.push('--sample-skipping');
  if (device !== 'cpu') words.push('--device', device);
  add(
    {
      name: measureName(seed, split, model.name),
      kind: 'measure',
      what: `${model.name}: ${trials} ${split} scenes a task, questions, VLA Score`,
      needs: isTrained(weights) ? [trainStep(seedOf(weights, seed), weights.name)] : ['held-out', 'questions'],
      words,
      resume: { words, marks: [output] },
      output,
      // Simulation has threads of its own; engine threads that wait for each other beside them lose more than they gain.
      threads: 1,
      work: evaluation.tasks.length * evaluation.variants.length * trials,
    },
    trials,
    split,
    evaluation,
    model.sampleSkipping ?? false,
    ...(weights.checkpoint === undefined ? [] : [shippedHash(weights)]),
  );
}

interface ChosenModels {
  /** To be trained, in the study's order. */
  models: StudyModel[];
  /** Names of those to be measured. */
  measured: ReadonlySet<string>;
}

/** The named models and those they are made from; all without names. */
function chooseModels({ name: study, models }: Study, only: readonly string[] | undefined): ChosenModels {
  const byName = new Map(models.map((model) => [model.name, model]));
  const chosen = new Set<string>();
  const choose = (name: string): void => {
    const model = byName.get(name);
    if (model === undefined)
      throw new StudyNameError(`study ${study} has no model ${name}; it has ${[...byName.keys()].join(', ')}`);
    if (chosen.has(name)) return;
    chosen.add(name);
    // What a model that ships was made from is not needed.
    if (model.checkpoint !== undefined) return;
    for (const other of [model.from, model.actionTeacher, model.reasoningTeacher])
      if (other !== null && other !== undefined) choose(other);
  };
  for (const name of only ?? byName.keys()) choose(name);
  const wanted = only === undefined ? models : models.filter(({ name }) => only.includes(name));
  return {
    models: models.filter(({ name }) => chosen.has(name)),
    measured: new Set(wanted.filter(({ unmeasured }) => !unmeasured).map(({ name }) => name)),
  };
}

function pruningOf(study: Study, name: string): PruningRecipe {
  const pruning = study.prunings[name];
  if (pruning === undefined) throw new StudyNameError(`study ${study.name} has no pruning ${name}`);
  return pruning;
}
