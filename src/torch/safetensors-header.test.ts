import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonFloat, JsonObject, type JsonValue, parseStrictJson } from './header-json.js';
import {
  buildHeader,
  parseHeader,
  readHeaderLength,
  type SafetensorsDType,
  SafetensorsError,
  type SafetensorsHeader,
  safetensorsBits,
  tensorBytes,
} from './safetensors-header.js';

interface Fixtures {
  malformed: Record<string, { about: string; accepted: boolean; base64: string }>;
  valid: Record<
    string,
    {
      metadata: Record<string, string>;
      tensors: Record<string, { dtype: string; shape: number[]; bytes_hex: string }>;
      base64: string;
    }
  >;
}
const fixtures = JSON.parse(
  readFileSync(new URL('../../test/fixtures/torch/safetensors-files.json', import.meta.url), 'utf8'),
) as Fixtures;

function parse(bytes: Uint8Array): SafetensorsHeader {
  const length = readHeaderLength('x.safetensors', bytes.subarray(0, 8), bytes.length);
  return parseHeader('x.safetensors', bytes.subarray(8, 8 + length), bytes.length);
}

describe('malformed files', () => {
  for (const [name, file] of Object.entries(fixtures.malformed)) {
    it(`${name} (${file.about}) is ${file.accepted ? 'accepted' : 'rejected'} as in the reference library`, () => {
      const bytes = Buffer.from(file.base64, 'base64');
      if (file.accepted) {
        const header = parse(bytes);
        expect([...header.entries].map(([key, entry]) => [key, entry.shape])).toEqual([['w', [2, 2]]]);
      } else {
        expect(() => parse(bytes)).toThrow(SafetensorsError);
        expect(() => parse(bytes)).toThrow(/^x\.safetensors: ./);
      }
    });
  }
});

describe('valid files', () => {
  for (const [name, file] of Object.entries(fixtures.valid)) {
    it(name, () => {
      const bytes = Buffer.from(file.base64, 'base64');
      const header = parse(bytes);
      expect(header.metadata).toEqual(file.metadata);
      expect([...header.entries.keys()].sort()).toEqual(Object.keys(file.tensors).sort());
      for (const [key, expected] of Object.entries(file.tensors)) {
        const entry = header.entries.get(key);
        expect(entry).toMatchObject({ dtype: expected.dtype, shape: expected.shape });
        if (entry === undefined) continue;
        const data = bytes.subarray(entry.begin, entry.end).toString('hex');
        // The reference lists U16, U32 and U64 widened to 8 bytes; compare those by their low bytes.
        const width = safetensorsBits[entry.dtype] / 8;
        const values = expected.bytes_hex.length / 2 / Math.max(1, data.length / 2 / width);
        const narrowed = [...Buffer.from(expected.bytes_hex, 'hex')].filter((_, i) => i % values < width);
        expect(data).toBe(Buffer.from(narrowed).toString('hex'));
      }
    });
  }
});

const dtypes = Object.keys(safetensorsBits) as SafetensorsDType[];
const tensorArbitrary = fc
  .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 }) })
  .filter(({ dtype, shape }) => !Number.isNaN(tensorBytes(dtype, shape)));
const fileArbitrary = fc.record({
  tensors: fc.dictionary(
    fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__' && name !== '__proto__'),
    tensorArbitrary,
    { maxKeys: 6 },
  ),
  metadata: fc.option(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { maxKeys: 4 }), {
    nil: undefined,
  }),
});

describe('properties', () => {
  it('what is built parses back to the same names, types, shapes and metadata, data aligned to 8 bytes', () => {
    fc.assert(
      fc.property(fileArbitrary, ({ tensors, metadata }) => {
        const list = Object.entries(tensors).map(([name, t]) => ({ name, ...t, bytes: tensorBytes(t.dtype, t.shape) }));
        const head = buildHeader(list, metadata);
        const total = head.length + list.reduce((sum, t) => sum + t.bytes, 0);
        const header = parseHeader('f', head.subarray(8), total);
        expect(head.length % 8).toBe(0);
        expect({ ...header.metadata }).toEqual({ ...metadata });
        expect(header.entries.size).toBe(list.length);
        for (const t of list) {
          const entry = header.entries.get(t.name);
          expect(entry).toMatchObject({ dtype: t.dtype, shape: t.shape });
          expect((entry?.end ?? 0) - (entry?.begin ?? 0)).toBe(t.bytes);
        }
      }),
    );
  });

  it('any damaged file is either rejected by name or still tiles exactly its bytes', () => {
    const damage = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), cut: fc.nat({ max: 20 }) });
    fc.assert(
      fc.property(fileArbitrary, fc.array(damage, { minLength: 1, maxLength: 4 }), ({ tensors, metadata }, damages) => {
        const list = Object.entries(tensors).map(([name, t]) => ({ name, ...t, bytes: tensorBytes(t.dtype, t.shape) }));
        const head = buildHeader(list, metadata);
        let bytes = new Uint8Array(head.length + list.reduce((sum, t) => sum + t.bytes, 0));
        bytes.set(head);
        for (const d of damages) {
          if (bytes.length > 0) bytes[d.at % Math.min(bytes.length, head.length)] = d.byte;
          bytes = bytes.slice(0, Math.max(0, bytes.length - d.cut));
        }
        let header: SafetensorsHeader;
        try {
          header = parse(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
          return;
        }
        for (const entry of header.entries.values()) {
          expect(entry.begin).toBeGreaterThanOrEqual(8);
          expect(entry.end).toBeLessThanOrEqual(bytes.length);
          expect(entry.end - entry.begin).toBe(tensorBytes(entry.dtype, entry.shape));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('arbitrary bytes never crash the reader', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          parse(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
        }
      }),
    );
  });

  it('the strict JSON reader agrees with JSON.parse on every valid document', () => {
    const plain = (value: JsonValue): unknown => {
      if (value instanceof JsonObject) return Object.fromEntries(value.entries.map(([k, v]) => [k, plain(v)]));
      if (value instanceof JsonFloat) return Number(value.text);
      if (typeof value === 'bigint') return Number(value);
      return Array.isArray(value) ? value.map(plain) : value;
    };
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(plain(parseStrictJson(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('the strict JSON reader rejects what JSON.parse rejects', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 2 }), (text, at, insert) => {
        const cut = at % (text.length + 1);
        const damaged = text.slice(0, cut) + insert + text.slice(cut);
        let valid = true;
        try {
          JSON.parse(damaged);
        } catch {
          valid = false;
        }
        if (!valid) expect(() => parseStrictJson(damaged)).toThrow(/invalid JSON/);
      }),
      { numRuns: 500 },
    );
  });
});
