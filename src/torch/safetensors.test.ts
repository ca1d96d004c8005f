import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { safetensors, type Tensor, torch } from './index.js';
import { type SafetensorsDType, safetensorsBits, tensorBytes } from './safetensors-header.js';

interface Fixtures {
  malformed: Record<string, { accepted: boolean; base64: string }>;
  valid: Record<
    string,
    {
      metadata: Record<string, string>;
      tensors: Record<string, { dtype: string; shape: number[]; values: (string | number | boolean)[] }>;
      base64: string;
    }
  >;
}
const fixtures = JSON.parse(
  readFileSync(new URL('../../test/fixtures/torch/safetensors-files.json', import.meta.url), 'utf8'),
) as Fixtures;
const directory = mkdtempSync(join(tmpdir(), 'safetensors-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function put(name: string, base64: string): string {
  const path = join(directory, name);
  writeFileSync(path, Buffer.from(base64, 'base64'));
  return path;
}

/** Numbers as the fixture lists them, in the order of the data. */
function values(tensor: Tensor): unknown[] {
  if (tensor.dtype === 'int64') return [...tensor.data<BigInt64Array>()].map(Number);
  if (tensor.dtype === 'bool') return [...tensor.data<Uint8Array>()].map((x) => x !== 0);
  return [...tensor.double().data<Float64Array>()];
}

describe('reading', () => {
  for (const [name, file] of Object.entries(fixtures.valid)) {
    it(`${name}: values are those of the reference`, () => {
      using opened = safetensors.open(put(`${name}.safetensors`, file.base64));
      expect(opened.metadata).toEqual(file.metadata);
      expect([...opened.keys].sort()).toEqual(Object.keys(file.tensors).sort());
      for (const [key, expected] of Object.entries(file.tensors)) {
        const lacking = /^(F8|U16|U32|U64)/.test(expected.dtype) && torch.version.startsWith('1.');
        if (lacking) {
          expect(() => opened.get(key)).toThrow(new RegExp(`${name}.safetensors: .*${expected.dtype}.*does not have`));
          expect(opened.bytes(key).length).toBe(tensorBytes(expected.dtype as SafetensorsDType, expected.shape));
          continue;
        }
        const tensor = opened.get(key);
        expect(tensor.shape).toEqual(expected.shape);
        const wanted = expected.values.map((v) => (typeof v === 'string' ? Number(v.replace('inf', 'Infinity')) : v));
        expect(values(tensor), key).toEqual(wanted);
      }
    });
  }

  it('malformed files are named with their reason, the lenient ones read', () => {
    for (const [name, file] of Object.entries(fixtures.malformed)) {
      const path = put(`${name}.safetensors`, file.base64);
      if (file.accepted) {
        expect(safetensors.open(path).get('w').shape).toEqual([2, 2]);
      } else {
        expect(() => safetensors.open(path), name).toThrow(safetensors.SafetensorsError);
        expect(() => safetensors.open(path), name).toThrow(new RegExp(`${name}\\.safetensors: .{10}`));
      }
    }
  });

  it('names a missing file, a directory and a missing tensor', () => {
    expect(() => safetensors.open(join(directory, 'none'))).toThrow(/none: cannot be opened: ENOENT/);
    expect(() => safetensors.open(directory)).toThrow(/is not a regular file/);
    const path = join(directory, 'one.safetensors');
    safetensors.save(path, { a: torch.ones([2]) });
    expect(() => safetensors.open(path).get('b')).toThrow(/one.safetensors: there is no tensor 'b'/);
  });

  it('is mapped: opening reads no data, writing to a tensor does not reach the file, tensors outlive the file object', () => {
    const path = join(directory, 'mapped.safetensors');
    safetensors.save(path, { a: torch.arange(4, { dtype: 'float32' }) });
    const a = safetensors.load(path).a as Tensor;
    a.fill_(7);
    expect(a.tolist()).toEqual([7, 7, 7, 7]);
    expect(safetensors.load(path).a?.tolist()).toEqual([0, 1, 2, 3]);
  });

  it('notices a file that was replaced between opening and reading', () => {
    const path = join(directory, 'replaced.safetensors');
    safetensors.save(path, { a: torch.ones([4]) });
    const file = safetensors.open(path);
    safetensors.save(path, { b: torch.ones([8]) });
    expect(() => file.get('a')).toThrow(/replaced since it was opened/);
  });
});

describe('writing', () => {
  it('every dtype of the engine, any shape, comes back bit for bit with names and metadata', () => {
    const dtypes = Object.keys(safetensorsBits) as SafetensorsDType[];
    const tensor = fc
      .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }) })
      .filter(({ dtype, shape }) => Number.isInteger(tensorBytes(dtype, shape)))
      .chain(({ dtype, shape }) => {
        const length = tensorBytes(dtype, shape);
        return fc
          .uint8Array({ minLength: length, maxLength: length })
          .map((bytes) => ({ dtype, shape, bytes: dtype === 'BOOL' ? bytes.map((b) => b & 1) : bytes }));
      });
    const names = fc.string({ unit: 'grapheme' }).filter((n) => n !== '__metadata__' && n !== '__proto__');
    const path = join(directory, 'property.safetensors');
    fc.assert(
      fc.property(fc.dictionary(names, tensor, { maxKeys: 5 }), fc.dictionary(names, fc.string()), (tensors, meta) => {
        safetensors.save(path, tensors, meta);
        const first = safetensors.open(path);
        expect({ ...first.metadata }).toEqual({ ...meta });
        for (const [name, t] of Object.entries(tensors)) {
          expect([first.dtype(name), first.shape(name), first.bytes(name)]).toEqual([t.dtype, t.shape, t.bytes]);
        }
        // Through tensors of the engine where it has the type.
        const engine = /^(BOOL|[UI]8|I16|I32|I64|F16|BF16|F32|F64|C64)$/;
        const kept = Object.entries(tensors).filter(([, t]) => engine.test(t.dtype));
        safetensors.save(path, Object.fromEntries(kept.map(([name]) => [name, first.get(name)])));
        const second = safetensors.open(path);
        expect(second.keys.length).toBe(kept.length);
        for (const [name, t] of kept) expect(second.bytes(name)).toEqual(t.bytes);
      }),
      { numRuns: 30 },
    );
  });

  it('takes views and parameters, refuses what the format cannot hold', () => {
    const path = join(directory, 'views.safetensors');
    const base = torch.arange(6, { dtype: 'float32' }).view([2, 3]).requires_grad_();
    safetensors.save(path, { t: base.t(), p: base });
    const back = safetensors.load(path);
    expect(back.t?.tolist()).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    expect(() => safetensors.save(path, { __metadata__: base })).toThrow(/cannot be called/);
    expect(() => safetensors.save(path, { z: torch.zeros([1], { dtype: 'complex128' }) })).toThrow(
      /no type for complex128/,
    );
    expect(() => safetensors.save(path, { r: { dtype: 'F32', shape: [2], bytes: new Uint8Array(7) } })).toThrow(
      /has not 7/,
    );
    expect(Object.keys(safetensors.load(path)).sort()).toEqual(['p', 't']);
  });

  it('leaves the old file and no rubbish when writing fails', () => {
    const own = join(directory, 'fails');
    mkdirSync(own);
    const path = join(own, 'model.safetensors');
    safetensors.save(path, { a: torch.ones([3]) });
    const bad = torch.ones([3]);
    const tensors = {
      a: torch.zeros([3]),
      get b() {
        return bad;
      },
    };
    bad.dispose();
    expect(() => safetensors.save(path, tensors)).toThrow();
    expect(readdirSync(own)).toEqual(['model.safetensors']);
    expect(safetensors.load(path).a?.tolist()).toEqual([1, 1, 1]);
  });

  it('kill -9 at any moment leaves the whole old or the whole new file', async () => {
    const own = join(directory, 'killed');
    mkdirSync(own);
    const path = join(own, 'model.safetensors');
    // Raw tensors, so that the process starts without the engine.
    const script = `
      import { safetensors } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
      for (let i = 0; ; i++) {
        const tensor = () => ({ dtype: 'F32', shape: [500_000], bytes: new Uint8Array(new Float32Array(500_000).fill(i).buffer) });
        safetensors.save(${JSON.stringify(path)}, { a: tensor(), b: tensor() }, { i: String(i) });
        console.log(i);
      }`;
    let seen = 0;
    for (const [saves, delay] of [
      [1, 1],
      [2, 3],
      [3, 0],
      [2, 8],
    ] as const) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let lines = 0;
      await new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          lines += chunk.toString().split('\n').length - 1;
          if (lines >= saves) resolve();
        });
      });
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      const file = safetensors.open(path);
      const i = Number(file.metadata.i);
      seen = Math.max(seen, i);
      for (const name of ['a', 'b']) {
        const t = file.get(name);
        expect([t.min().item(), t.max().item(), t.numel()]).toEqual([i, i, 500_000]);
      }
    }
    expect(seen).toBeGreaterThan(0);
  });
});
