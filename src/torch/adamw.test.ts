import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { expectAllclose } from './allclose.test-support.js';
import { nn, optim, safetensors, type Tensor, torch } from './index.js';

const fixture = (name: string): string => fileURLToPath(new URL(`../../test/fixtures/torch/${name}`, import.meta.url));
const golden = JSON.parse(readFileSync(fixture('09a_adamw_clip.json'), 'utf8')) as {
  config: {
    steps: number;
    cases: Record<
      string,
      {
        lr: number;
        betas: [number, number];
        eps: number;
        weight_decay: number;
        clip?: number;
        groups?: boolean;
        cosine?: { num_warmup_steps: number; num_training_steps: number };
        skip?: number[];
        lr_used_at_step: number[];
      }
    >;
  };
  runs: { name: string; cases?: { index: number; max_norm: number; norm_type: string }[] }[];
};
const data = safetensors.load(fixture('09a_adamw_clip.safetensors'));
const tensor = (name: string): Tensor => {
  const found = data[name];
  if (found === undefined) throw new Error(`the fixture has no ${name}`);
  return found;
};
const tolerance = { atol: 1e-7, rtol: 2e-5 };
const names = ['w', 'b', 'c'] as const;

describe.each(['fused', 'foreach'] as const)('AdamW, %s, against torch', (implementation) => {
  for (const [name, c] of Object.entries(golden.config.cases)) {
    it(name, () => {
      const params = Object.fromEntries(names.map((n) => [n, nn.param(tensor(`inputs/init/${n}`).clone())]));
      const { lr, betas, eps, weight_decay } = c;
      const list = names.map((n) => params[n] as Tensor);
      const optimizer = new optim.AdamW(
        c.groups === true
          ? [{ params: [list[0] as Tensor, list[2] as Tensor] }, { params: [list[1] as Tensor], weight_decay: 0 }]
          : list,
        { lr, betas, eps, weight_decay, implementation },
      );
      const schedule = c.cosine === undefined ? null : optim.schedules.cosine_with_warmup(c.cosine);
      for (let step = 0; step < golden.config.steps; step++) {
        for (const n of names) {
          const skipped = n === 'b' && c.skip?.includes(step) === true;
          (params[n] as Tensor).grad = skipped ? null : tensor(`inputs/grads/${n}`).select(0, step).clone();
        }
        if (schedule !== null) optim.setLearningRates(optimizer, schedule(step));
        expect(optimizer.param_groups[0]?.lr).toBeCloseTo(c.lr_used_at_step[step] as number, 12);
        if (c.clip !== undefined) {
          const norm = optim.clip_grad_norm_(list, c.clip);
          expectAllclose(norm, tensor(`outputs/${name}/total_norm_before_clip`).select(0, step), tolerance);
        }
        optimizer.step();
        for (const n of names) {
          const expected = tensor(`outputs/${name}/params/${n}`).select(0, step);
          expectAllclose(params[n] as Tensor, expected, { ...tolerance, what: `${n} after step ${step}` });
        }
      }
      const { state, param_groups } = optimizer.state_dict();
      for (const [i, n] of (c.groups === true ? (['w', 'c', 'b'] as const) : names).entries()) {
        for (const moment of ['exp_avg', 'exp_avg_sq']) {
          const expected = tensor(`outputs/${name}/final_${moment}/${n}`);
          expectAllclose(state[`state/${i}/${moment}`] as Tensor, expected, {
            ...tolerance,
            what: `${moment} of ${n}`,
          });
        }
      }
      expect(param_groups.flatMap((g) => g.params)).toEqual([0, 1, 2]);
    });
  }
});

