/**
 * Checks of a parquet file's own figures before anything is decoded: footer against file, page headers against footer, run lengths against
 * page headers. Behind them every loop of the decoder is bounded by what the file says in two places that agree, so that a damaged byte ends
 * in an error and not in a loop or an allocation without end.
 *
 * Format: github.com/apache/parquet-format (README, Encodings, thrift). Every function throws a plain Error that says what does not fit; the
 * caller adds the file. Knows nothing of rows wanted or of episodes.
 */
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import {
  type ColumnMetaData,
  type Compressors,
  type FileMetaData,
  parquetSchema,
  type SchemaElement,
  type SchemaTree,
} from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js';
import { compressors as portable } from 'hyparquet-compressors';

/** zlib's own gzip and brotli know a limit of the output; the portable ones do not. */
export const boundedCompressors: Compressors = {
  ...portable,
  GZIP: (input, size) => gunzipSync(input, { maxOutputLength: Math.max(size, 1) }),
  BROTLI: (input, size) => brotliDecompressSync(input, { maxOutputLength: Math.max(size, 1) }),
};

type Reader = Parameters<typeof readRleBitPackedHybrid>[0];

/** A column chunk's place in the schema: largest definition and repetition level. */
export interface ColumnLevels {
  readonly definition: number;
  readonly repetition: number;
}

function requireCount(value: unknown, what: string, max: number): number {
  const count = typeof value === 'bigint' ? Number(value) : value;
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0)
    throw new Error(`${what} is ${String(value)}`);
  if (count > max) throw new Error(`${what} is ${count}, at most ${max} fit`);
  return count;
}

/** Paths of the leaves in order. Throws if the numbers of children do not fit the list of elements. */
function leafPaths(schema: readonly SchemaElement[]): string[][] {
  const paths: string[][] = [];
  let next = 0;
  const visit = (parents: readonly string[]): void => {
    const element = schema[next++];
    if (!element) throw new Error('the schema ends before its last column');
    const path = next === 1 ? [] : [...parents, element.name];
    const children = requireCount(element.num_children ?? 0, `number of children of ${element.name}`, schema.length);
    if (children === 0) paths.push(path);
    for (let child = 0; child < children; child++) visit(path);
  };
  visit([]);
  if (next !== schema.length) throw new Error(`the schema has ${schema.length} elements, ${next} belong to columns`);
  return paths;
}

/** First byte of a column chunk and the byte behind it. */
export function chunkRange(column: ColumnMetaData): { readonly start: number; readonly end: number } {
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  return { start, end: start + Number(column.total_compressed_size) };
}

/** Levels of a column by its path. */
export function columnLevels(schema: SchemaTree, path: string[]): ColumnLevels {
  const nodes = getTreePath(schema, path);
  return { definition: getMaxDefinitionLevel(nodes), repetition: getMaxRepetitionLevel(nodes) };
}

/** Checks the footer: schema, numbers of rows and values, places of the column chunks in a file of `byteLength` bytes. */
export function checkFooter(metadata: FileMetaData, byteLength: number): void {
  const leaves = leafPaths(metadata.schema).filter((path) => path.length > 0);
  const tree = parquetSchema(metadata);
  const levels = leaves.map((path) => columnLevels(tree, path));
  const types = leaves.map((path) => getTreePath(tree, path).at(-1)?.element.type);
  const numRows = requireCount(metadata.num_rows, 'number of rows', Number.MAX_SAFE_INTEGER);
  let rows = 0;
  for (const [g, group] of metadata.row_groups.entries()) {
    const where = `row group ${g}`;
    const groupRows = requireCount(group.num_rows, `${where}: number of rows`, numRows - rows);
    rows += groupRows;
    if (group.columns.length !== leaves.length)
      throw new Error(`${where} has ${group.columns.length} columns, the schema ${leaves.length}`);
    for (const [c, { meta_data: column }] of group.columns.entries()) {
      const path = leaves[c] as string[];
      if (!column || column.path_in_schema.join('\0') !== path.join('\0'))
        throw new Error(`${where}: column ${c} is not ${path.join('.')}`);
      const what = `${where}, column ${path.join('.')}`;
      if (column.type !== types[c]) throw new Error(`${what} is ${column.type}, in the schema ${types[c]}`);
      const numValues = requireCount(column.num_values, `${what}: number of values`, Number.MAX_SAFE_INTEGER);
      if (levels[c]?.repetition === 0 ? numValues !== groupRows : numValues < groupRows)
        throw new Error(`${what} has ${numValues} values for ${groupRows} rows`);
      requireCount(column.total_compressed_size, `${what}: size`, byteLength);
      requireCount(column.total_uncompressed_size, `${what}: decompressed size`, Number.MAX_SAFE_INTEGER);
      const { start, end } = chunkRange(column);
      requireCount(start, `${what}: offset`, byteLength);
      requireCount(end, `${what}: end`, byteLength);
    }
  }
  if (rows !== numRows) throw new Error(`the file has ${numRows} rows, its row groups ${rows}`);
}

