/**
 * `numpy.mean` of float64 to the last bit: numpy adds in pairs of blocks (eight running sums within a block of up to 128), which differs from
 * adding one after the other.
 */

const BLOCK = 128;

/** `numpy.sum(values)` */
export function pairwiseSum(values: ArrayLike<number>, from = 0, count = values.length): number {
  const at = (i: number): number => values[from + i] as number;
  if (count < 8) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += at(i);
    return sum;
  }
  if (count > BLOCK) {
    let half = Math.floor(count / 2);
    half -= half % 8;
    return pairwiseSum(values, from, half) + pairwiseSum(values, from + half, count - half);
  }
  const r = [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)] as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const whole = count - (count % 8);
  for (let i = 8; i < whole; i += 8) {
    for (let k = 0; k < 8; k++) r[k] = (r[k] as number) + at(i + k);
  }
  let sum = r[0] + r[1] + (r[2] + r[3]) + (r[4] + r[5] + (r[6] + r[7]));
  for (let i = whole; i < count; i++) sum += at(i);
  return sum;
}

/** `numpy.mean(values)`; NaN of none. */
export function mean(values: ArrayLike<number>): number {
  return values.length === 0 ? Number.NaN : pairwiseSum(values) / values.length;
}
