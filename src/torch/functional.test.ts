import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { expectAllclose } from './allclose.test-support.js';
import { autocast, F, safetensors, Tensor, torch } from './index.js';

const fixture = (name: string): string => fileURLToPath(new URL(`../../test/fixtures/torch/${name}`, import.meta.url));

/** The function on float64 copies (which no fused operator takes) and the gradients by all inputs. */
function withGradients(f: (...xs: Tensor[]) => Tensor, xs: readonly Tensor[], weights: Tensor): Tensor[] {
  const leaves = xs.map((x) => x.detach().clone().requires_grad_());
  const out = f(...leaves);
  return [out, ...torch.autograd_grad([out], leaves, { grad_outputs: [weights.to(out.dtype)] })];
}

/** Compares the fused path with the chain in float64, values and gradients. */
function compare(f: (...xs: Tensor[]) => Tensor, inputs: Tensor[], dtype: 'float32' | 'bfloat16'): void {
  const narrow = inputs.map((x) => x.to(dtype));
  const shape = f(...narrow.map((x) => x.double())).shape;
  const weights = torch.randn(shape).to(dtype);
  const actual = withGradients(f, narrow, weights);
  const expected = withGradients(
    f,
    narrow.map((x) => x.double()),
    weights,
  );
  for (const [i, e] of expected.entries()) {
    const size = e.abs().max().item();
    const unit = dtype === 'float32' ? 1e-6 : 2 ** -8;
    expectAllclose(actual[i] as Tensor, e, {
      atol: 2 * unit * size,
      rtol: 2 * unit,
      what: i === 0 ? 'value' : `gradient ${i}`,
    });
    expect((actual[i] as Tensor).dtype).toBe(dtype);
  }
}

describe.each(['float32', 'bfloat16'] as const)('fused CPU operators equal the chains, %s', (dtype) => {
  torch.manual_seed(3);
  const x = (...shape: number[]): Tensor => torch.randn(shape).mul(3);
  it('swiglu', () => compare((a, b) => F.swiglu(a, b), [x(7, 33), x(7, 33)], dtype));
  it('gelu, tanh', () => compare((a) => F.gelu(a, { approximate: 'tanh' }), [x(7, 33)], dtype));
  it('rms_norm', () => {
    compare(
      (a) => F.rms_norm(a, torch.linspace(-1, 2, 35).to(a.dtype === 'float64' ? 'float64' : 'float32'), 1e-3),
      [x(4, 300, 35)],
      dtype,
    );
    compare((w) => F.rms_norm(torch.linspace(-2, 2, 60).view([20, 3]).to(w.dtype), w, 1e-6), [x(3)], dtype);
  });
  it('layer_norm', () => {
    const wide = (a: Tensor, n: number): Tensor =>
      torch.linspace(-1, 2, n).to(a.dtype === 'float64' ? 'float64' : 'float32');
    compare((a) => F.layer_norm(a, [35], wide(a, 35), wide(a, 35).neg(), 1e-3), [x(4, 300, 35)], dtype);
    const rows = torch.randn([20, 3]);
    compare((w, b) => F.layer_norm(rows.to(w.dtype), [3], w, b), [x(3), x(3)], dtype);
  });
  it('rope, shared and batched angles', () => {
    for (const shape of [
      [6, 10],
      [2, 6, 10],
    ]) {
      const [cos, sin] = [torch.randn(shape), torch.randn(shape)];
      compare(
        (a) =>
          F.rope(
            a,
            cos.to(a.dtype === 'float64' ? 'float64' : 'float32'),
            sin.to(a.dtype === 'float64' ? 'float64' : 'float32'),
          ),
        [x(2, 6, 3, 10)],
        dtype,
      );
    }
  });
  it('cross_entropy with ignored rows', () => {
    const target = torch.tensor([0, -100, 16, 3, -100], { dtype: 'int64' });
    for (const reduction of ['mean', 'sum', 'none'] as const) {
      const wide = (a: Tensor): Tensor => F.cross_entropy(a, target, { reduction });
      const logits = x(5, 17).to(dtype);
      const weights = torch.ones(wide(logits).shape);
      const [loss, grad] = withGradients(wide, [logits], weights) as [Tensor, Tensor];
      const [loss64, grad64] = withGradients(wide, [logits.double()], weights) as [Tensor, Tensor];
      expectAllclose(loss, loss64, { atol: 1e-5, rtol: 1e-5 });
      expectAllclose(grad, grad64, { atol: dtype === 'float32' ? 1e-6 : 4e-3, rtol: 1e-5 });
    }
  });
});

