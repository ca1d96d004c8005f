/**
 * Drawings of reports as SVG: success rates as bars with their 95 % intervals, and curves over training.
 * Colours come from CSS variables of the page (`--vm`, `--va`, `--ink`, `--faint`, `--line`, `--curve-0` ...).
 *
 * Knows nothing about files or the page around it.
 */
import { html, type Markup } from './html.js';
import { type Count, wilsonInterval } from './wilson.js';

/** One task with the counts of each variant that was tried (`vm` fixed look, `va` changed look). */
export interface SuccessRow {
  label: string;
  counts: { variant: string; count: Count }[];
}

const percent = (rate: number): string => `${Math.round(rate * 100)} %`;

/** Horizontal bars, one a task and variant, with whiskers of the Wilson 95 % interval and the counts in words. */
export function successBars(rows: readonly SuccessRow[]): Markup {
  const left = 230;
  const width = 460;
  const bar = 20;
  const gap = 16;
  const x = (rate: number): number => left + rate * width;
  let y = 26;
  const drawn: Markup[] = [];
  for (const row of rows) {
    const height = row.counts.length * (bar + 4);
    drawn.push(html`<text x="${left - 14}" y="${y + height / 2}" class="task">${row.label}</text>`);
    for (const { variant, count } of row.counts) {
      drawn.push(successBar(variant, count, x, y, bar));
      y += bar + 4;
    }
    y += gap;
  }
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (rate) => html`<line x1="${x(rate)}" x2="${x(rate)}" y1="18" y2="${y - gap + 4}" class="grid"/>
      <text x="${x(rate)}" y="11" class="tick">${percent(rate)}</text>`,
  );
  return html`<svg class="bars" viewBox="0 0 960 ${y}" role="img" aria-label="success rate of each task">${grid}${drawn}</svg>`;
}

function successBar(variant: string, count: Count, x: (rate: number) => number, y: number, bar: number): Markup {
  const rate = count.trials > 0 ? count.successes / count.trials : 0;
  const { low, high } = wilsonInterval(count);
  const middle = y + bar / 2;
  const words = `${variant.toUpperCase()}  ${percent(rate)}  (${count.successes}/${count.trials}; ${Math.round(low * 100)}-${percent(high)})`;
  return html`<rect x="${x(0)}" y="${y}" width="${x(1) - x(0)}" height="${bar}" rx="3" class="track"/>
    <rect x="${x(0)}" y="${y}" width="${Math.max(0, x(rate) - x(0))}" height="${bar}" rx="3" class="${variant.split(':')[0]}"/>
    <path d="M${x(low)} ${middle}H${x(high)}M${x(low)} ${middle - 5}v10M${x(high)} ${middle - 5}v10" class="whisker"/>
    <text x="${x(1) + 14}" y="${middle}" class="words">${words}</text>`;
}

/** A curve: values against optimiser steps. */
export interface Curve {
  name: string;
  points: { step: number; value: number }[];
  /** Number of its colour; default its place among those that are drawn. */
  colour?: number;
}

/** Room for the last number below the axis. */
const RIGHT = 26;

/** How curves are drawn. */
export interface CurveOptions {
  /** Of values; default log, for losses. */
  scale?: 'log' | 'linear';
  /** What the drawing shows, for those who cannot see it. */
  label?: string;
  /** A line across, at this value (linear). */
  reference?: number;
}

