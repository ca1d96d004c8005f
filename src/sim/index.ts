/** The embedded benchmark: a tabletop simulator in the style of SimplerEnv, its tasks and its scripted expert. Needs no engine and no GPU. */
export {
  CAMERAS,
  type CameraName,
  Env,
  type EnvOptions,
  type Observation,
  type PrivilegedState,
  type StepResult,
} from './env.js';
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
export type { ImageBox, Reasoning } from './narration.js';
export { Random, SEEDS, seedOf, type SeedRange, type Split, testSeed, trainSeed, validationSeed } from './random.js';
export { type CameraSpec, type RobotName, type RobotSpec, ROBOTS } from './robots.js';
export { TASK_IDS, type Task, type TaskId, taskOf } from './tasks/index.js';
export { EXPERT_STEP, type Goal, type Phase, type TaskKind } from './tasks/task.js';
export { type Factor, type Variant, VARIANTS } from './variation.js';
export { type EnvInfo, EnvPool, type EnvPoolOptions } from './env-pool.js';
export { type ExpertRow, expertTable, type ExpertTableOptions } from './expert-table.js';
