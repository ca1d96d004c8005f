/** VLA Score (the paper's Sec. 3.3): judges of trajectories, Eq. 8, dual retrieval, calibration. Only learned embeddings need the engine. */
export type { EpisodeTrace, StepTrace } from '../eval/trace.js';
export { readTraces, TraceFileError, TraceWriter } from '../eval/trace.js';
export { type Agreement, agreement, quadraticWeightedKappa, spearman } from './agreement.js';
export {
  agreementByDimension,
  type DefectResult,
  defectResults,
  HUMAN_LABEL,
  plantedRollouts,
  readHumanLabels,
  summarizeKinds,
} from './calibration.js';
export { DualRetrieval, type DualRetrievalOptions, type Retrieved } from './dual-retrieval.js';
export { buildEmbeddedBase, EMBEDDED_BASE } from './embedded-base.js';
export {
  EndpointTextEmbedder,
  GridImageEmbedder,
  HashedTextEmbedder,
  type ImageEmbedder,
  similarity,
  type TextEmbedder,
} from './embedding.js';
export { type Judge, type Judgement, MarkError } from './judge.js';
export { type JudgeAnswer, JudgeReplyError, readJudgeReply } from './judge-reply.js';
export { looksLikeOrders, TokenBudgetError } from './judge-request.js';
export {
  BASE_ENTRY,
  type BaseEntry,
  CORRECTION,
  type Correction,
  KnowledgeBase,
  KnowledgeBaseError,
} from './knowledge-base.js';
export { moveAlignment, statementSteps } from './move-alignment.js';
export { openRollouts } from './open-rollouts.js';
export {
  PLANTED_DEFECTS,
  type PlantedCase,
  type PlantedDefect,
  plantedCases,
  reversedTrace,
  withWords,
} from './planted-defects.js';
export { judgeSteps, type ReasoningValidity, reasoningValidity, type StepValidity } from './reasoning-validity.js';
export { type Picture, type Rollout, RolloutError } from './rollout.js';
export { type ActionMeasures, ANCHORS, actionMeasures, RuleJudge } from './rule-judge.js';
export {
  type RolloutJudge,
  ruleRolloutJudge,
  type ScoredRollout,
  type ScoreSummary,
  scoreRollouts,
  summarize,
} from './score-rollouts.js';
export { logDimensionlessJerk, spectralArcLength } from './smoothness.js';
export { Theatre, traceRollout } from './trace-rollouts.js';
export {
  bootstrapInterval,
  judgeTraces,
  type MeanOptions,
  meanVlaScore,
  scoreTrajectory,
  type TrajectoryScore,
  type VlaScore,
} from './vla-score.js';
export {
  type ExampleSource,
  UnusableJudgeError,
  VlmJudge,
  type VlmJudgement,
  type VlmJudgeOptions,
} from './vlm-judge.js';
