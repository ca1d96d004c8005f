/**
 * Judges rollouts and scores them by Eq. 8, several at once. A rollout that the judge cannot mark is no reason to lose the others: it is named in the result and
 * left out of no average silently.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inParallel } from '../eval/benchmarks/in-parallel.js';
import { type Count, wilsonInterval } from '../eval/wilson.js';
import type { Judgement } from './judge.js';
import type { Rollout } from './rollout.js';
import { RolloutError } from './rollout.js';
import { RuleJudge } from './rule-judge.js';
import { bootstrapInterval, scoreTrajectory } from './vla-score.js';
import { meanMarks, UnusableJudgeError, type VlmJudgement } from './vlm-judge.js';

/** What any judge of rollouts gives: one opinion or more. */
export type RolloutJudgement = Partial<Omit<VlmJudgement, 'opinions'>> & {
  readonly opinions: readonly (Pick<VlmJudgement['opinions'][number], 'marks'> &
    Partial<VlmJudgement['opinions'][number]>)[];
};

export interface RolloutJudge {
  readonly name: string;
  /** What its marks depend on beside its name. */
  readonly settings?: object;
  judge(rollout: Rollout): Promise<RolloutJudgement>;
}

/** The rule judge, for rollouts whose truth is known. */
export function ruleRolloutJudge(): RolloutJudge {
  const judge = new RuleJudge();
  return {
    name: judge.name,
    judge: async ({ id, trace }) => {
      if (trace === undefined) {
        throw new RolloutError(
          `${id}: the rule judge needs what the simulator knows, and only traces of the embedded benchmark have it; next: --judge <model@url>`,
        );
      }
      return { opinions: [{ marks: judge.judge(trace) }] };
    },
  };
}

/** A rollout with its marks (0 to 10) and its score (0 to 1). */
export interface ScoredRollout {
  readonly id: string;
  readonly task: string;
  readonly reasons: boolean;
  readonly success: boolean;
  /** Mean over the repeated judgements, and largest less smallest. */
  readonly marks: Judgement;
  readonly spread?: Judgement;
  /** Eq. 8 of every judgement, averaged. */
  readonly score: number;
  /** What the judge says, of the first judgement. */
  readonly thought?: string;
  /** Whether the judge thinks that it succeeded. */
  readonly judgeSuccess?: boolean;
  readonly moments?: readonly number[];
  readonly examples?: readonly string[];
  /** Moments whose thought looks like orders to the judge. */
  readonly suspicious?: readonly number[];
  /** Replies that were needed, of every judgement; what was mended; in what form JSON was asked for. */
  readonly asked?: readonly number[];
  readonly repairs?: readonly string[];
  readonly formats?: readonly string[];
}

export interface UnjudgedRollout {
  readonly id: string;
  readonly why: string;
}

export interface ScoreOptions {
  /** Rollouts judged at once; default 1. */
  readonly atOnce?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** @throws what the judge throws and AbortError when stopped, but for UnusableJudgeError, which is of one rollout */
export async function scoreRollouts(
  rollouts: readonly Rollout[],
  judge: RolloutJudge,
  { atOnce = 1, onProgress = () => undefined, signal }: ScoreOptions = {},
): Promise<{ scored: ScoredRollout[]; unjudged: UnjudgedRollout[] }> {
  const unjudged: UnjudgedRollout[] = [];
  let done = 0;
  const scored = await inParallel(rollouts, atOnce, async (rollout) => {
    // The rule judge never waits: a turn for Ctrl-C to be heard.
    await nextTurn();
    signal?.throwIfAborted();
    try {
      return scoreOf(rollout, await judge.judge(rollout));
    } catch (error) {
      if (!(error instanceof UnusableJudgeError)) throw error;
      unjudged.push({ id: rollout.id, why: error.message });
      return undefined;
    } finally {
      onProgress(++done, rollouts.length);
    }
  });
  return { scored: scored.filter((one) => one !== undefined), unjudged };
}

function scoreOf({ id, task, reasons, success }: Rollout, judgement: RolloutJudgement): ScoredRollout {
  const { opinions, moments, examples, suspicious } = judgement;
  const scores = opinions.map(({ marks }) => scoreTrajectory(marks, success).score);
  const { marks, spread } = meanMarks(opinions);
  const [first] = opinions;
  const said = opinions.flatMap((one) => one.asked ?? []);
  return {
    id,
    task,
    reasons,
    success,
    marks,
    ...(opinions.length > 1 ? { spread } : {}),
    score: scores.reduce((sum, score) => sum + score, 0) / scores.length,
    ...(first?.thought === undefined ? {} : { thought: first.thought }),
    ...(first?.success === undefined ? {} : { judgeSuccess: first.success }),
    ...(moments === undefined ? {} : { moments }),
    ...(examples === undefined ? {} : { examples }),
    ...(suspicious === undefined ? {} : { suspicious }),
    ...(said.length === 0
      ? {}
      : {
          asked: said,
          repairs: [...new Set(opinions.flatMap(({ repairs = [] }) => repairs))],
          formats: [...new Set(opinions.flatMap(({ format }) => format ?? []))],
        }),
  };
}

/** Means over trajectories, all 0 to 100; R and RA over those of policies that reason (null where there are none, RA then 100). */
export interface ScoreSummary {
  readonly trajectories: number;
  readonly R: number | null;
  readonly A: number;
  readonly I: number;
  readonly RA: number;
  readonly success: number;
  readonly vlaScore: number;
  /** 95 %: bootstrap over trajectories; of success Wilson's. */
  readonly intervals: Readonly<
    Record<'R' | 'A' | 'I' | 'RA' | 'success' | 'vlaScore', readonly [number, number] | null>
  >;
}

/** @throws RangeError for no trajectory */
export function summarize(scored: readonly ScoredRollout[]): ScoreSummary {
  if (scored.length === 0) throw new RangeError('no trajectory to score');
  const reasoning = scored.filter(({ marks }) => marks.R !== undefined);
  const values = {
    R: reasoning.map(({ marks }) => 10 * (marks.R as number)),
    A: scored.map(({ marks }) => 10 * marks.A),
    I: scored.map(({ marks }) => 10 * marks.I),
    // Eq. 8 has RA = 1 for policies that do not reason.
    RA: scored.map(({ marks }) => (marks.R === undefined ? 100 : 10 * marks.RA)),
    vlaScore: scored.map(({ score }) => 100 * score),
  };
  const mean = (list: readonly number[]): number => list.reduce((sum, v) => sum + v, 0) / list.length;
  const count: Count = { successes: scored.filter(({ success }) => success).length, trials: scored.length };
  const { low, high } = wilsonInterval(count);
  const interval = (list: readonly number[]): readonly [number, number] | null =>
    list.length === 0 ? null : bootstrapInterval(list);
  return {
    trajectories: scored.length,
    R: values.R.length === 0 ? null : mean(values.R),
    A: mean(values.A),
    I: mean(values.I),
    RA: mean(values.RA),
    success: (100 * count.successes) / count.trials,
    vlaScore: mean(values.vlaScore),
    intervals: {
      R: interval(values.R),
      A: interval(values.A),
      I: interval(values.I),
      RA: interval(values.RA),
      success: [100 * low, 100 * high],
      vlaScore: interval(values.vlaScore),
    },
  };
}
