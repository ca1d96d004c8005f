/**
 * Multiple choice as VLMEvalKit scores it: rules first, a judge (if there is one) for what they leave open, mean hits by split and category.
 * MMStar, MMMU and MMBench share it. The random choice that upstream makes when the judge fails three times is not made: the row is a miss.
 */
import type { AnsweredRows, BenchmarkScore, MessagePart, ScoredRow, ScoreOptions } from './benchmark.js';
import { tableText } from './benchmark.js';
import type { Judge } from './judge.js';
import { API_FAILURE, type Choices, type Inference, infer, type Profile } from './option-inference.js';
import { fill, isChinese, optionsOf, picturesFirst, type Wording } from './prompts.js';
import { strip } from './python-text.js';
import type { QuestionSet } from './question-set.js';

/** A row and what its options are. */
export interface ChoiceRow {
  readonly i: number;
  readonly choices: Choices;
  /** The right letter. */
  readonly right: string;
  readonly prediction: string;
  /** By the rules alone. */
  readonly inferred: Inference;
}

/** How often a judge is asked before a row counts as not inferable. */
const JUDGE_TRIES = 3;

/** The message: hint, question, options; in InstructVLA's layout without the headings. */
export function askChoice(
  set: QuestionSet,
  row: number,
  pictures: number,
  profile: Profile,
  wording: Wording,
): MessagePart[] {
  return picturesFirst(pictures, choiceText(set, row, profile, wording));
}

export function choiceText(set: QuestionSet, row: number, profile: Profile, wording: Wording): string {
  const options = optionsOf(set, row);
  const hint = set.text('hint', row);
  const question = tableText(set, 'question', row);
  const list = options.map(([letter, text]) => `${letter}. ${text}\n`).join('');
  if (profile === 'upstream') {
    const head = `${hint === undefined ? '' : `Hint: ${hint}\n`}Question: ${question}\n`;
    return options.length === 0 ? head : `${head}Options:\n${list}${wording.selectOption}`;
  }
  const body = `${hint === undefined ? '' : `${hint}\n`}${question}\n${list}`;
  const chinese = isChinese(body);
  if (options.length === 0) return body + (chinese ? wording.answerFreelyChinese : wording.answerFreely);
  return body + (chinese ? wording.answerLetterChinese : wording.answerLetter);
}

/** The options that a row's answer is looked for in. */
export function choicesOf(answers: AnsweredRows, i: number): Choices {
  const letters = [...answers.columns.keys()].filter((name) => /^[A-Z]$/.test(name)).sort();
  const choices: Choices = new Map();
  for (const letter of letters) {
    const text = answers.text(letter, i);
    if (text !== undefined) choices.set(letter, text);
  }
  return choices;
}

export function choiceRow(
  answers: AnsweredRows,
  i: number,
  choices: Choices,
  right: string,
  profile: Profile,
): ChoiceRow {
  const prediction = answers.predictions[i] as string;
  return { i, choices, right, prediction, inferred: infer(prediction, new Map(choices), profile) };
}

/** Rules, then the judge: the letter, and who said so. */
export async function decide(
  answers: AnsweredRows,
  { i, choices, prediction, inferred }: ChoiceRow,
  profile: Profile,
  judge: Judge | undefined,
  wording: Wording,
): Promise<{ extracted: string | false; by: string }> {
  if (inferred.option !== false || !judge) return { extracted: inferred.option, by: inferred.by };
  const index = answers.indices[i] as number | string;
  const prompt = judgePrompt(answers.shown('question', i), choices, prediction, wording);
  const open: Choices = new Map(choices);
  // The rules have looked at these options before, which lower-cases them.
  infer(prediction, open, profile);
  for (let attempt = 0; attempt < JUDGE_TRIES; attempt++) {
    const reply = await judge.ask({ index, prompt, attempt, temperature: 0 });
    if (reply.includes(API_FAILURE)) continue;
    const said = infer(reply, open, profile);
    if (said.option !== false) return { extracted: said.option, by: 'judge' };
  }
  return { extracted: false, by: 'none' };
}

