/**
 * A report as one self-contained page: styles, drawings and videos are inside; it opens from a disk. A page is a title, a few large
 * figures and sections; parts that several reports have are here.
 *
 * Knows nothing about how the numbers came about.
 */
import { dataUri, html, Markup } from './html.js';
import { REPORT_STYLE } from './report-style.js';

/** One of the numbers that one looks for first. */
export interface Figure {
  value: string;
  words: string;
}

export interface Section {
  id: string;
  title: string;
  body: Markup;
}

export interface Page {
  title: string;
  /** One or two sentences under the title. */
  lead: string;
  figures: readonly Figure[];
  sections: readonly (Section | null)[];
  /** Plain JavaScript, run when the page is there. */
  script?: string;
}

/** @returns a complete HTML document */
export function renderPage({ title, lead, figures, sections, script }: Page): string {
  const cards = figures.map(({ value, words }) => html`<div class="figure"><b>${value}</b><span>${words}</span></div>`);
  const body = sections.flatMap((section) =>
    section === null ? [] : html`<section id="${section.id}"><h2>${section.title}</h2>${section.body}</section>`,
  );
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${new Markup(REPORT_STYLE)}</style>
</head>
<body>
<header><p class="brand">DualVLA</p><h1>${title}</h1><p class="lead">${lead}</p><div class="figures">${cards}</div></header>
<main>
${body}
</main>
${script === undefined ? undefined : html`<script>${new Markup(script)}</script>`}
</body>
</html>
`;
  return page.text;
}

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
  /** What was thought, from when on (seconds of the film); null: acted without reasoning. Absent: a policy that does not reason. */
  thoughts?: readonly { at: number; text: string | null }[];
}

/** @param who name of the policy, where several are shown */
export function videoFigure(video: ReportVideo, who?: string): Markup {
  const { task, variant, instruction, seed, success, steps, mime, bytes, thoughts } = video;
  const source = dataUri(mime, bytes);
  const moving = mime.startsWith('video/')
    ? html`<video src="${source}" autoplay loop muted playsinline controls></video>`
    : html`<img src="${source}" alt="rollout of ${task}">`;
  const words =
    thoughts === undefined
      ? undefined
      : html`<p class="thought" data-thoughts="${JSON.stringify(thoughts)}">${thoughts[0]?.text ?? NO_THOUGHT}</p>`;
  const name = who === undefined ? undefined : html`<b>${who}</b> `;
  return html`<figure class="rollout">${moving}<figcaption>${name}<span class="badge ${success ? 'good' : 'bad'}">${success ? 'success' : 'failure'}</span>
    <q>${instruction}</q><small>${task}, ${variant.toUpperCase()}, seed ${seed}, ${steps} steps</small>${words}</figcaption></figure>`;
}

const NO_THOUGHT = '(acts without reasoning)';

/** Shows under each video what is being thought. */
export const THOUGHTS_SCRIPT = `
for (const place of document.querySelectorAll('.thought')) {
  const thoughts = JSON.parse(place.dataset.thoughts);
  const video = place.closest('figure').querySelector('video');
  const show = () => {
    const now = thoughts.filter(({ at }) => at <= video.currentTime + 1e-3).at(-1) ?? thoughts[0];
    place.textContent = now?.text ?? ${JSON.stringify(NO_THOUGHT)};
    place.classList.toggle('silent', now?.text == null);
  };
  video?.addEventListener('timeupdate', show);
  show();
}`;

export function stagesSection(stages: readonly { name: string; what: string; seconds: number }[]): Section {
  const items = stages.map(
    ({ name, what, seconds }) =>
      html`<li><b>${name}</b> <span class="time">${duration(seconds)}</span><br>${what}</li>`,
  );
  return { id: 'stages', title: 'What was done', body: html`<ol class="stages">${items}</ol>` };
}

export function filesSection(files: readonly { what: string; path: string }[]): Section {
  const rows = files.map(({ what, path }) => html`<tr><td>${what}</td><td><code>${path}</code></td></tr>`);
  return { id: 'files', title: 'Where things lie', body: html`<table>${rows}</table>` };
}

export function commandsSection(commands: readonly { what: string; command: string }[]): Section {
  const body = commands.map(({ what, command }) => html`<p>${what}</p><pre>${command}</pre>`);
  return { id: 'next', title: 'Go on', body: html`${body}` };
}

export function factsSection(facts: readonly { name: string; value: string }[]): Section {
  const rows = facts.map(({ name, value }) => html`<tr><td>${name}</td><td>${value}</td></tr>`);
  return { id: 'facts', title: 'Record', body: html`<table>${rows}</table>` };
}

export function duration(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5940) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
