import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { autocast, noGrad, ScopeError, scope, type Tensor, torch } from './index.js';

describe('scope', () => {
  it('frees what is not returned', () => {
    const before = torch.live_tensors();
    let inner: Tensor | undefined;
    const kept = scope(() => {
      inner = torch.ones([2]);
      return { sum: inner.sum(), list: [inner.add(1)], count: 2, map: new Map([['x', inner.mul(2)]]) };
    });
    expect(inner?.is_disposed).toBe(true);
    expect(kept.sum.item()).toBe(2);
    expect(kept.list[0]!.tolist()).toEqual([2, 2]);
    expect(kept.map.get('x')!.tolist()).toEqual([2, 2]);
    expect(torch.live_tensors()).toBe(before + 3);
    kept.sum.dispose();
    kept.list[0]!.dispose();
    kept.map.get('x')!.dispose();
  });

  it('passes results to the scope around it', () => {
    const before = torch.live_tensors();
    const value = scope(() => {
      const inner = scope(() => torch.ones([3]).mul(2));
      return inner.sum().item();
    });
    expect(value).toBe(6);
    expect(torch.live_tensors()).toBe(before);
  });

  it('leaves alone what is kept or was made outside', () => {
    const outside = torch.ones([1]);
    const kept = scope(() => {
      outside.add_(1);
      const mine = torch.zeros([1]).keep();
      return { shape: mine.shape, hold: () => mine };
    });
    expect(outside.item()).toBe(2);
    expect(kept.hold().item()).toBe(0);
  });

  it('frees when its body throws', () => {
    const before = torch.live_tensors();
    expect(() =>
      scope(() => {
        torch.ones([2]);
        throw new Error('mine');
      }),
    ).toThrow('mine');
    expect(torch.live_tensors()).toBe(before);
    expect(scope(() => torch.ones([1]).item())).toBe(1);
  });

  it('keeps tensors that are views of freed ones', () => {
    const row = scope(() => torch.arange(6).view([2, 3]).select(0, 1));
    expect(row.tolist()).toEqual([3, 4, 5]);
  });

  it('keeps gradients and graphs that hang on kept tensors', () => {
    const w = torch.ones([2], { requires_grad: true });
    scope(() => w.mul(3).sum().backward());
    expect(w.grad?.tolist()).toEqual([3, 3]);
  });

  it('rejects asynchronous bodies, as the modes do', () => {
    expect(() => scope(async () => torch.ones([1]))).toThrow(ScopeError);
    expect(() => noGrad(async () => 1)).toThrow(ScopeError);
    expect(() => autocast({}, async () => 1)).toThrow(ScopeError);
  });

  it('frees at the end of a block with using', () => {
    const before = torch.live_tensors();
    {
      using x = torch.ones([2]);
      expect(x.numel()).toBe(2);
    }
    expect(torch.live_tensors()).toBe(before);
  });

  it('does nothing when disposing twice', () => {
    const x = torch.ones([1]);
    const other = torch.ones([1]);
    x.dispose();
    const reused = torch.full([1], 5);
    x.dispose();
    expect([reused.item(), other.item()]).toEqual([5, 1]);
  });
});

describe('memory', () => {
  const megabytes = (): number => process.memoryUsage().rss / 2 ** 20;

  it('stays bounded over a million small tensors in scopes', () => {
    const one = torch.ones([8]);
    const before = torch.live_tensors();
    const start = megabytes();
    for (let i = 0; i < 1000; i++) {
      scope(() => {
        for (let j = 0; j < 1000; j++) one.add(one);
      });
    }
    expect(torch.live_tensors()).toBe(before);
    expect(megabytes() - start).toBeLessThan(200);
  });

  it('stays bounded in a synchronous loop without scopes', () => {
    const one = torch.ones([16_384]);
    const start = megabytes();
    for (let i = 0; i < 30_000; i++) one.add(one);
    expect(torch.live_tensors()).toBeLessThan(20_000);
    expect(megabytes() - start).toBeLessThan(1000);
  });

  it('is given back after a garbage collection between synchronous stretches', async () => {
    const { setFlagsFromString } = await import('node:v8');
    const { runInNewContext } = await import('node:vm');
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    collect();
    await sleep(20);
    const before = torch.live_tensors();
    (() => {
      for (let i = 0; i < 500; i++) torch.ones([4]);
    })();
    expect(torch.live_tensors()).toBeGreaterThanOrEqual(before + 500);
    for (let i = 0; i < 20 && torch.live_tensors() > before + 5; i++) {
      collect();
      await sleep(20);
    }
    expect(torch.live_tensors()).toBeLessThanOrEqual(before + 5);
  });

  it('does not grow over training steps', () => {
    const w = torch.randn([64, 64], { requires_grad: true });
    const step = (): void =>
      scope(() => {
        const x = torch.randn([32, 64]);
        x.matmul(w).tanh().pow(2).mean().backward();
        noGrad(() => w.sub_(w.grad!, { alpha: 0.1 }));
        w.grad = null;
      });
    step();
    const before = torch.live_tensors();
    for (let i = 0; i < 200; i++) step();
    expect(torch.live_tensors()).toBe(before);
  });
});
