/**
 * Reading parquet files with errors that name the file: columns of a row range, decoded to JavaScript values, or numbers to
 * typed arrays.
 *
 * Byte arrays stay bytes unless the column says it is text. Every figure of the file is checked before it is believed
 * (parquet-pages.ts). Knows nothing about episodes.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import {
  type AsyncBuffer,
  type ColumnMetaData,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
  type SchemaElement,
} from 'hyparquet';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';
import { isPlainNumber, joined, type NumberChunk, numbersOfChunk, type StoredNumbers } from './parquet-numbers.js';
import {
  boundedCompressors,
  type ColumnLevels,
  checkColumnChunk,
  checkFooter,
  chunkRange,
  columnLevels,
} from './parquet-pages.js';
import { RowGroupTable } from './parquet-row-groups.js';
import { columnNames } from './parquet-schema.js';

function readBytes(path: string, start: number, end: number): ArrayBuffer {
  const bytes = new Uint8Array(Math.max(end - start, 0));
  const fd = openSync(path, 'r');
  try {
    for (let got = 0; got < bytes.length; ) {
      const count = readSync(fd, bytes, got, bytes.length - got, start + got);
      if (count === 0) throw new Error(`unexpected end of file at byte ${start + got}`);
      got += count;
    }
  } finally {
    closeSync(fd);
  }
  return bytes.buffer;
}

/** Column chunks whose places are kept: 44 bytes each. Ten thousand episodes of fifty columns. */
const MAX_CHUNKS = 500_000;

/** Open files by path, those used last: opening one means to parse its footer, which describes every column of every episode. */
export class ParquetFiles {
  readonly #files = new Map<string, Promise<ParquetFile>>();
  readonly #maxChunks: number;
  #current: ParquetFile | undefined;

  constructor(maxChunks = MAX_CHUNKS) {
    this.#maxChunks = maxChunks;
  }

  /** Files that are kept. */
  get size(): number {
    return this.#files.size;
  }

  /** Throws what `ParquetFile.open` throws. */
  async open(path: string): Promise<ParquetFile> {
    const file = this.#files.get(path) ?? ParquetFile.open(path);
    // The one used last is the last in the map.
    this.#files.delete(path);
    this.#files.set(path, file);
    try {
      const opened = await file;
      if (this.#current !== opened) {
        this.#current?.release();
        this.#current = opened;
        await this.#forget();
      }
      return opened;
    } catch (error) {
      // A file that failed to open may be there the next time.
      this.#files.delete(path);
      throw error;
    }
  }

