/**
 * A tree of layers with parameters, as PyTorch's `nn.Module`: the path of fields to a parameter is its name in checkpoints.
 *
 * Fields count by what they hold: a tensor marked with `param()` or `buffer()`, another Module, or an array or plain object
 * of those. Everything else (numbers, configs, private `#fields`, unmarked tensors) is left alone.
 */

import { noGrad } from './autograd.js';
import type { Device } from './device.js';
import type { DType } from './dtype.js';
import { Tensor, type Tensor as TensorType } from './tensor.js';

type Role = 'parameter' | 'buffer' | 'transient';
const roles = new WeakMap<Tensor, Role>();

/** Marks a tensor as a parameter: it is trained, saved and moved with its module. Returns the same tensor. */
export function param<T extends TensorType>(tensor: T, { requires_grad = true } = {}): T {
  if (tensor.requires_grad !== requires_grad) tensor.requires_grad_(requires_grad);
  roles.set(tensor, 'parameter');
  return tensor.keep();
}

/** Marks a tensor as a buffer: moved with its module and, unless `persistent` is false, saved; never trained. */
export function buffer<T extends TensorType>(tensor: T, { persistent = true } = {}): T {
  roles.set(tensor, persistent ? 'buffer' : 'transient');
  return tensor.keep();
}

/** A state dict does not fit a module. Lists every key. */
export class StateDictError extends Error {
  override readonly name = 'StateDictError';
  constructor(
    module: string,
    readonly missing: readonly string[],
    readonly unexpected: readonly string[],
    readonly mismatched: readonly string[],
  ) {
    const part = (what: string, keys: readonly string[]): string[] =>
      keys.length === 0
        ? []
        : [`${what} (${keys.length}): ${keys.slice(0, 20).join(', ')}${keys.length > 20 ? ', ...' : ''}`];
    super(
      `the state dict does not fit ${module}; ${[
        ...part('missing', missing),
        ...part('unexpected', unexpected),
        ...part('of another shape', mismatched),
      ].join('; ')}`,
    );
  }
}

/** Tensors by their names. */
export type StateDict = Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>;

/** Entry of the walk over a module's fields. */
type Visit = { path: string; tensor: Tensor; role: Role } | { path: string; module: Module };

export abstract class Module {
  /** Whether dropout is active; set by `train()` and `eval()`. */
  training = true;

  /** Name and tensor of every parameter, in the order of the fields. A tensor under two names (tied) comes once. */
  named_parameters(): [string, Tensor][] {
    return this.#named((role) => role === 'parameter', true);
  }

  named_buffers(): [string, Tensor][] {
    return this.#named((role) => role !== 'parameter', true);
  }

  /** Every parameter once. */
  parameters(): Tensor[] {
    return this.named_parameters().map(([, tensor]) => tensor);
  }

  /** This module and all below it with their paths; the own path is ''. */
  named_modules(): [string, Module][] {
    const out: [string, Module][] = [['', this]];
    for (const visit of walk(this, '')) if ('module' in visit) out.push([visit.path, visit.module]);
    return out;
  }

  /** Number of trainable and frozen elements in all parameters. */
  num_parameters(): number {
    return this.parameters().reduce((sum, p) => sum + p.numel(), 0);
  }

  /** Parameters and persistent buffers by name: the module's own tensors, tied ones under all their names. */
  state_dict(): Record<string, Tensor> {
    return Object.fromEntries(this.#named((role) => role !== 'transient', false));
  }

  /**
   * Copies tensors into the parameters and buffers of the same names, converting dtype and device.
   * @throws StateDictError naming every missing, unexpected and mis-shaped key, before anything is copied; with
   * `strict: false` missing and unexpected keys are returned instead.
   */
  load_state_dict(
    state: StateDict,
    { strict = true }: { strict?: boolean } = {},
  ): { missing_keys: string[]; unexpected_keys: string[] } {
    const given = state instanceof Map ? state : new Map(Object.entries(state));
    const own = new Map(Object.entries(this.state_dict()));
    const missing = [...own.keys()].filter((key) => !given.has(key));
    const unexpected = [...given.keys()].filter((key) => !own.has(key));
    const mismatched: string[] = [];
    const pairs: [Tensor, Tensor][] = [];
    for (const [key, target] of own) {
      const source = given.get(key);
      if (source === undefined) continue;
      if (sameShape(source.shape, target.shape)) pairs.push([target, source]);
      else mismatched.push(`${key} [${source.shape.join(', ')}] instead of [${target.shape.join(', ')}]`);
    }
    if (mismatched.length > 0 || (strict && (missing.length > 0 || unexpected.length > 0))) {
      throw new StateDictError(this.constructor.name, strict ? missing : [], strict ? unexpected : [], mismatched);
    }
    noGrad(() => {
      for (const [target, source] of pairs) target.copy_(source);
    });
    return { missing_keys: missing, unexpected_keys: unexpected };
  }

  /** Moves all parameters and buffers, the floating-point ones also to another dtype. Identities stay. */
  to(options: { dtype?: DType; device?: Device }): this {
    noGrad(() => {
      const seen = new Set<Tensor>();
      for (const visit of walk(this, '')) {
        if (!('tensor' in visit) || seen.has(visit.tensor)) continue;
        seen.add(visit.tensor);
        const floating = /^(float|bfloat)/.test(visit.tensor.dtype);
        const dtype = floating ? options.dtype : undefined;
        const moved = visit.tensor.detach().to({ dtype, device: options.device });
        visit.tensor.set_data(moved);
        moved.dispose();
        visit.tensor.grad = null;
      }
    });
    return this;
  }

  /** Turns dropout on (or off) in all modules. */
  train(mode = true): this {
    for (const [, module] of this.named_modules()) module.training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Freezes or thaws all parameters. */
  requires_grad_(requires: boolean): this {
    for (const p of this.parameters()) p.requires_grad_(requires);
    return this;
  }

  zero_grad(): void {
    for (const p of this.parameters()) p.grad = null;
  }

  #named(wanted: (role: Role) => boolean, once: boolean): [string, Tensor][] {
    const seen = new Set<Tensor>();
    const out: [string, Tensor][] = [];
    for (const visit of walk(this, '')) {
      if (!('tensor' in visit) || !wanted(visit.role) || (once && seen.has(visit.tensor))) continue;
      seen.add(visit.tensor);
      out.push([visit.path, visit.tensor]);
    }
    return out;
  }
}

function* walk(node: object, prefix: string): Generator<Visit> {
  for (const [key, value] of Object.entries(node)) {
    if (typeof value !== 'object' || value === null) continue;
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (value instanceof Tensor) {
      const role = roles.get(value);
      if (role !== undefined) yield { path, tensor: value, role };
    } else if (value instanceof Module) {
      yield { path, module: value };
      yield* walk(value, path);
    } else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype) {
      yield* walk(value, path);
    }
  }
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}
