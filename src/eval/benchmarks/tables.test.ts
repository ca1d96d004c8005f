/** Tables, columns and prediction files as pandas, xlsxwriter and openpyxl have them; expected values are what those printed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { BenchmarkError } from './errors.js';
import { type Column, presentText, readColumn, throughFile } from './pandas-column.js';
import { PredictionWriter, readPredictionLines, readPredictions, withoutThinking } from './predictions.js';
import { QuestionSet } from './question-set.js';
import { readPlace, readTsv } from './tsv.js';

const folder = mkdtempSync(join(tmpdir(), 'tables-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
function file(text: string, ending = 'tsv'): string {
  const path = join(folder, `${files++}.${ending}`);
  writeFileSync(path, text);
  return path;
}

const texts = (column: Column) => column.cells.map((_, i) => presentText(column, i) ?? null);
const said = (cells: string[]): Column => ({ kind: 'text', cells });

describe('tables', () => {
  it.each([1, 7, 1 << 20])('are read in pieces of %i bytes', (chunkBytes) => {
    const path = file('\ufeffindex\timage\ttext\r\n1\tpic\t"a ""b""\n\tc"\n\n2\t"p""q"\td"e\r3\t\t"x"y\n4\n5\tz\t');
    const { header, columns, places, numRows } = readTsv(path, { leave: ['image'], keepBytes: 2, chunkBytes });
    expect(header).toEqual(['index', 'image', 'text']);
    expect(numRows).toBe(5);
    expect(columns.get('index')).toEqual(['1', '2', '3', '4', '5']);
    expect(columns.get('text')).toEqual(['a "b"\n\tc', 'd"e', 'xy', '', '']);
    expect(columns.get('image')).toEqual(['', '', '', '', 'z']);
    expect(places.get('image')?.map((place) => readPlace(path, place))).toEqual(['pic', 'p"q', '', '', 'z']);
  });

  it('say where they are wrong', () => {
    expect(() => readTsv(file('a\tb\n1\t2\t3\n'))).toThrow(/More than the 2 cells.*row 1/);
    expect(() => readTsv(file('a\tb\n1\t"2\n'))).toThrow(/does not end/);
    expect(() => readTsv(file('a\ta\n'))).toThrow(/Two columns/);
    expect(() => readTsv(file(''))).toThrow(/empty/);
    expect(() => readTsv(join(folder, 'none.tsv'))).toThrow(/no such table/);
  });

  it('refer to pictures, list them, and drop rows without', () => {
    const [one, two] = ['a'.repeat(100), 'b'.repeat(68)].map((text) => Buffer.from(text).toString('base64'));
    const path = file(`index\timage\tq\nx\t${one}\tr\ny\tx\ts\nz\t\tt\nw\t['${one}', '${two}']\tu\nv\tz\tv\n`);
    const set = QuestionSet.open(path);
    expect(set.indices).toEqual(['x', 'y', 'w', 'v']);
    expect(set.pictures(1)).toEqual(set.pictures(0));
    expect(set.pictures(2).map((bytes) => bytes.length)).toEqual([100, 68]);
    expect(() => set.pictures(3)).toThrow(/refers to z/);
    expect(QuestionSet.open(file(`index\timage\n007\t${one}\n8\t${one}\n`)).indices).toEqual([7, 8]);
    expect(() => QuestionSet.open(file('index\tq\n1\ta\n1\tb\n'))).toThrow(/1 twice/);
  });
});

describe('columns', () => {
  it.each([
    [
      ['007', '3'],
      ['7', '3'],
    ],
    [
      ['007', ''],
      ['7.0', null],
    ],
    [
      ['3.0', '4'],
      ['3.0', '4.0'],
    ],
    [
      ['3.0', 'a'],
      ['3.0', 'a'],
    ],
    [
      ['inf', '1e5'],
      ['inf', '100000.0'],
    ],
    [
      ['true', 'FALSE'],
      ['True', 'False'],
    ],
    [
      ['N/A', 'NULL', 'nan', 'None', 'na'],
      [null, null, null, 'None', 'na'],
    ],
    [
      ['1_000', '2'],
      ['1_000', '2'],
    ],
    [
      ['99999999999999999999999', '1'],
      ['99999999999999999999999', '1'],
    ],
  ])('%j', (cells, expected) => {
    expect(texts(readColumn(cells))).toEqual(expected);
    expect(texts(throughFile(said(cells), 'xlsx', false))).toEqual(expected);
  });

  it('lose .0 in a spreadsheet, and keep it in a TSV', () => {
    const column = readColumn(['3.0', '4.0']);
    expect(texts(throughFile(column, 'xlsx', false))).toEqual(['3', '4']);
    expect(texts(throughFile(column, 'tsv', false))).toEqual(['3.0', '4.0']);
    expect(texts(throughFile(readColumn(['3.0', '', '4']), 'xlsx', false))).toEqual(['3.0', null, '4.0']);
  });

  it('come back from spreadsheets with control characters spelt out', () => {
    const cells = ['a\rb', 'x\u0001', '_x0041_', '_x005F_', 'tab\t', '😀'.repeat(40_000)];
    expect(texts(throughFile(said(cells), 'xlsx', false))).toEqual([
      'a_x000D_b',
      'x_x0001_',
      '_x0041_',
      '_',
      'tab\t',
      '😀'.repeat(32_767),
    ]);
    expect(texts(throughFile(said(['=1+1', 'a']), 'xlsx', true))).toEqual(['0', 'a']);
    expect(texts(throughFile(said(['=1+1', 'a']), 'xlsx', false))).toEqual(['=1+1', 'a']);
  });
});

describe('prediction files', () => {
  it('of VLMEvalKit: a spreadsheet that xlsxwriter wrote, and its TSV', () => {
    const path = fileURLToPath(new URL('../../../test/fixtures/benchmarks/predictions.xlsx', import.meta.url));
    expect([...readPredictions(path)]).toEqual([
      ['0', 'B'],
      ['1', ''],
      ['2', 'line_x000D_\nbreak'],
      ['3', '=1+1'],
      ['4', ' "ö" 😀 '],
    ]);
    expect([...readPredictions(file('index\tprediction\n1\t"a\nb"\n2\t\n'))]).toEqual([
      ['1', 'a\nb'],
      ['2', ''],
    ]);
    expect(() => readPredictions(file('index\tanswer\n1\ta\n'))).toThrow(/no columns/);
    const bytes = readFileSync(path);
    writeFileSync(join(folder, 'cut.xlsx'), bytes.subarray(0, bytes.length / 2));
    expect(() => readPredictions(join(folder, 'cut.xlsx'))).toThrow(/no zip file, or cut off/);
  });

  it('of ours: lines, checked', () => {
    const path = file('{"index": 1, "prediction": "a"}\n{"index": "v", "prediction": 3}\n{"index": 2, "pre', 'jsonl');
    expect([...readPredictionLines(path).predictions]).toEqual([
      ['1', 'a'],
      ['v', '3'],
    ]);
    for (const [text, what] of [
      ['{"index": 1}\n', /line 1, is no \{"index"/],
      ['{"index": 1, "prediction": "a"}\n{"index": "1", "prediction": "b"}\n', /line 2: index 1 is there twice/],
      ['oops\n{"index": 1, "prediction": "a"}\n', /line 1, is no JSON/],
    ] as const) {
      expect(() => readPredictionLines(file(text, 'jsonl'))).toThrow(what);
    }
  });

  it('go on only for the same model and questions', () => {
    const path = join(folder, 'mine.jsonl');
    const header = {
      type: 'predictions',
      version: 1,
      benchmark: 'b',
      profile: 'p',
      model: 'm',
      questions: 'q',
    } as const;
    const first = new PredictionWriter(path, header);
    first.add(1, 'ä\n');
    first.close();
    writeFileSync(path, '{"index": 2, "prediction": "cut', { flag: 'a' });
    const second = new PredictionWriter(path, header);
    expect([...second.predictions]).toEqual([['1', 'ä\n']]);
    second.add('x', 'b', { seconds: 2 });
    second.close();
    expect([...readPredictions(path)]).toEqual([
      ['1', 'ä\n'],
      ['x', 'b'],
    ]);
    expect(() => new PredictionWriter(path, { ...header, model: 'other' })).toThrow(BenchmarkError);
  });

  it('may drop what was thought aloud', () => {
    const predictions = new Map([
      ['1', '<think>A or B</think>\u001c B '],
      ['2', 'C'],
    ]);
    expect([...withoutThinking(predictions).values()]).toEqual(['B', 'C']);
  });
});
