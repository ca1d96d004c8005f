/** Modes of recording and casting, and gradients without `.grad`. Modes hold for one JavaScript thread. */
import { loadAddon } from './addon.js';
import { type DType, dtypeCode } from './dtype.js';
import { ScopeError } from './errors.js';
import { adoptHandle } from './scope.js';
import { Tensor } from './tensor.js';

/** Runs `body` without recording operations for `backward()`. `body` must be synchronous. */
export function noGrad<T>(body: () => T): T {
  return withGradMode(false, body);
}

/** Runs `body` with recording, inside of `noGrad` too. */
export function enableGrad<T>(body: () => T): T {
  return withGradMode(true, body);
}

function withGradMode<T>(enabled: boolean, body: () => T): T {
  const engine = loadAddon();
  const before = engine.setGradEnabled(enabled);
  try {
    return synchronous(body(), enabled ? 'enableGrad' : 'noGrad');
  } finally {
    engine.setGradEnabled(before);
  }
}

/** Whether operations are being recorded. */
export function isGradEnabled(): boolean {
  return loadAddon().getGradEnabled();
}

export interface AutocastOptions {
  readonly device?: 'cpu' | 'cuda' | undefined;
  /** Type of matrix products and convolutions; sums and norms stay in float32. */
  readonly dtype?: 'bfloat16' | 'float16' | undefined;
  readonly enabled?: boolean | undefined;
}

/**
 * Runs `body` with matrix products and convolutions in 16 bits; parameters keep their dtype. Call `backward()` outside.
 * `body` must be synchronous.
 */
export function autocast<T>(options: AutocastOptions, body: () => T): T {
  const { device = 'cpu', dtype = 'bfloat16', enabled = true } = options;
  const engine = loadAddon();
  const before = engine.enterAutocast(device, enabled, dtypeCode(dtype satisfies DType));
  try {
    return synchronous(body(), 'autocast');
  } finally {
    engine.leaveAutocast(device, before);
  }
}

/** Refuses a Promise: a mode is left when its body returns, and what an asynchronous one did later would run without it. */
export function synchronous<T>(result: T, what: string): T {
  if (typeof result === 'object' && result !== null && 'then' in result && typeof result.then === 'function') {
    throw new ScopeError(`${what}() was given an asynchronous function: its mode ends before the function does`);
  }
  return result;
}

export interface GradOptions {
  readonly grad_outputs?: readonly (Tensor | null)[] | undefined;
  readonly retain_graph?: boolean | undefined;
  readonly create_graph?: boolean | undefined;
  /** With true, inputs that the outputs do not depend on get null instead of an error. */
  readonly allow_unused?: boolean | undefined;
}

/** Gradients of (the sum of) `outputs` by `inputs`, one each, leaving `.grad` alone. */
export function autograd_grad(outputs: Tensor | readonly Tensor[], inputs: Tensor | readonly Tensor[]): Tensor[];
export function autograd_grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions & { readonly allow_unused: true },
): (Tensor | null)[];
export function autograd_grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions,
): Tensor[];
export function autograd_grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  const { grad_outputs = [], create_graph = false, retain_graph = create_graph, allow_unused = false } = options;
  const gradients = loadAddon().grad(
    handles(outputs),
    handles(inputs),
    grad_outputs.map((gradient) => gradient?.alive() ?? 0),
    retain_graph,
    create_graph,
    allow_unused,
  );
  return gradients.map((handle) => (handle === 0 ? null : adoptHandle(new Tensor(handle))));
}

/** `backward()` from several tensors at once, with a gradient each where they have more than one element. */
export function backward(
  tensors: readonly Tensor[],
  gradients: readonly (Tensor | null)[] = [],
  options: { retain_graph?: boolean; create_graph?: boolean } = {},
): void {
  const create = options.create_graph ?? false;
  const given = gradients.map((gradient) => gradient?.alive() ?? 0);
  loadAddon().backward(handles(tensors), given, options.retain_graph ?? create, create, []);
}

function handles(tensors: Tensor | readonly Tensor[]): number[] {
  return tensors instanceof Tensor ? [tensors.alive()] : tensors.map((tensor) => tensor.alive());
}
