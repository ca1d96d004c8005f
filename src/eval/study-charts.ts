/**
 * Drawings that compare the models of a study, as SVG: bars with intervals, the radar of VLA Score, where in episodes reasoning is kept.
 * Colours come from CSS variables of the page (report-style.ts).
 *
 * Knows nothing about files or the page around it.
 */
import { curveColour, legend } from './charts.js';
import { html, type Markup } from './html.js';

/** A value with its interval, and the values that it is the mean of. */
export interface Bar {
  name: string;
  value: number;
  interval: readonly [number, number] | null;
  dots?: readonly number[];
  /** Which colour; bars of one model have the same everywhere. */
  colour: number;
}

export interface BarGroup {
  label: string;
  bars: readonly Bar[];
}

/** Horizontal bars from 0 to 100 %, in groups: value, whiskers of the interval, a dot for each seed. */
export function percentBars(groups: readonly BarGroup[], label: string): Markup {
  const [left, width, height, gap] = [210, 480, 17, 14];
  const x = (value: number): number => left + (Math.min(100, Math.max(0, value)) / 100) * width;
  const digits = (value: number): string => value.toFixed(value >= 99.95 || value < 0.05 ? 0 : 1);
  let y = 26;
  const many = groups.length > 1;
  const drawn: Markup[] = [];
  for (const { label: group, bars } of groups) {
    if (many) {
      drawn.push(html`<text x="0" y="${y + height / 2}" class="group">${group}</text>`);
      y += height + 6;
    }
    for (const { name, value, interval, dots = [], colour } of bars) {
      const middle = y + height / 2;
      const range =
        interval === null ? '' : `  (${digits(Math.max(0, interval[0]))}-${digits(Math.min(100, interval[1]))})`;
      drawn.push(html`<text x="${left - 12}" y="${middle}" class="task">${name}</text>
        <rect x="${left}" y="${y}" width="${width}" height="${height}" rx="3" class="track"/>
        <rect x="${left}" y="${y}" width="${x(value) - left}" height="${height}" rx="3" style="fill: ${curveColour(colour)}"/>
        ${interval === null ? undefined : whisker(x(interval[0]), x(interval[1]), middle)}
        ${dots.length < 2 ? undefined : dots.map((dot) => html`<circle cx="${x(dot).toFixed(1)}" cy="${middle}" r="2.2" class="dot"/>`)}
        <text x="${left + width + 14}" y="${middle}" class="words">${digits(value)} %${range}</text>`);
      y += height + 5;
    }
    y += gap;
  }
  const grid = [0, 25, 50, 75, 100].map(
    (value) => html`<line x1="${x(value)}" x2="${x(value)}" y1="18" y2="${y - gap + 2}" class="grid"/>
      <text x="${x(value)}" y="9" class="tick">${value} %</text>`,
  );
  return html`<div class="wide"><svg class="bars" viewBox="0 0 920 ${y}" role="img" aria-label="${label}">${grid}${drawn}</svg></div>`;
}

function whisker(low: number, high: number, y: number): Markup {
  return html`<path d="M${low} ${y}H${high}M${low} ${y - 4}v8M${high} ${y - 4}v8" class="whisker"/>`;
}

/** One figure of the radar: a value an axis, 0 to 100; null where the model has none. */
export interface RadarSeries {
  name: string;
  values: readonly (number | null)[];
  colour: number;
}

/** Values of several models on axes from a common centre. */
export function radar(axes: readonly string[], series: readonly RadarSeries[], label: string): Markup {
  const [size, radius] = [340, 120];
  const centre = size / 2;
  const at = (axis: number, value: number): string => {
    const angle = (2 * Math.PI * axis) / axes.length - Math.PI / 2;
    const length = (radius * value) / 100;
    return `${(centre + length * Math.cos(angle)).toFixed(1)} ${(centre + length * Math.sin(angle)).toFixed(1)}`;
  };
  const ring = (value: number): string => `M${axes.map((_, axis) => at(axis, value)).join('L')}Z`;
  const rings = [25, 50, 75, 100].map((value) => html`<path d="${ring(value)}" class="spoke"/>`);
  const spokes = axes.map((name, axis) => {
    const [x = '', y = ''] = at(axis, 117).split(' ');
    return html`<path d="M${centre} ${centre}L${at(axis, 100)}" class="spoke"/><text x="${x}" y="${y}" class="middle">${name}</text>`;
  });
  const shapes = series.map(({ name, values, colour }) => {
    // Models that do not reason have a smaller figure, over the axes that they have.
    const points = values.flatMap((value, axis) => (value === null ? [] : at(axis, value)));
    return html`<path d="M${points.join('L')}Z" class="radar" style="stroke: ${curveColour(colour)}; fill: ${curveColour(colour)}"><title>${name}</title></path>`;
  });
  return html`<figure><svg viewBox="0 0 ${size} ${size}" style="max-width: 420px; margin: auto" role="img" aria-label="${label}">${rings}${spokes}${shapes}
    <text x="${centre + 4}" y="${centre - radius * 0.5}" class="small">50</text><text x="${centre + 4}" y="${centre - radius + 8}" class="small">100</text></svg>
    <figcaption>${legend(series)}</figcaption></figure>`;
}

