/**
 * Columns through tables and prediction files against pandas itself, on random cells that are made to be awkward. Skips without pandas 1.5 (which the official
 * values were computed with), xlsxwriter and openpyxl; DUALVLA_PYTHON names the Python that has them.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { cellText, readColumn, throughFile } from './pandas-column.js';

const PYTHON = process.env.DUALVLA_PYTHON ?? 'python3';
const PROGRAM = `
import csv, io, json, sys, tempfile, os, warnings
warnings.simplefilter('ignore')
import pandas as pd

def shown(frame, names):
    return [['nan' if pd.isna(cell) else str(cell) for cell in frame[name].tolist()] for name in names]

def workbook(frame, options):
    path = os.path.join(tempfile.mkdtemp(), 'x.xlsx')
    with pd.ExcelWriter(path, engine='xlsxwriter', engine_kwargs={'options': options}) as writer:
        frame.to_excel(writer, index=False)
    return pd.read_excel(path)

columns = json.load(sys.stdin)
names = ['c%d' % i for i in range(len(columns))]
text = io.StringIO()
writer = csv.writer(text, delimiter='\\t', lineterminator='\\n')
writer.writerow(names)
writer.writerows(zip(*columns))
table = pd.read_csv(io.StringIO(text.getvalue()), sep='\\t')
said = pd.DataFrame(dict(zip(names, columns)))
plain = {'strings_to_formulas': False}
json.dump({
    'table': shown(table, names),
    'table, workbook with formulas': shown(workbook(table, {}), names),
    'table, workbook': shown(workbook(table, plain), names),
    'table, workbook twice': shown(workbook(workbook(table, plain), plain), names),
    'said, workbook': shown(workbook(said, plain), names),
    'said, workbook with formulas': shown(workbook(said, {}), names),
}, sys.stdout)
`;

const found = spawnSync(
  PYTHON,
  ['-c', 'import pandas, xlsxwriter, openpyxl; assert pandas.__version__.startswith("1.5.")'],
  { encoding: 'utf8' },
);
const skip = found.status !== 0;

let state = Number(process.env.DUALVLA_TEST_SEED ?? 5);
const below = (bound: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * bound);
};
const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;

const NUMBERS = [
  ...['7', '007', '-3', '+5', '0', '-0', '3.0', '3.10', '.5', '5.', '1e5', '1E-3', '1e400', '12345678901234567', '0.1'],
  ...[
    '0.30000000000000004',
    '1234567.8901234567',
    ' 12',
    '12 ',
    '9223372036854775807',
    '1234567890123456789',
    'inf',
    '-inf',
    'Infinity',
    '1e22',
  ],
];
const NOTHINGS = ['', 'nan', 'NaN', 'N/A', 'NA', 'NULL', 'null', '#N/A', '-nan', '<NA>', 'n/a', '1.#IND'];
const TRUTHS = ['True', 'False', 'true', 'FALSE', 'TRUE'];
const WORDS = [
  ...[
    'A',
    'cat',
    ' dog ',
    '=1+1',
    '={1}',
    '{=1}',
    '=',
    '1,000',
    '0x10',
    '1_000',
    '12 apples',
    'x005F_',
    '_x000D_',
    '_x0041_',
  ],
  ...[
    'a\nb',
    'a\r\nb',
    'tab\there',
    '\x07bell',
    'é😀',
    '१२',
    '"quoted"',
    "it's",
    "['a', 'b']",
    'None',
    'Nan',
    'nan ',
    '-',
    '1e',
    '#',
  ],
  ...[
    '2020-01-01',
    '50%',
    '$5',
    '1/2',
    'tRUE',
    'INF',
    '+',
    '++5',
    '1 2',
    '\u00a07',
    '\ufeff',
    '\u2028',
    ' ',
    '<b>&amp;</b>',
    "'7",
  ],
];

/** Columns are mostly of one kind, with a stray cell now and then. */
function column(): string[] {
  const kind = pick([NUMBERS, NUMBERS.slice(0, 6), TRUTHS, WORDS, [...NUMBERS, ...WORDS], NOTHINGS]);
  const strays = pick([[], [], NOTHINGS, NOTHINGS, TRUTHS, WORDS, NUMBERS]);
  return Array.from({ length: 6 }, () => (strays.length > 0 && below(4) === 0 ? pick(strays) : pick(kind)));
}

describe.skipIf(skip)(`columns as pandas has them${skip ? ` (skipped: no pandas 1.5 in ${PYTHON})` : ''}`, () => {
  const columns = Array.from({ length: 1500 }, column);
  const text = (made: ReturnType<typeof readColumn>): string[] => made.cells.map((_, row) => cellText(made, row));
  const said = (cells: readonly string[]): ReturnType<typeof readColumn> => ({ kind: 'text', cells });
  const OURS: Record<string, (cells: readonly string[]) => ReturnType<typeof readColumn>> = {
    table: (cells) => readColumn(cells),
    'table, workbook with formulas': (cells) => throughFile(readColumn(cells), 'xlsx', true),
    'table, workbook': (cells) => throughFile(readColumn(cells), 'xlsx', false),
    'table, workbook twice': (cells) => throughFile(throughFile(readColumn(cells), 'xlsx', false), 'xlsx', false),
    'said, workbook': (cells) => throughFile(said(cells), 'xlsx', false),
    'said, workbook with formulas': (cells) => throughFile(said(cells), 'xlsx', true),
  };
  const theirs = (() => {
    if (skip) return {};
    const { stdout, stderr, status } = spawnSync(PYTHON, ['-c', PROGRAM], {
      input: JSON.stringify(columns),
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw new Error(`Python failed: ${stderr}`);
    return JSON.parse(stdout) as Record<string, string[][]>;
  })();

  test.each(Object.keys(OURS))('%s', (way) => {
    const ours = OURS[way] as (typeof OURS)[string];
    const different = columns.flatMap((cells, i) => {
      const [own, wanted] = [text(ours(cells)), theirs[way]?.[i]];
      return JSON.stringify(own) === JSON.stringify(wanted) ? [] : [{ cells, own, wanted }];
    });
    expect(different.length === 0 ? [] : [different.length, ...different.slice(0, 4)]).toEqual([]);
  });
});
