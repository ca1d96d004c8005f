/**
 * The models: vision encoders, language models, action heads, the vision-language-action model assembled from them, and the
 * tokenizer. Nothing of the engine is loaded before a model is made.
 */
export {
  type ActionStatistics,
  normalizeActions,
  type UnnormalizeOptions,
  unnormalizeActions,
} from './action-normalization.js';
export { type BpeTrainingOptions, type TokenizerJson, trainBpe } from './bpe-trainer.js';
export {
  type CausalLanguageModel,
  type CausalLanguageModelInputs,
  type CausalLanguageModelOutput,
  nextTokenLoss,
} from './causal-language-model.js';
export { DinoV2, type DinoV2Config, FilmDinoV2, type FilmDinoV2Config, resamplePositionEmbedding } from './dinov2.js';
export { DiscreteActionTokens, IGNORED_LABEL, type LabelledTokens } from './discrete-action-tokens.js';
export {
  type ExpertContext,
  type ExpertInputs,
  type FlowLoss,
  FlowMatchingExpert,
  type FlowMatchingExpertConfig,
  type FlowSamples,
} from './flow-matching-expert.js';
export { type GenerateOptions, generate } from './generate.js';
export { KeyValueCache } from './key-value-cache.js';
export { type LlamaConfig, LlamaForCausalLM } from './llama.js';
export * from './policy.js';
export { type Qwen2Config, Qwen2ForCausalLM } from './qwen2.js';
export {
  EagleVision,
  type EagleVisionConfig,
  pixelShuffle,
  type SiglipConfig,
  type SiglipOutput,
  SiglipVisionModel,
} from './siglip.js';
export {
  latentActionTokens,
  SPECIAL_TOKENS,
  TextTokenizer,
  TokenizerFileError,
  UnknownTokenError,
} from './tokenizer.js';
export * from './vla.js';
export * from './vla-batch.js';
export * from './vla-config.js';
export * from './vla-loss.js';
