/** For tests: compares a tensor with expected values, |a - b| <= atol + rtol |b|, NaN equal to NaN. */
import type { Tensor } from './tensor.js';

/** Throws with the place and size of the largest violation, or where the shapes differ. */
export function expectAllclose(
  actual: Tensor,
  expected: Tensor,
  { atol = 1e-6, rtol = 1e-5, what = 'tensor' }: { atol?: number; rtol?: number; what?: string } = {},
): void {
  if (actual.shape.join() !== expected.shape.join()) {
    throw new Error(`${what}: shape [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`);
  }
  const a = actual.detach().double().data<Float64Array>();
  const b = expected.detach().double().data<Float64Array>();
  let worst = -1;
  let excess = 0;
  for (let i = 0; i < b.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (Object.is(x, y) || x === y) continue;
    const over = Math.abs(x - y) - (atol + rtol * Math.abs(y));
    if (over > excess || Number.isNaN(over)) {
      worst = i;
      excess = Number.isNaN(over) ? Number.POSITIVE_INFINITY : over;
    }
  }
  if (worst >= 0) {
    throw new Error(`${what}: element ${worst} is ${a[worst]}, expected ${b[worst]} (atol ${atol}, rtol ${rtol})`);
  }
}