/**
 * Walks a run-length / bit-packed stream of `count` values without decoding it and throws if a run is longer than the values left or ends
 * behind `end`.
 */
function checkRuns(reader: Reader, width: number, count: number, end: number): void {
  const { view } = reader;
  const valueBytes = (width + 7) >> 3;
  let at = reader.offset;
  for (let seen = 0; seen < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end || shift > 28) throw new Error('a run has no header');
      const byte = view.getUint8(at++);
      header += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const length = Math.floor(header / 2);
    if (length === 0) throw new Error('a run is empty');
    if (header % 2 === 1) {
      // Groups of eight; the last one may be cut off behind the values that count. Without bits there are no bytes to end the run.
      const needed = Math.ceil((Math.min(length * 8, count - seen) * width) / 8);
      if (at + needed > end || (width === 0 && length * 8 > count - seen + 7))
        throw new Error(`a bit-packed run of ${length * 8} values is too long`);
      at += length * width;
      seen += length * 8;
    } else {
      if (length > count - seen || at + valueBytes > end) throw new Error(`a run of ${length} values is too long`);
      at += valueBytes;
      seen += length;
    }
  }
}

/** Checks the header of a delta-packed stream of integers. */
function checkDelta(reader: Reader, count: number): void {
  let at = reader.offset;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 28) throw new Error('a number of the delta header is too long');
      const byte = reader.view.getUint8(at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const block = varint();
  const miniblocks = varint();
  const total = varint();
  if (block === 0 || miniblocks === 0 || block % 128 !== 0 || block % (miniblocks * 32) !== 0 || block > 2 ** 20)
    throw new Error(`delta blocks of ${block} values in ${miniblocks} parts`);
  if (total !== count) throw new Error(`a delta stream of ${total} values where ${count} belong`);
}

function deltaLengths(reader: Reader, count: number): Int32Array {
  checkDelta(reader, count);
  const lengths = new Int32Array(count);
  if (count > 0) deltaBinaryUnpack(reader, count, lengths);
  return lengths;
}

/** Checks that the `count` encoded values at the reader cannot make the decoder do more than the page's bytes are worth. */
function checkValues(reader: Reader, encoding: string | undefined, type: string, count: number, version: 1 | 2): void {
  const bytes = reader.view.byteLength - reader.offset;
  if (encoding === 'PLAIN' || encoding === 'BYTE_STREAM_SPLIT') {
    if (count > bytes * 8) throw new Error(`${count} values in ${bytes} bytes`);
  } else if (encoding === 'RLE' && type === 'BOOLEAN') {
    if (count === 0) return;
    const end = reader.offset + 4 + reader.view.getUint32(reader.offset, true);
    checkRuns({ view: reader.view, offset: reader.offset + 4 }, 1, count, Math.min(end, reader.view.byteLength));
  } else if ((encoding === 'PLAIN_DICTIONARY' || encoding === 'RLE_DICTIONARY') && type !== 'BOOLEAN') {
    if (count === 0) return;
    const width = reader.view.getUint8(reader.offset);
    if (width > 32) throw new Error(`dictionary indices of ${width} bits`);
    // A page of version 1 with indices of no bits is all zeros whatever follows.
    if (width > 0 || version === 2)
      checkRuns({ view: reader.view, offset: reader.offset + 1 }, width, count, reader.view.byteLength);
  } else if (encoding === 'DELTA_BINARY_PACKED' || encoding === 'DELTA_LENGTH_BYTE_ARRAY') {
    checkDelta(reader, count);
  } else if (encoding === 'DELTA_BYTE_ARRAY') {
    const copy = { view: reader.view, offset: reader.offset };
    const prefixes = deltaLengths(copy, count);
    const suffixes = deltaLengths(copy, count);
    let previous = 0;
    for (let i = 0; i < count; i++) {
      const prefix = requireCount(prefixes[i], 'length of a prefix', previous);
      previous = prefix + requireCount(suffixes[i], 'length of a suffix', bytes);
    }
  } else throw new Error(`${type} values in the encoding ${encoding}`);
}

/** Repetition or definition levels, one a value. */
type Levels = Uint8Array | Uint32Array;

/** Checks one level stream and decodes it. Leaves the reader behind the stream. */
function checkLevels(reader: Reader, max: number, count: number, length: number): Levels {
  const end = reader.offset + length;
  if (end > reader.view.byteLength) throw new Error('the levels end behind their page');
  const width = 32 - Math.clz32(max);
  checkRuns(reader, width, count, end);
  const levels = width <= 8 ? new Uint8Array(count) : new Uint32Array(count);
  readRleBitPackedHybrid(reader, width, levels, length);
  return levels;
}

