/**
 * Agreement of two judges on the same trajectories: rank correlation, weighted kappa, bias.
 *
 * Knows nothing of who the judges are.
 */

/** Ranks from 1, ties share their mean. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const result = new Array<number>(values.length);
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j + 1 < order.length && values[order[j + 1] as number] === values[order[i] as number]) j++;
    for (let k = i; k <= j; k++) result[order[k] as number] = (i + j) / 2 + 1;
    i = j + 1;
  }
  return result;
}

/** Spearman's rank correlation: Pearson's of the ranks. Null where one side is constant or there are fewer than two. */
export function spearman(a: readonly number[], b: readonly number[]): number | null {
  const [x, y] = [ranks(a), ranks(b)];
  const middle = (a.length + 1) / 2;
  const sum = (of: (i: number) => number): number => x.reduce((total, _, i) => total + of(i), 0);
  const [dx, dy] = [(i: number) => (x[i] as number) - middle, (i: number) => (y[i] as number) - middle];
  const spread = Math.sqrt(sum((i) => dx(i) ** 2) * sum((i) => dy(i) ** 2));
  return spread === 0 ? null : sum((i) => dx(i) * dy(i)) / spread;
}

/**
 * Cohen's kappa with quadratic weights (Cohen 1968) of marks rounded to whole ones, 0 to 10: 1 - sum w O / sum w E, w = (i - j)^2. Null where both sides are one
 * and the same constant.
 */
export function quadraticWeightedKappa(a: readonly number[], b: readonly number[]): number | null {
  const [x, y] = [a.map(Math.round), b.map(Math.round)];
  const observed = x.reduce((sum, value, i) => sum + (value - (y[i] as number)) ** 2, 0) / x.length;
  let expected = 0;
  for (const one of x) for (const other of y) expected += (one - other) ** 2;
  expected /= x.length * y.length;
  return expected === 0 ? null : 1 - observed / expected;
}

/** Agreement in one dimension. */
export interface Agreement {
  readonly n: number;
  readonly spearman: number | null;
  readonly kappa: number | null;
  /** Mean of the judge's mark less the reference's, 0 to 10. */
  readonly bias: number;
  /** Mean distance. */
  readonly meanDistance: number;
}

/** @throws RangeError for lists of different lengths, or empty ones */
export function agreement(judge: readonly number[], reference: readonly number[]): Agreement {
  if (judge.length !== reference.length || judge.length === 0) {
    throw new RangeError(`${judge.length} and ${reference.length} marks`);
  }
  const differences = judge.map((mark, i) => mark - (reference[i] as number));
  const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
  return {
    n: judge.length,
    spearman: spearman(judge, reference),
    kappa: quadraticWeightedKappa(judge, reference),
    bias: mean(differences),
    meanDistance: mean(differences.map(Math.abs)),
  };
}
