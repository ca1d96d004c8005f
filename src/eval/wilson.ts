/**
 * Intervals of success rates. A success rate without one is not a result: 24 trials at 75 % span 55 to 88 %.
 *
 * Knows nothing about tasks or policies.
 */

/** Standard normal quantile of a two-sided 95 % interval. */
export const Z_95 = 1.959963984540054;

/** An interval of a rate; both ends in [0, 1]. */
export interface Interval {
  low: number;
  high: number;
}

/** Successes out of trials. */
export interface Count {
  successes: number;
  trials: number;
}

/**
 * Wilson's score interval of a binomial rate (Wilson 1927, "Probable inference, the law of succession, and statistical
 * inference"): the rates p with |p_hat - p| <= z sqrt(p (1 - p) / n), that is
 * (p_hat + z^2/2n +- z sqrt(p_hat (1 - p_hat)/n + z^2/4n^2)) / (1 + z^2/n).
 *
 * @param z two-sided normal quantile, 1.96 for 95 %
 * @returns [0, 1] where there were no trials
 * @throws RangeError if the counts are no counts
 */
export function wilsonInterval({ successes, trials }: Count, z: number = Z_95): Interval {
  if (!Number.isInteger(successes) || !Number.isInteger(trials) || successes < 0 || successes > trials) {
    throw new RangeError(`${successes} successes in ${trials} trials is no count`);
  }
  if (trials === 0) return { low: 0, high: 1 };
  return scoreInterval(successes / trials, trials, z);
}

/**
 * Wilson's interval of a rate that need not be a whole count, such as a mean of rates with weights w_i over n_i trials each; its number of trials is
 * then 1 / sum(w_i^2 / n_i), at most all of them.
 *
 * @param rate in [0, 1]
 * @param trials > 0
 */
export function scoreInterval(rate: number, trials: number, z: number = Z_95): Interval {
  const z2n = (z * z) / trials;
  const centre = rate + z2n / 2;
  const half = z * Math.sqrt((rate * (1 - rate)) / trials + z2n / (4 * trials));
  const low = rate === 0 ? 0 : (centre - half) / (1 + z2n);
  const high = rate === 1 ? 1 : (centre + half) / (1 + z2n);
  return { low, high };
}

/**
 * The unweighted mean of several success rates, as the paper averages its columns, with a 95 % interval. The interval
 * is the normal one of independent cells, each variance taken at the cell's shrunk rate (s + 2)/(n + 4) (Agresti and
 * Coull 1998), so that cells at 0 or 100 % do not count as certain.
 *
 * It covers the chance of the trials only, not that of training again with another seed.
 *
 * @throws RangeError without a cell or with a cell without trials
 */
export function meanRate(cells: readonly Count[]): { rate: number; interval: Interval } {
  if (cells.length === 0) throw new RangeError('the mean of no success rate');
  let rate = 0;
  let variance = 0;
  for (const { successes, trials } of cells) {
    if (trials === 0) throw new RangeError('a success rate of no trials has no mean');
    const shrunk = (successes + 2) / (trials + 4);
    rate += successes / trials / cells.length;
    variance += (shrunk * (1 - shrunk)) / (trials + 4) / cells.length ** 2;
  }
  const half = Z_95 * Math.sqrt(variance);
  return { rate, interval: { low: Math.max(0, rate - half), high: Math.min(1, rate + half) } };
}
