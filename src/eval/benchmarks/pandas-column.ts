/**
 * What pandas makes of a column of text, as far as scores depend on it: cells that stand for "nothing", columns of nothing but numbers or
 * truth values that turn numeric ("007" becomes 7, and 7.0 beside an empty cell), and the way through the prediction file: VLMEvalKit writes
 * table and predictions to a spreadsheet (or TSV) and scores what it reads back.
 *
 * Follows pandas 1.5.3, which the shared official values were computed with; since 2.0 "None" stands for nothing as well.
 */
import { parseFloatAsPandas } from './pandas-float.js';
import { formatFloatAsPython, roundToSixteenDigits } from './python-float.js';
import { prefix } from './python-text.js';

/** How the prediction file is written: as VLMEvalKit does by default, or with PRED_FORMAT=tsv. */
export type PredictionFormat = 'xlsx' | 'tsv';

/** `bigint` in columns of whole numbers. */
export type Cell = string | number | bigint | boolean | null;

export interface Column {
  readonly kind: 'text' | 'int' | 'float' | 'bool';
  readonly cells: readonly Cell[];
}

const NOTHING: ReadonlySet<string> = new Set([
  '',
  '#N/A',
  '#N/A N/A',
  '#NA',
  '-1.#IND',
  '-1.#QNAN',
  '-NaN',
  '-nan',
  '1.#IND',
  '1.#QNAN',
  '<NA>',
  'N/A',
  'NA',
  'NULL',
  'NaN',
  'n/a',
  'nan',
  'null',
]);

const INTEGER = /^[\t-\r ]*([+-]?\d+)[\t-\r ]*$/;
const TRUTH = new Map([
  ['True', true],
  ['TRUE', true],
  ['true', true],
  ['False', false],
  ['FALSE', false],
  ['false', false],
]);

/** Whether a cell is read as "nothing" (NaN). */
export const isNothing = (text: string): boolean => NOTHING.has(text);

/** `str(cell)` in a column of this kind; "nan" for nothing. */
export function cellText(column: Column, row: number): string {
  const cell = column.cells[row] as Cell;
  if (cell === null) return 'nan';
  if (typeof cell === 'boolean') return cell ? 'True' : 'False';
  return typeof cell === 'number' ? formatFloatAsPython(cell) : String(cell);
}

/** `str(cell)`, or undefined where the cell is nothing. */
export function presentText(column: Column | undefined, row: number): string | undefined {
  return column === undefined || column.cells[row] === null ? undefined : cellText(column, row);
}

/** The column that pandas reads from these cells of a TSV. */
export function readColumn(texts: readonly string[]): Column {
  return inferNumbers(
    texts.map((text) => (isNothing(text) ? null : text)),
    'table',
  );
}

/** What comes back after a column has been written to a prediction file and read again. */
export function throughFile(column: Column, format: PredictionFormat, formulas: boolean): Column {
  if (format === 'tsv') return readColumn(column.cells.map((cell, i) => (cell === null ? '' : cellText(column, i))));
  return inferNumbers(
    column.cells.map((cell) => throughSpreadsheet(cell, formulas)),
    'spreadsheet',
  );
}

/** The rows of a column, in this order. */
export function takeRows({ kind, cells }: Column, rows: readonly number[]): Column {
  return { kind, cells: rows.map((row) => cells[row] as Cell) };
}

/** Longest text of a spreadsheet's cell. */
const LONGEST = 32_767;

/**
 * One cell through a spreadsheet: control characters come back as _xHHHH_, which the reader leaves as they are; numbers have sixteen digits,
 * and whole ones no ".0".
 * @param formulas the writer takes text that begins with "=" for a formula, whose value nobody computes
 */
