/**
 * Answers of a frozen teacher on disk: written once, read by every later step, epoch or run that asks the same teacher the same.
 *
 *   <folder>/<family>/          one teacher, data set and precision; named by the SHA-256 of its identity
 *     <time>-<uuid>.tfrecord    a segment: what one process appended, framed with length and checksums (data/tfrecord.ts)
 *       record 0                the identity as JSON
 *       record 1 ..             u32 sample, u32 bytes a value (2 or 4), 16 bytes digest of the question, values
 *
 * Any number of processes share a folder: each appends to a segment of its own, so what a kill or a full disk cuts off is the end
 * of a file, where reading stops. An answer counts only if checksum, sample and digest agree; anything else is simply not there.
 * In memory is an index of twelve bytes a sample, never an answer. All numbers are little-endian; values are exactly those given.
 *
 * Knows nothing about models, tensors or what the values mean.
 */
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { FOOTER_BYTES, frameTfRecord, HEADER_BYTES, maskedCrc32c, payloadLength } from '../data/tfrecord.js';

/** Bytes of a question's digest. */
export const DIGEST_BYTES = 16;

export interface TeacherCacheOptions {
  /** Folder of all families. */
  folder: string;
  /** Everything an answer depends on besides its question; other values are another family. */
  identity: Readonly<Record<string, string | number>>;
  /** Samples are numbered 0 .. numSamples - 1. */
  numSamples: number;
  /** Bytes of all families together above which nothing is added. */
  limitBytes: number;
  /** Told once, when nothing is added any more. */
  notice(message: string): void;
}

interface Segment {
  readonly path: string;
  /** Bytes that are in the index; what follows is not written yet, or cut off for ever. */
  indexed: number;
}

const SEGMENT_END = '.tfrecord';
/** Sample, bytes a value and digest, before the values. */
const PRELUDE_BYTES = 8 + DIGEST_BYTES;

export class TeacherCache {
  readonly #options: TeacherCacheOptions;
  readonly #identity: Buffer;
  readonly #family: string;
  readonly #segments: Segment[] = [];
  /** By sample: its segment, -1 for none, and where its record begins there. */
  readonly #segmentOf: Int32Array;
  readonly #offsetOf: Float64Array;
  #writer: { fd: number; number: number; size: number } | null = null;
  #isClosedToNew = false;
  /** Bytes of the folder when it was last measured, and those added here since. */
  #measured = 0;
  #added = Number.POSITIVE_INFINITY;

  /** Creates the folder and reads the index. @throws Error of the file system if the folder cannot be created */
  constructor(options: TeacherCacheOptions) {
    this.#options = options;
    this.#identity = Buffer.from(JSON.stringify(options.identity));
    this.#family = join(options.folder, createHash('sha256').update(this.#identity).digest('hex').slice(0, 32));
    this.#segmentOf = new Int32Array(options.numSamples).fill(-1);
    this.#offsetOf = new Float64Array(options.numSamples);
    mkdirSync(options.folder, { recursive: true });
    this.refresh();
  }

