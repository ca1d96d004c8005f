/** The eight multimodal benchmarks of the paper, scored as VLMEvalKit scores them. Works without engine, accelerator or network. */
import type { Benchmark } from './benchmark.js';
import { docvqa } from './docvqa.js';
import { EMBEDDED_BENCHMARKS } from './embedded.js';
import { infovqa } from './infovqa.js';
import { mmvet } from './mm-vet.js';
import { mmbench } from './mmbench.js';
import { mmmu } from './mmmu.js';
import { mmstar } from './mmstar.js';
import { ocrbench } from './ocrbench.js';
import { textvqa } from './textvqa.js';

/** In the order of the paper's table. */
export const BENCHMARKS: readonly Benchmark[] = [mmmu, mmvet, mmstar, ocrbench, mmbench, textvqa, infovqa, docvqa];

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** By short name, the paper's, that of a VLMEvalKit table or of an embedded family, in any case; undefined if there is none. */
export function findBenchmark(name: string): Benchmark | undefined {
  return [...BENCHMARKS, ...EMBEDDED_BENCHMARKS].find(({ id, name: shown, tables }) =>
    [id, shown, ...tables].some((one) => plain(one) === plain(name)),
  );
}

export type { AnsweredRows, Benchmark, BenchmarkScore, MessagePart, Predictions, ScoredRow } from './benchmark.js';
export { ChatEndpoint, type ChatEndpointOptions, EndpointError } from './chat-endpoint.js';
export { EndpointJudge } from './endpoint-judge.js';
export { BenchmarkError, JudgeError } from './errors.js';
export { type Judge, type JudgeQuestion, RecordedJudge } from './judge.js';
export { PROFILES, type Profile } from './option-inference.js';
export { PREDICTION, PREDICTIONS_HEADER, readPredictions } from './predictions.js';
export { OWN_WORDING, readWording, type Wording } from './prompts.js';
export { QuestionSet, type RowIndex } from './question-set.js';
export { averageOfEight, type BenchmarkResult, type ScoreRequest, scoreBenchmark } from './results.js';
export { EMBEDDED_BENCHMARKS };