  async #forget(): Promise<void> {
    let chunks = 0;
    for (const [path, file] of [...this.#files].reverse()) {
      chunks += (await file).numChunks;
      if (chunks > this.#maxChunks && path !== [...this.#files.keys()].at(-1)) this.#files.delete(path);
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class ParquetFile {
  readonly path: string;
  readonly columns: readonly string[];
  readonly numRows: number;
  readonly #buffer: AsyncBuffer;
  readonly #levels = new Map<string, ColumnLevels>();
  /** The footer without row groups, and these. */
  readonly #footer: FileMetaData;
  readonly #table: RowGroupTable;
  /** Column -> the row group read last, found right, and its numbers. */
  readonly #last = new Map<string, { readonly group: number; readonly numbers: NumberChunk | undefined }>();

  private constructor(path: string, buffer: AsyncBuffer, metadata: FileMetaData) {
    this.path = path;
    this.#buffer = buffer;
    this.#footer = { ...metadata, row_groups: [] };
    this.#table = new RowGroupTable(metadata.row_groups);
    this.columns = columnNames(metadata.schema);
    this.numRows = Number(metadata.num_rows);
  }

  /** The footer, without statistics and indexes. Made anew each time: large. */
  get metadata(): FileMetaData {
    return { ...this.#footer, row_groups: this.#table.slice() };
  }

  get numRowGroups(): number {
    return this.#table.numGroups;
  }

  /** Column chunks of all row groups. */
  get numChunks(): number {
    return this.#table.numGroups * this.#table.numColumns;
  }

  /**
   * Opens a file. `metadata` replaces the footer, for a file still being written.
   * Throws MissingDatasetError if it is absent, CorruptDatasetError if it is no (complete) parquet file.
   */
  static async open(path: string, metadata?: FileMetaData): Promise<ParquetFile> {
    let size: number;
    try {
      ({ size } = statSync(path));
    } catch (cause) {
      throw new MissingDatasetError('The file is missing or unreadable', { file: path, cause });
    }
    // Opened for each read: nothing to close, and a data set of thousands of files needs no descriptors.
    const buffer: AsyncBuffer = { byteLength: size, slice: (start, end = size) => readBytes(path, start, end) };
    try {
      // Geometry is of no use here, and looking for it believes any number of children.
      const footer = metadata ?? (await parquetMetadataAsync(buffer, { geoparquet: false }));
      checkFooter(footer, size);
      return new ParquetFile(path, buffer, footer);
    } catch (cause) {
      throw new CorruptDatasetError(`Not a complete parquet file: ${messageOf(cause)}`, {
        file: path,
        hint: 'It was cut off by a crash or a partial download; fetch or generate it again',
        cause,
      });
    }
  }

  hasColumn(name: string): boolean {
    return this.columns.includes(name);
  }

  /** The schema element of a top-level column and everything below it. */
  schemaOf(name: string): SchemaElement[] {
    const { schema } = this.#footer;
    let i = 1;
    const skip = (): void => {
      const children = schema[i++]?.num_children ?? 0;
      for (let child = 0; child < children; child++) skip();
    };
    while (i < schema.length) {
      const start = i;
      skip();
      if (schema[start]?.name === name) return schema.slice(start, i);
    }
    return [];
  }

  /** Values of the named columns in rows [rowStart, rowEnd). Throws CorruptDatasetError when the bytes do not decode. */
  async read(columns: readonly string[], rowStart = 0, rowEnd = this.numRows): Promise<Map<string, unknown[]>> {
    const missing = columns.find((name) => !this.hasColumn(name));
    if (missing !== undefined)
      throw new CorruptDatasetError('The column is missing', { file: this.path, field: missing });
    const result = new Map<string, unknown[]>(columns.map((name) => [name, new Array<unknown>(rowEnd - rowStart)]));
    if (rowEnd <= rowStart || columns.length === 0) return result;
    const groups = this.#groups(rowStart, rowEnd);
    const first = this.#table.starts[groups.from] as number;
    const row_groups = this.#table.slice(groups.from, groups.to);
    try {
      this.#check(new Set(columns), groups);
      await parquetRead({
        file: this.#buffer,
        // The row groups that are wanted alone: the decoder looks at all that it is given.
        metadata: { ...this.#footer, row_groups, num_rows: BigInt((this.#table.starts[groups.to] as number) - first) },
        columns: [...columns],
        rowStart: rowStart - first,
        rowEnd: rowEnd - first,
        compressors: boundedCompressors,
        utf8: false,
        onChunk: ({ columnName, columnData, rowStart: start }) => {
          const target = result.get(columnName);
          if (!target) return;
          for (let i = 0; i < columnData.length; i++) {
            const row = first + start + i;
            if (row >= rowStart && row < rowEnd) target[row - rowStart] = columnData[i];
          }
        },
      });
    } catch (cause) {
      throw new CorruptDatasetError(`The data does not decode: ${messageOf(cause)}`, {
        file: this.path,
        field: columns.length === 1 ? columns[0] : undefined,
        cause,
      });
    }
    return result;
  }

  /** Ranges of rows [from, to) of whole row groups, of at most `maxRows` where the row groups are not larger. */
  rowBlocks(maxRows: number): [number, number][] {
    const blocks: [number, number][] = [];
    let at = 0;
    for (const to of this.#table.starts.subarray(1)) {
      const from = at;
      const last = blocks.at(-1);
      if (last && to - last[0] <= maxRows) last[1] = to;
      else if (to > from) blocks.push([from, to]);
      at = to;
    }
    return blocks;
  }

  /**
   * Numbers of a column in rows [rowStart, rowEnd), as one array [rows, size]; undefined where the column is not of the simple kind
   * (parquet-numbers.ts) and `read` has to be asked. Throws CorruptDatasetError as `read` does.
   */
  readNumbers(name: string, rowStart = 0, rowEnd = this.numRows): NumberChunk | undefined {
    if (!this.#isPlain(name) || rowEnd <= rowStart) return undefined;
    const { from, to } = this.#groups(rowStart, rowEnd);
    const parts: StoredNumbers[] = [];
    let size: number | undefined;
    for (let g = from; g < to; g++) {
      const numbers = this.#numbersOf(name, g);
      if (!numbers || (size !== undefined && numbers.size !== size)) return undefined;
      ({ size } = numbers);
      const start = this.#table.starts[g] as number;
      const [a, b] = [Math.max(rowStart - start, 0), Math.min(rowEnd, this.#table.starts[g + 1] as number) - start];
      parts.push(numbers.values.subarray(a * size, b * size));
      // Its last rows: whoever reads in order does not come back.
      if (start + b === this.#table.starts[g + 1]) this.#last.delete(name);
    }
    return size === undefined ? undefined : { values: joined(parts), size };
  }

  /** Whether a column is a number, or lists of numbers as Arrow writes them. */
  #isPlain(name: string): boolean {
    const elements = this.schemaOf(name);
    const leaf = elements.at(-1);
    return (
      leaf !== undefined &&
      elements.length % 2 === 1 &&
      leaf.repetition_type !== 'REPEATED' &&
      isPlainNumber(leaf) &&
      elements.slice(0, -1).every(({ converted_type, repetition_type, num_children }, i) => {
        const isList = i % 2 === 0 && converted_type === 'LIST' && repetition_type !== 'REPEATED';
        return num_children === 1 && (isList || (i % 2 === 1 && repetition_type === 'REPEATED'));
      })
    );
  }

  #numbersOf(name: string, group: number): NumberChunk | undefined {
    const known = this.#last.get(name);
    if (known?.group === group) return known.numbers;
    const column = this.#table
      .slice(group, group + 1)[0]
      ?.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)?.meta_data;
    if (!column) return undefined;
    const rows = (this.#table.starts[group + 1] as number) - (this.#table.starts[group] as number);
    try {
      const numbers = this.#checked(column, (bytes, levels) => numbersOfChunk(bytes, column, levels, rows));
      this.#last.set(name, { group, numbers });
      return numbers;
    } catch (cause) {
      throw new CorruptDatasetError(`The data does not decode: ${messageOf(cause)}`, {
        file: this.path,
        field: name,
        cause,
      });
    }
  }

  /** Gives up the numbers that are kept for the next rows of the same row group. */
  release(): void {
    this.#last.clear();
  }

  /** Row groups [from, to) that overlap rows [rowStart, rowEnd). */
  #groups(rowStart: number, rowEnd: number): { readonly from: number; readonly to: number } {
    const groupAt = (row: number): number => {
      let [low, high] = [0, this.#table.starts.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((this.#table.starts[middle + 1] as number) > row) high = middle;
        else low = middle + 1;
      }
      return low;
    };
    const last = this.#table.starts.length - 1;
    return { from: groupAt(rowStart), to: Math.min(groupAt(rowEnd - 1) + 1, last) };
  }

  /** Checks the pages of the named columns in row groups [from, to). Throws a plain Error. */
  #check(names: ReadonlySet<string>, { from, to }: { readonly from: number; readonly to: number }): void {
    for (const group of this.#table.slice(from, to))
      for (const { meta_data: column } of group.columns)
        if (column && names.has(column.path_in_schema[0] ?? ''))
          this.#checked(column, (bytes, levels) => checkColumnChunk(bytes, column, levels));
  }

  /** Runs a check over a column chunk's bytes. Throws a plain Error that names the column. */
  #checked<T>(column: ColumnMetaData, check: (bytes: Uint8Array, levels: ColumnLevels) => T): T {
    const key = column.path_in_schema.join('\0');
    let levels = this.#levels.get(key);
    if (!levels) {
      levels = columnLevels(parquetSchema(this.#footer), column.path_in_schema);
      this.#levels.set(key, levels);
    }
    const { start, end } = chunkRange(column);
    try {
      return check(new Uint8Array(readBytes(this.path, start, end)), levels);
    } catch (cause) {
      throw new Error(`column ${column.path_in_schema.join('.')}: ${messageOf(cause)}`, { cause });
    }
  }
}
