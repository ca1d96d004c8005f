/**
 * The report of a pruning as one self-contained HTML page: how much was kept and why, by task and by field of the reasoning, what it did to the
 * reasoning's repetition and entropy (the paper's argument, Sec. 3.2.1, measured), and timelines of some episodes.
 *
 * Knows nothing about how labels are made.
 */
import { writeDurable } from '../data/durable-file.js';
import type { PruneReport, PruneResult } from './prune-dataset.js';
import { inputEpisodes, type PruneInput } from './prune-input.js';
import type { ReasoningStatistics } from './reasoning-statistics.js';
import { escapeHtml, FIGURE_STYLE, timelineFigure } from './timeline-figure.js';

export interface PageOptions {
  readonly inputs: readonly PruneInput[];
  readonly result: PruneResult;
  /** Camera of the pictures; the first by default. */
  readonly camera?: string | undefined;
  /** Episodes to draw, spread over each data set; default 3 each. */
  readonly perFolder?: number;
}

/** Instructions in the table, those of most frames. */
const MAX_TASKS = 20;
/** Pictures in the page, pixels. */
const PICTURE = 96;

/** Writes the whole report in one step. */
export async function writeReportPage(path: string, options: PageOptions): Promise<void> {
  const { report, labels } = options.result;
  const body = [
    `<header><h1>Dual-layer pruning: reasoning kept on ${share(report.kept, report.frames)} of ${count(report.frames)} frames</h1>
<p class="note">${options.inputs.map(({ label }) => escapeHtml(label)).join(', ')}</p></header>`,
    section('What was kept, and why', `${figures(report)}${why(report, labels.method)}${overTime(report)}`),
    section('Tasks', tasks(report)),
    section('The reasoning before and after', reasoning(report)),
    section('Episodes', await figuresOfEpisodes(options)),
  ];
  writeDurable(path, page('Dual-layer pruning', body.join('\n')));
}

/** Writes timelines alone in one step. */
export async function writeTimeline(path: string, options: PageOptions): Promise<void> {
  const { kept, frames } = options.result.report;
  const head = `<header><h1>Dual-layer pruning: reasoning kept on ${count(kept)} of ${count(frames)} frames</h1></header>`;
  writeDurable(path, page('Pruning timelines', `${head}${section('Episodes', await figuresOfEpisodes(options))}`));
}

async function figuresOfEpisodes({ inputs, result, camera, perFolder = 3 }: PageOptions): Promise<string> {
  const drawn: string[] = [];
  for (const input of inputs) {
    const own = result.episodes.filter(({ folder }) => folder === input.name);
    const chosen = camera ?? input.cameras[0];
    const pictures = chosen === undefined ? null : { cameras: [chosen], size: PICTURE };
    const numDrawn = Math.min(perFolder, own.length);
    for (let i = 0; i < numDrawn; i++) {
      const pruned = own[Math.floor((i * own.length) / numDrawn)];
      if (!pruned) continue;
      for await (const { episode, frames } of inputEpisodes(input, pruned.episode, pruned.episode + 1, pictures))
        drawn.push(timelineFigure(episode, pruned, frames));
    }
  }
  return `<p class="note">Bars of the event score are full where an event begins, those of the acceleration (against its mean, dashed) where the motion layer says
1. Pictures with a green frame keep their reasoning.</p>${drawn.join('\n')}`;
}

const STYLE = `
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1d2433; --faint: #667085; --line: #e4e2dd; --track: #e6e3dc;
  --kept: #2a9d5c; --scene: #c2571a; --motion: #2767b0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171d; --card: #1c2129; --ink: #e7e9ee; --faint: #98a1b3; --line: #2e3540; --track: #333b48;
  --kept: #5fc78d; --scene: #e58a50; --motion: #6ca6e5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 32px 24px 60px; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 27px; line-height: 1.25; margin: 0; } h2 { font-size: 19px; margin: 0 0 12px; } h3 { font-size: 15.5px; margin: 26px 0 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 22px 26px; margin: 18px 0; overflow-x: auto; }
.note { color: var(--faint); font-size: 14px; margin: 4px 0 8px; overflow-wrap: anywhere; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px 36px; margin-bottom: 14px; } .numbers b { display: block; font-size: 27px; font-variant-numeric: tabular-nums; }
.numbers span { color: var(--faint); font-size: 14px; }
table { border-collapse: collapse; font-size: 14.5px; width: 100%; } td, th { padding: 4px 14px 4px 0; text-align: left; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: inline-block; height: 10px; border-radius: 3px; background: var(--kept); vertical-align: middle; } .track { display: inline-block; width: 140px; background: var(--track); border-radius: 3px; line-height: 0; }
.tenths { display: flex; align-items: flex-end; gap: 4px; height: 90px; max-width: 560px; margin-top: 18px; } .tenths div { flex: 1; background: var(--kept); border-radius: 3px 3px 0 0; min-height: 2px; position: relative; }
.tenths span { position: absolute; top: -19px; left: 0; right: 0; text-align: center; font-size: 12px; color: var(--faint); }
${FIGURE_STYLE}`;

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title><style>${STYLE}</style><body>${body}</body></html>\n`;
const section = (title: string, content: string): string => `<section><h2>${title}</h2>${content}</section>`;
const count = (value: number): string => value.toLocaleString('en');
const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`);
const bar = (part: number, whole: number): string =>
  `<span class="track"><span class="bar" style="width:${whole === 0 ? 0 : ((140 * part) / whole).toFixed(0)}px"></span></span>`;

