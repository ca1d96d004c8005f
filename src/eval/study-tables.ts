/**
 * A study's results as tables, the paper's figures (arXiv 2511.22134, Tables 2 and 4 to 8) beside ours. Built once, shown as Markdown
 * and as HTML.
 */
import { html, type Markup } from './html.js';
import { PAPER_ABLATIONS, PAPER_SUCCESS, PAPER_VLA_SCORE } from './paper-figures.js';
import {
  type Answer,
  type Difference,
  estimateOfModel,
  MEASURES,
  type Measure,
  type ModelResults,
  pooledCounts,
  type StudyResults,
  successOf,
} from './study-results.js';
import type { Estimate } from './study-statistics.js';
import { parseCellKey } from './success-table.js';
import { type Count, wilsonInterval } from './wilson.js';

export interface Table {
  title: string;
  head: string[];
  rows: string[][];
  note?: string;
}

const NONE = '-';

/** `81.3 (78.2 to 84.4)`; without interval where there is one seed. */
export function formatEstimate(estimate: Estimate | null, digits = 1): string {
  if (estimate === null) return NONE;
  const { mean, interval } = estimate;
  const text = (value: number): string => value.toFixed(digits);
  return interval === null ? text(mean) : `${text(mean)} (${text(interval[0])} to ${text(interval[1])})`;
}

/** `-6.2 points (-9.1 to -3.3; 8 seeds)` */
export function formatDifference(difference: Difference): string {
  const { measure, estimate, seeds, withinSeed } = difference;
  const { unit, digits }: Measure = MEASURES[measure];
  const words = unit === '%' ? ' points' : unit === '' ? '' : ` ${unit}`;
  const text = (value: number): string => `${value > 0 ? '+' : ''}${value.toFixed(digits)}`;
  const range = (interval: readonly [number, number]): string => `${text(interval[0])} to ${text(interval[1])}`;
  const value = `${text(estimate.mean)}${words}`;
  if (estimate.interval !== null) return `${value} (${range(estimate.interval)}; ${seeds.length} seeds)`;
  if (seeds.length > 1) return `${value} (the same in ${seeds.length} seeds)`;
  if (withinSeed === null) return `${value} (seed ${seeds[0]} alone)`;
  return `${value} (seed ${seeds[0]} alone; ${range(withinSeed.interval)} over its ${withinSeed.over})`;
}

/** `base - continued, success: -6.2 points (...)` */
export function describeDifference(difference: Difference): string {
  const { a, b, measure } = difference;
  return `${a} - ${b}, ${MEASURES[measure].label}: ${formatDifference(difference)}`;
}

export const verdictText = (verdict: Answer['verdict']): string => verdict ?? 'open: too few seeds';

export function verdictTable(answers: readonly Answer[]): Table {
  return {
    title: 'Hypotheses',
    head: ['', 'claim', 'answer', 'differences with their 95 % intervals', 'beside it'],
    rows: answers.map(({ hypothesis, verdict, parts, beside }) => [
      hypothesis.id,
      hypothesis.claim,
      verdictText(verdict),
      parts
        .map((part, i) =>
          part === null
            ? `${hypothesis.parts[i]?.a} or ${hypothesis.parts[i]?.b} not measured`
            : describeDifference(part),
        )
        .join('; '),
      beside.flatMap((part) => (part === null ? [] : describeDifference(part))).join('; '),
    ]),
    note:
      'Paired by training seed, 95 % t intervals over seeds. Shown: the interval lies on the predicted side; reversed: on the other side of ' +
      'zero; otherwise not shown. Intervals over scenes or questions of one seed say nothing about training again and decide nothing.',
  };
}

/** Like the paper's Table 2: success by task. */
export function successTable({ models, study }: StudyResults): Table {
  const tasks = cellsOf(models);
  const head = study.train.policy?.action_head === 'discrete' ? 'discrete' : 'flow';
  return {
    title: 'Success in closed loop, %',
    head: ['model', ...tasks.map((cell) => cellTitle(cell)), 'mean', 'seeds', 'paper, mean of nine columns'],
    rows: models.map((model) => {
      const pooled = pooledCounts(model);
      const paper = PAPER_SUCCESS[head][model.name];
      return [
        model.name,
        ...tasks.map((cell) => formatCount(pooled[cell])),
        formatEstimate(estimateOfModel(model, MEASURES.success.of)),
        String(model.runs.length),
        paper === undefined ? NONE : `${paper.average.toFixed(1)} (${paper.name})`,
      ];
    }),
    note:
      'Tasks: successes of all seeds together with Wilson 95 % intervals, which cover the chance of the trials alone. Mean: over tasks, then over ' +
      'seeds, with the 95 % t interval over seeds. The paper: SimplerEnv, Table 2.',
  };
}

const cellsOf = (models: readonly ModelResults[]): string[] => [
  ...new Set(models.flatMap((model) => Object.keys(pooledCounts(model)))),
];

