/** The embedded benchmark: a tabletop simulator in the style of SimplerEnv, its tasks and its scripted expert. Needs no engine and no GPU. */
export {
  type DemonstrationEvent,
  type DemonstrationOptions,
  type DemonstrationSummary,
  demonstrationFolders,
  generateDemonstrations,
} from './demonstrations.js';
export {
  CAMERAS,
  type CameraName,
  Env,
  type EnvOptions,
  type Observation,
  type PrivilegedState,
  type StepResult,
} from './env.js';
export { type EnvInfo, EnvPool, type EnvPoolOptions } from './env-pool.js';
export {
  EnvPoolError,
  SceneSamplingError,
  SimActionError,
  SimError,
  SimOptionError,
  SimStateError,
  SimUnstableError,
} from './errors.js';
export { Expert, type ExpertOptions, type ExpertStep } from './expert.js';
export { type ExpertRow, type ExpertTableOptions, expertTable } from './expert-table.js';
export {
  FAMILIES,
  type Family,
  generateMultimodal,
  type MultimodalEvent,
  type MultimodalInfo,
  type MultimodalOptions,
  type MultimodalSummary,
  parseFamilies,
} from './multimodal/index.js';
export type { ImageBox, Reasoning } from './narration.js';
export { Random, SEEDS, type SeedRange, type Split, seedOf, testSeed, trainSeed, validationSeed } from './random.js';
export { type CameraSpec, ROBOTS, type RobotName, type RobotSpec } from './robots.js';
export { TASK_IDS, type Task, type TaskId, taskOf } from './tasks/index.js';
export { EXPERT_STEP, type Goal, type Phase, type TaskKind } from './tasks/task.js';
export { type Factor, VARIANTS, type Variant } from './variation.js';
