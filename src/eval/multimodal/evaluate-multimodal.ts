/**
 * Accuracy of a model over the procedural question families: reads the question sets (one VLMEvalKit TSV a family), asks, scores by rules
 * (`score-answer.ts`). Knows nothing of how a model answers or how results are shown.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  DataError,
  decodeImage,
  MissingDatasetError,
  type QuestionRow,
  questionWithOptions,
  readQuestionRows,
} from '../../data/index.js';
import type { Answerer } from './answerer.js';
import { scoreAnswer } from './score-answer.js';

export interface MultimodalEvaluationOptions {
  /** Folder of the data set, with `test/<family>.tsv`. */
  readonly root: string;
  readonly answerer: Answerer;
  /** "test" by default; choices are made on "validation". */
  readonly split?: 'test' | 'validation';
  /** Only these families; all that there are by default. */
  readonly families?: readonly string[];
  /** First so many questions of each family; all by default. */
  readonly limit?: number;
  /** Questions asked at once; 50 by default. */
  readonly batchSize?: number;
  /** Told after every batch: questions answered so far, of how many. */
  readonly onProgress?: (done: number, total: number, family: string) => void;
  /** Stops between batches. */
  readonly signal?: AbortSignal | undefined;
}

/** One family's result. */
export interface FamilyCount {
  correct: number;
  total: number;
}

/** One question, how it was answered, and what became of it. */
export interface AnsweredQuestion {
  readonly family: string;
  readonly index: number;
  readonly category: string;
  /** "seen" or "held-out" combinations. */
  readonly novelty: string;
  readonly question: string;
  readonly expected: string;
  readonly given: string;
  readonly extracted: string;
  readonly correct: boolean;
  /** Probability of guessing right. */
  readonly chance: number;
}

/** The families that a data set has question sets of, in alphabetical order. */
export function questionFamilies(root: string, split: 'test' | 'validation' = 'test'): string[] {
  const folder = join(root, split);
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.tsv')) : [];
  if (names.length === 0)
    throw new MissingDatasetError('There is no question set', {
      file: folder,
      hint: `Next: dualvla data multimodal --out ${root}`,
    });
  return names.map((name) => name.slice(0, -'.tsv'.length)).sort();
}

/**
 * Correct answers by family.
 * @throws MissingDatasetError without question sets, CorruptDatasetError for damaged ones, DataError when the model gives another number of
 * answers than it was asked questions; AbortError when stopped
 */
export async function evaluateMultimodal(options: MultimodalEvaluationOptions): Promise<Record<string, FamilyCount>> {
  return countByFamily(await answerMultimodal(options));
}

/** Every question with its answer; see {@link evaluateMultimodal}. */
export async function answerMultimodal(options: MultimodalEvaluationOptions): Promise<AnsweredQuestion[]> {
  const { root, answerer, split = 'test', limit, batchSize = 50, onProgress, signal } = options;
  const families = options.families ?? questionFamilies(root, split);
  const sets = families.map((family) => {
    const file = join(root, split, `${family}.tsv`);
    return { family, file, rows: readQuestionRows(file).slice(0, limit) };
  });
  const total = sets.reduce((sum, { rows }) => sum + rows.length, 0);
  const answered: AnsweredQuestion[] = [];
  for (const { family, file, rows } of sets) {
    for (let from = 0; from < rows.length; from += batchSize) {
      // A model answers without ever waiting: a turn for Ctrl-C to be heard.
      await nextTurn();
      signal?.throwIfAborted();
      const batch = rows.slice(from, from + batchSize);
      const images = await Promise.all(batch.map((row) => pixelsOf(row, answerer.imageSize, file)));
      const questions = batch.map(({ question, options }) =>
        options ? questionWithOptions(question, options) : question,
      );
      const given = await answerer.answer(images, questions);
      if (given.length !== batch.length)
        throw new DataError(`The model gave ${given.length} answers to ${batch.length} questions`, { file });
      for (const [i, row] of batch.entries()) answered.push(judged(family, row, given[i] as string));
      onProgress?.(answered.length, total, family);
    }
  }
  return answered;
}

async function pixelsOf({ image, index }: QuestionRow, size: number, file: string): Promise<Uint8Array> {
  try {
    return await decodeImage(image, size, size);
  } catch (cause) {
    throw new DataError(`The picture does not decode: ${(cause as Error).message}`, {
      file,
      field: `index ${index}, image`,
      cause,
    });
  }
}

function judged(family: string, row: QuestionRow, given: string): AnsweredQuestion {
  const { index, category, novelty, question, answer, chance } = row;
  return { family, index, category, novelty, question, expected: answer, given, chance, ...scoreAnswer(given, row) };
}

/** Correct answers by family. */
export function countByFamily(answered: readonly AnsweredQuestion[]): Record<string, FamilyCount> {
  return countBy(answered, ({ family }) => family);
}

/** Correct answers by any label, such as the category or the novelty. */
export function countBy(
  answered: readonly AnsweredQuestion[],
  label: (question: AnsweredQuestion) => string,
): Record<string, FamilyCount> {
  const counts = new Map<string, FamilyCount>();
  for (const question of answered) {
    const count = counts.get(label(question)) ?? { correct: 0, total: 0 };
    counts.set(label(question), count);
    count.total++;
    if (question.correct) count.correct++;
  }
  return Object.fromEntries(counts);
}

/** Share of questions that guessing gets right, by family. */
export function chanceByFamily(answered: readonly AnsweredQuestion[]): Record<string, number> {
  const totals = countByFamily(answered);
  const sums = new Map<string, number>();
  for (const { family, chance } of answered) sums.set(family, (sums.get(family) ?? 0) + chance);
  return Object.fromEntries([...sums].map(([family, sum]) => [family, sum / (totals[family] as FamilyCount).total]));
}
