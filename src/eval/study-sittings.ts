/**
 * A study in several sittings, on several machines: what its folder holds now, joined with what the results hold from before. Numbers
 * of one model come from one recipe and one specialist: other seeds are refused, not mixed and not lost.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Study } from '../recipes/index.js';
import { sha256, WEIGHTS_FILE } from '../train/checkpoint-files.js';
import { hashOf, StageRecords } from './stage-record.js';
import { studyPaths, trainStep } from './study-folder.js';
import type { StudyNumbers } from './study-report.js';
import type { ModelResults, StudyResults } from './study-results.js';

/** The results hold a study whose numbers cannot stand in one table with those of the folder. */
export class OtherSittingError extends Error {
  override readonly name = 'OtherSittingError';
  constructor(study: string, file: string, why: string) {
    super(
      `${file}: ${study} ${why}; nothing was written; next: another --out, or take what is outdated out of the file`,
    );
  }
}

/** Hash of all that decides a model's numbers: data, questions, measuring, its training and that of everything it is made from. */
export function settingsOfModel(study: Study, name: string): string {
  const { name: _, summary: __, models: ___, prunings: ____, ...common } = study;
  return hashOf(common, definitionOf(study, name));
}

function definitionOf(study: Study, name: string | null | undefined): unknown {
  const model = study.models.find((one) => one.name === name);
  if (model === undefined) return null;
  const { train, sampleSkipping, checkpoint, from, pruning, actionTeacher, reasoningTeacher } = model;
  const [start, actions, reasoning] = [from, actionTeacher, reasoningTeacher].map((one) => definitionOf(study, one));
  return { train, sampleSkipping, checkpoint, pruning: study.prunings[pruning ?? ''], start, actions, reasoning };
}

/** Hashes of the weights of models that are trained once, by name: what all seeds of the folder are made from. Those not there have none. */
export function sharedWeights({ folder, study }: Pick<StudyResults, 'folder' | 'study'>): Record<string, string> {
  const paths = studyPaths(folder);
  const records = new StageRecords(paths.records);
  const hashes = study.models.flatMap(({ name, once }): [string, string][] => {
    const weights = join(paths.run(0, name), 'checkpoints', 'last', 'pretrained_model', WEIGHTS_FILE);
    // Half a training has weights too, that nothing is made from.
    const trained = once && records.get(trainStep(0, name))?.finished !== undefined && existsSync(weights);
    return trained ? [[name, sha256(weights).slice(0, 16)]] : [];
  });
  return Object.fromEntries(hashes);
}

/**
 * Adds models and seeds that `earlier` has and the folder has not.
 *
 * @throws OtherSittingError if they were measured on other scenes, made with other settings or from another specialist
 */
export function withEarlierSittings(own: StudyResults, earlier: StudyNumbers, file: string): StudyResults {
  const { study, split } = own;
  if (earlier.split !== split)
    throw new OtherSittingError(study.name, file, `has ${earlier.split} scenes, not ${split}`);
  const others = Object.entries(sharedWeights(own)).filter(([name, hash]) => (earlier.shared?.[name] ?? hash) !== hash);
  if (others.length > 0) {
    const names = others.map(([name, hash]) => `${name} (${earlier.shared?.[name]}, here ${hash})`);
    throw new OtherSittingError(study.name, file, `has seeds that are made from other weights of ${names.join(', ')}`);
  }
  const changed: string[] = [];
  const known = study.models.map(({ name }) => name);
  const names = [...known, ...Object.keys(earlier.models).filter((name) => !known.includes(name))];
  const models = names.flatMap((name): ModelResults[] => {
    const [here, before] = [own.models.find((model) => model.name === name), earlier.models[name]];
    const kept = Object.entries(before?.seeds ?? {})
      .map(([seed, measurement]) => ({ seed: Number(seed), measurement, scenes: [] }))
      .filter(({ seed }) => here?.runs.every((run) => run.seed !== seed) ?? true);
    if (before === undefined || kept.length === 0) return here === undefined ? [] : [here];
    if (known.includes(name) && before.settings !== settingsOfModel(study, name))
      changed.push(`${name} (seeds ${kept.map(({ seed }) => seed).join(', ')})`);
    const { role, once } = here ?? study.models.find((model) => model.name === name) ?? before;
    const runs = [...(here?.runs ?? []), ...kept].sort((a, b) => a.seed - b.seed);
    return [{ name, role, once: once ?? false, runs }];
  });
  if (changed.length > 0)
    throw new OtherSittingError(
      study.name,
      file,
      `has models that were made with other settings: ${changed.join(', ')}`,
    );
  return { ...own, models };
}
