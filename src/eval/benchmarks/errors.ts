/** Named errors of the benchmarks: what, where, the next command. */

/** Predictions, table or options do not fit together. */
export class BenchmarkError extends Error {
  override readonly name: string = 'BenchmarkError';
}

/** A judge is needed and none is there, or it does not answer. There is no fallback: scores without it would be other scores. */
export class JudgeError extends BenchmarkError {
  override readonly name = 'JudgeError';
}
