/**
 * Actions between robot units and [-1, 1] by the 1st and 99th percentile of a data set, as the released base code does it
 * (dataset_statistics.json of OpenVLA and InstructVLA). Robust to outliers: what lies beyond the quantiles is clipped.
 *
 * Knows nothing about how actions are predicted, nor about tensors.
 */

/** Statistics of one data set's actions, one entry a dimension. */
export interface ActionStatistics {
  q01: readonly number[];
  q99: readonly number[];
  /** False = the dimension passes through unscaled (a gripper in 0..1). Default all true. */
  mask?: readonly boolean[];
  /** With both given, dimensions whose min equals max normalise to 0. */
  min?: readonly number[];
  max?: readonly number[];
}

/** What InstructVLA does to a prediction before scaling; OpenVLA does neither. */
export interface UnnormalizeOptions {
  /** Clip to [-1, 1] first. */
  clip?: boolean;
  /** Dimension thresholded at 0.5 to 0 or 1 first (before scaling: with a true mask it is scaled from 0 / 1, not -1 / 1). */
  binaryDim?: number;
}

/**
 * Robot units -> [-1, 1], float32: clip(2 (x - q01) / (q99 - q01 + 1e-8) - 1, -1, 1) where masked in.
 * @param actions rows of actions one after another
 */
export function normalizeActions(actions: ArrayLike<number>, statistics: ActionStatistics): Float32Array {
  const dims = dimensions(actions, statistics);
  const f = Math.fround;
  const { q01, q99, mask, min, max } = statistics;
  return Float32Array.from(actions, (value, i) => {
    const dim = i % dims;
    if (min !== undefined && max !== undefined && min[dim] === max[dim]) return 0;
    if (mask?.[dim] === false) return value;
    const low = f(q01[dim] as number);
    const range = f(f(f(q99[dim] as number) - low) + f(1e-8));
    const scaled = f(f(f(2 * f(f(value) - low)) / range) - 1);
    return Math.min(1, Math.max(-1, scaled));
  });
}

/**
 * [-1, 1] -> robot units: (x + 1) / 2 (q99 - q01) + q01 where masked in; x is rounded to float32, statistics are doubles. A
 * constant dimension gives its constant for every x.
 * @param actions rows of normalised actions one after another
 */
export function unnormalizeActions(
  actions: ArrayLike<number>,
  statistics: ActionStatistics,
  options: UnnormalizeOptions = {},
): Float64Array {
  const dims = dimensions(actions, statistics);
  const { q01, q99, mask } = statistics;
  return Float64Array.from(actions, (value, i) => {
    const dim = i % dims;
    let x = Math.fround(value);
    if (options.clip) x = Math.min(1, Math.max(-1, x));
    if (dim === options.binaryDim) x = x < 0.5 ? 0 : 1;
    if (mask?.[dim] === false) return x;
    const low = q01[dim] as number;
    return 0.5 * Math.fround(x + 1) * ((q99[dim] as number) - low) + low;
  });
}

function dimensions(actions: ArrayLike<number>, { q01, q99 }: ActionStatistics): number {
  if (q01.length !== q99.length || q01.length === 0 || actions.length % q01.length !== 0) {
    throw new RangeError(
      `${actions.length} action values do not fit statistics of ${q01.length} (q01) and ${q99.length} (q99) dimensions`,
    );
  }
  return q01.length;
}
