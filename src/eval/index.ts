/** Closed-loop evaluation: rollouts of a policy, success tables with intervals, the report. */
export * from './benchmarks/index.js';
export type { Curve, SuccessRow } from './charts.js';
export { type Report, renderReport } from './demo-report.js';
export * from './multimodal/index.js';
export type { ReportVideo } from './report.js';
export * from './simpler-env/index.js';
export { readDrawings, type StudyDrawings } from './study-drawings.js';
export { readStudyRecord, type StudyRecord, studyPaths } from './study-folder.js';
export { writeStudyReports } from './study-report.js';
export { answer, compare, readStudyResults, type StudyResults, type Verdict } from './study-results.js';
export { type Estimate, estimateMean, studentQuantile } from './study-statistics.js';
export {
  comparePairs,
  countPairs,
  mcNemarTest,
  meanPairedDifference,
  type PairedComparison,
  type PairedCounts,
  pairedInterval,
} from './success-comparison.js';
export {
  cellKey,
  cellsOf,
  parseCellKey,
  rowsOf,
  type SuccessTable,
  type TriedEpisode,
  tallySuccess,
} from './success-table.js';
export { type Count, type Interval, meanRate, scoreInterval, wilsonInterval } from './wilson.js';
