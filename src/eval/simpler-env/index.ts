/** SimplerEnv: its runs, results, tables and actions. Works without engine, simulator or network. */
export {
  ActionProcessor,
  type ActionStep,
  type EnvAction,
  PROCESSING,
  type Processing,
  type RawAction,
  type SimplerPolicy,
  type SimplerRobot,
} from './action-processing.js';
export { type AverageResult, type ColumnResult, type SimplerSummary, summariseSimpler } from './aggregate.js';
export { type Column, GROUPS, type Group, OTHER_COLUMNS, PAPER_COLUMNS, type Unit } from './columns.js';
export { compareSimpler, type SimplerComparison } from './compare.js';
export {
  type ReadOptions,
  type ResultsHeader,
  readSimplerResults,
  type SimplerEpisode,
  type SimplerResults,
} from './episode-results.js';
export { SimplerEnvError } from './errors.js';
export {
  INSTRUCTVLA_WIDOWX_STEPS,
  ROBOTS,
  SIMPLER_RUNS,
  type SimplerRun,
  type SimplerSetting,
  type SimplerTask,
} from './manifest.js';
export { type CheckedPaperRow, checkPaperTable, PAPER_TABLE, type PaperRow } from './paper-table.js';
export { type Plan, type PlannedRun, type PlanOptions, planSimpler, STEP_LIMITS, type StepLimits } from './plan.js';
export { proprioception } from './proprioception.js';
export {
  besideThePaper,
  columnTable,
  comparisonTable,
  PAPER_MARKS,
  simplerMarkdown,
  type TextTable,
} from './report.js';
