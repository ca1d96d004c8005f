import { describe, expect, it } from 'vitest';
import { ArgumentError, type DType, torch } from './index.js';

describe('torch.tensor', () => {
  it('takes its dtype from the kind of values', () => {
    expect(torch.tensor([1, 2]).dtype).toBe('float32');
    expect(torch.tensor([true, false]).dtype).toBe('bool');
    expect(torch.tensor([1n, 2n]).dtype).toBe('int64');
    expect(torch.tensor(new Uint8Array(2)).dtype).toBe('uint8');
    expect(torch.tensor(new Int32Array(2)).dtype).toBe('int32');
    expect(torch.tensor([]).shape).toEqual([0]);
    expect(torch.tensor(3).shape).toEqual([]);
  });

  it.each<[DType, unknown]>([
    [
      'float32',
      [
        [1.5, -2],
        [3, 4],
      ],
    ],
    [
      'float64',
      [
        [1.1, -2],
        [3, 4],
      ],
    ],
    [
      'bfloat16',
      [
        [1.5, -2],
        [3, 4],
      ],
    ],
    [
      'float16',
      [
        [1.5, -2],
        [3, 4],
      ],
    ],
    [
      'int64',
      [
        [1, -2],
        [3, 4],
      ],
    ],
    [
      'int32',
      [
        [1, -2],
        [3, 4],
      ],
    ],
    [
      'int16',
      [
        [1, -2],
        [3, 4],
      ],
    ],
    [
      'int8',
      [
        [1, -2],
        [3, 4],
      ],
    ],
    [
      'uint8',
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ])('keeps the values of %s', (dtype, values) => {
    const made = torch.tensor(values as number[][], { dtype });
    expect(made.dtype).toBe(dtype);
    expect(made.shape).toEqual([2, 2]);
    expect(made.tolist()).toEqual(values);
  });

  it('keeps integers beyond 2^24 and 2^53 exactly', () => {
    expect(torch.tensor([16777217], { dtype: 'int32' }).tolist()).toEqual([16777217]);
    expect(torch.tensor([9007199254740993n]).data<BigInt64Array>()).toEqual(BigInt64Array.of(9007199254740993n));
  });

  it('gives a typed array a shape', () => {
    const made = torch.tensor(Float32Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3] });
    expect(made.tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(() => torch.tensor(new Float32Array(5), { shape: [2, 3] })).toThrow(/24 bytes.*20/);
  });

  it('reads a view into a larger buffer at its place', () => {
    const whole = Float32Array.of(9, 1, 2, 9);
    expect(torch.tensor(whole.subarray(1, 3)).tolist()).toEqual([1, 2]);
  });

  it('rejects ragged and foreign values', () => {
    expect(() => torch.tensor([[1, 2], [3]])).toThrow(ArgumentError);
    expect(() => torch.tensor([1, [2]] as never)).toThrow(ArgumentError);
    expect(() => torch.tensor(['a'] as never)).toThrow(/not string/);
    expect(() => torch.tensor([null] as never)).toThrow(/not null/);
    expect(() => torch.tensor([1, true])).toThrow(/mixture/);
    expect(() => torch.tensor([1.5], { dtype: 'int64' })).toThrow(/no whole number/);
    expect(() => torch.tensor([1], { dtype: 'float31' as never })).toThrow(/'float31' is no dtype/);
  });
});

describe('Tensor', () => {
  it('tells what it is', () => {
    const x = torch.zeros([2, 3], { dtype: 'int16' });
    expect([x.shape, x.dtype, x.device, x.dim(), x.numel(), x.stride()]).toEqual([
      [2, 3],
      'int16',
      'cpu',
      2,
      6,
      [3, 1],
    ]);
    expect(x.size(-1)).toBe(3);
    expect(() => x.size(2)).toThrow(/dimension 2/);
    expect(x.T.is_contiguous()).toBe(false);
    expect(x.T.contiguous().is_contiguous()).toBe(true);
    expect(x.view([3, 2]).storage_id).toBe(x.storage_id);
    expect(x.storage_bytes).toBe(12);
  });

  it('copies out what a view shows, in row-major order', () => {
    const x = torch.arange(6).view([2, 3]);
    expect(x.T.tolist()).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    expect(x.slice(1, 1, 3).tolist()).toEqual([
      [1, 2],
      [4, 5],
    ]);
    const target = new BigInt64Array(6);
    x.T.copy_to(target);
    expect(target).toEqual(BigInt64Array.of(0n, 3n, 1n, 4n, 2n, 5n));
    expect(() => x.copy_to(new BigInt64Array(5))).toThrow(/48 bytes.*40/);
  });

  it('gives 16 bit floats as bits and takes them back', () => {
    const bits = torch.tensor([1, -2, 0.5]).to('bfloat16').data<Uint16Array>();
    expect(bits).toEqual(Uint16Array.of(0x3f80, 0xc000, 0x3f00));
    expect(torch.from_bytes(bits, [3], 'bfloat16').tolist()).toEqual([1, -2, 0.5]);
  });

  it('converts', () => {
    const x = torch.tensor([1.7, -1.7]);
    expect(x.to('int64').tolist()).toEqual([1, -1]);
    expect(x.to({ dtype: 'bool' }).tolist()).toEqual([true, true]);
    expect(x.to(torch.zeros([1], { dtype: 'float64' })).dtype).toBe('float64');
    expect(x.to('float32').storage_id).toBe(x.storage_id);
    expect(x.to('float32', { copy: true }).storage_id).not.toBe(x.storage_id);
    expect(x.to('meta').device).toBe('meta');
    expect(() => x.to('gpu')).toThrow(/'gpu'/);
  });

  it('gives numbers', () => {
    expect(torch.tensor(2.5).item()).toBe(2.5);
    expect(torch.tensor([[7n]]).item()).toBe(7);
    expect(torch.tensor(true).item()).toBe(1);
    expect(() => torch.zeros([2]).item()).toThrow();
  });

  it('prints itself', () => {
    expect(String(torch.tensor([1, 2]))).toBe('Tensor([1,2], float32[2])');
    expect(String(torch.zeros([100], { requires_grad: true }))).toBe('Tensor(float32[100], requires_grad)');
  });

  it('is returned itself by in-place operators and out=', () => {
    const x = torch.zeros([2]);
    expect(x.add_(1)).toBe(x);
    expect(x.copy_(torch.tensor([3, 4]))).toBe(x);
    expect(x.tolist()).toEqual([3, 4]);
    const out = torch.empty([2]);
    expect(torch.call('aten::add', x, x, { out })).toBe(out);
    expect(out.tolist()).toEqual([6, 8]);
  });

  it('takes over the data of another, keeping its identity', () => {
    const x = torch.zeros([2], { requires_grad: true });
    x.set_data(torch.ones([3], { dtype: 'float64' }));
    expect([x.shape, x.dtype, x.requires_grad]).toEqual([[3], 'float64', true]);
  });
});

describe('torch.full and friends', () => {
  it('are float32 for numbers', () => {
    expect(torch.full([2], 3).dtype).toBe('float32');
    expect(torch.full([2], true).dtype).toBe('bool');
    expect(torch.full([2], 3, { dtype: 'int64' }).tolist()).toEqual([3, 3]);
    expect(torch.full([], 3).item()).toBe(3);
    expect(torch.arange(3).dtype).toBe('int64');
    expect(torch.arange(0, 1, 0.5).tolist()).toEqual([0, 0.5]);
    expect(torch.linspace(0, 1, 3).tolist()).toEqual([0, 0.5, 1]);
    expect(torch.ones([2], { requires_grad: true }).requires_grad).toBe(true);
  });
});