function cellTitle(cell: string): string {
  const { task, variant } = parseCellKey(cell);
  return `${task.split('/')[1]?.replaceAll('-', ' ')}${variant === 'vm' ? '' : ` ${variant}`}`;
}

function formatCount(count: Count | undefined): string {
  if (count === undefined || count.trials === 0) return NONE;
  const { low, high } = wilsonInterval(count);
  const whole = (rate: number): string => (100 * rate).toFixed(0);
  return `${whole(count.successes / count.trials)} (${whole(low)}-${whole(high)})`;
}

/** Like the paper's tables of VLA Score. */
export function vlaScoreTable({ models }: StudyResults): Table {
  const judges = new Set(models.flatMap(({ runs }) => runs.map(({ measurement }) => measurement.vlaScore.judge)));
  const part = (model: ModelResults, name: 'R' | 'A' | 'I' | 'RA'): string =>
    formatEstimate(
      estimateOfModel(model, ({ vlaScore }) =>
        name === 'RA' && vlaScore.R === undefined ? null : (vlaScore[name] ?? null),
      ),
    );
  return {
    title: 'VLA Score',
    head: ['model', 'R', 'A', 'I', 'RA', 'success', 'VLA Score', 'paper: R', 'A', 'I', 'RA', 'VLA Score'],
    rows: models.map((model) => {
      const paper = PAPER_VLA_SCORE[model.name];
      const figure = (value: number | undefined): string => value?.toFixed(1) ?? NONE;
      return [
        model.name,
        ...(['R', 'A', 'I', 'RA'] as const).map((name) => part(model, name)),
        formatEstimate(estimateOfModel(model, MEASURES.success.of)),
        formatEstimate(estimateOfModel(model, MEASURES.vlaScore.of)),
        ...[paper?.R, paper?.A, paper?.I, paper?.RA, paper?.score].map(figure),
      ];
    }),
    note:
      `Judge: ${[...judges].join(', ')} (ours), GPT-4o (the paper's): orderings compare, values do not. Each part 0 to 100, ` +
      'averaged over trajectories; the score is computed for each trajectory (Eq. 8) and then averaged. Models that do not reason have no R and RA.',
  };
}

/** Questions of a family answered right, in %. */
export const accuracyOf =
  (family: string): Measure['of'] =>
  ({ multimodal }) => {
    const count = multimodal[family];
    return count === undefined || count.total === 0 ? null : (100 * count.correct) / count.total;
  };

