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
export {
  type Column as SimplerColumn,
  GROUPS as SIMPLER_GROUPS,
  type Group as SimplerGroup,
  OTHER_COLUMNS,
  PAPER_COLUMNS,
  type Unit as SimplerUnit,
} from './columns.js';
export { compareSimpler, type SimplerComparison } from './compare.js';
export {
  type ReadOptions as SimplerReadOptions,
  type ResultsHeader as SimplerResultsHeader,
  readSimplerResults,
  type SimplerEpisode,
  type SimplerResults,
} from './episode-results.js';
export { SimplerEnvError } from './errors.js';
export {
  INSTRUCTVLA_WIDOWX_STEPS,
  ROBOTS as SIMPLER_ROBOTS,
  SIMPLER_RUNS,
  type SimplerRun,
  type SimplerSetting,
  type SimplerTask,
} from './manifest.js';
export { type CheckedPaperRow, checkPaperTable, PAPER_TABLE, type PaperRow } from './paper-table.js';
export {
  type Plan as SimplerPlan,
  type PlannedRun,
  type PlanOptions as SimplerPlanOptions,
  planSimpler,
  STEP_LIMITS,
  type StepLimits,
} from './plan.js';
export { proprioception } from './proprioception.js';
export {
  besideThePaper,
  columnTable,
  comparisonTable,
  PAPER_MARKS,
  simplerMarkdown,
  type TextTable,
} from './report.js';