describe('fused operators, edges', () => {
  it('not contiguous inputs, numbers beyond the range of exp, empty tensors', () => {
    const a = torch.randn([5, 4]).t();
    expectAllclose(F.swiglu(a, a), a.silu().mul(a));
    const big = torch.tensor([-1e30, -200, 0, 200, 1e30]);
    expectAllclose(F.swiglu(big, torch.ones([5])), torch.tensor([0, 0, 0, 200, 1e30]), { atol: 1e-7 });
    expectAllclose(F.gelu(big, { approximate: 'tanh' }), torch.tensor([0, 0, 0, 200, 1e30]), { atol: 1e-7 });
    expect(F.swiglu(torch.tensor([Number.NaN]), torch.ones([1])).item()).toBeNaN();
    expect(F.rms_norm(torch.empty([0, 8]), torch.ones([8])).shape).toEqual([0, 8]);
    expect(F.cross_entropy(torch.empty([0, 8]), torch.empty([0], { dtype: 'int64' })).item()).toBeNaN();
    const logits = torch.tensor([
      [0, Number.NEGATIVE_INFINITY],
      [Number.NaN, 0],
      [Number.POSITIVE_INFINITY, 0],
    ]);
    const losses = F.cross_entropy(logits, torch.tensor([0, 1, 1], { dtype: 'int64' }), { reduction: 'none' });
    expect(losses.tolist()).toEqual([0, Number.NaN, Number.NaN]);
  });

  it('say what does not fit, and refuse a second derivative', () => {
    expect(() => F.cross_entropy(torch.zeros([2, 3]), torch.tensor([0, 3], { dtype: 'int64' }))).toThrow(
      /target 3 at row 1 is not a class of 3/,
    );
    expect(() => F.swiglu(torch.zeros([2]), torch.zeros([3]))).toThrow(/gate is Float \[2\] and up Float \[3\]/);
    expect(() => F.rms_norm(torch.zeros([2, 3]), torch.ones([4]))).toThrow(/\[2, 3\] and the weight \[4\]/);
    expect(() => F.rope(torch.zeros([1, 2, 3, 4]), torch.zeros([3, 4]), torch.zeros([3, 4]))).toThrow(
      /rope: the input is \[1, 2, 3, 4\]/,
    );
    const x = torch.ones([3]).requires_grad_();
    expect(() => torch.autograd_grad(F.swiglu(x, x).sum(), x, { create_graph: true })).toThrow(/no second derivative/);
  });

  it('give the same sums for any number of threads', () => {
    torch.manual_seed(4);
    const x = torch.randn([1000, 48]).requires_grad_();
    const w = torch.randn([48]).requires_grad_();
    const grads = [1, 2].map((threads) => {
      torch.set_num_threads(threads);
      return torch.autograd_grad(F.rms_norm(x, w).square().sum(), [x, w]).map((g) => g.data());
    });
    torch.set_num_threads(1);
    expect(grads[0]).toEqual(grads[1]);
  });
});

/** Attention written out in float64. */
function reference(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, scale: number): Tensor {
  const groups = (q.shape[1] as number) / (k.shape[1] as number);
  const [K, V] = [k, v].map((x) => x.double().repeat_interleave(groups, 1)) as [Tensor, Tensor];
  let scores = q.double().matmul(K.transpose(2, 3)).mul(scale);
  if (mask !== null) scores = mask.dtype === 'bool' ? scores.masked_fill(mask.logical_not(), -1e30) : scores.add(mask);
  return scores.softmax(-1).matmul(V);
}

describe('scaled_dot_product_attention', () => {
  torch.manual_seed(5);
  const [B, H, L, S, E] = [2, 4, 5, 7, 8];
  for (const Hkv of [4, 2, 1]) {
    const q = torch.randn([B, L, H, E]).transpose(1, 2);
    const k = torch.randn([B, Hkv, S, E]);
    const v = torch.randn([B, Hkv, S, 3]);
    const padding = torch.ones([B, 1, 1, S], { dtype: 'bool' });
    padding.slice(3, 5).fill_(false);
    const masks: Record<string, Tensor | null> = {
      none: null,
      'float [L, S]': torch.randn([L, S]),
      'boolean [B, 1, 1, S]': padding,
      'float [B, H, L, S]': torch.randn([B, H, L, S]),
      'float [1, H, 1, S]': torch.randn([1, H, 1, S]),
      'float [B, 1, L, S]': torch.randn([B, 1, L, S]),
    };
    for (const [name, attn_mask] of Object.entries(masks)) {
      it(`${H} query heads on ${Hkv}, mask ${name}: values and gradients`, () => {
        const own = [q, k, v].map((x) => x.detach().clone().requires_grad_()) as [Tensor, Tensor, Tensor];
        const wide = [q, k, v].map((x) => x.detach().double().requires_grad_()) as [Tensor, Tensor, Tensor];
        const out = F.scaled_dot_product_attention(...own, { attn_mask });
        const expected = reference(...wide, attn_mask, 1 / Math.sqrt(E));
        expectAllclose(out, expected, { atol: 1e-5 });
        const grads = torch.autograd_grad(out.square().sum(), own);
        for (const [i, g] of torch.autograd_grad(expected.square().sum(), wide).entries()) {
          expectAllclose(grads[i] as Tensor, g, { atol: 1e-4, what: `gradient ${i}` });
        }
      });
    }
  }

  it('causal, with another scale, in bfloat16 and under autocast', () => {
    const [q, k, v] = [0, 1, 2].map(() => torch.randn([B, H, L, E])) as [Tensor, Tensor, Tensor];
    const causal = torch.ones([L, L], { dtype: 'bool' }).tril();
    const expected = reference(q, k, v, causal, 0.3);
    expectAllclose(F.scaled_dot_product_attention(q, k, v, { is_causal: true, scale: 0.3 }), expected, { atol: 1e-5 });
    const low = [q, k, v].map((x) => x.bfloat16()) as [Tensor, Tensor, Tensor];
    expectAllclose(F.scaled_dot_product_attention(...low, { is_causal: true, scale: 0.3 }), expected, { atol: 0.05 });
    autocast({}, () => {
      const out = F.scaled_dot_product_attention(q, k, v, { is_causal: true, scale: 0.3 });
      expect(out.dtype).toBe('bfloat16');
      expectAllclose(out, expected, { atol: 0.05 });
    });
  });

  it('a row without any key gives numbers, and wrong arguments are named', () => {
    const q = torch.randn([1, 1, 2, 4]);
    const none = torch.zeros([2, 2], { dtype: 'bool' });
    expect(F.scaled_dot_product_attention(q, q, q, { attn_mask: none }).isfinite().all().item()).toBe(1);
    expect(() => F.scaled_dot_product_attention(q, q, q, { attn_mask: none, is_causal: true })).toThrow(/exclude/);
    const three = torch.randn([1, 3, 2, 4]);
    const two = torch.randn([1, 2, 2, 4]);
    expect(() => F.scaled_dot_product_attention(three, two, two)).toThrow(/2 key heads do not divide 3/);
  });

  it('dropout keeps the mean and follows the seed', () => {
    const q = torch.zeros([1, 1, 1, 4]);
    const v = torch.ones([1, 1, 2000, 1]);
    const k = torch.zeros([1, 1, 2000, 4]);
    const run = (): number => {
      torch.manual_seed(1);
      return F.scaled_dot_product_attention(q, k, v, { dropout_p: 0.5 }).item();
    };
    expect(run()).toBeCloseTo(1, 1);
    expect(run()).not.toBe(1);
    expect(run()).toBe(run());
  });
});

