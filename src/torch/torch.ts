/**
 * The `torch` object: every operator of the loaded libtorch as a function, and PyTorch's functions that are no operators.
 * Nothing is loaded before the first use.
 */
import { loadAddon } from './addon.js';
import { autograd_grad, backward, enableGrad, isGradEnabled, noGrad } from './autograd.js';
import { full, has_dtype, isTensor, tensor } from './creation.js';
import { cuda } from './cuda.js';
import { invoke, operatorOf, type Result } from './dispatch.js';
import type { TorchOperators } from './operators.generated.js';
import { installOperators } from './operators.js';
import { Generator, get_rng_state, manual_seed, set_rng_state } from './random.js';
import { hasOperator } from './schema.js';
import { adopt, from_bytes, type Tensor } from './tensor.js';

const functions = {
  tensor,
  full,
  from_bytes,
  adopt,
  is_tensor: isTensor,
  manual_seed,
  get_rng_state,
  set_rng_state,
  Generator,
  autograd_grad,
  backward,
  no_grad: noGrad,
  enable_grad: enableGrad,
  is_grad_enabled: isGradEnabled,
  has_dtype,
  cuda,

  /** Sum over products of named dimensions: `torch.einsum('bij,bjk->bik', [a, b])`. */
  einsum(equation: string, tensors: readonly Tensor[]): Tensor {
    return invoke(operatorOf('aten::einsum'), undefined, [equation, tensors]) as Tensor;
  },

  /** Whether this libtorch has an operator: `torch.has('aten::_fused_adamw_')`, `torch.has('aten::add.Tensor')`. */
  has(operator: string): boolean {
    return hasOperator(operator);
  },

  /** Calls any operator by its full name: `torch.call('aten::add', x, y, { alpha: 2 })`. */
  call(operator: string, ...args: readonly unknown[]): Result {
    loadAddon();
    return invoke(operatorOf(operator.includes('::') ? operator : `aten::${operator}`), undefined, args);
  },

  /** Version of libtorch, as in '1.13.0'. */
  get version(): string {
    return loadAddon().version();
  },

  /** Compiler, BLAS and threads as libtorch reports them; many lines. */
  description(): string {
    return loadAddon().description();
  },

  /** Threads that an operator of this JavaScript thread uses; at first the physical cores, or OMP_NUM_THREADS. */
  get_num_threads(): number {
    return loadAddon().getNumThreads();
  },

  set_num_threads(threads: number): void {
    loadAddon().setNumThreads(threads);
  },

  /** With true, operators without a reproducible implementation fail instead of running. */
  use_deterministic_algorithms(deterministic: boolean): void {
    loadAddon().setDeterministic(deterministic);
  },

  /** What libtorch warned about since the last call. It prints nothing itself. */
  take_warnings(): string[] {
    return loadAddon().takeWarnings();
  },

  /** Tensors of this JavaScript thread that are alive; for leak tests. */
  live_tensors(): number {
    return loadAddon().liveCount();
  },
};

/** All of PyTorch's functions by PyTorch's names. */
export type Torch = typeof functions & Omit<TorchOperators, keyof typeof functions>;

export const torch: Torch = installOperators(functions) as Torch;
