/**
 * Reading parquet files with errors that name the file: columns of a row range, decoded to JavaScript values.
 *
 * Byte arrays stay bytes unless the column says it is text. Every figure of the file is checked before it is believed
 * (parquet-pages.ts). Knows nothing about episodes.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
  type SchemaElement,
} from 'hyparquet';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';
import {
  boundedCompressors,
  type ColumnLevels,
  checkColumnChunk,
  checkFooter,
  chunkRange,
  columnLevels,
} from './parquet-pages.js';
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

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class ParquetFile {
  readonly path: string;
  readonly metadata: FileMetaData;
  readonly columns: readonly string[];
  readonly numRows: number;
  readonly #buffer: AsyncBuffer;
  readonly #levels = new Map<string, ColumnLevels>();

  private constructor(path: string, buffer: AsyncBuffer, metadata: FileMetaData) {
    this.path = path;
    this.#buffer = buffer;
    this.metadata = metadata;
    this.columns = columnNames(metadata.schema);
    this.numRows = Number(metadata.num_rows);
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
    const { schema } = this.metadata;
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
    try {
      this.#check(new Set(columns), rowStart, rowEnd);
      await parquetRead({
        file: this.#buffer,
        metadata: this.metadata,
        columns: [...columns],
        rowStart,
        rowEnd,
        compressors: boundedCompressors,
        utf8: false,
        onChunk: ({ columnName, columnData, rowStart: start }) => {
          const target = result.get(columnName);
          if (!target) return;
          for (let i = 0; i < columnData.length; i++) {
            const row = start + i;
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
    for (const group of this.metadata.row_groups) {
      const [from, to] = [at, at + Number(group.num_rows)];
      const last = blocks.at(-1);
      if (last && to - last[0] <= maxRows) last[1] = to;
      else if (to > from) blocks.push([from, to]);
      at = to;
    }
    return blocks;
  }

  /** Checks the pages of the named columns in the row groups that overlap [rowStart, rowEnd). Throws a plain Error. */
  #check(names: ReadonlySet<string>, rowStart: number, rowEnd: number): void {
    let from = 0;
    for (const group of this.metadata.row_groups) {
      const to = from + Number(group.num_rows);
      const wanted = from < rowEnd && to > rowStart;
      from = to;
      if (!wanted) continue;
      for (const { meta_data: column } of group.columns) {
        if (!column || !names.has(column.path_in_schema[0] ?? '')) continue;
        const key = column.path_in_schema.join('\0');
        let levels = this.#levels.get(key);
        if (!levels) {
          levels = columnLevels(parquetSchema(this.metadata), column.path_in_schema);
          this.#levels.set(key, levels);
        }
        const { start, end } = chunkRange(column);
        try {
          checkColumnChunk(new Uint8Array(readBytes(this.path, start, end)), column, levels);
        } catch (cause) {
          throw new Error(`column ${column.path_in_schema.join('.')}: ${messageOf(cause)}`, { cause });
        }
      }
    }
  }
}
