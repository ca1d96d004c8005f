/** Dual-layer data pruning: scene events, motion keyframes (Eq. 4), and the keep labels that they make. */
export * from './errors.js';
export * from './keep-labels.js';
