/**
 * Training: configuration, loop, checkpoints, logs. Nothing of the engine is loaded before training starts.
 */
export {
  type CheckpointPath,
  checkpointDamage,
  findResumePoint,
  listCheckpoints,
  type ResumePoint,
} from './checkpoint-files.js';
export {
  type Override,
  parseTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
  trainConfigJsonSchema,
  trainConfigSchema,
} from './config.js';
export {
  type ConfigSources,
  mergeConfig,
  parseOverrides,
  readConfigFile,
  resolveTrainConfig,
} from './config-sources.js';
export {
  ConfigError,
  CorruptCheckpointError,
  NonFiniteLossError,
  NoPretrainedModelError,
  NothingToResumeError,
  OutputExistsError,
  OutputWriteError,
  RunLockedError,
  TrainError,
  TrainerExitError,
  TrainingDataError,
} from './errors.js';
export type {
  CheckpointEvent,
  EndEvent,
  EndReason,
  NoticeEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
  ValidationEvent,
} from './events.js';
export { METRICS_FILE, type MetricsRecord, readMetrics } from './metrics-log.js';
export {
  type DatasetStatistics,
  findPretrained,
  loadPolicy,
  loadPretrained,
  type PretrainedParts,
  readPretrainedParts,
} from './pretrained.js';
export { formatTrainEvent } from './progress-line.js';
export { defaultRunDirectory, holdsRun, RUN_CONFIG_FILE } from './run-directory.js';
export { TensorBoardWriter } from './tensorboard.js';
export { trainVla } from './train-vla.js';
export { type RunMode, trainInWorker } from './trainer.js';