/** Curves over training, thinned to what can be seen; raw values faint, their running mean over them. */
export function lossChart(curves: readonly Curve[], options: CurveOptions = {}): Markup {
  const { scale = 'log', label = 'loss curves', reference } = options;
  const log = scale === 'log';
  const shown = curves
    .map((curve) => ({
      ...curve,
      points: curve.points.filter(({ value }) => Number.isFinite(value) && (value > 0 || !log)),
    }))
    .filter((curve) => curve.points.length > 1);
  if (shown.length === 0) return html`<p class="note">Nothing was recorded.</p>`;
  const [width, height, left, bottom] = [920, 310, 56, 44];
  const steps = shown.flatMap(({ points }) => points.map(({ step }) => step));
  const values = shown.flatMap(({ points }) => points.map(({ value }) => value));
  const [firstStep, lastStep] = extent(steps);
  const on = (value: number): number => (log ? Math.log10(value) : value);
  const [low, high] = extent([...values, ...(reference === undefined ? [] : [reference])].map(on));
  const margin = Math.max(log ? 0.05 : 1e-9, (high - low) * 0.05);
  const x = (step: number): number =>
    left + ((step - firstStep) / (lastStep - firstStep || 1)) * (width - left - RIGHT);
  const y = (value: number): number =>
    10 + ((high + margin - on(value)) / (high - low + 2 * margin)) * (height - bottom - 10);
  const ticks = log ? logTicks(10 ** (low - margin), 10 ** (high + margin)) : evenTicks(low - margin, high + margin, 6);
  const grid = [
    ...ticks.map(
      (value) => html`<line x1="${left}" x2="${width - RIGHT}" y1="${y(value)}" y2="${y(value)}" class="grid"/>
        <text x="${left - 8}" y="${y(value)}" class="tick end">${Number(value.toPrecision(2))}</text>`,
    ),
    ...evenTicks(firstStep, lastStep, 6)
      .filter(Number.isInteger)
      .map(
        (step) =>
          html`<text x="${x(step)}" y="${height - bottom + 18}" class="tick">${step.toLocaleString('en')}</text>`,
      ),
  ];
  const across =
    reference === undefined
      ? undefined
      : html`<line x1="${left}" x2="${width - RIGHT}" y1="${y(reference)}" y2="${y(reference)}" class="reference"/>`;
  const lines = shown.map(({ name, points, colour }, i) => {
    const path = (of: readonly { step: number; value: number }[]): string =>
      thin(of, 400)
        .map(({ step, value }, k) => `${k === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`)
        .join('');
    return html`<g style="stroke: ${curveColour(colour ?? i)}"><title>${name}</title>
      <path d="${path(points)}" class="raw"/><path d="${path(runningMean(points))}" class="curve"/></g>`;
  });
  return html`<figure><svg class="loss" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${grid}${across}${lines}
    <text x="${(left + width) / 2}" y="${height - 8}" class="tick">optimiser step</text></svg>
    <figcaption>${legend(shown)}</figcaption></figure>`;
}

const COLOURS = 8;

/** The colour of the i-th of several things that are drawn together. */
export const curveColour = (i: number): string => `var(--curve-${i % COLOURS})`;

/** Names with the colours of what is drawn. */
export function legend(items: readonly { name: string; colour?: number }[]): Markup[] {
  return items.map(
    ({ name, colour }, i) =>
      html`<span class="key"><i style="background: ${curveColour(colour ?? i)}"></i>${name}</span>`,
  );
}

function extent(values: readonly number[]): [number, number] {
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

/** 1, 2 and 5 times powers of ten inside [low, high]: powers alone where that is too many, even steps where too few. */
function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent++) {
    for (const digit of [1, 2, 5]) ticks.push(Number((digit * 10 ** exponent).toPrecision(3)));
  }
  const inside = ticks.filter((value) => value >= low && value <= high);
  if (inside.length < 3) return evenTicks(low, high, 5);
  return inside.length <= 8 ? inside : inside.filter((value) => value.toExponential().startsWith('1e'));
}

/** About `count` round numbers with even steps inside [low, high]. */
function evenTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough) ?? rough;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function thin<T>(items: readonly T[], count: number): T[] {
  const stride = Math.max(1, Math.ceil(items.length / count));
  return items.filter((_, i) => i % stride === 0 || i === items.length - 1);
}

/** Smooths long noisy series; short ones are shown as they are. */
function runningMean(points: readonly { step: number; value: number }[]): readonly { step: number; value: number }[] {
  if (points.length < 100) return points;
  const keep = 1 - 1 / Math.max(2, points.length / 50);
  let mean = points[0]?.value ?? 0;
  return points.map(({ step, value }) => {
    mean = keep * mean + (1 - keep) * value;
    return { step, value: mean };
  });
}
