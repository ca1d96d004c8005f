/** VLA Score (the paper's Sec. 3.3): judges of trajectories, Eq. 8, and the validity of stated reasoning. Needs no engine. */
export type { EpisodeTrace, StepTrace } from '../eval/trace.js';
export { readTraces, TraceFileError, TraceWriter } from '../eval/trace.js';
export { type Judge, type Judgement, MarkError } from './judge.js';
export { judgeSteps, type ReasoningValidity, reasoningValidity, type StepValidity } from './reasoning-validity.js';
export { type ActionMeasures, ANCHORS, actionMeasures, RuleJudge } from './rule-judge.js';
export { logDimensionlessJerk, spectralArcLength } from './smoothness.js';
export {
  bootstrapInterval,
  judgeTraces,
  type MeanOptions,
  meanVlaScore,
  scoreTrajectory,
  type TrajectoryScore,
  type VlaScore,
} from './vla-score.js';