/** What guessing answers, in the mean of the families; null where that is not known of all of them. */
export function guessedMean(families: readonly string[], guessing: Readonly<Record<string, number>>): number | null {
  const shares = families.flatMap((family) => guessing[family] ?? []);
  if (shares.length === 0 || shares.length < families.length) return null;
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

/** `guessing`: share of the questions that guessing answers, by family; the last row, where it is known. */
export function multimodalTable({ models }: StudyResults, guessing: Readonly<Record<string, number>>): Table {
  const families = familiesOf(models);
  const guessed = guessedMean(families, guessing);
  const percent = (share: number, digits: number): string => (100 * share).toFixed(digits);
  return {
    title: 'Questions about pictures, % right',
    head: ['model', 'mean', ...families],
    rows: [
      ...models.map((model) => [
        model.name,
        formatEstimate(estimateOfModel(model, MEASURES.multimodal.of)),
        ...families.map((family) => formatEstimate(estimateOfModel(model, accuracyOf(family)), 0)),
      ]),
      ...(guessed === null
        ? []
        : [['(guessing)', percent(guessed, 1), ...families.map((family) => percent(guessing[family] ?? 0, 0))]]),
    ],
    note:
      "In place of the paper's eight benchmarks, where DualVLA has 65.4 in the mean (its Tables 6 to 8)." +
      (guessed === null ? '' : ' Guessing: one of the answers that a question of the kind can have.'),
  };
}

export const familiesOf = (models: readonly ModelResults[]): string[] => [
  ...new Set(models.flatMap(({ runs }) => runs.flatMap(({ measurement }) => Object.keys(measurement.multimodal)))),
];

/** Like the paper's Tables 6 to 8. */
export function ablationTables(results: StudyResults): Table[] {
  const byName = new Map(results.models.map((model) => [model.name, model]));
  return PAPER_ABLATIONS.flatMap(({ title, rows }): Table[] => {
    const own = rows.flatMap(({ model: name, name: words, figures }) => {
      const model = byName.get(name);
      if (model === undefined) return [];
      const columns: Measure['of'][] = [
        ({ success }) => successOf(success, 'google/'),
        ({ success }) => successOf(success, 'widowx/'),
        MEASURES.multimodal.of,
      ];
      const average: Measure['of'] = (measurement) => {
        const values = columns.flatMap((of) => of(measurement) ?? []);
        return values.length < columns.length ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
      };
      const ours = [...columns, average].map((of) => formatEstimate(estimateOfModel(model, of)));
      return [[words, ...ours, ...figures.map((figure) => figure.toFixed(1))]];
    });
    if (own.length < 2) return [];
    const columns = ['Google robot', 'WidowX', 'multimodal', 'average'];
    return [
      {
        title: `Ablation: ${title.toLowerCase()}`,
        head: ['', ...columns, ...columns.map((name) => `paper: ${name}`)],
        rows: own,
      },
    ];
  });
}

export function thinkingTable({ models }: StudyResults): Table {
  const keys = ['reasoned', 'tokensPerPrediction', 'secondsPerPrediction', 'actionError'] as const;
  return {
    title: 'Thinking and acting',
    head: [
      'model',
      ...keys.map((key) => `${MEASURES[key].label}${MEASURES[key].unit === '' ? '' : `, ${MEASURES[key].unit}`}`),
      'action error with reasoning suppressed',
    ],
    rows: models.map((model) => [
      model.name,
      ...keys.map((key) => formatEstimate(estimateOfModel(model, MEASURES[key].of), MEASURES[key].digits)),
      formatEstimate(
        estimateOfModel(model, ({ actionError }) => actionError?.plain.motion ?? null),
        MEASURES.actionError.digits,
      ),
    ]),
    note: 'Action error: mean distance of normalised motions from those of held-out demonstrations. The paper reports about 20 % less time by skipped reasoning.',
  };
}

/** In the order in which tasks go through them. */
const PHASES = [
  'approach',
  'reach',
  'descend',
  'grasp',
  'lift',
  'carry',
  'lower',
  'release',
  'push',
  'pull',
  'recover',
  'done',
];

/** Phases of which models have an action error, with the frames that it is measured at. */
export function phasesOf(models: readonly ModelResults[]): { name: string; frames: number }[] {
  const frames = new Map<string, number>();
  for (const { runs } of models)
    for (const { measurement } of runs)
      for (const [phase, error] of Object.entries(measurement.actionError?.byPhase ?? {}))
        frames.set(phase, error.frames);
  const place = (name: string): number => (PHASES.includes(name) ? PHASES.indexOf(name) : PHASES.length);
  return [...frames].map(([name, n]) => ({ name, frames: n })).sort((a, b) => place(a.name) - place(b.name));
}

export const phaseError =
  (phase: string): Measure['of'] =>
  ({ actionError }) =>
    actionError?.byPhase?.[phase]?.motion ?? null;

/** Where in a task models act wrong; null where it was not measured. */
export function phaseTable({ models }: Pick<StudyResults, 'models'>): Table | null {
  const phases = phasesOf(models);
  if (phases.length === 0) return null;
  return {
    title: 'Action error by phase',
    head: ['model', ...phases.map(({ name, frames }) => `${name} (${frames})`)],
    rows: models.map((model) => [
      model.name,
      ...phases.map(({ name }) =>
        formatEstimate(estimateOfModel(model, phaseError(name)), MEASURES.actionError.digits),
      ),
    ]),
    note: 'On held-out demonstrations, by the true phase of the frame at which a chunk is predicted; in brackets the number of these frames.',
  };
}

/** The figures of validity that are whole numbers; the others are shares. */
const COUNTED: ReadonlySet<string> = new Set(['steps', 'reasoned']);

/** Figures of the validity of generated reasoning; null where no model reasons. */
export function validityTable({ models }: StudyResults): Table | null {
  const reasoning = models.filter(({ runs }) => runs.some(({ measurement }) => measurement.reasoning !== null));
  const names = [
    ...new Set(
      reasoning.flatMap(({ runs }) => runs.flatMap(({ measurement }) => Object.keys(measurement.reasoning ?? {}))),
    ),
  ];
  if (names.length === 0) return null;
  return {
    title: 'What the reasoning says, against the truth',
    head: ['model', ...names],
    rows: reasoning.map((model) => [
      model.name,
      ...names.map((name) =>
        formatEstimate(
          estimateOfModel(model, ({ reasoning }) => reasoning?.[name] ?? null),
          COUNTED.has(name) ? 0 : 2,
        ),
      ),
    ]),
    note: 'Steps of the rollouts and those with reasoning are counted; the others are shares from 0 to 1 (docs/vla-score.md).',
  };
}

/** One line a cell: what would end it is escaped. */
export function toMarkdown({ title, head, rows, note }: Table): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  const table = [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
  return `## ${title}\n\n${table}\n${note === undefined ? '' : `\n${note}\n`}`;
}

export function toHtml({ head, rows, note }: Table): Markup {
  const cells = (row: readonly string[]): Markup[] => row.map((text) => html`<td>${text}</td>`);
  return html`<div class="scroll"><table class="numbers"><thead><tr>${head.map((text) => html`<th>${text}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${cells(row)}</tr>`)}</tbody></table></div>${note === undefined ? undefined : html`<p class="note">${note}</p>`}`;
}