  /** The answer to a question about a sample, or null if it is not here. */
  read(sample: number, digest: Uint8Array): Float32Array | null {
    const segment = this.#segments[this.#segmentOf[sample] ?? -1];
    if (segment === undefined) return null;
    const record = readRecord(segment.path, this.#offsetOf[sample] as number);
    if (record === null || record.readUInt32LE(0) !== sample) return null;
    return record.subarray(8, PRELUDE_BYTES).equals(digest) ? unpack(record) : null;
  }

  /** Appends an answer, unless the folder is full or cannot be written. */
  add(sample: number, digest: Uint8Array, values: Float32Array): void {
    if (this.#isClosedToNew) return;
    const { folder, limitBytes } = this.#options;
    const frame = frameTfRecord(pack(sample, digest, values));
    try {
      if (this.#folderBytes() + frame.length > limitBytes)
        throw new Error(`its ${(limitBytes / 2 ** 30).toPrecision(3)} GB (distillation.cache_gb) are full`);
      this.#writer ??= this.#newSegment();
      const { fd, number, size } = this.#writer;
      writeFully(fd, frame);
      this.#writer.size += frame.length;
      this.#added += frame.length;
      this.#segmentOf[sample] = number;
      this.#offsetOf[sample] = size;
    } catch (error) {
      this.#isClosedToNew = true;
      const { message } = error as Error;
      this.#options.notice(
        `teacher cache ${folder}: ${message}; nothing is added any more, what is there is still read`,
      );
    }
  }

  /** Takes in what other processes have appended since the last look. */
  refresh(): void {
    const known = new Set(this.#segments.map(({ path }) => path));
    for (const name of namesIn(this.#family).filter((name) => name.endsWith(SEGMENT_END))) {
      const path = join(this.#family, name);
      if (!known.has(path)) this.#segments.push({ path, indexed: 0 });
    }
    for (const number of this.#segments.keys()) if (number !== this.#writer?.number) this.#index(number);
  }

  [Symbol.dispose](): void {
    if (this.#writer !== null) closeSync(this.#writer.fd);
    this.#writer = null;
    this.#isClosedToNew = true;
  }

  /** Enters the whole records behind the last known one into the index. */
  #index(number: number): void {
    const segment = this.#segments[number] as Segment;
    reading(segment.path, (fd) => {
      const { size } = fstatSync(fd);
      if (segment.indexed === 0) {
        const identity = readRecord(segment.path, 0);
        if (identity === null || !identity.equals(this.#identity)) return;
        segment.indexed = frameBytes(identity.length);
      }
      const start = Buffer.alloc(HEADER_BYTES + 4);
      while (readSync(fd, start, 0, start.length, segment.indexed) === start.length) {
        const length = payloadLength(start);
        if (length === null || length < PRELUDE_BYTES || segment.indexed + frameBytes(length) > size) return;
        const sample = start.readUInt32LE(HEADER_BYTES);
        if (sample < this.#options.numSamples) {
          this.#segmentOf[sample] = number;
          this.#offsetOf[sample] = segment.indexed;
        }
        segment.indexed += frameBytes(length);
      }
    });
  }

  #newSegment(): { fd: number; number: number; size: number } {
    mkdirSync(this.#family, { recursive: true });
    const path = join(this.#family, `${Date.now()}-${randomUUID()}${SEGMENT_END}`);
    const fd = openSync(path, 'ax');
    const first = frameTfRecord(this.#identity);
    writeFully(fd, first);
    return { fd, number: this.#segments.push({ path, indexed: 0 }) - 1, size: first.length };
  }

  /** Bytes of all families, measured anew after each hundredth of the limit: several writers overshoot it by little. */
  #folderBytes(): number {
    const { folder, limitBytes } = this.#options;
    if (this.#added > limitBytes / 100) {
      const families = namesIn(folder).filter((name) => /^[0-9a-f]{32}$/.test(name));
      const files = families.flatMap((family) =>
        namesIn(join(folder, family)).map((name) => join(folder, family, name)),
      );
      this.#measured = files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
      this.#added = 0;
    }
    return this.#measured + this.#added;
  }
}

const frameBytes = (length: number): number => HEADER_BYTES + length + FOOTER_BYTES;

/** Names in a folder; none if it does not exist. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** What `use` reads of a file; null if the file cannot be read. */
function reading<T>(path: string, use: (fd: number) => T): T | null {
  try {
    const fd = openSync(path, 'r');
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

/** The payload of the record that begins at a byte; null if it is not there whole. */
function readRecord(path: string, offset: number): Buffer | null {
  return reading(path, (fd) => {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(fd, header, 0, header.length, offset) < header.length) return null;
    const length = payloadLength(header);
    if (length === null || offset + frameBytes(length) > fstatSync(fd).size) return null;
    const block = Buffer.from(new ArrayBuffer(length + FOOTER_BYTES));
    for (let got = 0; got < block.length; ) {
      const count = readSync(fd, block, got, block.length - got, offset + HEADER_BYTES + got);
      if (count === 0) return null;
      got += count;
    }
    const payload = block.subarray(0, length);
    return maskedCrc32c(payload) === block.readUInt32LE(length) ? payload : null;
  });
}

function writeFully(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}

/** A record's payload. Values that bfloat16 holds exactly, as a bf16 run computes them, take two bytes. */
function pack(sample: number, digest: Uint8Array, values: Float32Array): Uint8Array {
  const stored = asBfloat16(values) ?? values;
  const payload = Buffer.alloc(PRELUDE_BYTES + stored.byteLength);
  payload.writeUInt32LE(sample, 0);
  payload.writeUInt32LE(stored.BYTES_PER_ELEMENT, 4);
  payload.set(digest, 8);
  payload.set(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), PRELUDE_BYTES);
  return payload;
}

function unpack(payload: Buffer): Float32Array | null {
  const bytes = payload.readUInt32LE(4);
  const { buffer, byteOffset, length } = payload;
  const count = (length - PRELUDE_BYTES) / bytes;
  if (!Number.isInteger(count)) return null;
  if (bytes === 4) return new Float32Array(buffer, byteOffset + PRELUDE_BYTES, count);
  return bytes === 2 ? asFloat32(new Uint16Array(buffer, byteOffset + PRELUDE_BYTES, count)) : null;
}

/** The upper halves of the values' bits, or null if a lower half is not zero. */
function asBfloat16(values: Float32Array): Uint16Array | null {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] as number;
    if ((value & 0xffff) !== 0) return null;
    halves[i] = value >>> 16;
  }
  return halves;
}

function asFloat32(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (halves[i] as number) << 16;
  return new Float32Array(bits.buffer);
}
