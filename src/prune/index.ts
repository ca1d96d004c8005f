/** Dual-layer data pruning (paper Sec. 3.2.1): scene events, motion keyframes by Eq. 4, and the keep labels that they make. */
export * from './boundary-labels.js';
export * from './contact-sheet.js';
export {
  boundaryProbability,
  DdmNet,
  type DdmNetConfig,
  type DdmNetOutput,
  pairwiseDistance,
  RELEASED_DDM_NET,
} from './ddm-net.js';
export type { FrameFeatures } from './ddm-net-backbone.js';
export * from './dual-layer-pruning.js';
export * from './errors.js';
export * from './event-boundaries.js';
export * from './export-annotations.js';
export * from './frame-features.js';
export * from './keep-labels.js';
export * from './kernel-segmentation.js';
export * from './kinematics.js';
export * from './layer-journal.js';
export * from './motion-energy-valleys.js';
export * from './motion-layer.js';
export * from './motion-layout.js';
export * from './motion-rules.js';
export * from './prune-dataset.js';
export * from './prune-input.js';
export * from './reasoning-fields.js';
export * from './reasoning-statistics.js';
export * from './report-page.js';
export * from './resnet-weights.js';
export * from './scene-events.js';
export * from './scene-frames.js';
export * from './scene-layer.js';
export * from './scene-quality.js';
export * from './train-scene-events.js';
export { type KinematicChain, Urdf } from './urdf.js';
export * from './write-pruned.js';