function throughSpreadsheet(cell: Cell, formulas: boolean): Cell {
  if (cell === null || typeof cell === 'boolean') return cell;
  if (typeof cell === 'string') {
    if (cell === '') return null;
    if ((formulas && cell.startsWith('=')) || (cell.startsWith('{=') && cell.endsWith('}'))) return 0n;
    const cut = prefix(cell, LONGEST);
    const text = (needsEscapes(cut) ? cut.replace(CONTROL, escapeControl) : cut).replaceAll('x005F_', '');
    return isNothing(text) ? null : text;
  }
  const value = roundToSixteenDigits(Number(cell));
  if (Number.isNaN(value)) return null;
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Number.isInteger(value) ? BigInt(value) : value;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const CONTROL = /[\x00-\x08\x0b-\x1f\ufffe\uffff]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const needsEscapes = (text: string): boolean => /[\x00-\x08\x0b-\x1f\ufffe\uffff]/.test(text);
const escapeControl = (character: string): string =>
  `_x${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}_`;

const INT64_LOW = -(2n ** 63n);
const INT64_HIGH = 2n ** 63n;
const UINT64_HIGH = 2n ** 64n;

/** A column that is all numbers, or all truth values, is no longer text. */
function inferNumbers(cells: readonly Cell[], from: 'table' | 'spreadsheet'): Column {
  if (cells.every((cell) => cell === null)) return { kind: 'float', cells };
  const numbers = asNumbers(cells, from);
  if (numbers && isUnsignedConflict(cells)) return { kind: 'text', cells: cells.map((cell) => cell ?? '') };
  if (numbers) return numbers;
  // Truth values beside nothing, out of a spreadsheet: numbers.
  if (cells.every((cell) => typeof cell === 'boolean' || cell === null) && cells.includes(null)) {
    return { kind: 'float', cells: cells.map((cell) => (cell === null ? null : Number(cell))) };
  }
  const truths = cells.map((cell) => (typeof cell === 'string' ? truthOf(cell, from) : cell));
  if (truths.every((cell) => typeof cell === 'boolean' || cell === null)) {
    return { kind: truths.includes(null) ? 'text' : 'bool', cells: truths as Cell[] };
  }
  return { kind: 'text', cells };
}

/** Tables are read by a parser that takes truth values in any case, spreadsheets by one that does not. */
function truthOf(text: string, from: 'table' | 'spreadsheet'): boolean | undefined {
  return TRUTH.get(from === 'table' && text.length <= 5 ? text.toLowerCase() : text);
}

/** Whole numbers that only fit without a sign go with neither nothing nor negative ones: the cells are left as they were read. */
function isUnsignedConflict(cells: readonly Cell[]): boolean {
  const whole = cells.filter((cell) => typeof cell === 'bigint');
  const unsigned = whole.some((value) => value >= INT64_HIGH && value < UINT64_HIGH);
  return unsigned && (cells.includes(null) || whole.some((value) => value < 0n));
}

function asNumbers(cells: readonly Cell[], from: 'table' | 'spreadsheet'): Column | undefined {
  const values: (number | null)[] = [];
  const whole = cells.map(asInteger);
  for (const cell of cells) {
    const value = asNumber(cell);
    if (value === undefined) return undefined;
    values.push(value);
  }
  const integers = whole.filter((value) => value !== null);
  if (integers.length === cells.length && integers.every(isRepresentable)) return { kind: 'int', cells: whole };
  // Of a table, whole numbers beside nothing are read as such first, which tells in "-0".
  const first = from === 'table' && cells.every((cell, i) => cell === null || (whole[i] ?? INT64_HIGH) < INT64_HIGH);
  return { kind: 'float', cells: first ? whole.map((value) => (value === null ? null : Number(value))) : values };
}

const isRepresentable = (value: bigint): boolean => value >= INT64_LOW && value < UINT64_HIGH;

/** null for what is no whole number. */
function asInteger(cell: Cell): bigint | null {
  if (typeof cell === 'bigint') return cell;
  const digits = typeof cell === 'string' ? INTEGER.exec(cell)?.[1] : undefined;
  return digits === undefined ? null : BigInt(digits.replace(/^\+/, ''));
}

/** undefined for what is no number. Whole numbers and others that overflow are none either. */
function asNumber(cell: Cell): number | null | undefined {
  if (cell === null || typeof cell === 'number') return cell;
  if (typeof cell === 'bigint') return Number(cell);
  if (typeof cell === 'boolean') return undefined;
  const first = cell.charCodeAt(0);
  // Most cells are words: leave them before the patterns.
  if (first > 0x39 && !/^inf/i.test(cell)) return undefined;
  const integer = asInteger(cell);
  if (integer !== null && !isRepresentable(integer)) return undefined;
  return parseFloatAsPandas(cell);
}
