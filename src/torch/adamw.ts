/**
 * AdamW (Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization") with parameter groups and float32 master
 * states, in the order of torch.optim.AdamW:
 *
 *   w -= lr * weight_decay * w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *   w -= lr / (1-b1^t) * m / (sqrt(v) / sqrt(1-b2^t) + eps)
 *
 * Runs as one fused operator (the addon's on the CPU, libtorch's on CUDA) or as foreach operators elsewhere.
 * A parameter without a gradient is left out of a step: no decay, no moments, its count stands still.
 *
 * Knows nothing about schedules: set `lr` of the groups, e.g. with `setLearningRates`.
 */
import { noGrad } from './autograd.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';
import { torch } from './torch.js';

export interface AdamWOptions {
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weight_decay?: number;
}

/** Parameters that share settings; what a group does not set comes from the optimizer's options. */
export interface GroupInit extends AdamWOptions {
  params: readonly Tensor[];
  name?: string;
}

export interface ParamGroup extends Required<AdamWOptions> {
  readonly params: readonly Tensor[];
  readonly name: string | null;
  /** The learning rate that schedules multiply. */
  initial_lr: number;
}

/** A group as it is saved: settings, and the numbers of its parameters in the order of all groups. */
export type SavedGroup = Omit<ParamGroup, 'params'> & { params: number[] };

/** What a checkpoint holds of an optimizer: `safetensors.save(path, state)` and JSON. */
export interface OptimizerState {
  /** `state/<number>/exp_avg`, `.../exp_avg_sq`, `.../step`, and `.../master` of low-precision parameters. */
  state: Record<string, Tensor>;
  param_groups: SavedGroup[];
}

interface ParamState {
  step: number;
  exp_avg: Tensor;
  exp_avg_sq: Tensor;
  /** float32 copy of a bfloat16 or float16 parameter. */
  master: Tensor | null;
}

/** Parameters of a group that are stepped together: same device, dtype and count. */
interface Batch {
  params: Tensor[];
  grads: Tensor[];
  states: ParamState[];
}

export type Implementation = 'fused' | 'foreach';

/** The state that is loaded belongs to other parameters. */
export class OptimizerStateError extends Error {
  override readonly name = 'OptimizerStateError';
}

export class AdamW {
  readonly param_groups: ParamGroup[];
  readonly #states = new Map<Tensor, ParamState>();
  readonly #implementation: Implementation | null;

  /**
   * @param params parameters, or groups of them with settings of their own
   * @param options settings of groups that set none; `implementation` forces one (for tests and comparisons)
   */
  constructor(
    params: readonly Tensor[] | readonly GroupInit[],
    options: AdamWOptions & { implementation?: Implementation } = {},
  ) {
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weight_decay = 1e-2 } = options;
    this.#implementation = options.implementation ?? null;
    const groups = isGroups(params) ? params : [{ params }];
    const seen = new Set<Tensor>();
    this.param_groups = groups.map((group) => {
      for (const p of group.params) {
        if (seen.has(p)) throw new OptimizerStateError('a parameter is in the optimizer twice');
        seen.add(p);
      }
      return {
        lr: group.lr ?? lr,
        betas: group.betas ?? betas,
        eps: group.eps ?? eps,
        weight_decay: group.weight_decay ?? weight_decay,
        initial_lr: group.lr ?? lr,
        params: [...group.params],
        name: group.name ?? null,
      };
    });
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    noGrad(() =>
      scope(() => {
        for (const group of this.param_groups) for (const batch of this.#batches(group)) this.#stepBatch(group, batch);
      }),
    );
  }

  /** Drops all gradients, which is faster than filling them with zeros. */
  zero_grad(): void {
    for (const group of this.param_groups) for (const p of group.params) p.grad = null;
  }

  /** The live tensors of the state and the groups' settings; parameters without a step have none. */
  state_dict(): OptimizerState {
    const state: Record<string, Tensor> = {};
    let number = 0;
    const param_groups = this.param_groups.map((group) => {
      const params = group.params.map((p) => {
        const s = this.#states.get(p);
        if (s !== undefined) {
          state[`state/${number}/exp_avg`] = s.exp_avg;
          state[`state/${number}/exp_avg_sq`] = s.exp_avg_sq;
          if (s.master !== null) state[`state/${number}/master`] = s.master;
          state[`state/${number}/step`] = torch.tensor(s.step, { dtype: 'float32' });
        }
        return number++;
      });
      const { lr, betas, eps, weight_decay, initial_lr, name } = group;
      return { lr, betas, eps, weight_decay, initial_lr, name, params };
    });
    return { state, param_groups };
  }