/** Bars that stand side by side in groups, from 0 up, with whiskers of their intervals; for small numbers without a natural top. */
export function columnBars(groups: readonly BarGroup[], label: string): Markup {
  const [width, height, left, bottom, top] = [920, 260, 52, 40, 10];
  const bars = groups.flatMap((group) => group.bars);
  const highest = Math.max(1e-9, ...bars.map(({ value, interval }) => Math.max(value, interval?.[1] ?? 0)));
  const plot = height - bottom - top;
  const slot = (width - left) / Math.max(1, groups.length);
  const y = (value: number): number => top + (1 - Math.max(0, value) / highest) * plot;
  const drawn = groups.map(({ label: name, bars: own }, g) => {
    const wide = (slot * 0.8) / Math.max(1, own.length);
    const columns = own.map(({ name: bar, value, interval, colour }, i) => {
      const x = left + g * slot + slot * 0.1 + i * wide;
      const middle = (x + wide * 0.45).toFixed(1);
      return html`<rect x="${x.toFixed(1)}" y="${y(value).toFixed(1)}" width="${(wide * 0.9).toFixed(1)}" height="${(y(0) - y(value)).toFixed(1)}"
        style="fill: ${curveColour(colour)}"><title>${name}, ${bar}: ${value.toPrecision(3)}</title></rect>
        ${interval === null ? undefined : html`<path d="M${middle} ${y(interval[0]).toFixed(1)}V${y(interval[1]).toFixed(1)}" class="whisker"/>`}`;
    });
    return html`${columns}<text x="${(left + (g + 0.5) * slot).toFixed(1)}" y="${height - bottom + 16}" class="tick">${name}</text>`;
  });
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = y(part * highest);
    return html`<line x1="${left}" x2="${width}" y1="${at}" y2="${at}" class="grid"/>
      <text x="${left - 6}" y="${at}" class="tick end">${(part * highest).toPrecision(2)}</text>`;
  });
  const names = new Map(bars.map(({ name, colour }) => [name, { name, colour }]));
  return html`<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${grid}${drawn}</svg>
    <figcaption>${legend([...names.values()])}</figcaption></figure>`;
}

/** Share of frames whose reasoning is kept, by tenths of an episode, for several prunings side by side. */
export function keptChart(
  prunings: readonly { name: string; time: readonly { frames: number; kept: number }[] }[],
): Markup {
  const right = 20;
  const [width, height, left, bottom, top] = [460, 220, 44, 40, 10];
  const bins = Math.max(1, ...prunings.map(({ time }) => time.length));
  const share = ({ frames, kept }: { frames: number; kept: number }): number => (frames === 0 ? 0 : kept / frames);
  const plot = height - bottom - top;
  const slot = (width - left - right) / bins;
  const bar = (slot * 0.84) / Math.max(1, prunings.length);
  const y = (value: number): number => top + (1 - value) * plot;
  const bars = prunings.map(({ name, time }, p) =>
    time.map((bin, i) => {
      const value = share(bin);
      return html`<rect x="${(left + i * slot + slot * 0.08 + p * bar).toFixed(1)}" y="${y(value).toFixed(1)}" width="${(bar * 0.92).toFixed(1)}"
        height="${(value * plot).toFixed(1)}" style="fill: ${curveColour(p)}"><title>${name}: ${Math.round(value * 100)} %</title></rect>`;
    }),
  );
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (value) => html`<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}" class="grid"/>
      <text x="${left - 6}" y="${y(value)}" class="tick end">${Math.round(100 * value)} %</text>`,
  );
  const ticks = [0, 0.5, 1].map(
    (part) =>
      html`<text x="${left + part * (width - left - right)}" y="${height - bottom + 14}" class="tick">${Math.round(100 * part)} %</text>`,
  );
  return html`<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="where in episodes reasoning is kept">${grid}${bars.flat()}${ticks}
    <text x="${(left + width) / 2}" y="${height - 8}" class="tick">time in the episode</text></svg>
    <figcaption>${legend(prunings)}</figcaption></figure>`;
}
