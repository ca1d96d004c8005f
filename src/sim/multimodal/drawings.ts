/**
 * Small tables and bar charts: what they show, as plain data, and how they are painted on a plain canvas. Everything is laid out in 64ths of
 * the picture's side, so that other sizes are sharper, not different. Knows nothing of questions.
 */
import { Random } from '../random.js';
import { Canvas } from './canvas.js';
import { GLYPH_HEIGHT, GLYPH_WIDTH } from './pixel-font.js';
import { COLORS, type Color, type Digit, type Letter } from './vocabulary.js';

/** A table of two columns and two rows under column letters and beside row letters. */
export interface Table {
  readonly kind: 'table';
  /** Decides paper, ink and small shifts. */
  readonly seed: number;
  readonly columns: readonly [Letter, Letter];
  readonly rows: readonly [Letter, Letter];
  /** [row][column] */
  readonly cells: readonly (readonly Digit[])[];
}

export interface Bar {
  readonly color: Color;
  /** 1 to {@link MAX_BAR}. */
  readonly height: number;
}

/** A bar chart with lines at the whole numbers. */
export interface Chart {
  readonly kind: 'chart';
  readonly seed: number;
  readonly bars: readonly Bar[];
}

export type Drawing = Table | Chart;

export const MAX_BAR = 5;

const PAPERS = ['#fbfbf7', '#f3ead6', '#e4edf6', '#eaf3e4', '#f5e6e6', '#e8e6ee'] as const;
const INKS = ['#14161a', '#1d2d5c', '#4a1f1a', '#123f2a'] as const;
const LINES = ['#8a8f98', '#a08f76', '#6f86a3'] as const;

/** @returns RGB bytes, `size * size * 3` */
export function paintDrawing(drawing: Drawing, size: number): Uint8Array {
  const random = new Random(drawing.seed, 'multimodal-drawing');
  const canvas = new Canvas(size, random.pick(PAPERS));
  const style = { ink: random.pick(INKS), line: random.pick(LINES), dx: random.int(5) - 2, dy: random.int(5) - 2 };
  if (drawing.kind === 'table') paintTable(canvas, drawing, style, random);
  else paintChart(canvas, drawing, style, random);
  return canvas.pixels;
}

interface Style {
  readonly ink: string;
  readonly line: string;
  readonly dx: number;
  readonly dy: number;
}

const GLYPH_SCALE = 2;
const [GLYPH_X, GLYPH_Y] = [GLYPH_WIDTH * GLYPH_SCALE, GLYPH_HEIGHT * GLYPH_SCALE];

function paintTable(
  canvas: Canvas,
  { columns, rows, cells }: Table,
  { ink, line, dx, dy }: Style,
  random: Random,
): void {
  const cell = 18;
  const [left, top] = [5 + dx, 5 + dy];
  const header = random.pick(['#d3dbe6', '#e6d9c3', '#d5e4d0', '#dcd3e6']);
  canvas.fill(left, top, 3 * cell, cell, header);
  canvas.fill(left, top, cell, 3 * cell, header);
  for (let i = 0; i <= 3; i++) {
    canvas.fill(left + i * cell, top, 1, 3 * cell + 1, line);
    canvas.fill(left, top + i * cell, 3 * cell + 1, 1, line);
  }
  const put = (text: string, column: number, row: number): void =>
    canvas.write(
      text,
      left + column * cell + (cell + 1 - GLYPH_X) / 2,
      top + row * cell + (cell + 1 - GLYPH_Y) / 2,
      GLYPH_SCALE,
      ink,
    );
  for (const i of [0, 1] as const) {
    put(columns[i], i + 1, 0);
    put(rows[i], 0, i + 1);
    for (const j of [0, 1] as const) put(cells[i]?.[j] as string, j + 1, i + 1);
  }
}

function paintChart(canvas: Canvas, { bars }: Chart, { ink, line, dx, dy }: Style, random: Random): void {
  const unit = 10;
  const [left, bottom] = [11 + dx, 59 + dy];
  const right = 62;
  for (let level = 1; level <= MAX_BAR; level++) {
    canvas.fill(left, bottom - level * unit, right - left, 1, line);
    canvas.write(String(level), left - 7, bottom - level * unit - 3, 1, ink);
  }
  const pitch = (right - left - 3) / bars.length;
  const width = Math.min(14, Math.round(pitch * random.range(0.62, 0.8)));
  for (const [i, { color, height }] of bars.entries()) {
    const x = Math.round(left + 3 + i * pitch + (pitch - width) / 2);
    canvas.fill(x, bottom - height * unit, width, height * unit, COLORS[color]);
  }
  canvas.fill(left, bottom - MAX_BAR * unit - 1, 1, MAX_BAR * unit + 2, ink);
  canvas.fill(left, bottom, right - left, 1, ink);
}
