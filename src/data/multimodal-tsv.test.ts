import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CorruptDatasetError } from './errors.js';
import { type QuestionRow, questionWithOptions, readQuestionRows, writeQuestionRows } from './multimodal-tsv.js';

const row: QuestionRow = {
  index: 0,
  image: Uint8Array.of(1, 2, 250),
  question: 'Say "x",\n\tplease?',
  answer: 'x',
  category: 'c',
  novelty: 'seen',
  chance: 0.25,
};

it('writes and reads question sets, awkward texts included', () => {
  const folder = mkdtempSync(join(tmpdir(), 'multimodal-tsv-'));
  const path = join(folder, 'rows.tsv');
  const rows: QuestionRow[] = [
    row,
    { ...row, index: 1, question: 'plain', options: ['a "b"', 'c', 'd', 'e'], answer: 'B' },
    { ...row, index: 7, question: '"', answer: 'a red ball', facts: ['red ball', 'tab\there'] },
  ];
  writeQuestionRows(path, rows);
  expect(readQuestionRows(path).map((read) => ({ ...read, image: Uint8Array.from(read.image) }))).toEqual(rows);
  expect(readFileSync(path, 'utf8').split('\n')[0]).toBe(
    'index\timage\tquestion\tA\tB\tC\tD\tanswer\tcategory\tl2-category\tfacts\tchance',
  );
  writeFileSync(path, 'index\tquestion\timage\tanswer\r\n3\t"a ""b"""\tAQI=\tyes\r\n4\tq\tAQI=\tno');
  expect(readQuestionRows(path).map(({ index, question, answer }) => [index, question, answer])).toEqual([
    [3, 'a "b"', 'yes'],
    [4, 'q', 'no'],
  ]);
  writeFileSync(path, 'index\tquestion\timage\tanswer\n3\t"a\tAQI=\tyes\n');
  expect(() => readQuestionRows(path)).toThrow(CorruptDatasetError);
  expect(questionWithOptions('What?', ['x', 'y'])).toBe('What?\nA. x\nB. y\nAnswer with the letter.');
  rmSync(folder, { recursive: true });
});
