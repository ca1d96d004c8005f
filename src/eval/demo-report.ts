/**
 * The demo's report: a small study of the specialist, the reasoning base and DualVLA as one page. What it says in words follows from its
 * own numbers; what they do not show is not claimed.
 *
 * Knows nothing about stages, resuming or terminals.
 */
import type { FilmedPair } from './demo-films.js';
import { html, type Markup } from './html.js';
import { type PruneTimeline, pruneTimelineFigure } from './prune-timeline.js';
import {
  commandsSection,
  duration,
  type Figure,
  factsSection,
  filesSection,
  renderPage,
  type Section,
  stagesSection,
  THOUGHTS_SCRIPT,
  videoFigure,
} from './report.js';
import { percentBars } from './study-charts.js';
import type { StudyDrawings } from './study-drawings.js';
import {
  colourOf,
  mainModels,
  multimodalSection,
  phaseSection,
  pruningSection,
  trainingSection,
  vlaScoreSection,
} from './study-page.js';
import {
  type Comparison,
  compare,
  type Difference,
  MEASURES,
  type ModelResults,
  type StudyResults,
} from './study-results.js';
import { formatDifference, successTable, thinkingTable, toHtml, vlaScoreTable } from './study-tables.js';
import { meanRate, wilsonInterval } from './wilson.js';

/** Everything the page shows. */
export interface Report {
  title: string;
  /** One or two sentences under the title. */
  lead: string;
  /** One seed of the three models. */
  results: StudyResults;
  timeline: PruneTimeline | null;
  drawings: StudyDrawings;
  pairs: readonly FilmedPair[];
  stages: readonly { name: string; what: string; seconds: number }[];
  /** What was counted as a trial: scenes, step limits, variants. */
  protocol: string;
  files: readonly { what: string; path: string }[];
  commands: readonly { what: string; command: string }[];
  /** Recipe, seed, commit, engine, machine ...: shown as they are. */
  facts: readonly { name: string; value: string }[];
}

/** @returns the page, a complete HTML document */
export function renderReport(report: Report): string {
  const { results } = report;
  const main = mainModels(results.models);
  return renderPage({
    title: report.title,
    lead: report.lead,
    figures: figures(report, main),
    sections: [
      storySection(results),
      successOfOneSeed(results, main, report.protocol),
      timelineSection(report.timeline),
      pruningSection(report.drawings.prunings),
      rolloutsSection(report.pairs),
      multimodalSection(results, report.drawings, main),
      vlaScoreSection(main, toHtml(vlaScoreTable(results))),
      { id: 'thinking', title: 'Thinking and acting', body: toHtml(thinkingTable(results)) },
      phaseSection(results, main),
      trainingSection(report.drawings, main),
      stagesSection(report.stages),
      filesSection(report.files),
      commandsSection(report.commands),
      factsSection(report.facts),
    ],
    script: THOUGHTS_SCRIPT,
  });
}

/** Mean success with the interval of its trials, and the time of everything. */
function figures({ stages }: Report, main: readonly ModelResults[]): Figure[] {
  const cards = main.flatMap(({ name, runs }): Figure[] => {
    const cells = Object.values(runs[0]?.measurement.success ?? {}).filter(({ trials }) => trials > 0);
    if (cells.length === 0) return [];
    const { rate, interval } = meanRate(cells);
    const trials = cells.reduce((sum, cell) => sum + cell.trials, 0);
    const range = `${Math.round(interval.low * 100)}-${Math.round(interval.high * 100)} %`;
    return [
      { value: `${Math.round(rate * 100)} %`, words: `${name}: success in ${trials} trials, 95 % interval ${range}` },
    ];
  });
  const seconds = stages.reduce((sum, stage) => sum + stage.seconds, 0);
  return [...cards, { value: duration(seconds), words: 'for everything on this page' }];
}

/** What the three models' numbers say, sentence by sentence. */
export function storyOf(results: Pick<StudyResults, 'models'>): string[] {
  const said = (comparison: Comparison, words: StoryWords): string[] => {
    const difference = compare(results, comparison);
    return difference === null ? [] : [sentence(difference, words)];
  };
  return [
    ...said(
      { a: 'base', b: 'specialist', measure: 'success' },
      {
        above: 'The reasoning base acts better than the specialist that it was made from: no degeneration here',
        below: 'The reasoning base acts worse than the specialist that it was made from',
        open: 'Whether the reasoning base acts worse than the specialist cannot be told from this run',
      },
    ),
    ...said(
      { a: 'dualvla', b: 'base', measure: 'success' },
      {
        above: 'DualVLA acts better than the reasoning base',
        below: 'DualVLA acts worse than the reasoning base',
        open: 'Whether DualVLA acts better than the reasoning base cannot be told from this run',
      },
    ),
    ...said(
      { a: 'dualvla', b: 'specialist', measure: 'success' },
      {
        above: 'DualVLA acts better than the specialist',
        below: 'DualVLA acts worse than the specialist',
        open: 'Between DualVLA and the specialist no difference can be told',
      },
    ),
    ...said(
      { a: 'dualvla', b: 'base', measure: 'multimodal' },
      {
        above: 'It answers more questions about pictures than the base',
        below: 'It answers fewer questions about pictures than the base',
        open: 'In answers to questions about pictures no difference from the base can be told',
      },
    ),
    ...thinkingSentence(results),
  ];
}

