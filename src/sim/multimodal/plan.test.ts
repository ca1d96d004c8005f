import { describe, expect, it } from 'vitest';
import { hasGlyph } from './pixel-font.js';
import { type PlannedPicture, type PlannedQuestion, planPictures } from './plan.js';
import { projectionError } from './tabletop.js';
import { COLOR_NAMES, DIGITS, FAMILIES, heldOutCombinations, LETTERS, SHAPES } from './vocabulary.js';

const plan = (
  split: 'train' | 'validation' | 'test',
  questions: number,
  seed = 0,
  perPicture = 4,
): PlannedPicture[] => [
  ...planPictures({ split, seed, questions, perPicture: split === 'train' ? perPicture : 1, families: FAMILIES }),
];
const TRAIN = plan('train', 8000);
const TEST = plan('test', 800);
const questionsOf = (pictures: readonly PlannedPicture[]): PlannedQuestion[] =>
  pictures.flatMap(({ questions }) => questions);
const groups = (
  questions: readonly PlannedQuestion[],
  label: (q: PlannedQuestion) => string,
): Map<string, PlannedQuestion[]> => {
  const out = new Map<string, PlannedQuestion[]>();
  for (const question of questions) out.set(label(question), [...(out.get(label(question)) ?? []), question]);
  return out;
};
/** What an answer is to a model: a letter where there are options. */
const target = ({ answer, options }: PlannedQuestion): string =>
  options ? ('ABCD'[options.indexOf(answer)] as string) : answer;

describe('planPictures', () => {
  it('gives every family its share and is the same for the same options', () => {
    const counts = groups(questionsOf(TRAIN), ({ family }) => family);
    expect([...counts.keys()].sort()).toEqual([...FAMILIES].sort());
    for (const family of counts.values()) expect(family).toHaveLength(1000);
    expect(plan('train', 160)).toEqual(plan('train', 160));
    expect(plan('train', 160, 1)).not.toEqual(plan('train', 160));
    expect(new Set([...TRAIN, ...TEST].map(({ seed }) => seed)).size).toBe(TRAIN.length + TEST.length);
    expect(TRAIN.length).toBeLessThan(5000);
  });

  it('shows held-out combinations in the test alone', () => {
    const pairs = new Set(heldOutCombinations()['colour and thing']);
    const shown = (pictures: readonly PlannedPicture[]): number =>
      pictures
        .flatMap(({ view }) => (view.kind === 'tabletop' ? view.things : []))
        .filter(({ color, noun }) => pairs.has(`${color} ${noun}`)).length;
    expect(shown(TRAIN)).toBe(0);
    expect(shown(plan('validation', 400))).toBe(0);
    expect(shown(TEST)).toBeGreaterThan(50);
    // Not even in words.
    for (const { question, answer } of questionsOf(TRAIN))
      for (const pair of pairs) expect(`${question} ${answer}`).not.toContain(pair);
    const codes = new Set(heldOutCombinations()['letter and digit on one card']);
    expect(questionsOf(TRAIN).filter(({ answer }) => codes.has(answer))).toEqual([]);
    expect(questionsOf(TRAIN).some(({ heldOut }) => heldOut)).toBe(false);
    const share = questionsOf(TEST).filter(({ heldOut }) => heldOut).length / 800;
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.5);
  });

  it('balances the answers within every type', () => {
    for (const questions of [questionsOf(TRAIN), questionsOf(TEST)]) {
      for (const [type, same] of groups(questions, ({ family, type }) => `${family} ${type}`)) {
        const counts = [...groups(same, ({ answer }) => answer).values()].map(({ length }) => length);
        const least = Math.min(...counts);
        // Types whose values are roles ("the first of the two") have balanced roles, and answers that follow by symmetry.
        const roles = /closer|row or column|larger|more of|list of|could do|caption/.test(type);
        if (!roles) expect(Math.max(...counts) - least, type).toBeLessThanOrEqual(1);
      }
    }
  });

  it('cannot be answered from the question alone', () => {
    // The best that can be done without looking: learn the commonest answer of every wording from the training questions.
    const learned = new Map<string, string>();
    const wording = ({ question, options }: PlannedQuestion): string => `${question}|${options ? 'options' : ''}`;
    for (const [words, same] of groups(questionsOf(plan('train', 24_000, 3)), wording)) {
      const answers = [...groups(same, target)].sort((a, b) => b[1].length - a[1].length);
      learned.set(words, answers[0]?.[0] ?? '');
    }
    // A larger test of the same distribution: 400 a family, so that luck stays below 7 points.
    const test = plan('test', 3200);
    for (const [family, questions] of groups(questionsOf(test), (question) => question.family)) {
      const right = questions.filter((question) => learned.get(wording(question)) === target(question)).length;
      const chance = questions.reduce((sum, question) => sum + question.chance, 0) / questions.length;
      expect(right / questions.length, family).toBeLessThan(chance + 0.07);
    }
  });

  it('puts the right option at every letter equally often', () => {
    for (const [family, questions] of groups(questionsOf(TRAIN), ({ family }) => family)) {
      const choices = questions.filter(({ options }) => options);
      if (family === 'open') {
        expect(choices).toHaveLength(0);
        continue;
      }
      const letters = [...groups(choices, target).values()].map(({ length }) => length);
      expect(Math.max(...letters) - Math.min(...letters), family).toBeLessThanOrEqual(1);
      for (const { options = [], answer } of choices) {
        expect(new Set(options).size).toBe(4);
        expect(options).toContain(answer);
      }
    }
  });

  it('tells the truth about the pictures', () => {
    let checked = 0;
    for (const { view, questions } of [...TRAIN, ...TEST]) {
      for (const question of questions) checked += check(view, question);
      if (view.kind === 'tabletop') expect(projectionError(view)).toBeLessThan(1e-9);
    }
    expect(checked).toBeGreaterThan(4000);
  });

  it('has a glyph for everything that is written', () => {
    for (const character of [...LETTERS, ...DIGITS]) expect(hasGlyph(character)).toBe(true);
  });

  it('names wrong options', () => {
    const bad = (more: object) => () => [
      ...planPictures({ split: 'train', seed: 0, questions: 8, perPicture: 1, families: FAMILIES, ...more }),
    ];
    expect(bad({ seed: 100 })).toThrow(/seed 100/);
    expect(bad({ split: 'test', questions: 900_000 })).toThrow(/at most 100000 pictures/);
  });
});

