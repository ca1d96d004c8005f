/** Closed-loop evaluation: rollouts of a policy, success tables with intervals, the report. */
export type { Curve, SuccessRow } from './charts.js';
export { type Report, renderReport } from './demo-report.js';
export * from './multimodal/index.js';
export type { ReportVideo } from './report.js';
export {
  cellKey,
  cellsOf,
  parseCellKey,
  rowsOf,
  type SuccessTable,
  type TriedEpisode,
  tallySuccess,
} from './success-table.js';
export { type Count, type Interval, meanRate, wilsonInterval } from './wilson.js';
