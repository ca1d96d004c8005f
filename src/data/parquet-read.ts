/**
 * Reading parquet files with errors that name the file: columns of a row range, decoded to JavaScript values.
 *
 * Byte arrays stay bytes unless the column says it is text. Knows nothing about episodes.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetRead, type SchemaElement } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';
import { columnNames } from './parquet-schema.js';

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class ParquetFile {
  readonly path: string;
  readonly metadata: FileMetaData;
  readonly columns: readonly string[];
  readonly numRows: number;
  readonly #handle: FileHandle;
  readonly #buffer: AsyncBuffer;

  private constructor(path: string, handle: FileHandle, buffer: AsyncBuffer, metadata: FileMetaData) {
    this.path = path;
    this.#handle = handle;
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
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (cause) {
      throw new MissingDatasetError('The file is missing or unreadable', { file: path, cause });
    }
    try {
      const { size } = await handle.stat();
      const buffer: AsyncBuffer = {
        byteLength: size,
        async slice(start, end = size) {
          const bytes = new Uint8Array(end - start);
          const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
          if (bytesRead !== bytes.length) throw new Error(`unexpected end of file at byte ${start + bytesRead}`);
          return bytes.buffer;
        },
      };
      return new ParquetFile(path, handle, buffer, metadata ?? (await parquetMetadataAsync(buffer)));
    } catch (cause) {
      await handle.close();
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
      await parquetRead({
        file: this.#buffer,
        metadata: this.metadata,
        columns: [...columns],
        rowStart,
        rowEnd,
        compressors,
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

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
