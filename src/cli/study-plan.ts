/**
 * A study as steps: each one command of this program with what it needs done before and what it makes, so that every number can be
 * made again by hand.
 *
 *   data, held-out, questions            shared by all seeds
 *   scene, labels/<pruning>              from the data
 *   <seed>/train/<model>                 from the model it starts from, its teachers and labels
 *   <seed>/measure/<model>               success, questions, VLA Score, action error
 *
 * Knows nothing about how steps are run.
 */
import { join } from 'node:path';
import { hashOf } from '../eval/stage-record.js';
import type { Study, StudyModel } from '../recipes/index.js';
import { mergeConfig } from '../train/config-sources.js';

export interface StudyStep {
  name: string;
  /** What is done, for people. */
  what: string;
  needs: string[];
  /** Words after `dualvla`. */
  words: string[];
  /** Words that continue a half-done step; null: it starts anew. */
  resume: string[] | null;
  /** Configuration file to be written before, if any. */
  config?: { path: string; data: unknown };
  /** What it makes: removed before a new start. */
  output: string;
  /** Hash of its settings and those of the steps it needs. */
  hash: string;
  /** Uses the engine on one thread, or the given number of simulation threads. */
  threads: number;
}

export interface PlanOptions {
  study: Study;
  /** Directory of everything. */
  out: string;
  seeds: readonly number[];
  split: 'test' | 'validation';
  /** Engine threads of a step. */
  threads: number;
  /** Scenes a cell, in place of the study's. */
  trials?: number;
  /** Only these models and what they need. */
  only?: readonly string[];
}

/** Where a study keeps what. */
export function studyPaths(out: string) {
  return {
    data: join(out, 'data'),
    heldOut: join(out, 'held-out'),
    questions: join(out, 'questions'),
    scene: join(out, 'scene'),
    labels: (pruning: string): string => join(out, 'labels', `${pruning}.json`),
    run: (seed: number, model: string): string => join(out, `seed-${seed}`, model, 'train'),
    measure: (seed: number, model: string, split: string): string => join(out, `seed-${seed}`, model, split),
    config: (seed: number, model: string): string => join(out, `seed-${seed}`, model, 'config.json'),
    log: (step: string): string => join(out, 'logs', `${step.replaceAll('/', '-')}.log`),
    records: join(out, 'steps.json'),
  };
}

/** Every step, in an order in which they can be run. */
export function planStudy(options: PlanOptions): StudyStep[] {
  const { study, out, seeds } = options;
  const paths = studyPaths(out);
  const steps = new Map<string, StudyStep>();
  const add = (step: Omit<StudyStep, 'hash'>, ...settings: unknown[]): void => {
    const before = step.needs.map((name) => steps.get(name)?.hash ?? '');
    steps.set(step.name, { ...step, hash: hashOf(step.name, before, settings) });
  };
  const models = chosenModels(study, options.only);
  const { demonstrations, reasoning, multimodal } = study;
  const generate = (name: string, output: string, episodes: number, seed: number): void => {
    const words = ['data', 'generate', '--recipe', study.name, '--output', output, '--reasoning', reasoning];
    const all = [...words, '--episodes', String(episodes), '--seed', String(seed)];
    const what = `the scripted expert solves ${demonstrations.tasks.length} tasks, ${episodes} times each`;
    const step = { name, what, needs: [], words: all, resume: [...all, '--resume'], output, threads: 0 };
    add(step, demonstrations, reasoning, episodes, seed);
  };
  generate('data', paths.data, demonstrations.episodes_per_task, 0);
  generate('held-out', paths.heldOut, study.held_out_per_task, 50);
  const questions = ['data', 'multimodal', '--out', paths.questions, '--samples', String(multimodal.samples)];
  questions.push('--test', String(multimodal.test), '--image-size', String(demonstrations.image_size));
  add(
    {
      name: 'questions',
      what: `${multimodal.samples} questions about pictures, ${multimodal.test} a family to test`,
      needs: [],
      words: questions,
      resume: [...questions, '--resume'],
      output: paths.questions,
      threads: 0,
    },
    multimodal,
  );
  const prunings = new Set(models.flatMap(({ pruning }) => pruning ?? []));
  if (prunings.size > 0) addPruning(options, prunings, add);
  for (const seed of seeds) for (const model of models) addModel(options, model, seed, add);
  return [...steps.values()];
}

type Add = (step: Omit<StudyStep, 'hash'>, ...settings: unknown[]) => void;

