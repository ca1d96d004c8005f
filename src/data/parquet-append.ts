/**
 * A parquet file that grows by whole row groups and survives a crash: every row group is on disk before its description is handed
 * back, and a file can be reopened at the last described row group. The footer is written once, by `close`.
 *
 * Knows nothing about episodes; the writer keeps the row groups' descriptions in its journal.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { KeyValue, RowGroup, SchemaElement } from 'hyparquet';
import { ByteWriter, type ColumnSource, ParquetWriter } from 'hyparquet-writer';

const CREATED_BY = 'dualvla';
/** Bytes of the leading magic "PAR1". */
const HEADER_BYTES = 4;

export interface AppendState {
  /** Size of the file up to and including the last row group. */
  readonly bytes: number;
  readonly rowGroups: readonly RowGroup[];
}

export class ParquetAppender {
  readonly path: string;
  readonly #fd: number;
  readonly #buffer: ByteWriter;
  readonly #writer: ParquetWriter;
  #bytes: number;

  /** Opens `path` for appending after `state`; anything behind it (a torn row group, a footer) is cut off. */
  constructor(
    path: string,
    schema: SchemaElement[],
    state: AppendState = { bytes: 0, rowGroups: [] },
    kv?: KeyValue[],
  ) {
    this.path = path;
    this.#fd = openSync(path, state.bytes > 0 ? 'r+' : 'w+');
    this.#buffer = new ByteWriter(1 << 16);
    this.#writer = new ParquetWriter({
      writer: this.#buffer,
      schema,
      statistics: false,
      createdBy: CREATED_BY,
      ...(kv ? { kvMetadata: kv } : {}),
    });
    this.#bytes = state.bytes;
    if (state.bytes > 0) {
      // The constructor above wrote the magic into the buffer: the file has it already.
      this.#buffer.index = 0;
      this.#buffer.offset = state.bytes;
      for (const group of state.rowGroups) {
        this.#writer.row_groups.push(group);
        this.#writer.num_rows += group.num_rows;
      }
    }
    ftruncateSync(this.#fd, state.bytes);
  }

  /** Size on disk, without a footer. */
  get bytes(): number {
    return this.#bytes;
  }

  get numRowGroups(): number {
    return this.#writer.row_groups.length;
  }

  /** Writes the columns as one row group and waits until the disk has it. */
  append(columns: ColumnSource[]): { readonly bytes: number; readonly rowGroup: RowGroup } {
    const numRows = columns[0]?.data.length ?? 0;
    this.#writer.write({
      columnData: columns.map((column) => ({ ...column, offsetIndex: false })),
      rowGroupSize: numRows,
    });
    this.#flush();
    fsyncSync(this.#fd);
    const rowGroup = this.#writer.row_groups.at(-1);
    if (!rowGroup) throw new RangeError('A row group needs at least one row');
    return { bytes: this.#bytes, rowGroup };
  }

  /** Writes the footer; the file is a complete parquet file afterwards. */
  close(): void {
    this.#writer.finish();
    const end = this.#bytes;
    this.#flush();
    this.#bytes = end;
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  /** Lets go of the file without a footer. */
  abandon(): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    const bytes = new Uint8Array(this.#buffer.buffer, 0, this.#buffer.index);
    for (let written = 0; written < bytes.length; )
      written += writeSync(this.#fd, bytes, written, bytes.length - written, this.#bytes + written);
    this.#bytes += bytes.length;
    this.#buffer.index = 0;
  }
}

export { HEADER_BYTES };

/** JSON that keeps BigInt and bytes, for row-group descriptions in a journal. */
export function encodeRowGroup(group: RowGroup): unknown {
  return JSON.parse(
    JSON.stringify(group, (_, value: unknown) => (typeof value === 'bigint' ? { $int: String(value) } : value)),
  );
}

export function decodeRowGroup(json: unknown): RowGroup {
  return JSON.parse(JSON.stringify(json), (_, value: unknown) =>
    typeof value === 'object' && value !== null && '$int' in value ? BigInt(String(value.$int)) : value,
  ) as RowGroup;
}
