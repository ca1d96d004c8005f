/**
 * The embedded counterpart of the paper's eight benchmarks: the procedural question families (`dualvla data multimodal`), asked in training's own words and
 * scored by the rules of `multimodal/score-answer.ts`, as `dualvla measure` does. Profiles, wording and judges change nothing here; answers do not go through a
 * prediction file.
 */
import { type QuestionRow, questionWithOptions, readQuestionRows } from '../../data/multimodal-tsv.js';
import { FAMILIES } from '../../sim/multimodal/vocabulary.js';
import { scoreAnswer } from '../multimodal/score-answer.js';
import type { AnsweredRows, Benchmark, BenchmarkScore, ScoredRow } from './benchmark.js';
import { BenchmarkError } from './errors.js';
import { mean } from './numpy-mean.js';
import { picturesFirst } from './prompts.js';
import type { QuestionSet } from './question-set.js';

/** The longest answer that `dualvla measure` lets a model give. */
const MAX_TOKENS = 32;

const known = new WeakMap<QuestionSet, ReadonlyMap<string, QuestionRow>>();

/** A table's questions by index, as training and measuring read them. */
function questionsOf(set: QuestionSet): ReadonlyMap<string, QuestionRow> {
  const there = known.get(set);
  if (there) return there;
  const rows = new Map(readQuestionRows(set.path).map((row) => [String(row.index), row]));
  known.set(set, rows);
  return rows;
}

function questionAt(set: QuestionSet, row: number): QuestionRow {
  const index = String(set.indices[row]);
  const question = questionsOf(set).get(index);
  if (!question) throw new BenchmarkError(`${set.path} has no question ${index}`);
  return question;
}

function score(answers: AnsweredRows): BenchmarkScore {
  const questions = answers.rows.map((row) => questionAt(answers.set, row));
  const judged = questions.map((question, i) => scoreAnswer(answers.given[i] as string, question));
  const rows = judged.map(({ correct, extracted }, i): ScoredRow => {
    const { options, facts } = questions[i] as QuestionRow;
    return {
      index: answers.indices[i] as number,
      extracted: extracted === '' ? false : extracted,
      by: options ? 'option' : facts ? 'facts' : 'words',
      hit: correct ? 1 : 0,
    };
  });
  const share = (belongs: (question: QuestionRow) => boolean): number =>
    mean(judged.filter((_, i) => belongs(questions[i] as QuestionRow)).map(({ correct }) => (correct ? 1 : 0)));
  const scores: Record<string, number> = { Overall: share(() => true), chance: mean(questions.map((q) => q.chance)) };
  for (const novelty of new Set(questions.map((q) => q.novelty))) scores[novelty] = share((q) => q.novelty === novelty);
  for (const name of new Set(questions.map((q) => q.category))) scores[name] = share((q) => q.category === name);
  const uninferable = rows.filter(({ extracted }) => extracted === false).length;
  return { scores, main: 100 * (scores.Overall as number), rows, uninferable };
}

/** A family each, named as its table; scores are shares, 0 to 1, `chance` that of guessing. */
export const EMBEDDED_BENCHMARKS: readonly Benchmark[] = FAMILIES.map(
  (family): Benchmark => ({
    id: family,
    name: family,
    tables: [family],
    needs: ['question', 'answer', 'category'],
    maxTokens: MAX_TOKENS,
    judge: 'never',
    ask: (set, row, pictures) => {
      const { question, options } = questionAt(set, row);
      return picturesFirst(pictures, options ? questionWithOptions(question, options) : question);
    },
    score,
  }),
);