/** What a judge is asked about a reply that the rules do not understand. */
export function judgePrompt(
  question: string,
  choices: ReadonlyMap<string, string>,
  prediction: string,
  wording: Wording,
): string {
  const options = [...choices].map(([letter, text]) => `${letter}. ${text}\n`).join('');
  const template = isChinese(question) ? wording.judgeOptionChinese : wording.judgeOption;
  return fill(template, { question, options, prediction: strip(prediction) });
}

/** Scores rows one by one. */
export async function scoreChoices(
  answers: AnsweredRows,
  rows: readonly ChoiceRow[],
  mainSplit: string,
  { profile, judge, judgeAtOnce = 8, wording }: ScoreOptions,
): Promise<BenchmarkScore> {
  const { inParallel } = await import('./in-parallel.js');
  const scored = await inParallel(rows, judge ? judgeAtOnce : 1, async (row): Promise<ScoredRow> => {
    const decided = await decide(answers, row, profile, judge, wording);
    return { index: answers.indices[row.i] as number, ...decided, hit: decided.extracted === row.right ? 1 : 0 };
  });
  const hits = scored.map(({ hit }) => hit as number);
  return {
    ...reportHits(
      answers,
      rows.map(({ i }) => i),
      hits,
      mainSplit,
    ),
    rows: scored,
    uninferable: scored.filter(({ extracted }) => extracted === false).length,
  };
}

/** VLMEvalKit's short names of MMBench's abilities. */
const ABBREVIATIONS = new Map([
  ['coarse_perception', 'CP'],
  ['finegrained_perception (instance-level)', 'FP-S'],
  ['finegrained_perception (cross-instance)', 'FP-C'],
  ['logic_reasoning', 'LR'],
  ['relation_reasoning', 'RR'],
  ['attribute_reasoning', 'AR'],
]);

/**
 * Mean hit, 0 to 1: `<split>` overall, `<split>/<category>`, and `Overall` and `<category>` alone for the split that the headline is taken from.
 * @param rows which rows of `answers` the hits belong to
 */
export function reportHits(
  answers: AnsweredRows,
  rows: readonly number[],
  hits: readonly number[],
  mainSplit: string,
): Pick<BenchmarkScore, 'scores' | 'main'> {
  const splitOf = (i: number): string | undefined => (answers.columns.has('split') ? answers.text('split', i) : 'none');
  const splits = [...new Set(rows.map(splitOf))].filter((split) => split !== undefined);
  const groups = new Map<string, (i: number) => boolean>([['Overall', () => true]]);
  for (const column of ['l2-category', 'category']) {
    if (!answers.columns.has(column)) continue;
    for (const ability of new Set(rows.map((i) => answers.text(column, i)))) {
      if (ability === undefined) continue;
      groups.set(ABBREVIATIONS.get(ability) ?? ability, (i) => answers.text(column, i) === ability);
    }
  }
  const headline = splits.includes(mainSplit) || splits.length !== 1 ? mainSplit : (splits[0] as string);
  const bySplit: Record<string, number | null> = {};
  const all: Record<string, number | null> = {};
  const ofHeadline: Record<string, number | null> = {};
  for (const split of splits) {
    for (const [name, belongs] of groups) {
      const of = hits.filter((_, k) => splitOf(rows[k] as number) === split && belongs(rows[k] as number));
      const value = of.length === 0 ? null : of.reduce((a, b) => a + b, 0) / of.length;
      if (name === 'Overall') bySplit[split] = value;
      all[`${split}/${name}`] = value;
      if (split === headline) ofHeadline[name] = value;
    }
  }
  return { scores: { ...bySplit, ...ofHeadline, ...all }, main: 100 * (ofHeadline.Overall ?? Number.NaN) };
}
