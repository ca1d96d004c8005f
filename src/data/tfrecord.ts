/**
 * TFRecord files: a sequence of records, each framed as u64le length, u32le masked CRC-32C of the length, payload, u32le masked CRC-32C of
 * the payload; mask(c) = ((c >>> 15) | (c << 17)) + 0xa282ead8.
 *
 * A record is read at a time, so memory is that of the largest one; a length is believed only if its checksum fits and the file is long
 * enough. Knows nothing about what the payloads are.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { CorruptDatasetError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';

/** Eight tables of 256 for CRC-32C (Castagnoli, reflected polynomial 0x82f63b78): eight bytes a step. */
const TABLES: readonly Int32Array[] = (() => {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  const [first = new Int32Array(256)] = tables;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    first[byte] = crc;
  }
  for (let k = 1; k < 8; k++) {
    const [before, table] = [tables[k - 1] as Int32Array, tables[k] as Int32Array];
    for (let byte = 0; byte < 256; byte++) {
      const crc = before[byte] as number;
      table[byte] = (crc >>> 8) ^ (first[crc & 255] as number);
    }
  }
  return tables;
})();
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** CRC-32C of the bytes, as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  let i = 0;
  const { length } = bytes;
  const at = (k: number): number => bytes[k] as number;
  for (; i + 8 <= length; i += 8) {
    const low = crc ^ (at(i) | (at(i + 1) << 8) | (at(i + 2) << 16) | (at(i + 3) << 24));
    crc =
      (T7[low & 255] as number) ^
      (T6[(low >>> 8) & 255] as number) ^
      (T5[(low >>> 16) & 255] as number) ^
      (T4[low >>> 24] as number) ^
      (T3[at(i + 4)] as number) ^
      (T2[at(i + 5)] as number) ^
      (T1[at(i + 6)] as number) ^
      (T0[at(i + 7)] as number);
  }
  for (; i < length; i++) crc = (crc >>> 8) ^ (T0[(crc ^ at(i)) & 255] as number);
  return ~crc >>> 0;
}

/** The checksum as TFRecord stores it. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

export interface TfRecord {
  /** Position in its file. */
  readonly index: number;
  /** Byte at which its frame begins. */
  readonly offset: number;
  /** The payload; its own memory. */
  readonly data: Uint8Array;
}

export interface TfRecordOptions {
  /** Check the payloads' checksums; the lengths' are always checked. Default true. */
  readonly verify?: boolean;
  /** First record to yield; those before it are passed over without reading their payloads. */
  readonly from?: number;
  /** Largest payload accepted, bytes. */
  readonly maxRecordBytes?: number;
}

/** Length and its checksum, before a payload; the payload's checksum, behind it. */
export const HEADER_BYTES = 12;
export const FOOTER_BYTES = 4;

/** The payload's length that a record's first twelve bytes give, or null if their checksum is wrong. */
export function payloadLength(header: Uint8Array): number | null {
  const view = new DataView(header.buffer, header.byteOffset);
  if (maskedCrc32c(header.subarray(0, 8)) !== view.getUint32(8, true)) return null;
  return Number(view.getBigUint64(0, true));
}

/**
 * The records of a file in order. Throws MissingDatasetError if it is absent, CorruptDatasetError naming record and byte where a
 * checksum is wrong or the file ends within a record, UnsupportedDatasetError for a record above the limit.
 */
export function* readTfRecords(path: string, options: TfRecordOptions = {}): Generator<TfRecord> {
  const { verify = true, from = 0, maxRecordBytes = 1 << 30 } = options;
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw new MissingDatasetError('The file is missing or unreadable', { file: path, cause });
  }
  try {
    const { size } = fstatSync(fd);
    const header = new Uint8Array(HEADER_BYTES);
    for (let offset = 0, index = 0; offset < size; index++) {
      const broken = (what: string): CorruptDatasetError =>
        new CorruptDatasetError(`Record ${index} at byte ${offset}: ${what}`, {
          file: path,
          hint: `${index} whole records lie before it; fetch the file again`,
        });
      if (size - offset < HEADER_BYTES + FOOTER_BYTES) throw broken('the file ends within its header');
      readFully(fd, header, offset);
      const length = payloadLength(header);
      if (length === null) throw broken('the checksum of its length is wrong');
      const end = offset + HEADER_BYTES + length + FOOTER_BYTES;
      if (!(end <= size)) throw broken(`it has ${length} bytes, the file ends before`);
      if (index >= from) {
        if (length > maxRecordBytes)
          throw new UnsupportedDatasetError(`Record ${index} has ${length} bytes, the limit is ${maxRecordBytes}`, {
            file: path,
          });
        const block = new Uint8Array(length + FOOTER_BYTES);
        readFully(fd, block, offset + HEADER_BYTES);
        const data = block.subarray(0, length);
        if (verify && maskedCrc32c(data) !== new DataView(block.buffer).getUint32(length, true))
          throw broken('its checksum is wrong');
        yield { index, offset, data };
      }
      offset = end;
    }
  } finally {
    closeSync(fd);
  }
}

function readFully(fd: number, target: Uint8Array, position: number): void {
  for (let got = 0; got < target.length; ) {
    const count = readSync(fd, target, got, target.length - got, position + got);
    if (count === 0)
      throw new CorruptDatasetError(`The file became shorter while it was read (byte ${position + got})`);
    got += count;
  }
}

/** A payload with its frame, ready to be appended to a file. */
export function frameTfRecord(payload: Uint8Array): Uint8Array {
  const framed = new Uint8Array(HEADER_BYTES + payload.length + FOOTER_BYTES);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(payload.length), true);
  view.setUint32(8, maskedCrc32c(framed.subarray(0, 8)), true);
  framed.set(payload, HEADER_BYTES);
  view.setUint32(HEADER_BYTES + payload.length, maskedCrc32c(payload), true);
  return framed;
}
