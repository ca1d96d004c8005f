/**
 * Statistics of features as LeRobot keeps them: min, max, mean, std (population), count and five quantiles, per dimension.
 *
 * Quantiles are exact (linear interpolation between order statistics), for pictures exact over 8-bit values through 256-bin histograms.
 * Quantiles of a union do not follow from quantiles of the parts: `mergeStats` therefore drops them, and data sets recompute them from
 * their data. Knows nothing about files.
 */
import type { ImageSequence } from './episode.js';
import type { NumericArray } from './features.js';

export const QUANTILES = { q01: 0.01, q10: 0.1, q50: 0.5, q90: 0.9, q99: 0.99 } as const;
export type QuantileName = keyof typeof QUANTILES;

/** Statistics of one feature; each list has one number a dimension (a channel for pictures, in [0, 1]). */
export interface FeatureStats {
  readonly min: readonly number[];
  readonly max: readonly number[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Number of frames that went in. */
  readonly count: number;
  readonly quantiles?: Readonly<Record<QuantileName, readonly number[]>>;
}

/** Value below which the fraction `q` of the sorted values lies, linearly interpolated (NumPy's default). NaN when empty. */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const a = sorted[low] as number;
  const b = sorted[Math.min(low + 1, sorted.length - 1)] as number;
  return a + (b - a) * (at - low);
}

/** Ranges narrower than this are taken as constant: such a value normalises to 0 and comes back as the middle of its range. */
export const MIN_SPAN = 1e-5;

/**
 * The range that becomes -1..1: q01 and q99 of the sorted values, moved apart to at least a quarter of the full range. A dimension that
 * rests almost always (yaw in most tasks) would otherwise send its rare motions to huge values.
 */
export function robustRange(sorted: ArrayLike<number>): [number, number] {
  const low = quantileOfSorted(sorted, 0.01);
  const high = quantileOfSorted(sorted, 0.99);
  const missing = (quantileOfSorted(sorted, 1) - quantileOfSorted(sorted, 0)) / 4 - (high - low);
  return missing > 0 ? [low - missing / 2, high + missing / 2] : [low, high];
}

/** Statistics of values [T, size]. T must be at least 1. */
export function numericStats(values: NumericArray, size: number): FeatureStats {
  const count = values.length / size;
  const min: number[] = [];
  const max: number[] = [];
  const mean: number[] = [];
  const std: number[] = [];
  const quantiles: Record<QuantileName, number[]> = { q01: [], q10: [], q50: [], q90: [], q99: [] };
  const column = new Float64Array(count);
  for (let d = 0; d < size; d++) {
    let sum = 0;
    for (let t = 0; t < count; t++) {
      const value = Number(values[t * size + d]);
      column[t] = value;
      sum += value;
    }
    const m = sum / count;
    let squares = 0;
    for (const value of column) squares += (value - m) ** 2;
    column.sort();
    min.push(column[0] as number);
    max.push(column[count - 1] as number);
    mean.push(m);
    std.push(Math.sqrt(squares / count));
    for (const [name, q] of Object.entries(QUANTILES))
      quantiles[name as QuantileName].push(quantileOfSorted(column, q));
  }
  return { min, max, mean, std, count, quantiles };
}

/** Frames that picture statistics look at: min(max(100, n^0.75), 10000) of n, evenly spaced. */
export function sampleFrames(numFrames: number): number[] {
  const wanted = Math.max(Math.min(100, numFrames), Math.min(Math.floor(numFrames ** 0.75), 10_000));
  if (wanted === 1) return [0];
  return Array.from({ length: wanted }, (_, i) => Math.round((i * (numFrames - 1)) / (wanted - 1)));
}

/** Pictures counted by channel and 8-bit value; adds up over episodes without loss. */
export interface PixelHistogram {
  /** Counts [3, 256]. */
  readonly counts: Float64Array;
  numFrames: number;
}

export function emptyHistogram(): PixelHistogram {
  return { counts: new Float64Array(3 * 256), numFrames: 0 };
}

/** Counts the sampled frames of a sequence; pictures from 300 pixels on are thinned out to about 150. */
export function addToHistogram(histogram: PixelHistogram, images: ImageSequence): void {
  const { width, height, data } = images;
  const size = width * height * 3;
  const longest = Math.max(width, height);
  const step = longest < 300 ? 1 : Math.floor(longest / 150);
  const { counts } = histogram;
  const frames = sampleFrames(data.length / size);
  for (const t of frames) {
    for (let y = 0; y < height; y += step) {
      for (let x = 0; x < width; x += step) {
        const at = t * size + (y * width + x) * 3;
        for (let c = 0; c < 3; c++) (counts[c * 256 + (data[at + c] as number)] as number) += 1;
      }
    }
  }
  histogram.numFrames += frames.length;
}

export function mergeHistograms(histograms: Iterable<PixelHistogram>): PixelHistogram {
  const total = emptyHistogram();
  for (const { counts, numFrames } of histograms) {
    for (let i = 0; i < counts.length; i++) (total.counts[i] as number) += counts[i] as number;
    total.numFrames += numFrames;
  }
  return total;
}

