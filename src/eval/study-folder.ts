/**
 * Where a study keeps what, and what it says of itself: the folder that the planner fills and reports are read from.
 *
 * Knows nothing about how any of it is made.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Study, StudyModel } from '../recipes/index.js';

export type StudyPaths = ReturnType<typeof studyPaths>;

/** Files and folders of a study in `out`. */
export function studyPaths(out: string) {
  const ofModel = (seed: number, model: string, name: string): string => join(out, `seed-${seed}`, model, name);
  return {
    /** The study as it was last run. */
    study: join(out, 'study.json'),
    data: join(out, 'data'),
    heldOut: join(out, 'held-out'),
    questions: join(out, 'questions'),
    scene: join(out, 'scene'),
    labels: (pruning: string): string => join(out, 'labels', `${pruning}.json`),
    pruneReport: (pruning: string): string => join(out, 'labels', `${pruning}.report.json`),
    run: (seed: number, model: string): string => ofModel(seed, model, 'train'),
    measure: (seed: number, model: string, split: string): string => ofModel(seed, model, split),
    config: (seed: number, model: string): string => ofModel(seed, model, 'config.json'),
    log: (step: string): string => join(out, 'logs', `${step.replaceAll('/', '-')}.log`),
    records: join(out, 'steps.json'),
    running: (step: string): string => join(out, 'running', `${step.replaceAll('/', '-')}.json`),
    lock: join(out, 'study.lock'),
  };
}

/** The seed under which a model's files lie: models that are trained once have 0, whatever the chain's seed. */
export function seedOf({ once }: Pick<StudyModel, 'once'>, seed: number): number {
  return once ? 0 : seed;
}

/** The step that trains a model, in the records. */
export const trainStep = (seed: number, model: string): string => `seed-${seed}/train/${model}`;

/** study.json: what was asked for, all seeds that ever ran included. */
export interface StudyRecord {
  study: Study;
  seeds: number[];
}

/** There is no study in the folder. Wrong usage: the command line exits with 2. */
export class NoStudyError extends Error {
  override readonly name = 'NoStudyError';
  constructor(folder: string) {
    super(`${folder} holds no study; next: dualvla study run RECIPE --output ${folder}`);
  }
}

/** @throws NoStudyError */
export function readStudyRecord(out: string): StudyRecord {
  const { study } = studyPaths(out);
  if (!existsSync(study)) throw new NoStudyError(out);
  return JSON.parse(readFileSync(study, 'utf8')) as StudyRecord;
}

/** Notes the study and its seeds, in one step; earlier seeds stay. */
export function writeStudyRecord(out: string, { study, seeds }: StudyRecord): void {
  const path = studyPaths(out).study;
  const earlier = existsSync(path) ? readStudyRecord(out).seeds : [];
  const all = [...new Set([...earlier, ...seeds])].sort((a, b) => a - b);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.writing`, `${JSON.stringify({ study, seeds: all }, null, 2)}\n`);
  renameSync(`${path}.writing`, path);
}
