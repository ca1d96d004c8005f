/**
 * The multimodal data set: planned by one thread, drawn by several, written as LLaVA JSON for training and as VLMEvalKit question sets for
 * validation and test.
 *
 * ```
 * train.json          [{id, image, family, conversations}]
 * images/000000.png
 * validation/<family>.tsv   test/<family>.tsv
 * info.json           options, counts, chance levels, held-out combinations
 * ```
 * The result depends on the options alone, not on the number of workers or on interruptions. Until it is complete it lies in
 * `<out>.partial`; a killed run continues with `resume`. Pictures of validation and test are the same for every seed.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { writeDurable } from '../../data/durable-file.js';
import { DatasetConflictError, type QuestionRow, questionWithOptions, writeQuestionRows } from '../../data/index.js';
import {
  assertUnlocked,
  JOURNAL_FILE,
  lock,
  partialFolder,
  publish,
  STAGING_FOLDER,
  unlock,
} from '../../data/writer-folder.js';
import { SimOptionError } from '../errors.js';
import type { Split } from '../random.js';
import { ArtistCrew } from './artist-crew.js';
import { descriptionOf } from './description.js';
import { type PlannedPicture, type PlannedQuestion, planPictures } from './plan.js';
import { FAMILIES, type Family, heldOutCombinations } from './vocabulary.js';

export interface MultimodalOptions {
  /** Folder of the data set. */
  readonly out: string;
  /** Training questions of all families together. */
  readonly samples: number;
  /** Test questions a family. */
  readonly test?: number;
  /** Validation questions a family, for choices that must not touch the test. */
  readonly validation?: number;
  /** Other training pictures, 0 to 99. */
  readonly seed?: number;
  /** Side of the pictures, 64 to 224. */
  readonly imageSize?: number;
  readonly families?: readonly Family[];
  /** Most training questions about one picture. */
  readonly perPicture?: number;
  readonly workers?: number;
  /** Continue an interrupted run; a finished data set of the same options is left as it is. */
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
}

