/**
 * Numbers of a parquet column chunk as one typed array, for what robot data mostly are: no nulls, as many numbers in every row, plain or by a
 * dictionary. Several times faster than values and lists one by one, and a tenth of the memory.
 *
 * Everything else (nulls, ragged lists, other encodings, dates, decimals) is no error here: the answer is undefined, and the caller reads the
 * column value by value, which says what is wrong if anything is. Knows nothing about files.
 */
import type { ColumnMetaData, SchemaElement } from 'hyparquet';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { type CheckedPage, type ColumnLevels, checkColumnChunk } from './parquet-pages.js';

/** Values as they are stored; booleans are 0 or 1. */
export type StoredNumbers = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;

export interface NumberChunk {
  /** [rows, size]. */
  readonly values: StoredNumbers;
  /** Numbers in a row. */
  readonly size: number;
}

const ARRAYS = { FLOAT: Float32Array, DOUBLE: Float64Array, INT32: Int32Array, INT64: BigInt64Array } as const;

/** Whether stored values of this leaf are the values meant: neither dates nor decimals nor unsigned numbers of the full width. */
export function isPlainNumber({ type, converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  if (type !== 'BOOLEAN' && !(type !== undefined && type in ARRAYS)) return false;
  if (converted !== undefined && !/^U?INT_(8|16)$|^INT_(32|64)$/.test(converted)) return false;
  if (logical === undefined) return true;
  return logical.type === 'INTEGER' && (logical.isSigned || logical.bitWidth < 32);
}

/**
 * Checks a chunk's pages, as `checkColumnChunk` does and throwing what it throws, and decodes them. Undefined where the chunk is not of the
 * simple kind.
 * @param rows of the chunk's row group
 */
export function numbersOfChunk(
  chunk: Uint8Array,
  column: ColumnMetaData,
  levels: ColumnLevels,
  rows: number,
): NumberChunk | undefined {
  const parts: StoredNumbers[] = [];
  const total = Number(column.num_values);
  const size = total / rows;
  let dictionary: StoredNumbers | undefined;
  let simple = Number.isInteger(size) && size > 0;
  let seen = 0;
  checkColumnChunk(chunk, column, levels, (page) => {
    simple &&= page.isDictionary || (page.missing === 0 && isRegular(page.repetition, size, seen));
    if (!simple) return;
    const values = numbersOfPage(page, column.type, dictionary);
    if (!values) simple = false;
    else if (page.isDictionary) dictionary = values;
    else {
      parts.push(values);
      seen += values.length;
    }
  });
  if (!simple || seen !== total) return undefined;
  const [only] = parts;
  return { values: parts.length === 1 && only ? only : joined(parts), size };
}

/** Whether a row begins at every `size`-th value and nowhere else; `seen` values lie before. */
function isRegular(repetition: ArrayLike<number> | null, size: number, seen: number): boolean {
  if (!repetition) return size === 1;
  let left = (size - (seen % size)) % size;
  for (let i = 0; i < repetition.length; i++) {
    if ((repetition[i] === 0) !== (left === 0)) return false;
    left = left === 0 ? size - 1 : left - 1;
  }
  return true;
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

function numbersOfPage(
  { encoding, stored, bytes }: CheckedPage,
  type: ColumnMetaData['type'],
  dictionary: StoredNumbers | undefined,
): StoredNumbers | undefined {
  if (encoding === 'PLAIN') return plainNumbers(bytes, type, stored);
  if (encoding === 'RLE' && type === 'BOOLEAN') {
    const bits = new Uint8Array(stored);
    // Behind a length of four bytes, which the check has held against the page.
    if (stored > 0) readRleBitPackedHybrid({ view: viewOf(bytes), offset: 0 }, 1, bits);
    return bits;
  }
  if ((encoding !== 'PLAIN_DICTIONARY' && encoding !== 'RLE_DICTIONARY') || !dictionary || bytes.length === 0)
    return undefined;
  const indices = new Uint32Array(stored);
  const view = viewOf(bytes);
  const width = view.getUint8(0);
  if (width > 0) readRleBitPackedHybrid({ view, offset: 1 }, width, indices, bytes.length - 1);
  const result = new (dictionary.constructor as new (length: number) => StoredNumbers)(stored);
  for (let i = 0; i < stored; i++) {
    const index = indices[i] as number;
    if (index >= dictionary.length) return undefined;
    result[i] = dictionary[index] as number & bigint;
  }
  return result;
}

function plainNumbers(bytes: Uint8Array, type: ColumnMetaData['type'], count: number): StoredNumbers | undefined {
  if (type === 'BOOLEAN') {
    if (bytes.length * 8 < count) return undefined;
    return Uint8Array.from({ length: count }, (_, i) => ((bytes[i >> 3] as number) >> (i & 7)) & 1);
  }
  const array = ARRAYS[type as keyof typeof ARRAYS];
  const length = count * array.BYTES_PER_ELEMENT;
  if (bytes.length < length) return undefined;
  // A copy: pages begin anywhere, typed arrays at multiples of their size.
  return new array(bytes.slice(0, length).buffer);
}

/** The values of all parts; a copy, so that nobody's memory is shared. The parts are of one type; there is at least one. */
export function joined(parts: readonly StoredNumbers[]): StoredNumbers {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const all = new ((parts[0] as StoredNumbers).constructor as new (length: number) => StoredNumbers)(length);
  let at = 0;
  for (const part of parts) {
    all.set(part as Float32Array & BigInt64Array, at);
    at += part.length;
  }
  return all;
}
