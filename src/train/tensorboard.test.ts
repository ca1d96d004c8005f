import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crc32c, maskedCrc32c, TensorBoardWriter } from './tensorboard.js';

/** An independent reader, written from the format's description: bit-wise CRC and a generic protocol buffer walk. */
function crcBitwise(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
type Field = { field: number; value: number | Buffer };
function parseMessage(data: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const key = readVarint();
    const field = Math.floor(key / 8);
    const wire = key % 8;
    if (wire === 0) fields.push({ field, value: readVarint() });
    else if (wire === 1) {
      fields.push({ field, value: data.readDoubleLE(at) });
      at += 8;
    } else if (wire === 5) {
      fields.push({ field, value: data.readFloatLE(at) });
      at += 4;
    } else if (wire === 2) {
      const length = readVarint();
      fields.push({ field, value: data.subarray(at, at + length) });
      at += length;
    } else throw new Error(`wire type ${wire}`);
  }
  return fields;
}
function readRecords(path: string): Buffer[] {
  const file = readFileSync(path);
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(unmask(file.readUInt32LE(at + 8))).toBe(crcBitwise(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmask(file.readUInt32LE(at + 12 + length))).toBe(crcBitwise(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}
const get = (fields: Field[], field: number): number | Buffer | undefined =>
  fields.find((f) => f.field === field)?.value;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dualvla-tb-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('crc32c gives the published check values (RFC 3720, B.4)', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(unmask(maskedCrc32c(Buffer.from('123456789')))).toBe(0xe3069283);
});

test('events read back with an independent parser', () => {
  const writer = new TensorBoardWriter(directory, undefined, () => 1234.5);
  writer.writeScalars(1, { 'train/loss': 0.5, 'train/lr': 1e-4 });
  writer.writeScalars(3_000_000_000, { 'train/loss': -2 });
  writer.close();
  const [version, first, second, ...rest] = readRecords(writer.path).map(parseMessage) as [Field[], Field[], Field[]];
  expect(rest).toEqual([]);
  expect(get(version, 1)).toBe(1234.5);
  expect(String(get(version, 3))).toBe('brain.Event:2');
  expect(get(first, 2)).toBe(1);
  const values = parseMessage(get(first, 5) as Buffer).map((f) => parseMessage(f.value as Buffer));
  expect(values.map((v) => [String(get(v, 1)), get(v, 2)])).toEqual([
    ['train/loss', 0.5],
    ['train/lr', Math.fround(1e-4)],
  ]);
  expect(get(second, 2)).toBe(3_000_000_000);
});

test('a resumed run tells TensorBoard to drop later points', () => {
  const writer = new TensorBoardWriter(directory, 40, () => 99);
  writer.close();
  const [, session] = readRecords(writer.path).map(parseMessage) as [Field[], Field[]];
  expect(get(session, 2)).toBe(41);
  expect(get(parseMessage(get(session, 7) as Buffer), 1)).toBe(1);
});