  /**
   * Takes over a saved state; the tensors are copied.
   * @throws OptimizerStateError where groups or shapes are not those of this optimizer
   */
  load_state_dict(saved: OptimizerState): void {
    const sizes = (groups: readonly { params: readonly unknown[] }[]): string =>
      groups.map((group) => group.params.length).join(', ');
    if (sizes(saved.param_groups) !== sizes(this.param_groups)) {
      throw new OptimizerStateError(
        `the saved optimizer has groups of ${sizes(saved.param_groups)} parameters, this one of ${sizes(this.param_groups)}`,
      );
    }
    const loaded = new Map<Tensor, ParamState>();
    noGrad(() => {
      for (const [g, group] of this.param_groups.entries()) {
        for (const [i, p] of group.params.entries()) {
          const number = (saved.param_groups[g] as SavedGroup).params[i];
          const take = (name: string): Tensor | null => {
            const tensor = saved.state[`state/${number}/${name}`];
            if (tensor === undefined) return null;
            if (tensor.shape.join() !== p.shape.join()) {
              throw new OptimizerStateError(
                `saved ${name} of parameter ${number} is [${tensor.shape.join(', ')}], the parameter [${p.shape.join(', ')}]`,
              );
            }
            return tensor.detach().to({ device: p.device, dtype: 'float32', copy: true }).keep();
          };
          const step = saved.state[`state/${number}/step`];
          const exp_avg = take('exp_avg');
          const exp_avg_sq = take('exp_avg_sq');
          if (step === undefined || exp_avg === null || exp_avg_sq === null) continue;
          loaded.set(p, { step: step.item(), exp_avg, exp_avg_sq, master: take('master') ?? makeMaster(p) });
        }
      }
    });
    for (const [g, group] of this.param_groups.entries()) {
      const { lr, betas, eps, weight_decay, initial_lr } = saved.param_groups[g] as SavedGroup;
      Object.assign(group, { lr, betas, eps, weight_decay, initial_lr });
    }
    this.#states.clear();
    for (const [p, state] of loaded) this.#states.set(p, state);
  }

  #stateOf(p: Tensor): ParamState {
    const known = this.#states.get(p);
    if (known !== undefined) return known;
    const zeros = (): Tensor => torch.zeros(p.shape, { dtype: 'float32', device: p.device }).keep();
    const made = { step: 0, exp_avg: zeros(), exp_avg_sq: zeros(), master: makeMaster(p) };
    this.#states.set(p, made);
    return made;
  }

  #batches(group: ParamGroup): Iterable<Batch> {
    const batches = new Map<string, Batch>();
    for (const p of group.params) {
      const grad = p.grad;
      if (grad === null) continue;
      const state = this.#stateOf(p);
      const key = `${p.device} ${p.dtype} ${state.step}`;
      let batch = batches.get(key);
      if (batch === undefined) {
        batch = { params: [], grads: [], states: [] };
        batches.set(key, batch);
      }
      batch.params.push(p);
      batch.grads.push(grad);
      batch.states.push(state);
    }
    return batches.values();
  }

  #stepBatch(group: ParamGroup, { params, grads, states }: Batch): void {
    const step = (states[0] as ParamState).step + 1;
    const first = params[0] as Tensor;
    const fused = this.#implementation !== 'foreach';
    const dtype = first.dtype;
    const { lr, betas, eps, weight_decay } = group;
    const hyper = { lr, beta1: betas[0], beta2: betas[1], eps, weight_decay };
    const exp_avgs = states.map((s) => s.exp_avg);
    const exp_avg_sqs = states.map((s) => s.exp_avg_sq);
    const low = dtype !== 'float32';
    const weights = low ? states.map((s) => s.master as Tensor) : params;
    if (fused && first.device === 'cpu' && (dtype === 'float32' || dtype === 'bfloat16')) {
      const masters = low ? weights : [];
      torch.call('dualvla::fused_adamw_', params, grads, exp_avgs, exp_avg_sqs, masters, step, hyper);
    } else {
      const wide = low ? grads.map((g) => g.float()) : grads;
      if (fused && first.device.startsWith('cuda') && torch.has('aten::_fused_adamw_')) {
        const steps = new Array<Tensor>(params.length).fill(torch.full([], step, { device: first.device }));
        const flags = { ...hyper, amsgrad: false, maximize: false };
        torch.call('aten::_fused_adamw_', weights, wide, exp_avgs, exp_avg_sqs, [], steps, flags);
      } else {
        foreachAdamW(weights, wide, exp_avgs, exp_avg_sqs, step, hyper);
      }
      if (low) for (const [i, p] of params.entries()) p.copy_(weights[i] as Tensor);
    }
    for (const s of states) s.step = step;
  }
}

/** Multiplies every group's initial learning rate, as a schedule says. */
export function setLearningRates(optimizer: { param_groups: readonly ParamGroup[] }, multiplier: number): void {
  for (const group of optimizer.param_groups) group.lr = group.initial_lr * multiplier;
}

function foreachAdamW(
  weights: readonly Tensor[],
  grads: readonly Tensor[],
  exp_avgs: readonly Tensor[],
  exp_avg_sqs: readonly Tensor[],
  step: number,
  { lr, beta1, beta2, eps, weight_decay }: Record<'lr' | 'beta1' | 'beta2' | 'eps' | 'weight_decay', number>,
): void {
  if (weight_decay !== 0) torch._foreach_mul_(weights, 1 - lr * weight_decay);
  torch._foreach_mul_(exp_avgs, beta1);
  torch._foreach_add_(exp_avgs, grads, { alpha: 1 - beta1 });
  torch._foreach_mul_(exp_avg_sqs, beta2);
  torch._foreach_addcmul_(exp_avg_sqs, grads, grads, 1 - beta2);
  const denominators = torch._foreach_sqrt(exp_avg_sqs);
  torch._foreach_div_(denominators, Math.sqrt(1 - beta2 ** step));
  torch._foreach_add_(denominators, eps);
  torch._foreach_addcdiv_(weights, exp_avgs, denominators, -lr / (1 - beta1 ** step));
}

function makeMaster(p: Tensor): Tensor | null {
  return p.dtype === 'float32' ? null : noGrad(() => p.detach().to({ dtype: 'float32', copy: true }).keep());
}

function isGroups(params: readonly Tensor[] | readonly GroupInit[]): params is readonly GroupInit[] {
  return params.length > 0 && 'params' in (params[0] as object);
}
