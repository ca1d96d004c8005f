/**
 * A benchmark's table as VLMEvalKit loads it: rows without a picture are dropped, a short picture cell refers to another row, a list holds
 * several pictures. Pictures stay in the file until they are wanted; scoring wants none.
 *
 * Knows nothing of a benchmark's rules.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BenchmarkError } from './errors.js';
import { type Column, cellText, isNothing, presentText, readColumn, takeRows } from './pandas-column.js';
import { parseStringList } from './python-literal.js';
import { type CellPlace, readPlace, readTsv, type TsvTable } from './tsv.js';

/** A number where all indices of the table are whole, else text ("v1_0"). */
export type RowIndex = number | string;

/** Picture cells up to this length are the index of the row that has the picture. */
const REFERENCE = 64;

export class QuestionSet {
  readonly path: string;
  readonly indices: readonly RowIndex[];
  /** By name as in the file, without the pictures. */
  readonly columns: ReadonlyMap<string, Column>;
  readonly #table: TsvTable;
  /** Rows of the table that are kept. */
  readonly #rows: readonly number[];
  readonly #rowOf: ReadonlyMap<string, number>;
  /** Indices of the whole table, rows without a picture too. */
  readonly #all: ReadonlySet<string>;

  private constructor(table: TsvTable) {
    this.#table = table;
    this.path = table.path;
    const indexTexts = table.columns.get('index');
    if (!indexTexts) throw new BenchmarkError(`${table.path} has no column "index"; it is no VLMEvalKit table`);
    const index = readColumn(indexTexts);
    const pictures = table.columns.get('image');
    const places = table.places.get('image');
    const hasPicture = (row: number): boolean =>
      pictures === undefined || (places?.[row]?.bytes ?? 0) > REFERENCE || !isNothing(pictures[row] as string);
    this.#rows = indexTexts.map((_, row) => row).filter(hasPicture);
    this.#all = new Set(indexTexts.map((_, row) => cellText(index, row)));
    const texts = this.#rows.map((row) => cellText(index, row));
    const whole = texts.every((text) => /^[+-]?\d+$/.test(text));
    this.indices = whole ? texts.map(Number) : texts;
    this.#rowOf = new Map(texts.map((text, row) => [text, row]));
    if (this.#rowOf.size !== texts.length) {
      const twice = texts.find((text, i) => texts.indexOf(text) !== i);
      throw new BenchmarkError(`${table.path} has the index ${twice} twice`);
    }
    const kept = (texts: readonly string[]): Column => takeRows(readColumn(texts), this.#rows);
    this.columns = new Map([...table.columns].filter(([name]) => name !== 'image').map(([name, t]) => [name, kept(t)]));
  }

  /** Throws MissingDatasetError or CorruptDatasetError of the table, BenchmarkError for what makes it no question set. */
  static open(path: string): QuestionSet {
    return new QuestionSet(readTsv(path, { leave: ['image'], keepBytes: REFERENCE }));
  }

  get numRows(): number {
    return this.#rows.length;
  }

  /** The row with this index; undefined if there is none (or it has no picture). */
  rowOf(index: RowIndex): number | undefined {
    return this.#rowOf.get(String(index));
  }

  /** Whether the table has this index, be it in a row without a picture. */
  knows(index: string): boolean {
    return this.#all.has(index);
  }

  /** `str(cell)`; undefined where the cell is empty or there is no such column. */
  text(name: string, row: number): string | undefined {
    return presentText(this.columns.get(name), row);
  }

  /** The picture files' bytes of a row, in order. Throws BenchmarkError where they are missing. */
  pictures(row: number): Uint8Array[] {
    const cell = this.#pictureCell(row);
    if (cell === undefined) return this.#pictureFiles(row);
    const list = parseStringList(cell);
    return (list ?? [cell]).map((base64, i) => {
      const bytes = Buffer.from(base64.replace(/^data:image\/[\w+.-]+;base64,/, ''), 'base64');
      if (bytes.length === 0) throw new BenchmarkError(`${this.path}: picture ${i} of ${this.indices[row]} is empty`);
      return bytes;
    });
  }

  #pictureCell(row: number): string | undefined {
    const places = this.#table.places.get('image');
    if (!places) return undefined;
    const place = places[this.#rows[row] as number] as CellPlace;
    const text = readPlace(this.path, place);
    if (text.length > REFERENCE) return text;
    const other = this.#rowOf.get(text);
    const there = other === undefined ? undefined : (places[this.#rows[other] as number] as CellPlace);
    if (there === undefined || there.bytes <= REFERENCE) {
      throw new BenchmarkError(`${this.path}: the picture of ${this.indices[row]} refers to ${text}, which has none`);
    }
    return readPlace(this.path, there);
  }

  /** Tables without pictures name files, relative to the table. */
  #pictureFiles(row: number): Uint8Array[] {
    const named = this.text('image_path', row);
    if (named === undefined) throw new BenchmarkError(`${this.path}: ${this.indices[row]} has no picture`);
    return (parseStringList(named) ?? [named]).map((name) => {
      const path = join(dirname(this.path), name);
      if (!existsSync(path)) throw new BenchmarkError(`${this.path}: there is no picture ${path}`);
      return readFileSync(path);
    });
  }
}
