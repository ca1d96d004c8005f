/** What trains parameters: the optimizer, clipping, the moving average and the schedules of the learning rate. */
export {
  AdamW,
  type AdamWOptions,
  type GroupInit,
  type OptimizerState,
  OptimizerStateError,
  type ParamGroup,
  type SavedGroup,
  setLearningRates,
} from './adamw.js';
export { EMA } from './ema.js';
export { clip_grad_norm_ } from './gradient-clipping.js';
export type { Schedule } from './schedules.js';
export * as schedules from './schedules.js';
