/**
 * TensorBoard event files: scalar summaries in TFRecord framing.
 *
 * A record is `uint64 length | uint32 masked_crc(length) | data | uint32 masked_crc(data)`, little endian, where
 * `masked_crc(x) = rotr(crc32c(x), 15) + 0xa282ead8` (TensorFlow, tsl/lib/io/record_writer.h and tsl/lib/hash/crc32c.h).
 * `data` is an `Event` protocol buffer (tensorflow/core/util/event.proto): 1 wall_time double, 2 step int64,
 * 3 file_version string, 5 summary { 1 value { 1 tag string, 2 simple_value float } }, 7 session_log { 1 status }.
 *
 * A `session_log` START event tells TensorBoard to drop points at or after its step that earlier files of the run hold,
 * which is what a resumed run needs. Knows nothing about training.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

const CASTAGNOLI = 0x82f63b78;
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C (Castagnoli, reflected) of `bytes`. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** TFRecord's masked CRC, so that a CRC stored inside checksummed data stays harmless. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function frame(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(16 + data.length);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return record;
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = BigInt(value);
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return out;
}

const tag = (field: number, wire: number): number[] => varint(field * 8 + wire);
const integerField = (field: number, value: number): Buffer =>
  Buffer.from([...tag(field, WIRE.varint), ...varint(value)]);
const bytesField = (field: number, data: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...tag(field, WIRE.bytes), ...varint(data.length)]), data]);
const stringField = (field: number, text: string): Buffer => bytesField(field, Buffer.from(text, 'utf8'));

function doubleField(field: number, value: number): Buffer {
  const out = Buffer.alloc(9);
  out[0] = field * 8 + WIRE.fixed64;
  out.writeDoubleLE(value, 1);
  return out;
}

function floatField(field: number, value: number): Buffer {
  const out = Buffer.alloc(5);
  out[0] = field * 8 + WIRE.fixed32;
  out.writeFloatLE(value, 1);
  return out;
}

/** Appends scalars to one `events.out.tfevents.*` file in `directory`. */
export class TensorBoardWriter {
  readonly path: string;
  readonly #file: number;
  readonly #now: () => number;

  /** @param resumedAt the step after which a resumed run continues; omitted for a fresh run. Times in seconds since 1970. */
  constructor(directory: string, resumedAt?: number, now: () => number = () => Date.now() / 1000) {
    this.#now = now;
    mkdirSync(directory, { recursive: true });
    const started = String(Math.floor(now())).padStart(10, '0');
    this.path = join(directory, `events.out.tfevents.${started}.${hostname()}.${process.pid}.${resumedAt ?? 0}`);
    this.#file = openSync(this.path, 'a');
    this.#append(Buffer.concat([doubleField(1, now()), stringField(3, 'brain.Event:2')]));
    if (resumedAt !== undefined) {
      const sessionStart = integerField(1, 1);
      this.#append(Buffer.concat([doubleField(1, now()), integerField(2, resumedAt + 1), bytesField(7, sessionStart)]));
    }
  }

  /** Writes one event with the scalars of a step; names become TensorBoard tags. Throws Node's error if the disk refuses. */
  writeScalars(step: number, scalars: Readonly<Record<string, number>>): void {
    const values = Object.entries(scalars).map(([name, value]) =>
      bytesField(1, Buffer.concat([stringField(1, name), floatField(2, value)])),
    );
    if (values.length === 0) return;
    this.#append(
      Buffer.concat([doubleField(1, this.#now()), integerField(2, step), bytesField(5, Buffer.concat(values))]),
    );
  }

  #append(event: Uint8Array): void {
    const record = frame(event);
    let written = 0;
    while (written < record.length) written += writeSync(this.#file, record, written);
  }

  close(): void {
    closeSync(this.#file);
  }
}