/** Statistics of the counted pictures, values in [0, 1]. The histogram must hold at least one pixel. */
export function histogramStats(histogram: PixelHistogram): FeatureStats {
  const min: number[] = [];
  const max: number[] = [];
  const mean: number[] = [];
  const std: number[] = [];
  const quantiles: Record<QuantileName, number[]> = { q01: [], q10: [], q50: [], q90: [], q99: [] };
  for (let c = 0; c < 3; c++) {
    const counts = histogram.counts.subarray(c * 256, (c + 1) * 256);
    let total = 0;
    let sum = 0;
    let lowest = 255;
    let highest = 0;
    counts.forEach((n, value) => {
      if (n === 0) return;
      total += n;
      sum += n * value;
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
    });
    const m = sum / total;
    let squares = 0;
    counts.forEach((n, value) => {
      squares += n * (value - m) ** 2;
    });
    min.push(lowest / 255);
    max.push(highest / 255);
    mean.push(m / 255);
    std.push(Math.sqrt(squares / total) / 255);
    for (const [name, q] of Object.entries(QUANTILES))
      quantiles[name as QuantileName].push(quantileOfHistogram(counts, total, q) / 255);
  }
  return { min, max, mean, std, count: histogram.numFrames, quantiles };
}

/** The value a sorted list of all counted values would give at quantile `q`. */
function quantileOfHistogram(counts: Float64Array, total: number, q: number): number {
  const at = q * (total - 1);
  const low = Math.floor(at);
  const valueAt = (rank: number): number => {
    let seen = 0;
    for (let value = 0; value < counts.length; value++) {
      seen += counts[value] as number;
      if (rank < seen) return value;
    }
    return counts.length - 1;
  };
  const a = valueAt(low);
  const b = valueAt(Math.min(low + 1, total - 1));
  return a + (b - a) * (at - low);
}

/**
 * Statistics of the union of disjoint sets of frames: count-weighted mean, variance by the parallel algorithm, extremes. Without
 * quantiles, which only the data itself can give. Throws RangeError for an empty list or differing dimensions.
 */
export function mergeStats(parts: readonly FeatureStats[]): FeatureStats {
  const first = parts[0];
  if (!first) throw new RangeError('Nothing to merge: the list of statistics is empty');
  const size = first.mean.length;
  if (parts.some((part) => part.mean.length !== size)) throw new RangeError('The statistics have different dimensions');
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const dims = Array.from({ length: size }, (_, d) => d);
  const at = (list: readonly number[], d: number): number => list[d] as number;
  const mean = dims.map((d) => parts.reduce((sum, part) => sum + at(part.mean, d) * part.count, 0) / count);
  const variance = dims.map(
    (d) =>
      parts.reduce(
        (sum, part) => sum + (at(part.std, d) ** 2 + (at(part.mean, d) - at(mean, d)) ** 2) * part.count,
        0,
      ) / count,
  );
  return {
    min: dims.map((d) => Math.min(...parts.map((part) => at(part.min, d)))),
    max: dims.map((d) => Math.max(...parts.map((part) => at(part.max, d)))),
    mean,
    std: variance.map(Math.sqrt),
    count,
  };
}

/** Plain JSON of one feature's statistics; pictures get the shape (3, 1, 1) that the official loader expects. */
export type StatsJson = Record<string, unknown>;

export function statsToJson(stats: FeatureStats, image: boolean): StatsJson {
  const shape = (list: readonly number[]): unknown => (image ? list.map((value) => [[value]]) : [...list]);
  const json: StatsJson = {
    min: shape(stats.min),
    max: shape(stats.max),
    mean: shape(stats.mean),
    std: shape(stats.std),
    count: [stats.count],
  };
  for (const [name, list] of Object.entries(stats.quantiles ?? {})) json[name] = shape(list);
  return json;
}

/** The numbers of nested lists; NaN for anything else. Statistics of pictures lie three lists deep. */
function flatNumbers(value: unknown, depth = 0): number[] {
  if (typeof value === 'number') return [value];
  if (!Array.isArray(value) || depth > 8) return [Number.NaN];
  return value.flatMap((inner) => flatNumbers(inner, depth + 1));
}

/** Reads what `statsToJson` or LeRobot writes. Returns undefined when it is not a table of statistics. */
export function statsFromJson(json: unknown): FeatureStats | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const table = json as Record<string, unknown>;
  if (!['min', 'max', 'mean', 'std'].every((key) => key in table)) return undefined;
  const quantiles = Object.fromEntries(Object.keys(QUANTILES).map((name) => [name, flatNumbers(table[name] ?? [])]));
  const complete = Object.keys(QUANTILES).every((name) => name in table);
  return {
    min: flatNumbers(table.min),
    max: flatNumbers(table.max),
    mean: flatNumbers(table.mean),
    std: flatNumbers(table.std),
    count: flatNumbers(table.count ?? [0])[0] ?? 0,
    ...(complete ? { quantiles: quantiles as Record<QuantileName, number[]> } : {}),
  };
}
