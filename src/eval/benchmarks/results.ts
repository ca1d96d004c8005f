/**
 * Scoring of one benchmark from files, and what a result says: benchmark, profile, judge, how many rows the rules (or the judge) could not make sense of,
 * scores on the benchmark's own scale and the headline on 0 to 100.
 */
import { AnsweredRows, type Benchmark, type BenchmarkScore, type Predictions } from './benchmark.js';
import { BenchmarkError, JudgeError } from './errors.js';
import type { Judge } from './judge.js';
import type { Profile } from './option-inference.js';
import type { PredictionFormat } from './pandas-column.js';
import { OWN_WORDING, type Wording } from './prompts.js';
import type { QuestionSet } from './question-set.js';

export interface ScoreRequest {
  readonly benchmark: Benchmark;
  readonly set: QuestionSet;
  readonly predictions: Predictions;
  readonly profile: Profile;
  readonly judge?: Judge;
  readonly judgeAtOnce?: number;
  readonly wording?: Wording;
  /** The file that VLMEvalKit would have written between model and score. */
  readonly format?: PredictionFormat;
  /** Score the rows that have predictions although others have none. */
  readonly partial?: boolean;
}

export interface BenchmarkResult extends BenchmarkScore {
  readonly benchmark: string;
  readonly profile: Profile;
  /** "none": rules alone. */
  readonly judge: string;
  readonly table: string;
  readonly numRows: number;
  readonly complete: boolean;
  readonly uninferableRate: number;
}

/** Throws BenchmarkError where predictions and table do not fit, JudgeError where a judge is needed or fails. */
export async function scoreBenchmark(request: ScoreRequest): Promise<BenchmarkResult> {
  const { benchmark, set, predictions, profile, judge, judgeAtOnce, partial, format = 'xlsx' } = request;
  for (const name of benchmark.needs) {
    if (!set.columns.has(name))
      throw new BenchmarkError(`${set.path} has no column "${name}"; is it ${benchmark.name}?`);
  }
  if (judge && benchmark.judge === 'never')
    throw new JudgeError(`${benchmark.name} is scored by rules; it takes no judge`);
  const missing = set.indices.filter((index) => !predictions.has(String(index)));
  if (missing.length > 0 && !partial) {
    throw new BenchmarkError(
      `${missing.length} of ${set.numRows} rows of ${set.path} have no prediction (the first: ${missing[0]}); next: --mode all, or --partial to score the others`,
    );
  }
  if (missing.length === set.numRows) throw new BenchmarkError(`No prediction belongs to a row of ${set.path}`);
  const stray = [...predictions.keys()].find((index) => !set.knows(index));
  if (stray !== undefined)
    throw new BenchmarkError(`There is a prediction for index ${stray}, which ${set.path} does not have`);
  // MMBench's file is read, written and read again before it is scored.
  const answers = new AnsweredRows(set, predictions, profile, format, benchmark.id === 'mmbench' ? 2 : 1);
  const score = await benchmark.score(answers, {
    profile,
    wording: request.wording ?? OWN_WORDING,
    ...(judge ? { judge } : {}),
    ...(judgeAtOnce === undefined ? {} : { judgeAtOnce }),
  });
  return {
    benchmark: benchmark.name,
    profile,
    judge: judge?.name ?? 'none',
    table: set.path,
    numRows: answers.indices.length,
    complete: missing.length === 0,
    uninferableRate: score.uninferable / answers.indices.length,
    ...score,
  };
}

/** The average over the eight benchmarks, on 0 to 100 (OCRBench out of 1,000, divided by ten). */
export function averageOfEight(mains: readonly number[]): number {
  return mains.reduce((sum, main) => sum + main, 0) / mains.length;
}
