import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { ColumnSource } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeNumeric, numbersAs } from './episode-columns.js';
import { CorruptDatasetError } from './errors.js';
import type { Feature, NumericDType } from './features.js';
import { ParquetAppender } from './parquet-append.js';
import { ParquetFile, ParquetFiles } from './parquet-read.js';
import { dataSchema, leaf, list, root, struct } from './parquet-schema.js';

let base = '';
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-numbers-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

let files = 0;
function write(schema: ReturnType<typeof root>, groups: readonly ColumnSource[][]): Promise<ParquetFile> {
  const path = join(base, `${files++}.parquet`);
  const file = new ParquetAppender(path, schema);
  for (const group of groups) file.append(group);
  file.close();
  return ParquetFile.open(path);
}

const column = (data: unknown[], more: Partial<ColumnSource> = {}): ColumnSource[] => [{ name: 'x', data, ...more }];
const feature = (dtype: NumericDType, ...shape: number[]): Feature => ({ dtype, shape, names: null });
const schemaOf = (dtype: NumericDType, ...shape: number[]) => dataSchema({ x: feature(dtype, ...shape) });

const DTYPES = ['float32', 'float64', 'bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint32', 'uint64'] as const;

/** A value that the writer takes for a dtype. */
const anyOf = (dtype: NumericDType): fc.Arbitrary<unknown> => {
  if (dtype === 'float32') return fc.oneof(fc.float(), fc.constantFrom(0, 1));
  if (dtype === 'float64') return fc.double();
  if (dtype === 'bool') return fc.boolean();
  if (dtype === 'int64')
    return fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(0n, 1n));
  if (dtype === 'uint64') return fc.bigInt({ min: 0n, max: 2n ** 53n });
  const bits = Number(dtype.replace(/\D/g, ''));
  return dtype.startsWith('u')
    ? fc.integer({ min: 0, max: 2 ** Math.min(bits, 31) - 1 })
    : fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
};

const nest = (values: readonly unknown[], shape: readonly number[]): unknown => {
  const [first = 1, ...rest] = shape;
  if (rest.length === 0) return first === 1 && shape.length === 1 ? values[0] : values;
  const step = values.length / first;
  return Array.from({ length: first }, (_, i) => {
    const part = values.slice(i * step, (i + 1) * step);
    return rest.length === 1 ? part : nest(part, rest);
  });
};

describe('numbers read at once', () => {
  it('are what reading value by value gives, in any rows, of any type and shape', async () => {
    const cases = fc
      .record({
        dtype: fc.constantFrom(...DTYPES),
        shape: fc.constantFrom<number[]>([1], [2], [7], [2, 3]),
        lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
        codec: fc.constantFrom('SNAPPY' as const, 'UNCOMPRESSED' as const),
        few: fc.boolean(),
      })
      .chain((one) => {
        const size = one.shape.reduce((a, b) => a * b, 1);
        const total = size * one.lengths.reduce((a, b) => a + b, 0);
        const values = fc.array(anyOf(one.dtype), { minLength: total, maxLength: total });
        return fc.record({ one: fc.constant({ ...one, size }), values, cut: fc.tuple(fc.nat(), fc.nat()) });
      });
    let atOnce = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ({ one, values, cut }) => {
        const { dtype, shape, lengths, size, codec, few } = one;
        // Few different values: the writer makes a dictionary of them.
        const own = few ? values.map((_, i) => values[i % Math.min(3, values.length)]) : values;
        const rows = Array.from({ length: own.length / size }, (_, row) =>
          nest(own.slice(row * size, (row + 1) * size), shape),
        );
        let at = 0;
        const groups = lengths.map((length) => {
          at += length;
          return column(rows.slice(at - length, at), { codec });
        });
        const file = await write(schemaOf(dtype, ...shape), groups);
        const [a, b] = cut.map((n) => n % (file.numRows + 1)) as [number, number];
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const kind = feature(dtype, ...shape);
        const slow = decodeNumeric((await file.read(['x'], from, to)).get('x') ?? [], 'x', kind, { file: file.path });
        const quick = numbersAs(kind, file.readNumbers('x', from, to));
        if (quick) {
          atOnce++;
          expect(quick).toEqual(slow);
        } else expect(from === to || dtype.startsWith('uint32') || dtype === 'uint64').toBe(true);
      }),
      { numRuns: 100 },
    );
    expect(atOnce).toBeGreaterThan(30);
  });

  it('are not given where there are nulls, ragged lists, text, structs or dates', async () => {
    const vectors = schemaOf('float32', 2);
    for (const rows of [[[1, 2], null], [[1, null]], [[1, 2], [3]], [[1], [2, 3]], [[1, 2], []]])
      expect((await write(vectors, [column(rows)])).readNumbers('x')).toBeUndefined();
    expect((await write(root([leaf('x', 'string')]), [column(['a'])])).readNumbers('x')).toBeUndefined();
    const inner = root([struct('x', [leaf('a', 'float32')])]);
    expect((await write(inner, [column([{ a: 1 }])])).readNumbers('x')).toBeUndefined();
    const date = root([[{ name: 'x', type: 'INT32', converted_type: 'DATE', repetition_type: 'OPTIONAL' }]]);
    expect((await write(date, [column([new Date(0)])])).readNumbers('x')).toBeUndefined();
    const differing = [column([[1, 2]]), column([[1, 2, 3]])];
    expect((await write(vectors, differing)).readNumbers('x')).toBeUndefined();
    expect((await write(vectors, differing)).readNumbers('x', 1, 2)).toEqual({
      values: Float32Array.of(1, 2, 3),
      size: 3,
    });
  });

  it('leave it to the other way to say that a number is not whole or that there are too many', () => {
    expect(numbersAs(feature('int64', 1), { values: Float32Array.of(1.5), size: 1 })).toBeUndefined();
    expect(numbersAs(feature('float32', 2), { values: Float32Array.of(1), size: 1 })).toBeUndefined();
    expect(numbersAs(feature('float32', 1), { values: BigInt64Array.of(3n), size: 1 })).toEqual(Float32Array.of(3));
    expect(numbersAs(feature('int64', 1), { values: Int32Array.of(-3), size: 1 })).toEqual(BigInt64Array.of(-3n));
  });

  it('of a damaged file are a named error', async () => {
    const file = await write(schemaOf('float32', 1), [column([1, 2, 3])]);
    const damaged = structuredClone(file.metadata);
    const own = damaged.row_groups[0]?.columns[0]?.meta_data;
    if (own) own.total_compressed_size = 3n;
    const again = await ParquetFile.open(file.path, damaged);
    expect(() => again.readNumbers('x')).toThrow(CorruptDatasetError);
  });
});

describe('open files', () => {
  it('are kept as long as their footers fit', async () => {
    const groups = Array.from({ length: 10 }, (_, g) => column([[g, g]]));
    const paths: string[] = [];
    for (let i = 0; i < 6; i++) paths.push((await write(root([list('x', leaf('element', 'float32'))]), groups)).path);
    const open = new ParquetFiles(25);
    for (const path of paths) await open.open(path);
    expect(open.size).toBe(2);
    const last = await open.open(paths[5] as string);
    expect(await open.open(paths[5] as string)).toBe(last);
    // One that is too large alone is kept while it is the one in use.
    const tight = new ParquetFiles(5);
    expect(await tight.open(paths[0] as string)).toBe(await tight.open(paths[0] as string));
    await expect(tight.open(join(base, 'none.parquet'))).rejects.toThrow('missing');
    expect(tight.size).toBe(1);
  });
});
