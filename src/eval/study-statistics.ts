/**
 * Means over training seeds with Student's t intervals, and paired differences. The seed is the unit: more scenes make each value more
 * certain, not the next training.
 *
 * Knows nothing about models or measures.
 */

/** A mean with its 95 % interval; `interval` is null where n < 2, and where all values are equal: no spread is no certainty. */
export interface Estimate {
  mean: number;
  interval: readonly [number, number] | null;
  /** Values that it is the mean of. */
  n: number;
}

/**
 * Two-sided 95 % t interval of the mean, mean +- t(0.975, n - 1) s / sqrt(n), s with n - 1 in the denominator.
 * @throws RangeError without a value
 */
export function estimateMean(values: readonly number[]): Estimate {
  const n = values.length;
  if (n === 0) throw new RangeError('the mean of no value');
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { mean, interval: null, n };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  if (variance === 0) return { mean, interval: null, n };
  const half = studentQuantile(0.975, n - 1) * Math.sqrt(variance / n);
  return { mean, interval: [mean - half, mean + half], n };
}

/**
 * Quantile of Student's t distribution, by bisection of its distribution function.
 * @param p in (0, 1)
 * @param degrees of freedom, > 0
 */
export function studentQuantile(p: number, degrees: number): number {
  if (!(p > 0 && p < 1) || !(degrees > 0))
    throw new RangeError(`no t quantile for p ${p}, ${degrees} degrees of freedom`);
  if (p < 0.5) return -studentQuantile(1 - p, degrees);
  let [low, high] = [0, 1];
  while (studentCdf(high, degrees) < p) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (studentCdf(middle, degrees) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(T <= t) of Student's t distribution: 1 - I_x(d/2, 1/2) / 2 with x = d / (d + t^2), for t >= 0. */
export function studentCdf(t: number, degrees: number): number {
  const tail = regularisedBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2;
  return t >= 0 ? 1 - tail : tail;
}

/** Regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8, Lentz's method). */
function regularisedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast below this point, and I_x(a, b) = 1 - I_{1-x}(b, a).
  if (x > (a + 1) / (a + b + 2)) return 1 - regularisedBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const tiny = 1e-300;
  const away = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** ln Gamma(x) for x > 0, by Stirling's series after shifting x above 10; error below 1e-14. */
function logGamma(x: number): number {
  let shift = 0;
  let z = x;
  for (; z < 10; z++) shift -= Math.log(z);
  const z2 = z * z;
  const series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * z2)) / z2) / z2) / z;
  return shift + (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series;
}
