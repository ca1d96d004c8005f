/** Dual-layer data pruning (paper Sec. 3.2.1): scene events, motion keyframes by Eq. 4, and the keep labels that they make. */
export * from './boundary-labels.js';
export {
  boundaryProbability,
  DdmNet,
  type DdmNetConfig,
  type DdmNetOutput,
  type FrameFeatures,
  pairwiseDistance,
  RELEASED_DDM_NET,
} from './ddm-net.js';
export * from './dual-layer-pruning.js';
export * from './errors.js';
export * from './event-boundaries.js';
export * from './keep-labels.js';
export * from './kinematics.js';
export * from './motion-energy-valleys.js';
export * from './motion-layout.js';
export * from './motion-rules.js';
export * from './prune-dataset.js';
export * from './reasoning-statistics.js';
export * from './scene-events.js';
export * from './scene-frames.js';
export * from './scene-quality.js';
export * from './timeline.js';
export * from './train-scene-events.js';
export { type KinematicChain, Urdf } from './urdf.js';
export * from './write-pruned.js';
