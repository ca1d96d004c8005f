/**
 * Kernel temporal segmentation (Potapov et al., "Category-Specific Video Summarization", ECCV 2014): the change points of a sequence of
 * features for which the frames of a segment are most alike, their number by a penalty. For the scene layer without labels.
 *
 *   J(i, j) = sum_{i<=t<j} K(t, t) - 1/(j-i) sum_{i<=s,t<j} K(s, t)          scatter of a segment, by integral images
 *   minimise over m and t_1 < ... < t_m:   sum of J over the m + 1 segments / n  +  C (m / 2n) (ln(n / m) + 1)
 *
 * The kernel is a Gaussian at the median distance of the frames. Knows nothing about where features come from.
 *
 * Shapes: T frames, D features.
 */
import { PruneError } from './errors.js';

export interface SegmentationOptions {
  /** C: how much a change point must gain. Default 1. */
  readonly penalty?: number;
  /** Least frames of a segment; default 1. */
  readonly minFrames?: number;
}

/** Frames above which every second (third ...) one is left out: the kernel has their square in numbers. */
export const MAX_KERNEL_FRAMES = 1500;

/**
 * Frames at which a new segment begins, ascending.
 * @param features [T, D]
 */
export function changePoints(
  features: ArrayLike<number>,
  numFrames: number,
  { penalty = 1, minFrames = 1 }: SegmentationOptions = {},
): number[] {
  if (!(penalty > 0)) throw new PruneError(`The penalty is ${penalty}, it must be more than 0`);
  if (numFrames < 2) return [];
  const size = features.length / numFrames;
  const stride = Math.ceil(numFrames / MAX_KERNEL_FRAMES);
  const n = Math.ceil(numFrames / stride);
  const sums = integral(gaussianKernel(features, size, n, stride), n);
  const shortest = Math.max(1, Math.round(minFrames / stride));
  return segment(sums, n, shortest, penalty).map((point) => point * stride);
}

/** [n, n]. */
function gaussianKernel(features: ArrayLike<number>, size: number, n: number, stride: number): Float64Array {
  const kernel = new Float64Array(n * n);
  const distances = new Float64Array((n * (n - 1)) / 2);
  let at = 0;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) {
      let square = 0;
      for (let d = 0; d < size; d++)
        square += ((features[i * stride * size + d] as number) - (features[j * stride * size + d] as number)) ** 2;
      kernel[i * n + j] = square;
      distances[at++] = square;
    }
  const median = distances.sort()[distances.length >> 1] as number;
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      const square = kernel[i * n + j] as number;
      // Where half of the frames are the same, any other is as far as can be.
      const value = square === 0 ? 1 : median === 0 ? 0 : Math.exp(-square / (2 * median));
      kernel[i * n + j] = value;
      kernel[j * n + i] = value;
    }
  return kernel;
}

interface Sums {
  /** [n + 1, n + 1]: sum of the kernel over [0, i) x [0, j). */
  readonly square: Float64Array;
  /** [n + 1]: sum of its diagonal. */
  readonly diagonal: Float64Array;
}

function integral(kernel: Float64Array, n: number): Sums {
  const w = n + 1;
  const square = new Float64Array(w * w);
  const diagonal = new Float64Array(w);
  for (let i = 0; i < n; i++) {
    let row = 0;
    diagonal[i + 1] = (diagonal[i] as number) + (kernel[i * n + i] as number);
    for (let j = 0; j < n; j++) {
      row += kernel[i * n + j] as number;
      square[(i + 1) * w + j + 1] = (square[i * w + j + 1] as number) + row;
    }
  }
  return { square, diagonal };
}

/** Dynamic programming over the number of change points and their places. */
function segment({ square, diagonal }: Sums, n: number, shortest: number, penalty: number): number[] {
  const w = n + 1;
  const scatter = (i: number, j: number): number => {
    const block =
      (square[j * w + j] as number) -
      (square[i * w + j] as number) -
      (square[j * w + i] as number) +
      (square[i * w + i] as number);
    return (diagonal[j] as number) - (diagonal[i] as number) - block / (j - i);
  };
  let cost = Float64Array.from({ length: w }, (_, j) => (j >= shortest ? scatter(0, j) : Number.POSITIVE_INFINITY));
  const from: Int32Array[] = [];
  let best = { m: 0, value: (cost[n] as number) / n };
  const most = Math.floor(n / shortest) - 1;
  for (let m = 1; m <= most; m++) {
    const next = new Float64Array(w).fill(Number.POSITIVE_INFINITY);
    const place = new Int32Array(w);
    for (let j = (m + 1) * shortest; j <= n; j++)
      for (let i = m * shortest; i <= j - shortest; i++) {
        const value = (cost[i] as number) + scatter(i, j);
        if (value < (next[j] as number)) {
          next[j] = value;
          place[j] = i;
        }
      }
    from.push(place);
    cost = next;
    const price = penalty * (m / (2 * n)) * (Math.log(n / m) + 1);
    const value = (cost[n] as number) / n + price;
    if (value < best.value) best = { m, value };
    // The price alone is more than everything so far: from here on it only grows (up to n change points).
    if (price > best.value) break;
  }
  const points: number[] = [];
  for (let m = best.m, j = n; m > 0; m--) {
    j = from[m - 1]?.[j] as number;
    points.unshift(j);
  }
  return points;
}
