/**
 * The report of a run as one self-contained page: success rates with their intervals, videos of rollouts, loss curves,
 * what was done, where things lie and how to go on. Styles, drawings and videos are inside; it opens from a disk.
 *
 * Knows nothing about how its numbers came about: everything is in `Report`.
 */
import { type Curve, lossChart, successBars } from './charts.js';
import { dataUri, html, Markup } from './html.js';
import { REPORT_STYLE } from './report-style.js';
import { cellsOf, rowsOf, type SuccessTable } from './success-table.js';
import { meanRate } from './wilson.js';

/** A short video of one rollout. */
export interface ReportVideo {
  task: string;
  variant: string;
  instruction: string;
  seed: number;
  success: boolean;
  /** Control steps the episode took. */
  steps: number;
  mime: 'video/mp4' | 'video/webm' | 'image/webp';
  bytes: Uint8Array;
}

/** Everything the page shows. */
export interface Report {
  title: string;
  /** One or two sentences under the title. */
  summary: string;
  /** Recipe, seed, commit, engine, machine ...: shown as they are. */
  facts: { name: string; value: string }[];
  stages: { name: string; what: string; seconds: number }[];
  /** Success by model. */
  models: Record<string, SuccessTable>;
  /** What was counted as a trial: seeds, step limits, variants. */
  protocol: string;
  videos: ReportVideo[];
  curves: Curve[];
  files: { what: string; path: string }[];
  commands: { what: string; command: string }[];
}

/** @returns the page, a complete HTML document */
export function renderReport(report: Report): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${report.title}</title>
<link rel="icon" href="data:,">
<style>${new Markup(REPORT_STYLE)}</style>
</head>
<body>
<header><p class="brand">DualVLA</p><h1>${report.title}</h1><p class="lead">${report.summary}</p>${figures(report)}</header>
<main>
<section id="success"><h2>Success in closed loop</h2>${Object.entries(report.models).map(([name, table]) => model(name, table))}
<p class="note">${report.protocol} Whiskers are Wilson 95 % intervals; they cover the chance of the trials, not of training again with
another seed.</p></section>
${report.videos.length > 0 ? html`<section id="rollouts"><h2>Rollouts</h2><div class="videos">${report.videos.map(video)}</div></section>` : undefined}
<section id="loss"><h2>Training</h2>${lossChart(report.curves)}</section>
<section id="stages"><h2>What was done</h2><ol class="stages">${report.stages.map(stage)}</ol></section>
<section id="files"><h2>Where things lie</h2><table>${report.files.map(({ what, path }) => html`<tr><td>${what}</td><td><code>${path}</code></td></tr>`)}</table></section>
<section id="next"><h2>Go on</h2>${report.commands.map(({ what, command }) => html`<p>${what}</p><pre>${command}</pre>`)}</section>
<section id="facts"><h2>Record</h2><table>${report.facts.map(({ name, value }) => html`<tr><td>${name}</td><td>${value}</td></tr>`)}</table></section>
</main>
</body>
</html>
`;
  return page.text;
}

/** The two or three numbers that one looks for first. */
function figures({ models, stages }: Report): Markup {
  const cards: Markup[] = [];
  const many = Object.keys(models).length > 1;
  for (const [name, table] of Object.entries(models)) {
    for (const [variant, words] of [
      ['vm', 'visual matching'],
      ['va', 'variant aggregation'],
    ] as const) {
      const cells = cellsOf(table, variant).filter(({ trials }) => trials > 0);
      if (cells.length === 0) continue;
      const { rate, interval } = meanRate(cells);
      const trials = cells.reduce((sum, cell) => sum + cell.trials, 0);
      const tasks = `${cells.length} task${cells.length === 1 ? '' : 's'}`;
      cards.push(html`<div class="figure"><b>${Math.round(rate * 100)} %</b><span>${many ? `${name}, ` : ''}${words}: mean of ${tasks},
        ${trials} trials, 95 % interval ${Math.round(interval.low * 100)}-${Math.round(interval.high * 100)} %</span></div>`);
    }
  }
  const seconds = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  cards.push(html`<div class="figure"><b>${duration(seconds)}</b><span>for everything on this page</span></div>`);
  return html`<div class="figures">${cards}</div>`;
}

function model(name: string, table: SuccessTable): Markup {
  return html`<h3>${name}</h3>${successBars(rowsOf(table))}`;
}

function video({ task, variant, instruction, seed, success, steps, mime, bytes }: ReportVideo): Markup {
  const source = dataUri(mime, bytes);
  const moving = mime.startsWith('video/')
    ? html`<video src="${source}" autoplay loop muted playsinline controls></video>`
    : html`<img src="${source}" alt="rollout of ${task}">`;
  return html`<figure class="rollout">${moving}<figcaption><span class="badge ${success ? 'good' : 'bad'}">${success ? 'success' : 'failure'}</span>
    <q>${instruction}</q><small>${task}, ${variant.toUpperCase()}, seed ${seed}, ${steps} steps</small></figcaption></figure>`;
}

function stage({ name, what, seconds }: Report['stages'][number]): Markup {
  return html`<li><b>${name}</b> <span class="time">${duration(seconds)}</span><br>${what}</li>`;
}

function duration(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5940) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