describe('softmax, cross entropy and distillation KL against torch (09d)', () => {
  const data = safetensors.load(fixture('09d_softmax_kl.safetensors'));
  const info = JSON.parse(readFileSync(fixture('09d_softmax_kl.json'), 'utf8')) as {
    suggested_tolerance: { atol: number; rtol: number };
  };
  const { atol, rtol } = info.suggested_tolerance;
  const get = (name: string): Tensor => {
    const t = data[name];
    if (t === undefined) throw new Error(`the fixture has no ${name}`);
    return t;
  };
  const check = (actual: Tensor, name: string): void =>
    expectAllclose(actual, get(`outputs/${name}`), { atol, rtol, what: name });
  const teacher = get('inputs/teacher_logits');
  const mask = get('inputs/mask');
  const klTokens = (student: Tensor, T: number): Tensor =>
    F.kl_div(F.log_softmax(student.div(T), -1), F.log_softmax(teacher.div(T), -1), {
      reduction: 'none',
      log_target: true,
    }).sum([-1]);

  for (const T of [0.5, 1, 2, 4]) {
    it(`T = ${T}`, () => {
      const student = get('inputs/student_logits').clone().requires_grad_();
      const losses: Record<string, () => Tensor> = {
        sum_over_batch_axis: () =>
          F.kl_div(F.log_softmax(student.div(T), -1), F.softmax(teacher.div(T), -1), { reduction: 'batchmean' }).mul(
            T * T,
          ),
        mean_over_tokens: () =>
          klTokens(student, T)
            .mean()
            .mul(T * T),
        masked_mean: () =>
          klTokens(student, T)
            .mul(mask)
            .sum()
            .div(mask.sum())
            .mul(T * T),
      };
      for (const [name, loss] of Object.entries(losses)) {
        const value = loss();
        check(value, `kl/T${T}/${name}/loss`);
        check(torch.autograd_grad(value, student)[0] as Tensor, `kl/T${T}/${name}/grad_student`);
      }
      check(klTokens(student, T), `kl/T${T}/per_token_without_T2`);
      check(F.softmax(student.div(T), -1), `softmax/T${T}/student`);
      check(F.log_softmax(student.div(T), -1), `log_softmax/T${T}/student`);
    });
  }

  it('cross entropy, mixed loss and extreme logits', () => {
    const student = get('inputs/student_logits').clone().requires_grad_();
    const ce = F.cross_entropy(student.view([-1, 17]), get('inputs/labels').view([-1]));
    check(ce, 'ce/loss');
    const mixed = ce.mul(0.3).add(klTokens(student, 2).mul(mask).sum().div(mask.sum()).mul(4), { alpha: 0.7 });
    check(mixed, 'mixed/loss');
    check(torch.autograd_grad(mixed, student)[0] as Tensor, 'mixed/grad_student');
    const extreme = get('inputs/extreme_logits');
    check(F.softmax(extreme, -1), 'extreme/softmax');
    check(extreme.slice(0, 0, 4).logsumexp([-1]), 'extreme/logsumexp');
    expect(extreme).toBeInstanceOf(Tensor);
  });
});