function countOf(levels: Levels, wanted: number): number {
  let count = 0;
  for (let i = 0; i < levels.length; i++) if (levels[i] === wanted) count++;
  return count;
}

const readerOf = (bytes: Uint8Array): Reader => ({
  view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  offset: 0,
});

/** A page whose figures were found right, decompressed. */
export interface CheckedPage {
  readonly isDictionary: boolean;
  readonly encoding: string | undefined;
  /** Values that are stored, nulls and empty lists left out. */
  readonly stored: number;
  /** From the first value on. */
  readonly bytes: Uint8Array;
  /** Of all values, those that are not stored included; null where the column has none. */
  readonly repetition: Levels | null;
  /** Values that are not stored. */
  readonly missing: number;
}

const bytesFrom = ({ view, offset }: Reader): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + offset, view.byteLength - offset);

/** Checks all pages of a column chunk, whose bytes are `chunk`, and shows each to `visit`. */
export function checkColumnChunk(
  chunk: Uint8Array,
  column: ColumnMetaData,
  levels: ColumnLevels,
  visit?: (page: CheckedPage) => void,
): void {
  const reader = readerOf(chunk);
  const maxValues = Number(column.num_values);
  const maxBytes = Number(column.total_uncompressed_size);
  let values = 0;
  let decompressed = 0;
  // The decoder, too, takes a last single byte for padding.
  while (reader.offset < chunk.length - 1) {
    const header = parquetHeader(reader);
    const size = requireCount(header.compressed_page_size, 'size of a page', chunk.length - reader.offset);
    const full = requireCount(header.uncompressed_page_size, 'decompressed size of a page', maxBytes - decompressed);
    decompressed += full;
    const bytes = chunk.subarray(reader.offset, reader.offset + size);
    reader.offset += size;
    if (header.type === 'DICTIONARY_PAGE') {
      const entries = header.dictionary_page_header?.num_values;
      const stored = requireCount(entries, 'number of dictionary values', full * 8);
      if (!visit) continue;
      const page = decompressPage(bytes, full, column.codec, boundedCompressors);
      visit({ isDictionary: true, encoding: 'PLAIN', stored, bytes: page, repetition: null, missing: 0 });
    } else if (header.type === 'DATA_PAGE') {
      const { num_values: declared, encoding } = header.data_page_header ?? {};
      const count = requireCount(declared, 'number of values of a page', maxValues - values);
      values += count;
      const page = readerOf(decompressPage(bytes, full, column.codec, boundedCompressors));
      const prefixed = (max: number): Levels => {
        const length = page.view.getUint32(page.offset, true);
        page.offset += 4;
        return checkLevels(page, max, count, length);
      };
      const repetition = levels.repetition > 0 ? prefixed(levels.repetition) : null;
      const stored = levels.definition > 0 ? countOf(prefixed(levels.definition), levels.definition) : count;
      checkValues(page, encoding, column.type, stored, 1);
      const missing = count - stored;
      visit?.({ isDictionary: false, encoding, stored, bytes: bytesFrom(page), repetition, missing });
    } else if (header.type === 'DATA_PAGE_V2') {
      const page2 = header.data_page_header_v2;
      const count = requireCount(page2?.num_values, 'number of values of a page', maxValues - values);
      values += count;
      const nulls = requireCount(page2?.num_nulls, 'number of nulls of a page', count);
      requireCount(page2?.num_rows, 'number of rows of a page', count);
      const repetitionBytes = requireCount(page2?.repetition_levels_byte_length, 'size of the levels', size);
      const definitionBytes = requireCount(
        page2?.definition_levels_byte_length,
        'size of the levels',
        Math.min(size, full) - repetitionBytes,
      );
      const head = readerOf(bytes);
      const repetition = levels.repetition > 0 ? checkLevels(head, levels.repetition, count, repetitionBytes) : null;
      head.offset = repetitionBytes;
      if (levels.definition > 0) checkLevels(head, levels.definition, count, definitionBytes);
      const body = bytes.subarray(repetitionBytes + definitionBytes);
      const packed = page2?.is_compressed !== false;
      const rest = full - repetitionBytes - definitionBytes;
      const page = packed ? decompressPage(body, rest, column.codec, boundedCompressors) : body;
      const stored = count - nulls;
      checkValues(readerOf(page), page2?.encoding, column.type, stored, 2);
      const { encoding } = page2 ?? {};
      visit?.({ isDictionary: false, encoding, stored, bytes: page, repetition, missing: nulls });
    } else throw new Error(`a page of type ${header.type}`);
  }
  if (values !== maxValues) throw new Error(`the pages hold ${values} values, the footer says ${maxValues}`);
}
