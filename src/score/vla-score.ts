/**
 * VLA Score (the paper's Sec. 3.3, Eq. 8): how well a policy reasons, acts, pursues the task and does what it says, of one trajectory and on the
 * mean over trajectories with a bootstrap interval.
 *
 *     ((R + A I) / 2) RA B     a policy that reasons
 *     A I RA B                 otherwise, RA = 1
 *
 * Knows nothing of how a judge arrives at its marks.
 */
import type { EpisodeTrace } from '../eval/trace.js';
import { type Judge, type Judgement, MarkError } from './judge.js';

/** A trajectory's marks and score, each 0 to 1. */
export interface TrajectoryScore {
  /** Absent for policies that do not reason. */
  readonly R?: number;
  readonly A: number;
  readonly I: number;
  readonly RA: number;
  /** 1 on success, else 0. */
  readonly B: 0 | 1;
  readonly score: number;
}

/** Means over trajectories, each 0 to 100; `score` is the mean of the trajectories' scores, not the score of the means. */
export interface VlaScore {
  R?: number;
  A: number;
  I: number;
  RA: number;
  score: number;
  /** 95 % bootstrap interval of `score` over trajectories. */
  interval: readonly [number, number];
  trials: number;
  judge: string;
}

/**
 * Eq. 8 of one trajectory.
 * @param judgement marks 0 to 10; `R` absent for a policy that does not reason, whose RA is 1 whatever it was marked
 * @throws MarkError for marks outside 0 to 10
 */
export function scoreTrajectory({ R, A, I, RA }: Judgement, success: boolean): TrajectoryScore {
  for (const [name, mark] of Object.entries({ R: R ?? 0, A, I, RA })) {
    if (!(mark >= 0 && mark <= 10)) throw new MarkError(name, mark);
  }
  const B = success ? 1 : 0;
  const [a, i] = [A / 10, I / 10];
  if (R === undefined) return { A: a, I: i, RA: 1, B, score: a * i * B };
  const [r, ra] = [R / 10, RA / 10];
  return { R: r, A: a, I: i, RA: ra, B, score: ((r + a * i) / 2) * ra * B };
}

/** Judges every trace. */
export async function judgeTraces(traces: readonly EpisodeTrace[], judge: Judge): Promise<TrajectoryScore[]> {
  const scores: TrajectoryScore[] = [];
  for (const trace of traces) scores.push(scoreTrajectory(await judge.judge(trace), trace.success));
  return scores;
}

export interface MeanOptions {
  /** Seed of the bootstrap; default 0. */
  seed?: number;
  /** Default 2000. */
  resamples?: number;
}

/** Means and interval of trajectories of one policy. @throws RangeError for none */
export function meanVlaScore(scores: readonly TrajectoryScore[], judge: string, options: MeanOptions = {}): VlaScore {
  if (scores.length === 0) throw new RangeError('no trajectory to score');
  const mean = (of: (score: TrajectoryScore) => number): number =>
    (100 * scores.reduce((sum, score) => sum + of(score), 0)) / scores.length;
  const reasoning = scores.filter(({ R }) => R !== undefined);
  return {
    ...(reasoning.length > 0
      ? { R: (100 * reasoning.reduce((sum, { R }) => sum + (R as number), 0)) / reasoning.length }
      : {}),
    A: mean(({ A }) => A),
    I: mean(({ I }) => I),
    RA: mean(({ RA }) => RA),
    score: mean(({ score }) => score),
    interval: bootstrapInterval(
      scores.map(({ score }) => 100 * score),
      options,
    ),
    trials: scores.length,
    judge,
  };
}

/** Percentile bootstrap interval (2.5 to 97.5 %) of the mean. The same values and seed give the same interval. */
export function bootstrapInterval(
  values: readonly number[],
  { seed = 0, resamples = 2000 }: MeanOptions = {},
): readonly [number, number] {
  const next = generator(seed);
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(next() * values.length)] as number;
    return sum / values.length;
  }).sort();
  const at = (share: number): number => means[Math.round(share * (resamples - 1))] as number;
  return [at(0.025), at(0.975)];
}

/** mulberry32: uniform in [0, 1). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