describe('clip_grad_norm_ against torch', () => {
  const cases = golden.runs.find((run) => run.name === 'clip')?.cases ?? [];
  expect(cases.length).toBe(5);
  for (const { index, max_norm, norm_type } of cases) {
    it(`max ${max_norm}, norm ${norm_type}`, () => {
      const params = ['clip_a', 'clip_b'].map((n) => {
        const gradient = tensor(`inputs/${n}`);
        const p = nn.param(torch.zeros(gradient.shape));
        p.grad = gradient.clone();
        return p;
      });
      const norm = optim.clip_grad_norm_(
        params,
        max_norm,
        norm_type === 'inf' ? Number.POSITIVE_INFINITY : Number(norm_type),
      );
      expectAllclose(norm, tensor(`outputs/clip/${index}/total_norm`), tolerance);
      for (const [i, n] of ['a', 'b'].entries()) {
        expectAllclose(params[i]?.grad as Tensor, tensor(`outputs/clip/${index}/${n}`), tolerance);
      }
    });
  }

  it('is 0 without gradients, and leaves gradients alone that are not finite', () => {
    const p = nn.param(torch.zeros([2]));
    expect(optim.clip_grad_norm_([p], 1).item()).toBe(0);
    p.grad = torch.tensor([1, Number.NaN]);
    expect(optim.clip_grad_norm_([p], 1).item()).toBeNaN();
    expect(p.grad.tolist()).toEqual([1, Number.NaN]);
    p.grad = torch.tensor([3e38, 3e38]);
    expect(optim.clip_grad_norm_([p], 1e30).item()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('low precision and state', () => {
  const run = (dtype: 'float32' | 'bfloat16' | 'float16', implementation: 'fused' | 'foreach'): Tensor => {
    torch.manual_seed(1);
    const p = nn.param(torch.randn([33, 7]).to(dtype));
    const optimizer = new optim.AdamW([p], { lr: 1e-4, implementation });
    for (let i = 0; i < 50; i++) {
      p.grad = torch.randn([33, 7]).to(dtype);
      optimizer.step();
    }
    return (dtype === 'float32' ? p : (optimizer.state_dict().state['state/0/master'] as Tensor)).clone();
  };

  it('bfloat16 and float16 parameters keep float32 masters, so that small steps add up', () => {
    for (const dtype of ['bfloat16', 'float16'] as const) {
      const atol = dtype === 'bfloat16' ? 2e-2 : 2e-3;
      expectAllclose(run(dtype, 'fused'), run('float32', 'fused'), { atol, rtol: 0 });
      expectAllclose(run(dtype, 'fused'), run(dtype, 'foreach'), { atol: 1e-6, rtol: 1e-5 });
    }
  });

  it('a saved and loaded state continues bit for bit', () => {
    const make = (): { params: Tensor[]; optimizer: optim.AdamW } => {
      torch.manual_seed(2);
      const params = [nn.param(torch.randn([5, 3])), nn.param(torch.randn([4]).bfloat16())];
      return { params, optimizer: new optim.AdamW(params, { lr: 0.01 }) };
    };
    const grads = Array.from({ length: 6 }, () => [torch.randn([5, 3]), torch.randn([4]).bfloat16()] as const);
    const steps = ({ params, optimizer }: ReturnType<typeof make>, from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        for (const [j, p] of params.entries()) p.grad = (grads[i] as readonly Tensor[])[j] as Tensor;
        optimizer.step();
      }
    };
    const whole = make();
    steps(whole, 0, 6);
    const first = make();
    steps(first, 0, 3);
    first.optimizer.param_groups[0]!.lr = 0.01;
    const saved = first.optimizer.state_dict();
    const json = JSON.parse(JSON.stringify(saved.param_groups)) as typeof saved.param_groups;
    const second = make();
    for (const [i, p] of second.params.entries()) p.detach().copy_(first.params[i] as Tensor);
    second.optimizer.load_state_dict({ state: saved.state, param_groups: json });
    steps(second, 3, 6);
    for (const [i, p] of second.params.entries()) {
      expect(p.detach().float().data()).toEqual((whole.params[i] as Tensor).detach().float().data());
    }
  });

  it('refuses a state of other parameters and a parameter given twice', () => {
    const a = nn.param(torch.zeros([2]));
    a.grad = torch.ones([2]);
    const from = new optim.AdamW([a]);
    from.step();
    const b = nn.param(torch.zeros([3]));
    expect(() => new optim.AdamW([b]).load_state_dict(from.state_dict())).toThrow(
      /exp_avg of parameter 0 is \[2\], the parameter \[3\]/,
    );
    expect(() => new optim.AdamW([a, b]).load_state_dict(from.state_dict())).toThrow(optim.OptimizerStateError);
    expect(() => new optim.AdamW([a, a])).toThrow(/twice/);
  });

  it('the moving average follows the parameters, swaps in and out, and continues from a saved state', () => {
    const model = new nn.Linear(2, 2, { bias: false });
    const fill = (v: number): void => void model.weight.detach().fill_(v);
    fill(0);
    const ema = new optim.EMA(model, 0.9);
    fill(1);
    ema.update();
    ema.update();
    expect(ema.swapped(() => model.weight.detach().mean().item())).toBeCloseTo(0.19, 6);
    expect(model.weight.detach().mean().item()).toBe(1);
    expect(() => ema.swapped(async () => 1)).toThrow(/asynchronous function/);
    expect(model.weight.detach().mean().item()).toBe(1);
    const saved = ema.state_dict();
    const next = new optim.EMA(model, 0.9);
    next.load_state_dict(saved);
    expect(next.num_updates).toBe(2);
    expect(next.state_dict().shadow.weight?.tolist()).toEqual(saved.shadow.weight?.tolist());
    expect(() => next.load_state_dict({ shadow: {}, num_updates: 0 })).toThrow(/missing \(1\): weight/);
    const warm = new optim.EMA(model, 0.9, { warmup: true });
    fill(2);
    warm.update();
    expect(warm.state_dict().shadow.weight?.mean().item()).toBeCloseTo(1 * 0.1 + 2 * 0.9, 6);
  });
});
