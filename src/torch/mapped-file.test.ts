import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MappedFile, TorchError } from './index.js';

let folder = '';
let path = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-mapped-'));
  path = join(folder, 'numbers');
  writeFileSync(path, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('MappedFile', () => {
  it('gives tensors that outlive it and never write to the file', () => {
    const file = new MappedFile(path);
    expect(file.size).toBe(16);
    const x = file.tensor(4, [3], 'float32');
    file.close();
    expect(() => file.bytes(0, 1)).toThrow(/closed/);
    expect(x.tolist()).toEqual([2, 3, 4]);
    x.mul_(10);
    expect(x.tolist()).toEqual([20, 30, 40]);
    expect(new Float32Array(new Uint8Array(readFileSync(path)).buffer)).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  it('copies what does not lie on a multiple of the element size', () => {
    using file = new MappedFile(path);
    const x = file.tensor(2, [1], 'float32');
    const bytes = new Uint8Array(readFileSync(path)).slice(2, 6);
    expect(x.item()).toBe(new Float32Array(bytes.buffer)[0]);
  });

  it('gives bytes and empty tensors', () => {
    using file = new MappedFile(path);
    expect([...file.bytes(2, 2)]).toEqual([128, 63]);
    expect(file.tensor(16, [0, 3], 'int64').shape).toEqual([0, 3]);
  });

  it('rejects what lies outside, and files that are none', () => {
    using file = new MappedFile(path);
    expect(() => file.tensor(4, [4], 'float32')).toThrow(/bytes 4 to 20 lie outside the file of 16 bytes/);
    expect(() => file.tensor(-4, [1], 'float32')).toThrow(/outside/);
    expect(() => file.tensor(0, [2 ** 40, 2 ** 40], 'float32')).toThrow(/too large/);
    expect(() => file.tensor(0, [-1], 'float32')).toThrow(/negative/);
    expect(() => file.bytes(20, 1)).toThrow(TorchError);
    expect(() => new MappedFile(join(folder, 'absent'))).toThrow(/cannot open .*absent: No such file/);
    expect(() => new MappedFile(folder)).toThrow(/not a regular file/);
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    expect(new MappedFile(empty).size).toBe(0);
  });
});
