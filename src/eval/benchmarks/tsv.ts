/**
 * VLMEvalKit's tables, read as pandas reads them (quotes only at the beginning of a cell, "" in them is one, \n, \r or \r\n ends a line, empty
 * lines do not count, missing cells at the end are empty) and as a stream: these files reach gigabytes because of their pictures, so a picture
 * stays in the file and is read by its place when it is wanted. `src/data/multimodal-tsv.ts` reads the embedded families' small files whole.
 *
 * Knows nothing of what the columns mean.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { CorruptDatasetError, MissingDatasetError } from '../../data/errors.js';

/** A cell that was left in the file. */
export interface CellPlace {
  /** First byte of its content, and how many, without the quotes around it. */
  readonly offset: number;
  readonly bytes: number;
  readonly quoted: boolean;
}

export interface TsvTable {
  readonly path: string;
  readonly header: readonly string[];
  /** By column name, a text a row; long cells of columns left in the file are "". */
  readonly columns: ReadonlyMap<string, readonly string[]>;
  /** By column name, for the columns left in the file, the place of every cell. */
  readonly places: ReadonlyMap<string, readonly CellPlace[]>;
  readonly numRows: number;
}

export interface ReadTsvOptions {
  /** Columns whose cells are not read when they are longer than `keepBytes`. */
  readonly leave?: readonly string[];
  readonly keepBytes?: number;
  /** Bytes read at once. */
  readonly chunkBytes?: number;
}

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const QUOTE = 34;

/** Throws MissingDatasetError without the file, CorruptDatasetError with the line for what is out of shape. */
export function readTsv(path: string, options: ReadTsvOptions = {}): TsvTable {
  if (!existsSync(path)) throw new MissingDatasetError('There is no such table', { file: path });
  const { leave = [], keepBytes = 64, chunkBytes = 1 << 22 } = options;
  const fd = openSync(path, 'r');
  try {
    const cells = new CellReader(fd, chunkBytes);
    const header = readHeader(cells, path);
    const columns = header.map((): string[] => []);
    const places = header.map((name): CellPlace[] | undefined => (leave.includes(name) ? [] : undefined));
    const wrong = (what: string, line: number): CorruptDatasetError =>
      new CorruptDatasetError(what, { file: path, field: `row ${line}` });
    let row = 0;
    for (let count = 0; cells.next(); ) {
      if (count >= header.length) throw wrong(`More than the ${header.length} cells of the header`, row + 1);
      const column = columns[count] as string[];
      const left = places[count];
      if (left) {
        left.push({ offset: cells.offset, bytes: cells.bytes, quoted: cells.quoted });
        column.push(cells.bytes > keepBytes ? '' : cells.text());
      } else column.push(cells.text());
      count++;
      if (!cells.endsLine) continue;
      for (; count < header.length; count++) {
        (columns[count] as string[]).push('');
        places[count]?.push({ offset: 0, bytes: 0, quoted: false });
      }
      count = 0;
      row++;
    }
    if (cells.openQuote) throw wrong('A quoted cell does not end', row + 1);
    return {
      path,
      header,
      columns: new Map(header.map((name, i) => [name, columns[i] as string[]])),
      places: new Map(header.flatMap((name, i) => (places[i] ? [[name, places[i]] as const] : []))),
      numRows: row,
    };
  } finally {
    closeSync(fd);
  }
}

/** The text of a cell that was left in the file. */
export function readPlace(path: string, { offset, bytes, quoted }: CellPlace): string {
  const buffer = Buffer.allocUnsafe(bytes);
  const fd = openSync(path, 'r');
  try {
    for (let read = 0; read < bytes; ) {
      const count = readSync(fd, buffer, read, bytes - read, offset + read);
      if (count === 0)
        throw new CorruptDatasetError('The table has been shortened since it was opened', { file: path });
      read += count;
    }
  } finally {
    closeSync(fd);
  }
  const text = buffer.toString('utf8');
  return quoted ? text.replaceAll('""', '"') : text;
}

function readHeader(cells: CellReader, path: string): string[] {
  const header: string[] = [];
  while (cells.next()) {
    header.push(header.length === 0 ? cells.text().replace(/^\ufeff/, '') : cells.text());
    if (cells.endsLine) break;
  }
  if (header.length === 0) throw new CorruptDatasetError('The table is empty', { file: path });
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice !== undefined) throw new CorruptDatasetError(`Two columns are named "${twice}"`, { file: path });
  return header;
}

