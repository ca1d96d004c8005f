/**
 * A study's report as one self-contained page: verdicts, tables, and drawings of why: where reasoning is kept, how repetitive it is,
 * which way text and action gradients pull, losses and action error over training.
 */
import type { PruneReport } from '../prune/index.js';
import { type Curve, lossChart } from './charts.js';
import { html, type Markup } from './html.js';
import { type Figure, factsSection, renderPage, type Section } from './report.js';
import { type BarGroup, columnBars, keptChart, percentBars, radar } from './study-charts.js';
import type { StudyDrawings, TrainingCurve } from './study-drawings.js';
import {
  type Answer,
  estimateOfModel,
  MEASURES,
  type Measure,
  type ModelResults,
  type StudyResults,
} from './study-results.js';
import {
  ablationTables,
  accuracyOf,
  describeDifference,
  familiesOf,
  multimodalTable,
  phaseError,
  phasesOf,
  phaseTable,
  successTable,
  type Table,
  thinkingTable,
  toHtml,
  validityTable,
  verdictText,
  vlaScoreTable,
} from './study-tables.js';

/** Drawn where all models together would be a tangle. */
const MAIN = ['specialist', 'continued', 'no-text', 'base', 'plain', 'dualvla'];

/** The same colour for a model in all drawings. */
export function colourOf(name: string): number {
  const place = ['specialist', 'base', 'dualvla', 'continued', 'no-text', 'plain', 'random-pruning'].indexOf(name);
  return place < 0 ? 7 : place;
}

export interface StudyFacts {
  title: string;
  lead: string;
  facts: { name: string; value: string }[];
}

export function renderStudyPage(
  results: StudyResults,
  drawings: StudyDrawings,
  answers: readonly Answer[],
  facts: StudyFacts,
): string {
  const main = mainModels(results.models);
  return renderPage({
    title: facts.title,
    lead: facts.lead,
    figures: leadFigures(main),
    sections: [
      answers.length === 0 ? null : { id: 'hypotheses', title: 'Hypotheses', body: verdicts(answers) },
      successSection(results.models, tableOf(successTable(results))),
      multimodalSection(results, drawings, main),
      vlaScoreSection(main, tableOf(vlaScoreTable(results))),
      ablations(results),
      thinkingSection(results),
      phaseSection(results, main),
      pruningSection(drawings.prunings),
      trainingSection(drawings, main),
      factsSection(facts.facts),
    ],
  });
}

const tableOf = toHtml;

/** Those that the curves and the radar show, in an order that tells the story. */
export function mainModels(models: readonly ModelResults[]): ModelResults[] {
  return MAIN.flatMap((name) => models.find((model) => model.name === name) ?? []);
}

function leadFigures(main: readonly ModelResults[]): Figure[] {
  return main
    .filter(({ name }) => ['specialist', 'base', 'dualvla'].includes(name))
    .flatMap((model): Figure[] => {
      const estimate = estimateOfModel(model, MEASURES.success.of);
      if (estimate === null) return [];
      const { mean, interval, n } = estimate;
      const range =
        interval === null
          ? model.once
            ? 'trained once'
            : 'one seed'
          : `95 % interval ${interval.map((x) => x.toFixed(1)).join('-')} %, ${n} seeds`;
      return [{ value: `${mean.toFixed(1)} %`, words: `success of ${model.name}: ${range}` }];
    });
}

function verdicts(answers: readonly Answer[]): Markup {
  const badge = { shown: 'good', reversed: 'bad', 'not shown': 'none' } as const;
  const rows = answers.map(({ hypothesis, verdict, parts, beside }) => {
    const lines = [...parts, ...beside].flatMap((part, i) =>
      part === null ? [] : html`<br><small>${i < parts.length ? '' : 'beside it: '}${describeDifference(part)}</small>`,
    );
    return html`<tr><td>${hypothesis.id}</td><td><span class="badge ${verdict === null ? 'none' : badge[verdict]}">${verdictText(verdict)}</span></td>
      <td style="color: var(--ink)">${hypothesis.claim}${lines}</td></tr>`;
  });
  return html`<table class="verdicts">${rows}</table><p class="note">Paired by training seed, 95 % t intervals over seeds. Shown: the interval lies on the
predicted side; reversed: on the other side of zero; otherwise not shown. With one seed nothing is decided: intervals over its scenes or questions
say nothing about training again.</p>`;
}

export function successSection(models: readonly ModelResults[], table: Markup): Section {
  const bars = models.flatMap((model) => barOf(model, MEASURES.success) ?? []);
  return {
    id: 'success',
    title: 'Success in closed loop',
    body: html`${percentBars([{ label: 'mean over tasks', bars }], 'success of each model')}${table}`,
  };
}

function barOf(model: ModelResults, { of }: Pick<Measure, 'of'>): BarGroup['bars'][number] | null {
  const estimate = estimateOfModel(model, of);
  if (estimate === null) return null;
  const dots = model.runs.flatMap(({ measurement }) => of(measurement) ?? []);
  return { name: model.name, value: estimate.mean, interval: estimate.interval, dots, colour: colourOf(model.name) };
}

export function multimodalSection(
  results: StudyResults,
  { guessing }: StudyDrawings,
  shown: readonly ModelResults[],
): Section | null {
  const families = familiesOf(results.models);
  if (families.length === 0) return null;
  const groups = families.map((family) => ({
    label: family,
    bars: [
      ...shown.flatMap((model) => barOf(model, { of: accuracyOf(family) }) ?? []),
      ...guessedBars(guessing[family]),
    ],
  }));
  const drawing = percentBars(groups, 'accuracy of each family');
  const table = toHtml(multimodalTable(results, guessing));
  return { id: 'multimodal', title: 'Questions about pictures', body: html`${drawing}${table}` };
}