interface StoryWords {
  above: string;
  below: string;
  open: string;
}

function sentence(difference: Difference, words: StoryWords): string {
  const interval = difference.estimate.interval ?? difference.withinSeed?.interval;
  const [low, high] = interval ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const choice = low > 0 ? words.above : high < 0 ? words.below : words.open;
  return `${choice}: ${formatDifference(difference)}.`;
}

function thinkingSentence({ models }: Pick<StudyResults, 'models'>): string[] {
  const of = (name: string, measure: 'reasoned' | 'secondsPerPrediction'): number | null => {
    const run = models.find((model) => model.name === name)?.runs[0];
    return run === undefined ? null : MEASURES[measure].of(run.measurement);
  };
  const [share, before] = [of('dualvla', 'reasoned'), of('base', 'reasoned')];
  const [time, timeBefore] = [of('dualvla', 'secondsPerPrediction'), of('base', 'secondsPerPrediction')];
  if (share === null || before === null) return [];
  const times =
    time === null || timeBefore === null
      ? ''
      : `; a prediction takes ${time.toFixed(1)} ms (base: ${timeBefore.toFixed(1)} ms)`;
  return [`DualVLA reasons before ${share.toFixed(0)} % of its predictions (base: ${before.toFixed(0)} %)${times}.`];
}

function storySection(results: StudyResults): Section {
  const items = storyOf(results).map((text) => html`<li>${text}</li>`);
  return {
    id: 'story',
    title: 'What this run shows',
    body: html`<ul>${items}</ul><p class="note">One training seed: the intervals cover the chance of these scenes and questions, not of training again. Verdicts need
several seeds: see the studies in results/.</p>`,
  };
}

/** Bars of each task, models side by side, with Wilson intervals. */
function successOfOneSeed(results: StudyResults, main: readonly ModelResults[], protocol: string): Section {
  const cells = [...new Set(main.flatMap(({ runs }) => Object.keys(runs[0]?.measurement.success ?? {})))];
  const percent = 100;
  const barsOf = (count: (model: ModelResults) => { rate: number; interval: { low: number; high: number } } | null) =>
    main.flatMap((model) => {
      const value = count(model);
      if (value === null) return [];
      const interval = [percent * value.interval.low, percent * value.interval.high] as const;
      return [{ name: model.name, value: percent * value.rate, interval, colour: colourOf(model.name) }];
    });
  const rateOf = (model: ModelResults, cell: string) => {
    const count = model.runs[0]?.measurement.success[cell];
    if (count === undefined || count.trials === 0) return null;
    return { rate: count.successes / count.trials, interval: wilsonInterval(count) };
  };
  const groups = cells.map((cell) => ({
    label: cell.replace(/\/vm$/, ''),
    bars: barsOf((model) => rateOf(model, cell)),
  }));
  const all = {
    label: 'mean of the tasks',
    bars: barsOf((model) => {
      const counts = Object.values(model.runs[0]?.measurement.success ?? {}).filter(({ trials }) => trials > 0);
      return counts.length === 0 ? null : meanRate(counts);
    }),
  };
  return {
    id: 'success',
    title: 'Success in closed loop',
    body: html`${percentBars(cells.length > 1 ? [all, ...groups] : groups, 'success rate of each task')}
${toHtml(successTable(results))}<p class="note">${protocol}</p>`,
  };
}

function timelineSection(timeline: PruneTimeline | null): Section | null {
  if (timeline === null) return null;
  return { id: 'timeline', title: 'Dual-layer pruning of one demonstration', body: pruneTimelineFigure(timeline) };
}

function rolloutsSection(pairs: readonly FilmedPair[]): Section | null {
  if (pairs.length === 0) return null;
  const shown = pairs.map(
    ({ scene, films }): Markup =>
      html`<div class="pair"><h4>${scene.task}</h4>${films.map(({ name, video }) => videoFigure(video, name))}</div>`,
  );
  return {
    id: 'rollouts',
    title: 'The same scenes, side by side',
    body: html`<p class="note" style="margin: 0 0 14px">The first test scene of each task, not a chosen one; below each film what the model thinks at that moment.</p>${shown}`,
  };
}
