/**
 * Where the columns of a parquet file lie, in a few dozen bytes each. A footer as it is read has an object of a dozen fields for every column
 * of every row group: tens of megabytes for a thousand episodes, parsed anew whenever a file is opened again. Kept is what reading needs;
 * statistics and indexes go.
 *
 * Knows nothing of files or values.
 */
import type { ColumnChunk, ColumnMetaData, RowGroup } from 'hyparquet';

/** Figures of a column chunk, by position. */
const FIGURES = [
  'num_values',
  'total_uncompressed_size',
  'total_compressed_size',
  'data_page_offset',
  'dictionary_page_offset',
] as const;

/** What chunks of a column nearly always share. */
interface Kind extends Pick<ColumnMetaData, 'type' | 'encodings' | 'path_in_schema' | 'codec'> {
  readonly file_path: string | undefined;
}

export class RowGroupTable {
  readonly numGroups: number;
  readonly numColumns: number;
  /** First row of every row group, and the number of rows. */
  readonly starts: Float64Array;
  readonly #byteSizes: Float64Array;
  readonly #kinds: Kind[] = [];
  /** [group, column] -> kind. */
  readonly #kindOf: Uint32Array;
  /** [group, column, figure]; NaN where there is none. */
  readonly #figures: Float64Array;

  /** Of row groups that `checkFooter` has passed: as many columns each. */
  constructor(groups: readonly RowGroup[]) {
    this.numGroups = groups.length;
    this.numColumns = groups[0]?.columns.length ?? 0;
    this.starts = new Float64Array(this.numGroups + 1);
    this.#byteSizes = new Float64Array(this.numGroups);
    this.#kindOf = new Uint32Array(this.numGroups * this.numColumns);
    this.#figures = new Float64Array(this.#kindOf.length * FIGURES.length);
    const known = new Map<string, number>();
    for (const [g, { columns, num_rows, total_byte_size }] of groups.entries()) {
      this.starts[g + 1] = (this.starts[g] as number) + Number(num_rows);
      this.#byteSizes[g] = Number(total_byte_size ?? 0);
      for (const [c, { file_path, meta_data }] of columns.entries()) {
        const { type, encodings, path_in_schema, codec, ...figures } = meta_data as ColumnMetaData;
        const key = `${type} ${codec} ${encodings} ${file_path} ${path_in_schema.join('\0')}`;
        const kind = known.get(key) ?? this.#kinds.push({ type, encodings, path_in_schema, codec, file_path }) - 1;
        known.set(key, kind);
        const at = g * this.numColumns + c;
        this.#kindOf[at] = kind;
        for (const [f, name] of FIGURES.entries())
          this.#figures[at * FIGURES.length + f] = Number(figures[name] ?? Number.NaN);
      }
    }
  }

  /** Row groups [from, to) as a footer has them. */
  slice(from = 0, to = this.numGroups): RowGroup[] {
    return Array.from({ length: Math.max(to - from, 0) }, (_, i) => this.#group(from + i));
  }

  #group(g: number): RowGroup {
    return {
      columns: Array.from({ length: this.numColumns }, (_, c) => this.#chunk(g * this.numColumns + c)),
      total_byte_size: BigInt(this.#byteSizes[g] as number),
      num_rows: BigInt((this.starts[g + 1] as number) - (this.starts[g] as number)),
    };
  }

  #chunk(at: number): ColumnChunk {
    const { file_path, ...kind } = this.#kinds[this.#kindOf[at] as number] as Kind;
    const figures: Partial<Record<(typeof FIGURES)[number], bigint>> = {};
    for (const [f, name] of FIGURES.entries()) {
      const figure = this.#figures[at * FIGURES.length + f] as number;
      if (!Number.isNaN(figure)) figures[name] = BigInt(figure);
    }
    return {
      ...(file_path !== undefined && { file_path }),
      file_offset: 0n,
      meta_data: { ...kind, ...figures } as ColumnMetaData,
    };
  }
}
