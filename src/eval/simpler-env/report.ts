/**
 * Tables of a summary as cells of text: the paper's Table 2 with the user's row below, the user's columns with trials and intervals, and a comparison;
 * and all of them as Markdown.
 */
import type { PairedComparison } from '../success-comparison.js';
import type { Interval } from '../wilson.js';
import type { SimplerSummary } from './aggregate.js';
import { PAPER_COLUMNS } from './columns.js';
import type { SimplerComparison } from './compare.js';
import { checkPaperTable } from './paper-table.js';

/** The first row is the head. */
export type TextTable = readonly (readonly string[])[];

/** Marks an average that is no mean of its row. */
const NOT_COMPARABLE = '*';
const percent = (rate: number | null | undefined): string => (rate == null ? '-' : (100 * rate).toFixed(1));
const range = (interval: Interval | null): string =>
  interval === null ? '' : `${percent(interval.low)} to ${percent(interval.high)}`;
const signed = (rate: number): string => `${rate >= 0 ? '+' : ''}${percent(rate)}`;

/** Success in percent, a row a model, the user's last. */
export function besideThePaper(summary: SimplerSummary, name: string): TextTable {
  const head = ['model', ...PAPER_COLUMNS.map((column) => column.name), 'average', 'mean of nine'];
  const shown = (cell: number | null): string => (cell === null ? '-' : cell.toFixed(1));
  const paper = checkPaperTable().map(({ model, cells, average, mean, comparable }) => [
    model,
    ...cells.map(shown),
    average === null ? '-' : `${average.toFixed(1)}${comparable ? '' : NOT_COMPARABLE}`,
    shown(mean),
  ]);
  const partial = (text: string, is: boolean): string => (is && text !== '-' ? `(${text})` : text);
  const cells = summary.details.slice(0, PAPER_COLUMNS.length).map((one) => partial(percent(one.rate), one.partial));
  const own = partial(percent(summary.average), summary.partial);
  return [head, ...paper, [name, ...cells, own, own]];
}

/** What the marks of `besideThePaper` mean. */
export const PAPER_MARKS = [
  `${NOT_COMPARABLE} The paper prints another average than the mean of the nine columns beside it: do not compare it; compare "mean of nine".`,
  '() Trials are missing.',
  "The paper does not say its step limits; InstructVLA, which it builds on, gives every WidowX task 120 steps, SimplerEnv's scripts 60.",
];

/** Rate, trials, interval and step limit by column, then the averages. */
export function columnTable({ details, averages }: SimplerSummary): TextTable {
  const columns = details.map(({ name, rate, successes, trials, expected, interval, stepLimits, partial }) => [
    name,
    percent(rate),
    `${successes}/${trials}`,
    range(interval),
    stepLimits.join(', ') || '-',
    partial ? `${trials} of ${expected} trials` : '',
  ]);
  const names = { nine: 'average', google: 'Google robot', widowx: 'WidowX' } as const;
  const means = (['nine', 'google', 'widowx'] as const).map((key) => {
    const { rate, interval, columns: there, of, partial } = averages[key];
    return [names[key], percent(rate), `${there} of ${of} columns`, range(interval), '', partial ? 'partial' : ''];
  });
  return [['column', '%', 'successes', '95 %', 'steps', 'missing'], ...columns, ...means];
}

/** First minus second, in points. */
export function comparisonTable({ columns, average }: SimplerComparison): TextTable {
  const line = (name: string, one: PairedComparison): string[] => [
    name,
    String(one.pairs),
    String(one.onlyFirst),
    String(one.onlySecond),
    signed(one.difference),
    range(one.interval),
    one.p < 0.0001 ? '< 0.0001' : one.p.toFixed(4),
  ];
  const rows = Object.entries(columns).map(([name, one]) => line(name, one));
  const last = average ? [['average', '', '', '', signed(average.difference), range(average.interval), '']] : [];
  return [['column', 'pairs', 'only first', 'only second', 'difference', '95 %', 'McNemar p'], ...rows, ...last];
}

/** Everything as Markdown. @param against name of the second policy and the comparison with it */
export function simplerMarkdown(
  summary: SimplerSummary,
  name: string,
  against?: { readonly name: string; readonly comparison: SimplerComparison },
): string {
  const parts = [
    `# SimplerEnv: ${escaped(name)}`,
    "Success, percent. The other rows are the paper's (DualVLA, arXiv 2511.22134v1, Table 2).",
    markdownTable(besideThePaper(summary, name)),
    PAPER_MARKS.map((mark) => `- ${mark.replace('*', '\\*')}`).join('\n'),
    '## Columns',
    markdownTable(columnTable(summary)),
    ...notes(summary.notes),
  ];
  if (against) {
    parts.push(
      `## ${escaped(name)} minus ${escaped(against.name)}, over the same episodes`,
      markdownTable(comparisonTable(against.comparison)),
      ...notes(against.comparison.notes),
    );
  }
  return `${parts.join('\n\n')}\n`;
}

const notes = (lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [lines.map((line) => `- ${escaped(line)}`).join('\n')];

const escaped = (text: string): string => text.replace(/[\\|*<>`]/g, (mark) => `\\${mark}`);

function markdownTable([head = [], ...rows]: TextTable): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  const rule = `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}
