import { describe, expect, it } from 'vitest';
import { autocast, autograd_grad, backward, enableGrad, isGradEnabled, noGrad, type Tensor, torch } from './index.js';

describe('backward', () => {
  it('gives the gradients that finite differences give', () => {
    torch.manual_seed(1);
    const options = { dtype: 'float64' } as const;
    const w = torch.randn([3, 4], options).requires_grad_();
    const x = torch.randn([5, 3], options);
    const loss = (weights: Tensor): Tensor =>
      x.matmul(weights).tanh().softmax(-1).pow(2).sum().add(weights.exp().mean());
    loss(w).backward();
    const gradient = w.grad!.data<Float64Array>();
    const values = w.data<Float64Array>();
    const step = 1e-6;
    for (let i = 0; i < values.length; i++) {
      const moved = (by: number): number => {
        const copy = values.slice();
        copy[i]! += by;
        return loss(torch.from_bytes(copy, [3, 4], 'float64')).item();
      };
      expect(gradient[i]).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 6);
    }
  });

  it('adds up, and starts anew after grad = null', () => {
    const w = torch.ones([2], { requires_grad: true });
    w.mul(2).sum().backward();
    w.mul(2).sum().backward();
    expect(w.grad?.tolist()).toEqual([4, 4]);
    w.grad = null;
    expect(w.grad as Tensor | null).toBeNull();
    w.mul(2).backward(torch.tensor([1, 3]));
    expect((w.grad as Tensor | null)?.tolist()).toEqual([2, 6]);
    expect(() => {
      w.grad = torch.ones([3]);
    }).toThrow(/shape/);
  });

  it('says that a graph is used up', () => {
    const w = torch.ones([2], { requires_grad: true });
    const loss = w.pow(2).sum();
    loss.backward(null, { retain_graph: true });
    loss.backward();
    expect(() => loss.backward()).toThrow(/second time|already been freed/);
    expect(() => torch.ones([1]).backward()).toThrow(/does not require grad/);
  });

  it('starts from several tensors', () => {
    const w = torch.ones([2], { requires_grad: true });
    backward([w.sum(), w.mul(2)], [null, torch.ones([2])]);
    expect(w.grad?.tolist()).toEqual([3, 3]);
  });
});

describe('autograd_grad', () => {
  it('gives gradients without touching .grad, of higher order too', () => {
    const x = torch.tensor([2], { requires_grad: true });
    const [first] = autograd_grad(x.pow(3).sum(), x, { create_graph: true });
    const [second] = autograd_grad(first!.sum(), [x]);
    expect([first!.item(), second!.item(), x.grad]).toEqual([12, 12, null]);
  });

  it('gives null for unused inputs where that is allowed', () => {
    const x = torch.ones([1], { requires_grad: true });
    const y = torch.ones([1], { requires_grad: true });
    expect(autograd_grad(x.mul(2), [x, y], { allow_unused: true })[1]).toBeNull();
    expect(() => autograd_grad(x.mul(2), [x, y])).toThrow(/not have been used/);
  });
});

describe('modes', () => {
  it('noGrad records nothing and ends with its body, however it ends', () => {
    const w = torch.ones([1], { requires_grad: true });
    expect(noGrad(() => w.mul(2).requires_grad)).toBe(false);
    expect(noGrad(() => enableGrad(() => w.mul(2).requires_grad))).toBe(true);
    expect(() => noGrad(() => w.view([7]))).toThrow();
    expect(isGradEnabled()).toBe(true);
  });

  it('autocast computes products in bfloat16 and gives gradients in float32', () => {
    torch.manual_seed(0);
    const w = torch.randn([8, 8], { requires_grad: true });
    const x = torch.randn([4, 8]);
    const y = autocast({ device: 'cpu', dtype: 'bfloat16' }, () => x.matmul(w));
    expect(y.dtype).toBe('bfloat16');
    y.float().sum().backward();
    expect(w.grad?.dtype).toBe('float32');
    expect(x.matmul(w).dtype).toBe('float32');
    expect(autocast({}, () => autocast({ enabled: false }, () => x.matmul(w).dtype))).toBe('float32');
  });

  it('requires_grad can be set on leaves only', () => {
    const w = torch.ones([1], { requires_grad: true });
    const y = w.mul(2);
    expect([w.is_leaf, y.is_leaf, y.requires_grad]).toEqual([true, false, true]);
    expect(() => y.requires_grad_(false)).toThrow(/leaf/);
    expect(() => torch.ones([1], { dtype: 'int64' }).requires_grad_()).toThrow(/floating point/);
    expect(y.detach().requires_grad).toBe(false);
  });
});
