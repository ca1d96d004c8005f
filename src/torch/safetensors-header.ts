/**
 * The safetensors header: `u64 length (little endian) | JSON header | tensor bytes`.
 *
 * Reading checks everything before a byte of data is touched: no length taken from the file is trusted, every tensor's
 * range must equal its shape times its type, and the ranges must tile the data without holes or overlaps.
 * Accepts and rejects what the reference library (safetensors 0.8) does; the tests hold its whole list.
 *
 * Knows nothing about the engine: this file is plain bytes.
 * Source: https://github.com/huggingface/safetensors, section Format.
 */
import { JsonFloat, JsonObject, type JsonValue, parseStrictJson } from './header-json.js';

/** Bits an element, for every type of the format. */
export const safetensorsBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type SafetensorsDType = keyof typeof safetensorsBits;

/** One tensor of a file. `begin` and `end` are byte positions in the file (not in the data part). */
export interface TensorEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of the data. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A safetensors file cannot be read, or a tensor cannot be used. The message names the file and the reason. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
  constructor(
    readonly file: string,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${reason}`, options);
  }
}

/** The reference library's limit for the header's length in bytes. */
export const maxHeaderBytes = 100_000_000;

const maxU64 = (1n << 64n) - 1n;

/**
 * Length of the JSON header, from the first 8 bytes.
 * @param prefix the first 8 bytes of the file (fewer if the file is shorter)
 * @param fileBytes size of the file in bytes
 */
export function readHeaderLength(file: string, prefix: Uint8Array, fileBytes: number): number {
  if (prefix.length < 8 || fileBytes < 8) {
    throw new SafetensorsError(file, `not a safetensors file: ${fileBytes} bytes, the header alone needs 8`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new SafetensorsError(
      file,
      `not a safetensors file: header length ${length} is above the limit of ${maxHeaderBytes} bytes`,
    );
  }
  if (8n + length > BigInt(fileBytes)) {
    throw new SafetensorsError(
      file,
      `header length ${length} points beyond the end of the file (${fileBytes} bytes); the file may be cut short`,
    );
  }
  return Number(length);
}

/**
 * Parses and checks the header.
 * @param header the JSON bytes
 * @param fileBytes size of the file in bytes; the data begins at `8 + header.length` and must reach exactly to the end
 */
export function parseHeader(file: string, header: Uint8Array, fileBytes: number): SafetensorsHeader {
  const fail = (reason: string, cause?: unknown): never => {
    throw new SafetensorsError(file, reason, cause === undefined ? undefined : { cause });
  };
  let text = '';
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch (cause) {
    fail('header is not valid UTF-8', cause);
  }
  let root: JsonValue = null;
  try {
    root = parseStrictJson(text);
  } catch (cause) {
    fail(`header: ${(cause as Error).message}`, cause);
  }
  if (!(root instanceof JsonObject)) fail(`header is ${describe(root)}, expected an object`);

  let metadata: Record<string, string> | undefined;
  const infos = new Map<string, TensorInfo>();
  for (const [name, value] of (root as JsonObject).entries) {
    try {
      if (name === '__metadata__') {
        if (metadata !== undefined) throw new Error('__metadata__ appears twice');
        metadata = readMetadata(value);
      } else {
        // A repeated name replaces the earlier one, as in the reference library; a hole it leaves is found below.
        infos.delete(name);
        infos.set(name, readTensorInfo(value));
      }
    } catch (cause) {
      fail(name === '__metadata__' ? (cause as Error).message : `tensor '${name}': ${(cause as Error).message}`, cause);
    }
  }

  const dataStart = 8 + header.length;
  const ordered = [...infos].sort(([, a], [, b]) => compare(a.begin, b.begin) || compare(a.end, b.end));
  const entries = new Map<string, TensorEntry>();
  let expected = 0n;
  for (const [name, info] of ordered) {
    if (info.begin !== expected || info.end < info.begin) {
      fail(
        `tensor '${name}': data_offsets [${info.begin}, ${info.end}] do not continue at ${expected} ` +
          '(hole, overlap or reversed range)',
      );
    }
    expected = info.end;
    const bytes = byteSize(info);
    if (typeof bytes === 'string') fail(`tensor '${name}': ${bytes}`);
    if (bytes !== info.end - info.begin) {
      fail(
        `tensor '${name}': ${info.dtype} of shape [${info.shape.join(', ')}] needs ${bytes} bytes, ` +
          `data_offsets give ${info.end - info.begin}`,
      );
    }
    entries.set(name, {
      dtype: info.dtype,
      shape: info.shape.map(Number),
      begin: dataStart + Number(info.begin),
      end: dataStart + Number(info.end),
    });
  }
  const available = BigInt(fileBytes - dataStart);
  if (expected !== available) {
    fail(
      expected > available
        ? `tensors need ${expected} bytes of data, the file has ${available}; it is cut short`
        : `${available - expected} bytes of data belong to no tensor`,
    );
  }
  return { entries, metadata: metadata ?? {} };
}

/** Builds the bytes before the data: length and JSON, padded with spaces so that the data starts at a multiple of 8. */
export function buildHeader(
  tensors: readonly { name: string; dtype: SafetensorsDType; shape: readonly number[]; bytes: number }[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  const members: string[] = [];
  if (metadata !== undefined) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const t of tensors) {
    const info = { dtype: t.dtype, shape: t.shape, data_offsets: [offset, offset + t.bytes] };
    members.push(`${JSON.stringify(t.name)}:${JSON.stringify(info)}`);
    offset += t.bytes;
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(json, 8);
  return out;
}

/** Bytes that a tensor of this type and shape takes; NaN if its bits do not fill whole bytes. */
export function tensorBytes(dtype: SafetensorsDType, shape: readonly number[]): number {
  const bits = shape.reduce((a, b) => a * b, 1) * safetensorsBits[dtype];
  return bits % 8 === 0 ? bits / 8 : Number.NaN;
}

interface TensorInfo {
  dtype: SafetensorsDType;
  shape: bigint[];
  begin: bigint;
  end: bigint;
}

function readMetadata(value: JsonValue): Record<string, string> | undefined {
  if (value === null) return undefined;
  if (!(value instanceof JsonObject)) throw new Error(`__metadata__ is ${describe(value)}, expected an object`);
  const out: Record<string, string> = Object.create(null);
  for (const [key, item] of value.entries) {
    if (typeof item !== 'string') throw new Error(`__metadata__ '${key}' is ${describe(item)}, expected a string`);
    out[key] = item;
  }
  return { ...out };
}

function readTensorInfo(value: JsonValue): TensorInfo {
  if (!(value instanceof JsonObject)) throw new Error(`is ${describe(value)}, expected an object`);
  const fields = new Map<string, JsonValue>();
  for (const [key, item] of value.entries) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') continue;
    if (fields.has(key)) throw new Error(`field ${key} appears twice`);
    fields.set(key, item);
  }
  const dtype = fields.get('dtype');
  if (dtype === undefined) throw new Error('field dtype is missing');
  if (typeof dtype !== 'string' || !Object.hasOwn(safetensorsBits, dtype)) {
    const shown = typeof dtype === 'string' ? `'${dtype}'` : describe(dtype);
    throw new Error(`unknown dtype ${shown}; known: ${Object.keys(safetensorsBits).join(', ')}`);
  }
  const offsets = unsignedList(fields.get('data_offsets'), 'data_offsets');
  if (offsets.length !== 2) throw new Error(`data_offsets has ${offsets.length} numbers, expected 2`);
  return {
    dtype: dtype as SafetensorsDType,
    shape: unsignedList(fields.get('shape'), 'shape'),
    begin: offsets[0] as bigint,
    end: offsets[1] as bigint,
  };
}

function unsignedList(value: JsonValue | undefined, field: string): bigint[] {
  if (value === undefined) throw new Error(`field ${field} is missing`);
  if (!Array.isArray(value)) throw new Error(`${field} is ${describe(value)}, expected a list`);
  return value.map((item) => {
    if (typeof item !== 'bigint' || item < 0n || item > maxU64) {
      throw new Error(`${field} holds ${describe(item)}, expected a whole number of 0 or more`);
    }
    return item;
  });
}

/** Bytes of a tensor with the reference's 64-bit overflow checks, or the reason why there is no such size. */
function byteSize(info: TensorInfo): bigint | string {
  let count = 1n;
  for (const axis of info.shape) {
    if (axis > BigInt(Number.MAX_SAFE_INTEGER)) return `axis ${axis} of its shape is too large`;
    count *= axis;
    if (count > maxU64) return `shape [${info.shape.join(', ')}] overflows 64 bits`;
  }
  const bits = count * BigInt(safetensorsBits[info.dtype]);
  if (bits > maxU64) return `shape [${info.shape.join(', ')}] overflows 64 bits`;
  if (bits % 8n !== 0n) return `${info.dtype} of shape [${info.shape.join(', ')}] does not fill whole bytes`;
  return bits / 8n;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function describe(value: JsonValue): string {
  if (value === null) return 'null';
  if (value instanceof JsonFloat) return value.text;
  if (value instanceof JsonObject) return 'an object';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'string' ? `the string ${JSON.stringify(value)}` : String(value);
}
