/** The embedded families through `eval mm` and through `dualvla measure`: the same questions, the same marks. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type QuestionRow, writeQuestionRows } from '../../data/multimodal-tsv.js';
import { answerMultimodal } from '../multimodal/evaluate-multimodal.js';
import { askAnswerer } from './ask-model.js';
import { BENCHMARKS, EMBEDDED_BENCHMARKS, findBenchmark, OWN_WORDING, QuestionSet, readPredictions } from './index.js';
import { scoreBenchmark } from './results.js';

const counting = findBenchmark('counting');
let root = '';
let table = '';

/** Answers by the last word of the question; numbers, an empty one and words with zeros, which files of predictions would change. */
const ANSWERS = new Map([
  ['balls?', '07'],
  ['letter.', 'B'],
  ['see?', 'A red ball, and a blue plate.'],
  ['cans?', ''],
  ['blocks?', 'three'],
]);
const asked: string[] = [];
const answerer = {
  imageSize: 4,
  answer: (_images: readonly Uint8Array[], questions: readonly string[]): string[] => {
    asked.push(...questions);
    return questions.map((question) => ANSWERS.get(question.split(/\s/).at(-1) as string) as string);
  },
};

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'embedded-'));
  mkdirSync(join(root, 'test'));
  table = join(root, 'test', 'counting.tsv');
  const pixels = { create: { width: 6, height: 6, channels: 3, background: '#d2191c' } } as const;
  const image = await sharp(pixels).png().toBuffer();
  const row = (index: number, question: string, answer: string, more: Partial<QuestionRow>): QuestionRow => ({
    index,
    image,
    question,
    answer,
    category: 'all',
    novelty: 'seen',
    chance: 0.25,
    ...more,
  });
  writeQuestionRows(table, [
    row(3, 'How many balls?', '07', {}),
    row(5, 'Which one?', 'B', { options: ['a can', 'a ball'], category: 'choice', chance: 0.5 }),
    row(8, 'What do you see?', 'red ball, blue plate', {
      facts: ['red ball', 'blue plate'],
      novelty: 'held-out',
      chance: 0,
    }),
    row(9, 'How many cans?', '2', {}),
    row(11, 'How many blocks?', '3', { novelty: 'held-out' }),
  ]);
});
afterAll(() => rmSync(root, { recursive: true }));

describe('embedded families', () => {
  test('are eight, apart from the eight benchmarks, each found by its table', () => {
    expect(EMBEDDED_BENCHMARKS).toHaveLength(8);
    for (const { name } of EMBEDDED_BENCHMARKS) {
      expect(findBenchmark(name)?.name).toBe(name);
      expect(BENCHMARKS.map((one) => one.name)).not.toContain(name);
    }
  });

  test('give every row the mark that measuring gives it', async () => {
    if (!counting) throw new Error('no family counting');
    const set = QuestionSet.open(table);
    const path = join(root, 'answers.jsonl');
    await askAnswerer(answerer, 'scripted', 2, {
      benchmark: counting,
      set,
      profile: 'upstream',
      wording: OWN_WORDING,
      path,
    });
    const viaTable = [...asked];
    asked.length = 0;
    const measured = await answerMultimodal({ root, answerer, families: ['counting'] });
    expect(viaTable).toEqual(asked);
    const result = await scoreBenchmark({
      benchmark: counting,
      set,
      predictions: readPredictions(path),
      profile: 'upstream',
    });
    expect(result.rows.map(({ index, hit }) => [index, hit === 1])).toEqual(
      measured.map(({ index, correct }) => [index, correct]),
    );
    expect(result.rows.map(({ extracted, by, hit }) => [extracted, by, hit])).toEqual([
      ['07', 'words', 1],
      ['B', 'option', 1],
      ['a red ball and a blue plate', 'facts', 1],
      [false, 'words', 0],
      ['3', 'words', 1],
    ]);
    expect(result).toMatchObject({ main: 80, uninferableRate: 0.2, judge: 'none' });
    expect(result.scores).toEqual({ Overall: 0.8, chance: 0.25, seen: 2 / 3, 'held-out': 1, all: 0.75, choice: 1 });
  });
});
