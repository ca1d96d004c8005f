/**
 * One episode as the paper's overview figure shows it: its frames, the scene layer's score, the acceleration of Eq. 4 against its mean, what
 * is kept, and the text of kept and dropped frames. Self-contained HTML with an SVG drawing.
 *
 * Knows nothing about where an episode comes from.
 */
import { type Episode, encodePng, REASONING_TEXT_KEY } from '../data/index.js';
import type { PrunedEpisode } from './prune-dataset.js';
import type { SceneFrames } from './scene-events.js';

const PICTURES = 16;
const [WIDTH, LEFT, LANE] = [1080, 108, 56];

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);

/** Styles of the figure; colours are variables of the page. */
export const FIGURE_STYLE = `
.figure svg { display: block; width: 100%; height: auto; }
.figure svg text { fill: var(--faint); font: 12px system-ui, sans-serif; dominant-baseline: central; }
.figure svg .lane { text-anchor: end; font-weight: 600; fill: var(--ink); }
.figure svg .tick { text-anchor: middle; }
.figure .scene { fill: var(--scene); } .figure .motion { fill: var(--motion); } .figure .weak { opacity: .28; }
.figure .kept { fill: var(--kept); } .figure .dropped { fill: var(--track); }
.figure .mean { stroke: var(--faint); stroke-dasharray: 4 3; }
.figure .frame { fill: none; stroke: var(--line); stroke-width: 1; } .figure .frame.on { stroke: var(--kept); stroke-width: 4; }
.said { list-style: none; margin: 10px 0 0; padding: 0; font-size: 13.5px; }
.said li { border-left: 4px solid var(--track); padding: 3px 0 3px 12px; margin: 3px 0; }
.said li.on { border-color: var(--kept); } .said b { font-variant-numeric: tabular-nums; }
.said li:not(.on) span { color: var(--faint); text-decoration: line-through; text-decoration-color: var(--faint); }
`;

/** @param frames pictures of the episode, or null @param numTexts frames whose text is listed, the kept ones first */
export function timelineFigure(
  episode: Episode,
  pruned: PrunedEpisode,
  frames: SceneFrames | null,
  numTexts = 16,
): string {
  const where = pruned.folder === '' ? '' : `${escapeHtml(pruned.folder)}, `;
  const kept = pruned.keep.reduce((a, b) => a + b, 0);
  return `<div class="figure"><h3>${where}episode ${pruned.episode}: ${escapeHtml(episode.task)}</h3>
<p class="note">${episode.length} frames at ${episode.fps} Hz; reasoning kept on ${kept}</p>
${drawing(episode, pruned, frames)}${texts(episode, pruned, numTexts)}</div>`;
}

function drawing(episode: Episode, pruned: PrunedEpisode, frames: SceneFrames | null): string {
  const { length, fps } = episode;
  const slot = (WIDTH - LEFT - 6) / length;
  const x = (t: number): number => LEFT + (t + 0.5) * slot;
  const parts: string[] = [];
  let top = 4;
  if (frames) {
    parts.push(strip(frames, pruned, x, top));
    top += pictureSide(length) + 14;
  }
  const lane = (
    name: string,
    values: ArrayLike<number>,
    on: ArrayLike<number>,
    highest: number,
    style: string,
  ): void => {
    parts.push(`<text class="lane" x="${LEFT - 10}" y="${top + LANE / 2}">${name}</text>`);
    for (let t = 0; t < length; t++) {
      const height = (Math.min(Math.max(values[t] ?? 0, 0), highest) / highest) * LANE;
      parts.push(
        `<rect class="${style}${on[t] === 1 ? '' : ' weak'}" x="${(x(t) - slot * 0.36).toFixed(1)}" y="${(top + LANE - height).toFixed(1)}" width="${(slot * 0.72).toFixed(1)}" height="${Math.max(height, 0.8).toFixed(1)}"/>`,
      );
    }
    top += LANE;
  };
  if (pruned.boundaries) {
    const events = new Uint8Array(length);
    for (const frame of pruned.boundaries) events[frame] = 1;
    lane('event score', scaled(pruned.sceneScore, length), events, 1, 'scene');
    top += 14;
  }
  if (pruned.motion && pruned.motionScore) {
    lane('acceleration', pruned.motionScore, pruned.motion, 3, 'motion');
    const mean = top - LANE / 3;
    parts.push(`<line class="mean" x1="${LEFT}" x2="${WIDTH - 6}" y1="${mean}" y2="${mean}"/>`);
    pruned.gripperChange?.forEach((change, t) => {
      if (change) parts.push(`<text class="tick" x="${x(t).toFixed(1)}" y="${top - LANE - 6}">gripper</text>`);
    });
    top += 12;
  }
  parts.push(`<text class="lane" x="${LEFT - 10}" y="${top + 9}">kept</text>`);
  pruned.keep.forEach((keep, t) => {
    const style = keep === 1 ? 'kept' : 'dropped';
    parts.push(
      `<rect class="${style}" x="${(x(t) - slot * 0.45).toFixed(1)}" y="${top}" width="${(slot * 0.9).toFixed(1)}" height="18" rx="2"/>`,
    );
  });
  top += 34;
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const t = Math.round(share * (length - 1));
    parts.push(`<text class="tick" x="${x(t).toFixed(1)}" y="${top}">${t} (${(t / fps).toFixed(1)} s)</text>`);
  }
  return `<svg viewBox="0 0 ${WIDTH} ${top + 12}" role="img" aria-label="frames, event score, acceleration and kept frames">${parts.join('')}</svg>`;
}