function figures({ episodes, frames, kept, sceneEvents, motionKeyframes, gripperChanges }: PruneReport): string {
  const numbers: [string, string][] = [
    [share(kept, frames), 'of frames keep their reasoning'],
    [count(episodes), 'episodes'],
    [count(frames), 'frames'],
    [count(sceneEvents), 'events (scene layer)'],
    [count(motionKeyframes), `keyframes (motion layer), ${count(gripperChanges)} gripper changes`],
  ];
  return `<div class="numbers">${numbers.map(([value, name]) => `<div><b>${value}</b><span>${name}</span></div>`).join('')}</div>`;
}

function why({ why: w, frames }: PruneReport, method: Readonly<Record<string, unknown>>): string {
  const rows: [string, number][] = [
    ['both layers', w.both],
    ['scene layer only', w.sceneOnly],
    ['motion layer only', w.motionOnly],
    ['neither', w.neither],
    ['first frames, kept by policy', w.firstFrames],
  ];
  const said = ['scene', 'motion', 'combine', 'tolerance', 'firstFrame', 'mode']
    .map((name) => `${name} ${escapeHtml(String(method[name]))}`)
    .join(', ');
  return `${table(
    ['frames by what the layers said', 'frames', 'share'],
    rows.map(([name, value]) => [name, count(value), share(value, frames)]),
  )}<p class="note">${said}</p>`;
}

function overTime({ time }: PruneReport): string {
  const rates = time.map((bin) => (bin.frames === 0 ? 0 : bin.kept / bin.frames));
  const highest = Math.max(...rates, 0.01);
  const bars = rates
    .map(
      (rate) =>
        `<div style="height:${((100 * rate) / highest).toFixed(0)}%"><span>${(100 * rate).toFixed(0)} %</span></div>`,
    )
    .join('');
  return `<p class="note">Kept, by tenths of an episode:</p><div class="tenths">${bars}</div>`;
}

function tasks({ tasks: list }: PruneReport): string {
  const rows = list
    .slice(0, MAX_TASKS)
    .map((task) => [
      escapeHtml(task.task),
      count(task.frames),
      count(task.kept),
      share(task.kept, task.frames),
      bar(task.kept, task.frames),
    ]);
  const rest = list.length > MAX_TASKS ? `<p class="note">and ${list.length - MAX_TASKS} more instructions</p>` : '';
  return table(['instruction', 'frames', 'kept', 'share', ''], rows, [1, 2, 3]) + rest;
}

const MEASURES: readonly (readonly [string, (s: ReasoningStatistics) => string])[] = [
  ['frames with reasoning', (s) => count(s.frames)],
  ['words', (s) => count(s.words)],
  ['words a frame', (s) => s.wordsPerFrame.toFixed(1)],
  ['same text as the frame with reasoning before', (s) => share(s.repeated, 1)],
  ['same words at the same place', (s) => share(s.sameWords, 1)],
  ['entropy, bits a word', (s) => s.unigramEntropy.toFixed(2)],
  ['distinct words / words', (s) => s.distinct1.toFixed(4)],
  ['distinct word pairs / pairs', (s) => s.distinct2.toFixed(4)],
];

function reasoning({ reasoning: texts, fields }: PruneReport): string {
  if (!texts) return '<p>The data set has no reasoning text.</p>';
  const whole = table(
    ['all fields', 'before', 'after'],
    MEASURES.map(([name, value]) => [name, value(texts.before), value(texts.after)]),
  );
  const rows = fields.map(({ field, frames, kept, distinctBefore, distinctAfter, before, after }) => [
    escapeHtml(field),
    count(frames),
    share(kept, frames),
    `${count(distinctBefore)} / ${count(distinctAfter)}`,
    `${share(before.repeated, 1)} / ${share(after.repeated, 1)}`,
    `${before.unigramEntropy.toFixed(2)} / ${after.unigramEntropy.toFixed(2)}`,
  ]);
  const heads = ['field', 'frames', 'kept', 'different texts', 'repeats the one before', 'bits a word'];
  return `${whole}<h3>By field, before / after</h3>${table(heads, rows)}
<p class="note">Distinct words over words rise also because there are fewer words: compare them only between sets of the same size.</p>`;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[], right?: readonly number[]): string {
  const style = (i: number): string => ((right ? right.includes(i) : i > 0) ? ' class="n"' : '');
  const cells = (row: readonly string[], tag: string): string =>
    `<tr>${row.map((cell, i) => `<${tag}${style(i)}>${cell}</${tag}>`).join('')}</tr>`;
  return `<table>${cells(heads, 'th')}${rows.map((row) => cells(row, 'td')).join('')}</table>`;
}
