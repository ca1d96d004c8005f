/**
 * Gradient clipping by the norm over all parameters (Pascanu et al. 2013), as torch.nn.utils.clip_grad_norm_:
 * every gradient is multiplied by min(1, max_norm / (norm + 1e-6)).
 *
 * Knows nothing about the optimizer; call it between `backward()` and `step()`.
 */
import { noGrad } from './autograd.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';
import { torch } from './torch.js';

/**
 * Scales the gradients of `parameters` in place so that their joint norm is at most `max_norm`.
 * Infinite or NaN gradients give a norm that is not finite and are left as they are.
 * @param norm_type order of the norm, Infinity for the largest element
 * @returns the norm before clipping, a float32 scalar
 */
export function clip_grad_norm_(parameters: readonly Tensor[], max_norm: number, norm_type = 2): Tensor {
  return noGrad(() =>
    scope(() => {
      const grads = parameters.flatMap((p) => p.grad ?? []);
      const norm = gradNorm(grads, norm_type);
      const factor = max_norm / (norm.item() + 1e-6);
      if (factor < 1) torch._foreach_mul_(grads, factor);
      return norm;
    }),
  );
}

/** Joint norm of tensors, a float32 scalar; 0 for none. */
export function gradNorm(grads: readonly Tensor[], norm_type = 2): Tensor {
  const first = grads[0];
  if (first === undefined) return torch.tensor(0);
  const plain = grads.every((g) => g.device === 'cpu' && (g.dtype === 'float32' || g.dtype === 'bfloat16'));
  if (norm_type === 2 && plain) {
    return (torch.call('dualvla::fused_sum_of_squares', grads) as Tensor).sqrt().float();
  }
  if (norm_type === Number.POSITIVE_INFINITY) {
    return torch.stack(grads.map((g) => g.abs().max().float())).max();
  }
  const norms = torch._foreach_norm(grads, norm_type);
  return torch.linalg_vector_norm(torch.stack(norms.map((n) => n.to({ device: first.device }).float())), norm_type);
}
