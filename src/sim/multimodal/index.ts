/** Procedural questions about tabletop pictures, cards, tables and charts, in eight families. */
export {
  generateMultimodal,
  type MultimodalEvent,
  type MultimodalInfo,
  type MultimodalOptions,
  type MultimodalSummary,
} from './generate-multimodal.js';
export { type PlannedPicture, type PlannedQuestion, type PlanOptions, parseFamilies, planPictures } from './plan.js';
export { FAMILIES, type Family, heldOutCombinations } from './vocabulary.js';