function addPruning({ study, out }: PlanOptions, names: ReadonlySet<string>, add: Add): void {
  const paths = studyPaths(out);
  const chosen = [...names].map((name) => ({ name, ...pruningOf(study, name) }));
  const learned = chosen.some(({ scene }) => scene === 'ddm-net');
  if (learned) {
    const episodes = String(study.scene_episodes);
    const words = [
      'prune',
      'train-scene',
      paths.data,
      '--labels',
      'phases',
      '--episodes',
      episodes,
      '--out',
      paths.scene,
    ];
    const what = `the scene layer learns event boundaries from ${episodes} labelled episodes`;
    add({ name: 'scene', what, needs: ['data'], words, resume: null, output: paths.scene, threads: 1 }, episodes);
  }
  for (const { name, scene, motion, combine } of chosen) {
    const output = paths.labels(name);
    const words = ['prune', paths.data, '--out', output, '--scene', scene, '--motion', motion, '--combine', combine];
    if (scene === 'ddm-net') words.push('--checkpoint', paths.scene);
    const needs = scene === 'ddm-net' ? ['scene'] : ['data'];
    const what = `which frames keep their reasoning: ${name}`;
    add({ name: `labels/${name}`, what, needs, words, resume: null, output, threads: 1 }, { scene, motion, combine });
  }
}

function addModel(options: PlanOptions, model: StudyModel, seed: number, add: Add): void {
  const { study, out, split, threads } = options;
  const paths = studyPaths(out);
  const own = (name: string): string => paths.run(seed, name);
  const { from, pruning, actionTeacher, reasoningTeacher } = model;
  const settings = mergeConfig(mergeConfig({ ...study.train }, { ...model.train }), { seed });
  const places = {
    job_name: model.name,
    threads,
    init_from: from === null ? null : own(from),
    dataset: { root: paths.data, validation_root: paths.heldOut },
    eval_every: Math.max(1, Math.ceil((model.train.steps ?? 1000) / 5)),
    multimodal: { root: paths.questions },
    reasoning: { keep_labels: pruning === undefined ? null : paths.labels(pruning) },
    distillation: {
      action_teacher: actionTeacher === undefined ? null : own(actionTeacher),
      reasoning_teacher: reasoningTeacher === undefined ? null : own(reasoningTeacher),
    },
  };
  const run = own(model.name);
  const config = { path: paths.config(seed, model.name), data: mergeConfig(settings, places) };
  const others = new Set([from, actionTeacher, reasoningTeacher].filter((name) => name !== null && name !== undefined));
  const train = `seed-${seed}/train/${model.name}`;
  const trainNeeds = [
    ...(pruning === undefined ? [] : [`labels/${pruning}`]),
    ...[...others].map((name) => `seed-${seed}/train/${name}`),
  ];
  add(
    {
      name: train,
      what: model.role,
      needs: ['data', 'held-out', 'questions', ...trainNeeds],
      words: ['train', '--recipe', study.name, '--config_path', config.path, '--output_dir', run, '--overwrite'],
      resume: ['train', '--resume', run],
      config,
      output: run,
      threads,
    },
    settings,
  );
  if (model.unmeasured) return;
  const output = paths.measure(seed, model.name, split);
  const trials = options.trials ?? study.evaluation.trials;
  const measure = ['measure', '--study', study.name, '--policy', run, '--out', output, '--split', split];
  measure.push('--episodes', String(trials), '--questions', paths.questions, '--held-out', paths.heldOut);
  if (model.sampleSkipping) measure.push('--sample-skipping');
  add(
    {
      name: `seed-${seed}/measure/${model.name}`,
      what: `${model.name}: ${trials} ${split} scenes a task, questions, VLA Score`,
      needs: [train],
      words: measure,
      resume: measure,
      output,
      threads,
    },
    trials,
    split,
    study.evaluation,
  );
}

/** The named models and those they are made from; all without names. @throws RangeError for a name that is not there */
function chosenModels(study: Study, only: readonly string[] | undefined): StudyModel[] {
  if (only === undefined) return study.models;
  const byName = new Map(study.models.map((model) => [model.name, model]));
  const chosen = new Set<string>();
  const choose = (name: string): void => {
    const model = byName.get(name);
    if (model === undefined)
      throw new RangeError(`study ${study.name} has no model ${name}; it has ${[...byName.keys()].join(', ')}`);
    chosen.add(name);
    for (const other of [model.from, model.actionTeacher, model.reasoningTeacher])
      if (other !== null && other !== undefined) choose(other);
  };
  for (const name of only) choose(name);
  return study.models.filter(({ name }) => chosen.has(name));
}

function pruningOf(study: Study, name: string) {
  const pruning = study.prunings[name];
  if (pruning === undefined) throw new RangeError(`study ${study.name} has no pruning ${name}`);
  return pruning;
}
