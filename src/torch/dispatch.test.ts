import { describe, expect, it } from 'vitest';
import { ArgumentError, DisposedTensorError, TorchError, torch } from './index.js';

const x = () =>
  torch.tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);

describe('overloads', () => {
  it('are chosen by the arguments', () => {
    expect(x().sum().item()).toBe(21);
    expect(x().sum([1]).tolist()).toEqual([6, 15]);
    expect(x().sum(0).tolist()).toEqual([5, 7, 9]);
    expect(x().sum([1], true).shape).toEqual([2, 1]);
    expect(x().max().item()).toBe(6);
    expect(x().max(1)[1].tolist()).toEqual([2, 2]);
    expect(x().pow(2).tolist()).toEqual([
      [1, 4, 9],
      [16, 25, 36],
    ]);
    expect(torch.pow(2, x()).select(0, 0).tolist()).toEqual([2, 4, 8]);
    expect(x().std(0).tolist()).toEqual([2.1213202476501465, 2.1213202476501465, 2.1213202476501465]);
    expect(
      x()
        .split(2, 1)
        .map(({ shape }) => shape),
    ).toEqual([
      [2, 2],
      [2, 1],
    ]);
    expect(
      x()
        .split([1, 2], 1)
        .map(({ shape }) => shape),
    ).toEqual([
      [2, 1],
      [2, 2],
    ]);
    expect(torch.where(x().gt(2), x(), 0).tolist()).toEqual([
      [0, 0, 3],
      [4, 5, 6],
    ]);
  });

  it('take options by name, also those that could stand by position', () => {
    expect(x().add(x(), { alpha: -1 }).sum().item()).toBe(0);
    expect(x().argmax({ dim: 0, keepdim: true }).shape).toEqual([1, 3]);
    expect(x().sum({ dim: [0], keepdim: true } as never).shape).toEqual([1, 3]);
    expect(x().sum([0], { keepdim: true, dtype: 'float64' }).dtype).toBe('float64');
    expect(x().div(2, { rounding_mode: 'floor' }).tolist()).toEqual([
      [0, 1, 1],
      [2, 2, 3],
    ]);
    expect(x().softmax(-1, { dtype: 'float64' }).dtype).toBe('float64');
    expect(x().clamp({ max: 2 }).max().item()).toBe(2);
    expect(x().clamp(null, 2).max().item()).toBe(2);
    expect(
      x()
        .sum([1], undefined, { dtype: undefined } as never)
        .tolist(),
    ).toEqual([6, 15]);
  });

  it('take sizes one by one and a lone number for a pair', () => {
    expect(x().view(3, 2).shape).toEqual([3, 2]);
    expect(x().permute(1, 0).shape).toEqual([3, 2]);
    expect(torch.zeros(2, 1).shape).toEqual([2, 1]);
    const image = torch.ones([1, 1, 4, 4]);
    expect(image.to('float32').max_pool2d(2).shape).toEqual([1, 1, 2, 2]);
  });

  it('take numbers for tensors where Python does', () => {
    expect(torch.mul(2, x()).sum().item()).toBe(42);
    expect(torch.sub(1, x()).sum().item()).toBe(-15);
    expect(torch.add(torch.arange(2), 1).dtype).toBe('int64');
    expect(torch.add(torch.arange(2), 1.5).dtype).toBe('float32');
    expect(() => torch.matmul(x(), 2 as never)).toThrow(ArgumentError);
  });

  it('take lists of tensors, of optional tensors and of numbers', () => {
    const rows = torch.tensor([1n, 0n]);
    expect(x().index([rows]).tolist()).toEqual([
      [4, 5, 6],
      [1, 2, 3],
    ]);
    expect(
      x()
        .index([null, torch.tensor([2n])])
        .tolist(),
    ).toEqual([[3], [6]]);
    expect(torch._foreach_add([x(), x()], [1, 0.5]).map((sum) => sum.sum().item())).toEqual([27, 24]);
    const list = [x(), x()];
    expect(torch._foreach_mul_(list, 2)).toBeUndefined();
    expect(list[0]!.sum().item()).toBe(42);
  });

  it('pass lists longer than the call buffer', () => {
    const ones = Array.from({ length: 70_000 }, () => torch.ones([1]));
    expect(torch.cat(ones).sum().item()).toBe(70_000);
    for (const one of ones) one.dispose();
  });

  it('give what is no tensor', () => {
    expect(x().is_floating_point()).toBe(true);
    expect(torch.call('aten::size', x(), 1)).toBe(3);
    expect(torch.call('aten::_local_scalar_dense', torch.tensor(4))).toBe(4);
  });
});

describe('torch.has', () => {
  it('tests for operators and overloads', () => {
    expect(torch.has('aten::add')).toBe(true);
    expect(torch.has('add.Tensor')).toBe(true);
    expect(torch.has('aten::add.Nothing')).toBe(false);
    expect(torch.has('aten::no_such')).toBe(false);
    expect(() => torch.call('aten::no_such')).toThrow(/has no operator aten::no_such/);
    expect((torch as unknown as Record<string, unknown>).no_such).toBeUndefined();
  });
});

describe('errors', () => {
  it('name the operator with shapes and dtypes', () => {
    const error = caught(() => x().matmul(torch.ones([2, 2], { dtype: 'float64' })));
    expect(error).toBeInstanceOf(TorchError);
    expect((error as TorchError).operator).toBe('aten::matmul');
    expect(error.message).toContain('self: float32[2, 3], other: float64[2, 2]');
    expect(error.message).not.toMatch(/Exception raised|frame #|\.cpp/);
  });

  it('list the overloads that exist', () => {
    const error = caught(() => x().add('a' as never));
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error.message).toContain("aten::add does not take (float32[2, 3], 'a')");
    expect(error.message).toContain('aten::add.Tensor(Tensor self, Tensor other');
  });

  it('reject unknown options, too many arguments and wrong types', () => {
    expect(() => x().sum({ dims: 1 } as never)).toThrow(ArgumentError);
    expect(() => (x() as unknown as { relu(n: number): void }).relu(1)).toThrow(ArgumentError);
    expect(() => x().sum(0.5 as never)).toThrow(ArgumentError);
    expect(() => torch.zeros([2, -1])).toThrow(TorchError);
    expect(() => torch.zeros([2], { device: 'moon' })).toThrow(/'moon' is no device/);
  });

  it('name a disposed tensor', () => {
    const gone = x();
    gone.dispose();
    expect(() => gone.add(1)).toThrow(DisposedTensorError);
    expect(() => x().add(gone)).toThrow(DisposedTensorError);
    expect(() => torch.cat([gone])).toThrow(DisposedTensorError);
    expect(() => gone.shape).toThrow(DisposedTensorError);
    expect(String(gone)).toBe('Tensor(disposed)');
  });

  it('leave the engine usable', () => {
    for (let i = 0; i < 100; i++) caught(() => x().view([7]));
    expect(x().sum().item()).toBe(21);
  });

  it('cost under 0.1 ms each', () => {
    const a = torch.ones([2, 3]);
    const fail = (): Error => caught(() => a.matmul(a));
    for (let i = 0; i < 200; i++) fail();
    const before = process.cpuUsage();
    for (let i = 0; i < 1000; i++) fail();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(100);
  });
});

function caught(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}
