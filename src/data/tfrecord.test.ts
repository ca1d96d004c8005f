import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CorruptDatasetError, DataError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { ProtobufWriter, varint } from './protobuf.js';
import { crc32c, frameTfRecord, maskedCrc32c, readTfRecords } from './tfrecord.js';
import { decodeExample, type ExampleValue, encodeExample } from './tfrecord-example.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-tfrecord-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(...payloads: Uint8Array[]): string {
  const path = join(folder, 'file.tfrecord');
  writeFileSync(path, Buffer.concat(payloads.map(frameTfRecord)));
  return path;
}
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('CRC-32C', () => {
  // RFC 3720, B.4.
  it.each([
    ['zeros', new Uint8Array(32), 0x8a9136aa],
    ['ones', new Uint8Array(32).fill(255), 0x62a8ab43],
    ['counting up', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['counting down', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ['123456789', text('123456789'), 0xe3069283],
  ])('of %s is that of RFC 3720', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it('is masked as TFRecord does', () => {
    // mask(0) = 0xa282ead8: the CRC of no bytes is 0.
    expect(maskedCrc32c(new Uint8Array(0))).toBe(0xa282ead8);
  });
});

describe('records', () => {
  it('come back as they were written, from any record on', () => {
    const payloads = [text('one'), new Uint8Array(0), new Uint8Array(100_000).fill(7)];
    const path = fileOf(...payloads);
    expect([...readTfRecords(path)].map(({ data }) => Buffer.from(data).toString('hex'))).toEqual(
      payloads.map((payload) => Buffer.from(payload).toString('hex')),
    );
    expect([...readTfRecords(path, { from: 2 })]).toMatchObject([{ index: 2, offset: 12 + 3 + 4 + 16 }]);
  });

  it('are refused where the file is missing, cut off anywhere, or above the limit', () => {
    expect(() => [...readTfRecords(join(folder, 'none'))]).toThrow(MissingDatasetError);
    const path = fileOf(text('one'), text('two'));
    const whole = readFileSync(path);
    for (let length = 1; length < whole.length; length++) {
      if (length === whole.length / 2) continue;
      writeFileSync(path, whole.subarray(0, length));
      expect(() => [...readTfRecords(path)]).toThrow(/Record [01] at byte (0|19): .*the file ends/);
    }
    writeFileSync(path, whole);
    expect(() => [...readTfRecords(path, { maxRecordBytes: 2 })]).toThrow(UnsupportedDatasetError);
  });

  it('give a named error for every flipped bit', () => {
    const path = fileOf(text('one'), text('two'));
    const whole = readFileSync(path);
    for (let byte = 0; byte < whole.length; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Buffer.from(whole);
        damaged[byte] = (damaged[byte] as number) ^ (1 << bit);
        writeFileSync(path, damaged);
        expect(() => [...readTfRecords(path)]).toThrow(CorruptDatasetError);
      }
    }
  });
});

const value: fc.Arbitrary<ExampleValue> = fc.oneof(
  fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 5 }).map((values) => ({ kind: 'bytes' as const, values })),
  fc.float32Array({ maxLength: 9 }).map((values) => ({ kind: 'float' as const, values })),
  fc.bigInt64Array({ maxLength: 9 }).map((values) => ({ kind: 'int64' as const, values })),
);
const example = fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 12 }), value), { maxLength: 5 });

describe('tf.train.Example', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(example, (entries) => {
        expect(decodeExample(encodeExample(entries))).toEqual(new Map(entries));
      }),
      // A key that begins with U+FEFF once lost it: TextDecoder drops a byte order mark unless told not to.
      { numRuns: 300, examples: [[[['\ufeffkey', { kind: 'bytes', values: [] }]]]] },
    );
  });

  it('may have unpacked numbers and unknown fields', () => {
    const list = (field: number, values: Uint8Array[]): Uint8Array =>
      Buffer.concat(values.flatMap((bytes) => [varint(BigInt(field)), bytes]));
    const ints = list(8, [varint(1n), varint(-2n)]);
    const floats = list(13, [Uint8Array.of(0, 0, 128, 63), Uint8Array.of(0, 0, 0, 192)]);
    const entry = (key: string, field: number, bytes: Uint8Array): Uint8Array =>
      new ProtobufWriter()
        .bytes(1, text(key))
        .bytes(9, text('unknown'))
        .bytes(2, new ProtobufWriter().bytes(field, bytes).finish())
        .finish();
    const map = new ProtobufWriter()
      .bytes(1, entry('i', 3, ints))
      .bytes(1, entry('f', 2, floats))
      .finish();
    expect(decodeExample(new ProtobufWriter().bytes(1, map).finish())).toEqual(
      new Map<string, ExampleValue>([
        ['i', { kind: 'int64', values: BigInt64Array.of(1n, -2n) }],
        ['f', { kind: 'float', values: Float32Array.of(1, -2) }],
      ]),
    );
  });

  it('gives a named error or a result for any damage and any bytes, in memory bounded by the input', () => {
    const decode = (bytes: Uint8Array): void => {
      try {
        for (const { values } of decodeExample(bytes).values()) expect(values.length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    };
    fc.assert(
      fc.property(example, fc.nat(), fc.integer({ min: 1, max: 255 }), (entries, at, flip) => {
        const bytes = Uint8Array.from(encodeExample(entries));
        if (bytes.length === 0) return;
        bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ flip;
        decode(bytes);
        decode(bytes.subarray(0, at % bytes.length));
      }),
      { numRuns: 800 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), decode), { numRuns: 800 });
  });
});