const pictureSide = (length: number): number => Math.min((WIDTH - LEFT - 6) / Math.min(length, PICTURES) - 4, 96);

/** Pictures where their frames are, as many as there is room for. */
function strip(
  { data, size, channels }: SceneFrames,
  { keep }: PrunedEpisode,
  x: (t: number) => number,
  top: number,
): string {
  const length = keep.length;
  const side = pictureSide(length);
  const count = Math.min(length, PICTURES);
  const shown = Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * length) / count));
  return shown
    .map((t, i) => {
      const rgb = new Uint8Array(size * size * 3);
      for (let pixel = 0; pixel < size * size; pixel++)
        for (let c = 0; c < 3; c++) rgb[pixel * 3 + c] = data[(t * size * size + pixel) * channels + c] as number;
      const png = Buffer.from(encodePng(rgb, size, size)).toString('base64');
      const centre = LEFT + ((i + 0.5) * (WIDTH - LEFT - 6)) / count;
      const at = length <= PICTURES ? x(t) : centre;
      const box = `x="${(at - side / 2).toFixed(1)}" y="${top}" width="${side.toFixed(1)}" height="${side.toFixed(1)}"`;
      return `<image ${box} href="data:image/png;base64,${png}"><title>frame ${t}</title></image><rect class="frame${keep[t] === 1 ? ' on' : ''}" ${box}/>`;
    })
    .join('');
}

/** To 0..1 over the episode; probabilities stay as they are. */
function scaled(scores: Float32Array | null, length: number): Float32Array {
  if (!scores) return new Float32Array(length);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  if (low >= 0 && high <= 1) return scores;
  return scores.map((score) => (high > low ? (score - low) / (high - low) : 0));
}

/** Kept texts, and the first dropped one of every run between them. */
function texts(episode: Episode, { keep }: PrunedEpisode, numTexts: number): string {
  const all = episode.columns[REASONING_TEXT_KEY]?.values as readonly string[] | undefined;
  if (!all || all.every((text) => text === '')) return '';
  const runs: { from: number; to: number; on: boolean }[] = [];
  for (let t = 0; t < episode.length; t++) {
    const on = keep[t] === 1;
    const last = runs.at(-1);
    if (last && !on && !last.on) last.to = t;
    else runs.push({ from: t, to: t, on });
  }
  const items = runs.slice(0, numTexts).map(({ from, to, on }) => {
    const frames = from === to ? `frame ${from}` : `frames ${from} to ${to}`;
    const text = all[from] === '' ? '(none)' : escapeHtml(all[from] ?? '').replaceAll('\n', ' <i>·</i> ');
    return `<li class="${on ? 'on' : ''}"><b>${frames}, ${on ? 'kept' : 'dropped'}:</b> <span>${text}</span></li>`;
  });
  const rest = runs.length - items.length;
  return `<ul class="said">${items.join('')}</ul>${rest > 0 ? `<p class="note">and ${rest} more</p>` : ''}`;
}