export interface MultimodalSummary {
  readonly folder: string;
  readonly samples: number;
  readonly pictures: number;
  readonly test: number;
  /** Share of test questions that guessing gets right, a family. */
  readonly chance: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export type MultimodalEvent =
  | { readonly kind: 'start'; readonly folder: string; readonly total: number; readonly done: number }
  /** Pictures drawn so far, of how many; those of an earlier run included. */
  | { readonly kind: 'pictures'; readonly done: number; readonly total: number }
  | ({ readonly kind: 'finished' } & MultimodalSummary);

type Settings = Required<
  Pick<MultimodalOptions, 'samples' | 'test' | 'validation' | 'seed' | 'imageSize' | 'families' | 'perPicture'>
>;

const INFO = 'info.json';
const VERSION = 2;
/** Pictures of one order to a worker. */
const ORDER = 16;

/**
 * Generates the data set, yielding progress. Throws SimOptionError for wrong options, DatasetConflictError when output exists or an
 * unfinished run was begun otherwise, and the signal's reason when aborted (the partial data set stays and can be resumed).
 */
export async function* generateMultimodal(
  options: MultimodalOptions,
): AsyncGenerator<MultimodalEvent, MultimodalSummary> {
  const started = performance.now();
  const { out, workers = 2, signal } = options;
  const settings = checkOptions(options);
  if (existsSync(out) && !options.overwrite) {
    const finished = options.resume ? finishedSummary(out, settings) : undefined;
    if (!finished)
      throw new DatasetConflictError('Something lies here already', {
        file: out,
        hint: 'Give another --out, or --overwrite',
      });
    yield { kind: 'start', folder: out, total: finished.pictures, done: finished.pictures };
    yield { kind: 'finished', ...finished };
    return finished;
  }
  const partial = openPartial(out, settings, options);
  try {
    const { test, validation, families } = settings;
    const plan = {
      train: planned(settings, 'train', settings.samples, settings.perPicture),
      validation: planned(settings, 'validation', validation * families.length, 1),
      test: planned(settings, 'test', test * families.length, 1),
    };
    const orders = (Object.keys(plan) as Split[]).flatMap((split) =>
      plan[split].map(({ view }, i) => ({ path: picturePath(partial, split, i), view })),
    );
    yield* drawAll(orders, out, workers, settings.imageSize, signal);
    writeTraining(partial, plan.train);
    for (const split of ['validation', 'test'] as const) writeQuestionSets(partial, split, plan[split]);
    const info = describe(settings, plan);
    writeDurable(join(partial, INFO), `${JSON.stringify(info, null, 2)}\n`);
    publish(partial, out);
    const seconds = (performance.now() - started) / 1000;
    const summary = { ...summaryOf(out, info), seconds };
    yield { kind: 'finished', ...summary };
    return summary;
  } finally {
    if (existsSync(partial)) unlock(partial);
  }
}

function checkOptions(options: MultimodalOptions): Settings {
  const {
    samples,
    test = 100,
    validation = 50,
    seed = 0,
    imageSize = 64,
    families = FAMILIES,
    perPicture = 4,
  } = options;
  const whole = (name: string, value: number, low: number, high = Number.MAX_SAFE_INTEGER): void => {
    if (!Number.isInteger(value) || value < low || value > high)
      throw new SimOptionError(
        `${name} ${value} must be an integer of at least ${low}${high < 1e9 ? ` and at most ${high}` : ''}`,
      );
  };
  whole('samples', samples, 1);
  whole('test', test, 0);
  whole('validation', validation, 0);
  whole('imageSize', imageSize, 64, 224);
  whole('perPicture', perPicture, 1);
  whole('workers', options.workers ?? 2, 1);
  if (families.length === 0 || new Set(families).size !== families.length)
    throw new SimOptionError(`families must be different ones of ${FAMILIES.join(', ')}`);
  return { samples, test, validation, seed, imageSize, families, perPicture };
}

const planned = (
  { seed, families }: Settings,
  split: Split,
  questions: number,
  perPicture: number,
): readonly PlannedPicture[] => [...planPictures({ split, seed, questions, perPicture, families })];

/** Opens or resumes the folder under construction. */
function openPartial(out: string, settings: Settings, { resume, overwrite }: MultimodalOptions): string {
  const partial = partialFolder(out);
  const journal = join(partial, JOURNAL_FILE);
  const begun = JSON.stringify({ generator: 'multimodal', version: VERSION, ...settings });
  if (existsSync(partial)) {
    assertUnlocked(partial);
    if (!resume && !overwrite)
      throw new DatasetConflictError('An unfinished data set lies here', {
        file: partial,
        hint: 'Continue it with --resume, or --overwrite it',
      });
    if (!resume) rmSync(partial, { recursive: true });
    else if (!existsSync(journal) || readFileSync(journal, 'utf8') !== begun)
      throw new DatasetConflictError('The unfinished data set was begun with other options', {
        file: partial,
        hint: 'Give the same options, or --overwrite',
      });
  }
  mkdirSync(join(partial, 'images'), { recursive: true });
  mkdirSync(join(partial, STAGING_FOLDER), { recursive: true });
  lock(partial);
  writeDurable(journal, begun);
  return partial;
}

const pictureName = (i: number): string => `${String(i).padStart(6, '0')}.png`;

/** Where a picture is drawn to; those of question sets end inside them and are only staged. */
const picturePath = (partial: string, split: Split, i: number): string =>
  split === 'train'
    ? join(partial, 'images', pictureName(i))
    : join(partial, STAGING_FOLDER, `${split}-${pictureName(i)}`);

async function* drawAll(
  pictures: readonly { readonly path: string; readonly view: PlannedPicture['view'] }[],
  folder: string,
  workers: number,
  imageSize: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<MultimodalEvent> {
  const missing = pictures.filter(({ path }) => !existsSync(path));
  const total = pictures.length;
  let done = total - missing.length;
  yield { kind: 'start', folder, total, done };
  if (missing.length === 0) return;
  const crew = new ArtistCrew(workers, imageSize);
  try {
    const underway: Promise<number>[] = [];
    for (let from = 0; from < missing.length || underway.length > 0; ) {
      signal?.throwIfAborted();
      while (from < missing.length && underway.length < 2 * workers) {
        const order = missing.slice(from, from + ORDER);
        from += order.length;
        const drawn = crew.draw(order).then(() => order.length);
        // It is awaited when its turn comes.
        drawn.catch(() => undefined);
        underway.push(drawn);
      }
      done += (await underway.shift()) ?? 0;
      yield { kind: 'pictures', done, total };
    }
  } finally {
    await crew.close();
  }
}

function writeTraining(partial: string, pictures: readonly PlannedPicture[]): void {
  const lines = pictures.flatMap(({ questions, view }, i) => {
    const entry = (id: string, family: string, question: string, answer: string): string =>
      JSON.stringify({
        id: `${String(i).padStart(6, '0')}-${id}`,
        image: `images/${pictureName(i)}`,
        family,
        conversations: [
          { from: 'human', value: `<image>\n${question}` },
          { from: 'gpt', value: answer },
        ],
      });
    const description = descriptionOf(view, i);
    return [
      ...questions.map(({ family, question, answer, options }, k) =>
        options
          ? entry(String(k), family, questionWithOptions(question, options), letterOf(options, answer))
          : entry(String(k), family, question, answer),
      ),
      entry('all', 'description', description.question, description.answer),
    ];
  });
  writeDurable(join(partial, 'train.json'), `[\n${lines.join(',\n')}\n]\n`);
}

const letterOf = (options: readonly string[], answer: string): string => 'ABCD'[options.indexOf(answer)] as string;

function writeQuestionSets(partial: string, split: 'validation' | 'test', pictures: readonly PlannedPicture[]): void {
  const rows = new Map<Family, QuestionRow[]>();
  for (const [i, { questions }] of pictures.entries()) {
    const image = readFileSync(picturePath(partial, split, i));
    for (const { family, type, question, answer, options, facts, chance, heldOut } of questions) {
      const list = rows.get(family) ?? [];
      rows.set(family, list);
      list.push({
        index: list.length,
        image,
        question,
        ...(options ? { options } : {}),
        answer: options ? letterOf(options, answer) : answer,
        ...(facts ? { facts } : {}),
        category: type,
        novelty: heldOut ? 'held-out' : 'seen',
        chance: Number(chance.toFixed(6)),
      });
    }
  }
  for (const [family, list] of rows) writeQuestionRows(join(partial, split, `${family}.tsv`), list);
}

interface FamilyCounts {
  readonly questions: number;
  /** Mean probability of guessing right. */
  readonly chance: number;
  /** Questions about a combination that training never shows. */
  readonly heldOut: number;
  readonly types: Readonly<Record<string, number>>;
}

interface SplitCounts {
  readonly questions: number;
  readonly pictures: number;
  readonly families: Readonly<Record<string, FamilyCounts>>;
}

/** What info.json holds. */
export interface MultimodalInfo {
  readonly type: 'multimodal';
  readonly version: number;
  readonly options: Settings;
  readonly splits: Readonly<Record<Split, SplitCounts>>;
  readonly heldOutCombinations: Readonly<Record<string, readonly string[]>>;
}

function describe(options: Settings, plan: Readonly<Record<Split, readonly PlannedPicture[]>>): MultimodalInfo {
  const count = (pictures: readonly PlannedPicture[]): SplitCounts => {
    const questions = pictures.flatMap((picture) => picture.questions);
    const families = options.families.map((family) => [family, countFamily(questions, family)] as const);
    return { questions: questions.length, pictures: pictures.length, families: Object.fromEntries(families) };
  };
  const splits = { train: count(plan.train), validation: count(plan.validation), test: count(plan.test) };
  return { type: 'multimodal', version: VERSION, options, splits, heldOutCombinations: heldOutCombinations() };
}

function countFamily(all: readonly PlannedQuestion[], family: Family): FamilyCounts {
  const questions = all.filter((question) => question.family === family);
  const types: Record<string, number> = {};
  for (const { type } of questions) types[type] = (types[type] ?? 0) + 1;
  const chance = questions.reduce((sum, question) => sum + question.chance, 0) / Math.max(1, questions.length);
  return {
    questions: questions.length,
    chance: Number(chance.toFixed(4)),
    heldOut: questions.filter(({ heldOut }) => heldOut).length,
    types,
  };
}

function summaryOf(folder: string, { splits }: MultimodalInfo): Omit<MultimodalSummary, 'seconds'> {
  const { train, test } = splits;
  return {
    folder,
    samples: train.questions,
    pictures: train.pictures,
    test: test.questions,
    chance: Object.fromEntries(Object.entries(test.families).map(([family, { chance }]) => [family, chance])),
  };
}

/** Summary of a finished data set of these options; undefined for anything else. */
function finishedSummary(folder: string, settings: Settings): MultimodalSummary | undefined {
  const path = join(folder, INFO);
  if (!existsSync(path)) return undefined;
  const info = JSON.parse(readFileSync(path, 'utf8')) as Partial<MultimodalInfo>;
  const same = info.type === 'multimodal' && info.version === VERSION;
  if (!same || !isDeepStrictEqual(info.options, JSON.parse(JSON.stringify(settings)))) return undefined;
  return { ...summaryOf(folder, info as MultimodalInfo), seconds: 0 };
}
