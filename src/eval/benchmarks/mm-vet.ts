/**
 * MM-Vet: open answers that need several skills at once, marked by a judge from 0 to 1. Five tries, each at a temperature 0.5 higher, until the judge writes a number as
 * Python's float() reads it; else 0. Reported by skill and over all, x 100.
 */
import { type AnsweredRows, type Benchmark, type ScoredRow, tableText } from './benchmark.js';
import { JudgeError } from './errors.js';
import { inParallel } from './in-parallel.js';
import type { Judge } from './judge.js';
import { fill, picturesFirst, type Wording } from './prompts.js';
import { parseFloatAsPython, roundToSixteenDigits } from './python-float.js';

const SKILLS = ['rec', 'ocr', 'know', 'gen', 'spat', 'math'];
const TRIES = 5;

export const mmvet: Benchmark = {
  id: 'mmvet',
  name: 'MM-Vet',
  tables: ['MMVet'],
  needs: ['question', 'answer', 'category'],
  maxTokens: 512,
  judge: 'must',
  ask: (set, row, pictures) => picturesFirst(pictures, tableText(set, 'question', row)),
  score: async (answers, { judge, judgeAtOnce = 8, wording }) => {
    if (!judge) throw new JudgeError('MM-Vet is marked by a judge; name one');
    const rows = await inParallel(answers.rows, judgeAtOnce, (_, i) => mark(answers, i, judge, wording));
    const total = new Map<string, number>();
    const sum = new Map<string, number>();
    const add = (name: string, value: number): void => {
      total.set(name, (total.get(name) ?? 0) + 1);
      sum.set(name, (sum.get(name) ?? 0) + value);
    };
    for (const [i, row] of rows.entries()) {
      const category = answers.shown('category', i);
      // Marks go through a spreadsheet before they are added up.
      const value = roundToSixteenDigits(row.score as number);
      for (const skill of SKILLS) if (category.includes(skill)) add(skill, value);
      add('Overall', value);
      add(category.replaceAll(',', '_'), value);
    }
    const percent = (name: string): number | null =>
      total.has(name) ? ((sum.get(name) as number) / (total.get(name) as number)) * 100 : null;
    const names = [...SKILLS, 'Overall', ...total.keys()];
    return {
      scores: Object.fromEntries(names.map((name) => [name, percent(name)])),
      main: percent('Overall') ?? Number.NaN,
      rows,
      uninferable: rows.filter(({ extracted }) => extracted === false).length,
    };
  },
};

async function mark(answers: AnsweredRows, i: number, judge: Judge, wording: Wording): Promise<ScoredRow> {
  const index = answers.indices[i] as number | string;
  const prompt = scorePrompt(
    answers.shown('question', i),
    answers.shown('answer', i),
    answers.predictions[i] as string,
    wording,
  );
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const reply = await judge.ask({ index, prompt, attempt, temperature: attempt * 0.5 });
    const score = acceptedScore(reply);
    if (score !== undefined) return { index, extracted: reply, by: 'judge', score };
  }
  return { index, extracted: false, by: 'none', score: 0 };
}

/** The mark in a judge's reply; undefined if it is no number or not from 0 to 1. NaN is accepted, as in the official tool. */
export function acceptedScore(reply: string): number | undefined {
  const value = parseFloatAsPython(reply);
  return value === undefined || value < 0 || value > 1 ? undefined : value;
}

export function scorePrompt(question: string, answer: string, prediction: string, wording: Wording): string {
  const parts = answer.replaceAll('<AND>', ' <AND> ').replaceAll('<OR>', ' <OR> ');
  return fill(wording.judgeScore, { question, answer: parts, prediction });
}
