/** Scores for people: the paper's two tables with one's own rows, and a radar. Knows nothing of files. */
import { type RadarModel, radar } from '../eval/benchmarks/radar.js';
import { PAPER_REASONING, PAPER_SILENT, type PaperScore } from './paper-scores.js';
import type { ScoreSummary } from './score-rollouts.js';

/** One model's summary, as summary.json has it. */
export type NamedSummary = ScoreSummary & { readonly name: string; readonly judge: string };

const shown = (value: number | null | undefined): string =>
  value === undefined || value === null ? '-' : value.toFixed(1);
const within = (summary: NamedSummary, name: keyof ScoreSummary['intervals']): string => {
  const interval = summary.intervals[name];
  return interval ? ` (${interval[0].toFixed(0)}-${interval[1].toFixed(0)})` : '';
};

/** Markdown: policies that do not reason, and those that do. */
export function scoreTables(models: readonly NamedSummary[]): string {
  const paper = ({ model, R, A, I, RA, sim, vlaScore }: PaperScore, reasoning: boolean): string[] => [
    model,
    'GPT-4o (paper)',
    '-',
    ...(reasoning ? [shown(R)] : []),
    shown(A),
    shown(I),
    ...(reasoning ? [shown(RA)] : []),
    shown(sim),
    shown(vlaScore),
  ];
  const own = (one: NamedSummary, reasoning: boolean): string[] => [
    one.name,
    one.judge,
    String(one.trajectories),
    ...(reasoning ? [shown(one.R) + within(one, 'R')] : []),
    shown(one.A) + within(one, 'A'),
    shown(one.I) + within(one, 'I'),
    ...(reasoning ? [shown(one.RA) + within(one, 'RA')] : []),
    shown(one.success) + within(one, 'success'),
    shown(one.vlaScore) + within(one, 'vlaScore'),
  ];
  const table = (title: string, reasoning: boolean, rows: readonly string[][]): string => {
    const dimensions = reasoning ? ['R', 'A', 'I', 'RA'] : ['A', 'I'];
    const head = ['model', 'judge', 'n', ...dimensions, 'success', 'VLA Score'];
    return [`## ${title}`, '', line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n');
  };
  const of = (reasoning: boolean): NamedSummary[] => models.filter(({ R }) => (R !== null) === reasoning);
  return [
    '# VLA Score',
    '',
    'Percent, 95 % intervals in brackets. Marks of different judges do not compare, nor do scores of policies that reason and of those that do not (Eq. 8). The',
    "paper's rows are of SimplerEnv with its own judge: orderings compare, not values.",
    '',
    table('Policies that do not reason', false, [
      ...of(false).map((one) => own(one, false)),
      ...PAPER_SILENT.map((one) => paper(one, false)),
    ]),
    table('Policies that reason', true, [
      ...of(true).map((one) => own(one, true)),
      ...PAPER_REASONING.map((one) => paper(one, true)),
    ]),
  ].join('\n');
}

const line = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** An SVG of the marks, success and score of one or more models. */
export function scoreRadar(models: readonly NamedSummary[]): string {
  const axes = ['A', 'I', 'success', 'score', ...(models.some(({ R }) => R !== null) ? ['RA', 'R'] : [])];
  const drawn = models.map(({ name, R, A, I, RA, success, vlaScore }): RadarModel => {
    const values: Record<string, number | null> = {
      A,
      I,
      success,
      score: vlaScore,
      R,
      RA: R === null ? null : RA,
    };
    return {
      name,
      results: axes.flatMap((benchmark) => {
        const main = values[benchmark];
        return main === null || main === undefined ? [] : [{ benchmark, main }];
      }),
    };
  });
  return radar(drawn, axes);
}