function guessedBars(share: number | undefined): BarGroup['bars'] {
  return share === undefined
    ? []
    : [{ name: '(guessing)', value: 100 * share, interval: null, colour: colourOf('guessing') }];
}

export function vlaScoreSection(shown: readonly ModelResults[], table: Markup): Section {
  const mean = (model: ModelResults, of: Measure['of']): number | null => estimateOfModel(model, of)?.mean ?? null;
  const axes = ['success', 'A', 'I', 'RA', 'R'];
  const series = shown.map((model) => ({
    name: model.name,
    colour: colourOf(model.name),
    values: [
      mean(model, MEASURES.success.of),
      mean(model, ({ vlaScore }) => vlaScore.A),
      mean(model, ({ vlaScore }) => vlaScore.I),
      mean(model, ({ vlaScore }) => (vlaScore.R === undefined ? null : vlaScore.RA)),
      mean(model, ({ vlaScore }) => vlaScore.R ?? null),
    ],
  }));
  return {
    id: 'vla-score',
    title: 'VLA Score',
    body: html`${radar(axes, series, 'parts of VLA Score')}${table}`,
  };
}

function ablations(results: StudyResults): Section | null {
  const tables = ablationTables(results);
  if (tables.length === 0) return null;
  const parts = tables.map((table) => html`<h3>${table.title}, ours and the paper's</h3>${toHtml(table)}`);
  return { id: 'ablations', title: 'Ablations', body: html`${parts}` };
}

function thinkingSection(results: StudyResults): Section {
  const validity = validityTable(results);
  const titled = (table: Table): Markup => html`<h3>${table.title}</h3>${toHtml(table)}`;
  return {
    id: 'thinking',
    title: 'Thinking and acting',
    body: html`${toHtml(thinkingTable(results))}${validity === null ? undefined : titled(validity)}`,
  };
}

/** Where in a task the models act wrong. */
export function phaseSection(results: Pick<StudyResults, 'models'>, shown: readonly ModelResults[]): Section | null {
  const table = phaseTable(results);
  if (table === null) return null;
  const groups = phasesOf(shown).map(({ name }) => ({
    label: name,
    bars: shown.flatMap((model) => barOf(model, { of: phaseError(name) }) ?? []),
  }));
  return {
    id: 'phases',
    title: 'Action error by phase',
    body: html`${columnBars(groups, 'action error of each model by phase')}${toHtml(table)}`,
  };
}

export function pruningSection(prunings: Readonly<Record<string, PruneReport>>): Section | null {
  const reports = Object.entries(prunings);
  if (reports.length === 0) return null;
  const times = reports.map(([name, { time }]) => ({ name, time }));
  const share = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
  const rows: string[][] = [];
  for (const [name, { frames, kept, reasoning }] of reports) {
    if (rows.length === 0 && reasoning !== null)
      rows.push(['before pruning', share(frames, frames), ...statistics(reasoning.before)]);
    rows.push([name, share(kept, frames), ...(reasoning === null ? [] : statistics(reasoning.after))]);
  }
  const table: Table = {
    title: 'Reasoning before and after pruning',
    head: [
      '',
      'frames with reasoning',
      'words a frame',
      'same words as in the text before',
      'entropy, bits a word',
      'distinct word pairs / pairs',
    ],
    rows,
    note: 'Repetition is counted against the text before it in the same episode, word by word at the same place.',
  };
  return {
    id: 'pruning',
    title: 'Where reasoning is kept',
    body: html`<div class="half">${keptChart(times)}</div><div class="wide">${toHtml(table)}</div>`,
  };
}

type Statistics = NonNullable<PruneReport['reasoning']>['before'];
const statistics = ({ wordsPerFrame, sameWords, unigramEntropy, distinct2 }: Statistics): string[] => [
  wordsPerFrame.toFixed(1),
  `${(100 * sameWords).toFixed(0)} %`,
  unigramEntropy.toFixed(2),
  distinct2.toFixed(3),
];

export function trainingSection({ curves }: StudyDrawings, main: readonly ModelResults[]): Section {
  const of = (key: TrainingCurve): Curve[] =>
    main.map(({ name }) => {
      const points = curves[name]?.[key]?.points ?? [];
      return { name, points: points.map(([step, value]) => ({ step, value })), colour: colourOf(name) };
    });
  const drawings: [string, Curve[], Parameters<typeof lossChart>[1]?][] = [
    ['Training loss', of('loss')],
    [
      'Cosine between the gradients of reasoning and action',
      of('cosineText'),
      { scale: 'linear', reference: 0, label: 'cosine of text and action gradients' },
    ],
    [
      'Cosine between the gradients of answers and action',
      of('cosineMultimodal'),
      { scale: 'linear', reference: 0, label: 'cosine of answer and action gradients' },
    ],
    ['Action error on held-out demonstrations, plain instruction', of('heldOutActionError'), { label: 'action error' }],
    ['Loss on held-out demonstrations, plain instruction', of('heldOutLoss'), { label: 'held-out loss' }],
  ];
  const body = drawings.flatMap(([title, lines, options]) =>
    lines.some(({ points }) => points.length > 1) ? html`<h3>${title}</h3>${lossChart(lines, options)}` : [],
  );
  return {
    id: 'training',
    title: 'Training',
    body: html`${body}<p class="note">Means over seeds. Gradients are those of the hard-label terms of one batch over the weights that both train: below zero,
learning one undoes the other.</p>`,
  };
}