/** Cell after cell of a file, through a window that grows to the longest cell. */
class CellReader {
  /** Of the present cell: where its content begins in the file, its length there, whether it was quoted, whether it ends its line. */
  offset = 0;
  bytes = 0;
  quoted = false;
  endsLine = false;
  openQuote = false;

  #window: Buffer = Buffer.alloc(0);
  /** File offset of the window's first byte. */
  #base = 0;
  /** Next byte to look at, in the window. */
  #at = 0;
  #ended = false;
  #lineStart = true;
  /** A line that ended with a tab has one more, empty cell. */
  #owed = false;
  /** What follows the closing quote of a cell up to its end belongs to it, as pandas has it. */
  #tail = '';
  #contentStart = 0;

  constructor(
    readonly fd: number,
    readonly chunkBytes: number,
  ) {}

  text(): string {
    const raw = this.#window.toString('utf8', this.#contentStart, this.#contentStart + this.bytes);
    return (this.quoted && raw.includes('"') ? raw.replaceAll('""', '"') : raw) + this.#tail;
  }

  next(): boolean {
    if (this.#lineStart) this.#skipEmptyLines();
    if (this.#byte(this.#at) === undefined) {
      if (!this.#owed) return false;
      this.#owed = false;
      this.#contentStart = this.#at;
      this.bytes = 0;
      this.quoted = false;
      this.#tail = '';
      this.endsLine = true;
      return true;
    }
    this.#dropRead();
    this.#tail = '';
    this.quoted = this.#byte(this.#at) === QUOTE;
    if (this.quoted) this.#readQuoted();
    else {
      const start = this.#at;
      this.#skipToEnd();
      this.#contentStart = start;
      this.bytes = this.#at - start;
    }
    this.offset = this.#base + this.#contentStart;
    this.#endCell();
    return true;
  }

  #readQuoted(): void {
    this.#at++;
    const start = this.#at;
    for (;;) {
      const quote = this.#window.indexOf(QUOTE, this.#at);
      if (quote < 0) {
        this.#at = this.#window.length;
        if (this.#grow()) continue;
        this.openQuote = true;
        break;
      }
      this.#at = quote + 1;
      if (this.#byte(this.#at) !== QUOTE) break;
      this.#at++;
    }
    this.#contentStart = start;
    this.bytes = this.#at - start - (this.openQuote ? 0 : 1);
    const after = this.#at;
    this.#skipToEnd();
    if (this.#at > after) this.#tail = this.#window.toString('utf8', after, this.#at);
  }

  /** To the next tab, line end or the end of the file. */
  #skipToEnd(): void {
    for (;;) {
      const window = this.#window;
      let at = this.#at;
      for (; at < window.length; at++) {
        const byte = window[at] as number;
        if (byte <= CARRIAGE_RETURN && (byte === TAB || byte === LINE_FEED || byte === CARRIAGE_RETURN)) break;
      }
      this.#at = at;
      if (at < window.length || !this.#grow()) return;
    }
  }

  #endCell(): void {
    const end = this.#byte(this.#at);
    this.endsLine = end !== TAB;
    this.#owed = end === TAB;
    this.#lineStart = this.endsLine;
    if (end === undefined) return;
    // The window keeps the cell's bytes: looking further only appends to it.
    this.#at++;
    if (end === CARRIAGE_RETURN && this.#byte(this.#at) === LINE_FEED) this.#at++;
  }

  #skipEmptyLines(): void {
    for (let byte = this.#byte(this.#at); byte === LINE_FEED || byte === CARRIAGE_RETURN; byte = this.#byte(this.#at)) {
      this.#at++;
    }
  }

  #byte(at: number): number | undefined {
    if (at >= this.#window.length && !this.#grow()) return undefined;
    return this.#window[at];
  }

  /** Appends a chunk to the window. */
  #grow(): boolean {
    if (this.#ended) return false;
    const size = Math.max(this.chunkBytes, this.#window.length);
    const grown = Buffer.allocUnsafe(this.#window.length + size);
    this.#window.copy(grown);
    const count = readSync(this.fd, grown, this.#window.length, size, this.#base + this.#window.length);
    if (count === 0) this.#ended = true;
    else this.#window = grown.subarray(0, this.#window.length + count);
    return count > 0;
  }

  #dropRead(): void {
    if (this.#at < this.chunkBytes) return;
    this.#base += this.#at;
    this.#window = this.#window.subarray(this.#at);
    this.#at = 0;
  }
}
