/**
 * The statistics of statistics.ts over values that do not fit into memory: exact, quantiles included, by several passes. The values between
 * which a quantile lies are closed in on with histograms until few enough are left to sort.
 *
 * Memory: a histogram of 4096 bins for every wanted rank of every dimension, and the values last left. Knows nothing about files.
 */
import type { NumericArray } from './features.js';
import { type FeatureStats, QUANTILES, type QuantileName } from './statistics.js';

/** Values [T, size] in blocks, the same at every call. */
export type Blocks = () => AsyncIterable<NumericArray>;

const BINS = 4096;
/** Values of one span that are sorted rather than split again. */
const FEW = 65_536;

/** Values from `low` to `high`, of which `count` exist, behind `below` smaller ones; the ranks wanted of them. */
interface Span {
  readonly low: number;
  readonly high: number;
  readonly count: number;
  readonly below: number;
  readonly ranks: readonly number[];
}

/** What a pass finds in a span. */
interface Seen {
  readonly span: Span;
  /** Few values, to be sorted; otherwise null and the bins count. */
  readonly values: Float64Array | null;
  used: number;
  readonly counts: Float64Array;
  readonly lows: Float64Array;
  readonly highs: Float64Array;
}

interface Dimension {
  min: number;
  max: number;
  sum: number;
  squares: number;
  /** Values that are no numbers; they sort behind all others. */
  numNan: number;
  readonly found: Map<number, number>;
}

/** Statistics of the values; as `numericStats` gives them of the same values in one array. There must be at least one. */
export async function streamedStats(blocks: Blocks, size: number): Promise<FeatureStats> {
  const dims = Array.from(
    { length: size },
    (): Dimension => ({ min: Infinity, max: -Infinity, sum: 0, squares: 0, numNan: 0, found: new Map() }),
  );
  let count = 0;
  for await (const block of blocks()) {
    count += block.length / size;
    eachValue(block, dims, (value, dim) => {
      dim.sum += value;
      if (Number.isNaN(value)) dim.numNan++;
      if (value < dim.min) dim.min = value;
      if (value > dim.max) dim.max = value;
    });
  }
  const means = dims.map(({ sum }) => sum / count);
  const ranks = [...new Set(Object.values(QUANTILES).flatMap((q) => ranksOf(q, count)))].sort((a, b) => a - b);
  let spans = dims.map((dim): Span[] => firstSpan(dim, count, ranks));
  for (let pass = 0; pass === 0 || spans.some((own) => own.length > 0); pass++) {
    const seen = spans.map((own) => own.map(emptySeen));
    for await (const block of blocks())
      eachValue(block, dims, (value, dim, d) => {
        if (pass === 0) dim.squares += (value - (means[d] as number)) ** 2;
        for (const one of seen[d] as Seen[]) if (value >= one.span.low && value <= one.span.high) note(one, value);
      });
    spans = seen.map((own, d) => own.flatMap((one) => narrowed(one, (dims[d] as Dimension).found)));
  }
  return statsOf(dims, means, count);
}

function statsOf(dims: readonly Dimension[], means: number[], count: number): FeatureStats {
  const quantiles = Object.fromEntries(
    Object.entries(QUANTILES).map(([name, q]) => [name, dims.map((dim) => quantile(dim, q, count))]),
  ) as Record<QuantileName, number[]>;
  return {
    min: dims.map(({ min, numNan }) => (numNan === count ? Number.NaN : min)),
    max: dims.map(({ max, numNan }) => (numNan > 0 ? Number.NaN : max)),
    mean: means,
    std: dims.map(({ squares }) => Math.sqrt(squares / count)),
    count,
    quantiles,
  };
}

function eachValue(
  block: NumericArray,
  dims: readonly Dimension[],
  visit: (value: number, dim: Dimension, d: number) => void,
): void {
  for (let i = 0; i < block.length; ) for (const [d, dim] of dims.entries()) visit(Number(block[i++]), dim, d);
}

/** The two ranks between which quantile `q` of `count` sorted values lies. */
function ranksOf(q: number, count: number): [number, number] {
  const low = Math.floor(q * (count - 1));
  return [low, Math.min(low + 1, count - 1)];
}

function quantile({ found, numNan }: Dimension, q: number, count: number): number {
  const [low, high] = ranksOf(q, count);
  const valueAt = (rank: number): number => (rank >= count - numNan ? Number.NaN : (found.get(rank) as number));
  return valueAt(low) + (valueAt(high) - valueAt(low)) * (q * (count - 1) - low);
}

function firstSpan(dim: Dimension, count: number, ranks: readonly number[]): Span[] {
  const numbers = count - dim.numNan;
  const span = { low: dim.min, high: dim.max, count: numbers, below: 0, ranks: ranks.filter((rank) => rank < numbers) };
  return settled(span, dim.found) ? [] : [span];
}

/** A span of one value answers its ranks. */
function settled({ low, high, ranks }: Span, found: Map<number, number>): boolean {
  if (low < high && ranks.length > 0) return false;
  for (const rank of ranks) found.set(rank, low);
  return true;
}

const emptySeen = (span: Span): Seen => ({
  span,
  values: span.count <= FEW ? new Float64Array(span.count) : null,
  used: 0,
  counts: new Float64Array(BINS),
  lows: new Float64Array(BINS).fill(Infinity),
  highs: new Float64Array(BINS).fill(-Infinity),
});

function note(seen: Seen, value: number): void {
  if (seen.values) {
    seen.values[seen.used++] = value;
    return;
  }
  const bin = binOf(value, seen.span);
  (seen.counts[bin] as number) += 1;
  if (value < (seen.lows[bin] as number)) seen.lows[bin] = value;
  if (value > (seen.highs[bin] as number)) seen.highs[bin] = value;
}

/** Grows with the value, and differs between `low` and `high`. Halves, so that no difference overflows; infinities have bins of their own. */
function binOf(value: number, { low, high }: Span): number {
  if (value === -Infinity) return 0;
  if (value === Infinity) return BINS - 1;
  const [from, to] = [Math.max(low, -Number.MAX_VALUE) / 2, Math.min(high, Number.MAX_VALUE) / 2];
  const share = to > from ? (value / 2 - from) / (to - from) : 0;
  return 1 + Math.min(BINS - 3, Math.floor(share * (BINS - 2)));
}

/** The smaller spans in which the wanted ranks lie; answers those that are known now. */
function narrowed({ span, values, counts, lows, highs }: Seen, found: Map<number, number>): Span[] {
  if (values) {
    values.sort();
    for (const rank of span.ranks) found.set(rank, values[rank - span.below] as number);
    return [];
  }
  const spans: Span[] = [];
  let { below } = span;
  for (let bin = 0; bin < BINS; bin++) {
    const count = counts[bin] as number;
    const ranks = span.ranks.filter((rank) => rank >= below && rank < below + count);
    const inner = { low: lows[bin] as number, high: highs[bin] as number, count, below, ranks };
    if (ranks.length > 0 && !settled(inner, found)) spans.push(inner);
    below += count;
  }
  return spans;
}