/** Recomputes an answer from the picture, by other code than the generator's. @returns 1 if this kind of question is covered */
function check(view: PlannedPicture['view'], { family, type, question, answer }: PlannedQuestion): 0 | 1 {
  // "Can you see" names no can.
  const words = question
    .replace(/^Can you/, '')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  const named = <T extends string>(list: readonly T[]): T[] =>
    list.filter((word) => words.includes(word) || words.includes(`${word}s`));
  if (view.kind === 'tabletop') {
    const { things, cards } = view;
    if (family === 'counting') {
      const [color, noun] = [named(COLOR_NAMES)[0], named(SHAPES)[0]];
      const count = things.filter((t) => (!color || t.color === color) && (!noun || t.noun === noun)).length;
      expect(answer).toBe(String(count));
      return 1;
    }
    if (type === 'left or right of') {
      const [first, second] = words.filter((word) => SHAPES.some((noun) => noun === word));
      const place = (noun: string | undefined): number => things.find((t) => t.noun === noun)?.u as number;
      const asked = question.startsWith('On which') ? place(second) < place(first) : place(first) < place(second);
      expect(answer).toBe(asked ? 'left' : 'right');
      return 1;
    }
    if (type.startsWith('color of ') && family === 'attribute') {
      expect(things.filter((t) => t.noun === named(SHAPES)[0]).map((t) => t.color)).toEqual([answer]);
      return 1;
    }
    if (type === 'combination present') {
      const [color, noun] = [named(COLOR_NAMES)[0], named(SHAPES)[0]];
      expect(answer).toBe(things.some((t) => t.color === color && t.noun === noun) ? 'yes' : 'no');
      return 1;
    }
    if (type === 'caption') {
      const seen = [...things].sort((a, b) => a.u - b.u).map(({ color, noun }) => `a ${color} ${noun}`);
      expect(answer).toBe(seen.join(' and '));
      return 1;
    }
    if (type === 'color of the neighbor') {
      const centre = things.find(({ noun }) => noun === named(SHAPES)[0]) as (typeof things)[number];
      const beside = things.filter(({ u }) => (words.includes('left') ? u < centre.u : u > centre.u));
      expect(beside.map(({ color }) => color)).toEqual([answer]);
      return 1;
    }
    if (type === 'sum of two cards') {
      expect(Number(answer)).toBe(cards.reduce((sum, { text }) => sum + Number(text), 0));
      return 1;
    }
    return 0;
  }
  if (view.kind === 'chart' && type === 'comparison of two bars') {
    const colors = words.filter((word) => COLOR_NAMES.some((name) => name === word));
    const [a, b] = colors.map((color) => view.bars.find((bar) => bar.color === color)?.height as number) as [
      number,
      number,
    ];
    const more = words.includes('higher') || words.includes('more');
    expect(answer).toBe((more ? a > b : a < b) ? 'yes' : 'no');
    return 1;
  }
  if (view.kind === 'chart' && type === 'height of a bar') {
    expect(view.bars.find(({ color }) => color === named(COLOR_NAMES)[0])?.height).toBe(Number(answer));
    return 1;
  }
  if (view.kind === 'table' && type === 'cell by its row and column') {
    const letters: readonly string[] = question.match(/\b[ACXT]\b/g) ?? [];
    const row = view.rows.findIndex((name) => letters.includes(name));
    const column = view.columns.findIndex((name) => letters.includes(name));
    expect(answer).toBe(view.cells[row]?.[column]);
    return 1;
  }
  return 0;
}
