/** What TextVQA, DocVQA and InfoVQA share: a question with a line that wants a short answer, references in a list, means in percent. */
import { type AnsweredRows, type BenchmarkScore, type MessagePart, type ScoredRow, tableText } from './benchmark.js';
import { mean } from './numpy-mean.js';
import type { Profile } from './option-inference.js';
import { picturesFirst, type Wording } from './prompts.js';
import { parseStringList } from './python-literal.js';
import type { QuestionSet } from './question-set.js';

export function askShort(
  set: QuestionSet,
  row: number,
  pictures: number,
  _profile: Profile,
  wording: Wording,
): MessagePart[] {
  return picturesFirst(pictures, `${tableText(set, 'question', row)}\n${wording.answerShortly}`);
}

/** The references of a row: a list literal, or one answer as it stands. */
export function referencesOf(answers: AnsweredRows, i: number): readonly string[] {
  const cell = answers.shown('answer', i);
  return parseStringList(cell) ?? [cell];
}

/** Means over all and by split, or (without splits) by category; times 100. */
export function scoreShort(
  answers: AnsweredRows,
  by: string,
  score: (references: readonly string[], prediction: string) => { score: number; extracted: string },
): BenchmarkScore {
  const values: number[] = [];
  const rows = answers.predictions.map((prediction, i): ScoredRow => {
    const one = score(referencesOf(answers, i), prediction);
    values.push(one.score);
    return { index: answers.indices[i] as number, extracted: one.extracted, by, score: one.score };
  });
  const main = mean(values) * 100;
  const scores: Record<string, number | null> = { Overall: main };
  const column = ['split', 'category'].find((name) => answers.columns.has(name));
  if (column !== undefined) {
    const groups = new Map<string, number[]>();
    for (const [i, value] of values.entries()) {
      const group = answers.text(column, i);
      if (group === undefined) continue;
      const of = groups.get(group);
      if (of) of.push(value);
      else groups.set(group, [value]);
    }
    for (const [group, of] of groups) scores[group] = mean(of) * 100;
  }
  return { scores, main, rows, uninferable: 0 };
}
