/**
 * The eight scores of one or more models as a radar, like the paper's figure: an axis a benchmark, from 0 in the middle to the rim, which is the best score on it, or
 * 100 where there is one model only.
 */
import type { BenchmarkResult } from './results.js';

export interface RadarModel {
  readonly name: string;
  readonly results: readonly Pick<BenchmarkResult, 'benchmark' | 'main'>[];
}

const SIZE = 520;
const RADIUS = 170;
/** Room for names beside the picture. */
const MARGIN = 60;
const COLOURS = ['#1f6feb', '#d9480f', '#2b8a3e', '#862e9c', '#5c3d00', '#0b7285'];
const MARKS: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replace(/[&<>"]/g, (mark) => MARKS[mark] as string);

/** @param axes benchmarks in order @returns an SVG picture; a model without some benchmark's score has a gap there */
export function radar(models: readonly RadarModel[], axes: readonly string[]): string {
  const middle = SIZE / 2;
  const scoreOf = ({ results }: RadarModel, axis: string): number | undefined =>
    results.find(({ benchmark }) => benchmark === axis)?.main;
  const place = (i: number, radius: number): [number, number] => {
    const angle = (2 * Math.PI * i) / axes.length - Math.PI / 2;
    return [middle + radius * Math.cos(angle), middle + radius * Math.sin(angle)];
  };
  const shown = ([x, y]: readonly [number, number]): string => `${x.toFixed(1)},${y.toFixed(1)}`;
  const best = axes.map((axis) => Math.max(...models.map((model) => scoreOf(model, axis) ?? Number.NEGATIVE_INFINITY)));
  const rims = best.map((score) => (models.length === 1 ? 100 : Math.max(1e-9, score)));
  const rings = [0.25, 0.5, 0.75, 1].map((share) => {
    const points = axes.map((_, i) => shown(place(i, RADIUS * share))).join(' ');
    return `<polygon points="${points}" fill="none" stroke="#bbb"/>`;
  });
  const spokes = axes.map((axis, i) => {
    const [x, y] = place(i, RADIUS + 26);
    const score = Number.isFinite(best[i]) ? (best[i] as number).toFixed(1) : 'no score';
    const anchor = Math.abs(x - middle) < 20 ? 'middle' : x > middle ? 'start' : 'end';
    return `<line x1="${middle}" y1="${middle}" x2="${place(i, RADIUS)[0].toFixed(1)}" y2="${place(i, RADIUS)[1].toFixed(1)}" stroke="#bbb"/><text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escaped(axis)}<tspan x="${x.toFixed(1)}" dy="14" fill="#666">${score}</tspan></text>`;
  });
  const shapes = models.map((model, m) => {
    const colour = COLOURS[m % COLOURS.length] as string;
    const points = axes.flatMap((axis, i) => {
      const score = scoreOf(model, axis);
      return score === undefined ? [] : [shown(place(i, (RADIUS * score) / (rims[i] as number)))];
    });
    const name = `<text x="${12 - MARGIN}" y="${20 + 18 * m}" fill="${colour}">${escaped(model.name)}</text>`;
    return `<polygon points="${points.join(' ')}" fill="${colour}" fill-opacity="0.15" stroke="${colour}" stroke-width="2"/>${name}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-MARGIN} 0 ${SIZE + 2 * MARGIN} ${SIZE}" font-family="sans-serif" font-size="13">\n${[...rings, ...spokes, ...shapes].join('\n')}\n</svg>\n`;
}
