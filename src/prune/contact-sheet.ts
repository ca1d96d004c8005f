/**
 * A contact sheet of an episode, to label event boundaries from: its frames with their numbers, beneath each row the acceleration of Eq. 4
 * against its mean (dashed), a triangle where the gripper changes, and a bar at the left of frames that are labelled already.
 *
 * Numbers are drawn, not written: the picture is the same on machines without fonts.
 */
import sharp from 'sharp';
import { writeDurable } from '../data/durable-file.js';
import { PruneError } from './errors.js';
import type { EpisodeMotion } from './motion-layer.js';
import type { SceneFrames } from './scene-events.js';

export interface SheetOptions {
  /** Pictures [T, size, size, 3] of one camera. */
  readonly frames: SceneFrames;
  /** Null where the data have no motion that Eq. 4 can be asked about. */
  readonly motion: EpisodeMotion | null;
  /** Boundaries that are labelled already. */
  readonly boundaries?: readonly number[];
  /** Every so many frames; default 1. */
  readonly every?: number;
  /** Frames a row; default 8. */
  readonly columns?: number;
}

const [GAP, CAPTION, CURVE, MARGIN] = [6, 22, 54, 16];
/** Largest picture, pixels a side: what viewers and libraries open. */
const MAX_SIDE = 30_000;

/** Ten digits of 3 x 5 dots: five rows, the dots of each as a number from 0 to 7. */
const DIGITS = ['75557', '26227', '71747', '71717', '55711', '74717', '74757', '71111', '75757', '75717'];

/** Draws the sheet and writes it as PNG in one step. @returns its frames */
export async function writeContactSheet(path: string, options: SheetOptions): Promise<number[]> {
  const { frames, every = 1, columns = 8 } = options;
  if (frames.channels !== 3) throw new PruneError('A contact sheet shows one camera');
  const shown = Array.from({ length: Math.ceil(frames.numFrames / every) }, (_, i) => i * every);
  const rows = Math.ceil(shown.length / columns);
  const { size } = frames;
  const rowHeight = CAPTION + size + (options.motion ? CURVE : 0) + GAP;
  const width = 2 * MARGIN + Math.min(columns, shown.length) * (size + GAP);
  const height = 2 * MARGIN + rows * rowHeight;
  if (height > MAX_SIDE || width > MAX_SIDE)
    throw new PruneError(`${shown.length} frames make a picture of ${width} x ${height} pixels`, {
      hint: 'Show every second or third with --every',
    });
  const place = (i: number): { x: number; y: number } => ({
    x: MARGIN + (i % columns) * (size + GAP),
    y: MARGIN + Math.floor(i / columns) * rowHeight,
  });
  const bytes = size * size * 3;
  const pictures = shown.map((t, i) => ({
    input: Buffer.from(frames.data.buffer, frames.data.byteOffset + t * bytes, bytes),
    raw: { width: size, height: size, channels: 3 as const },
    left: place(i).x,
    top: place(i).y + CAPTION,
  }));
  const marks = shown.map((t, i) => cell(t, place(i), options, every)).join('');
  const curves = options.motion
    ? Array.from({ length: rows }, (_, row) =>
        curve(shown.slice(row * columns, (row + 1) * columns), place(row * columns), options),
      ).join('')
    : '';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${marks}${curves}</svg>`;
  const sheet = sharp({ create: { width, height, channels: 3, background: '#ffffff' } }).composite([
    ...pictures,
    { input: Buffer.from(svg), left: 0, top: 0 },
  ]);
  writeDurable(path, await sheet.png().toBuffer());
  return shown;
}

/** Number, gripper mark and label of a frame; with `every` above 1 those of the frames that it stands for. */
function cell(
  t: number,
  { x, y }: { x: number; y: number },
  { frames, motion, boundaries = [] }: SheetOptions,
  every: number,
): string {
  const labelled = boundaries.some((frame) => frame >= t && frame < t + every);
  const parts = [number(t, x + (labelled ? 10 : 2), y + 3, labelled ? '#c2571a' : '#1d2433')];
  if (labelled) parts.push(`<rect x="${x}" y="${y}" width="5" height="${CAPTION + frames.size}" fill="#c2571a"/>`);
  const change = motion?.gripperChange.subarray(t, t + every).includes(1);
  if (change) {
    const right = x + frames.size - 4;
    parts.push(`<path d="M ${right - 14} ${y + 4} h 14 l -7 12 z" fill="#2767b0"/>`);
  }
  return parts.join('');
}

/** Digits of 3 x 5 dots, three pixels a dot. */
function number(value: number, x: number, y: number, fill: string): string {
  const dot = 3;
  return [...String(value)]
    .map((digit, i) =>
      [...(DIGITS[Number(digit)] as string)]
        .map((row, r) =>
          [4, 2, 1]
            .map((bit, c) =>
              Number(row) & bit
                ? `<rect x="${x + (i * 4 + c) * dot}" y="${y + r * dot}" width="${dot}" height="${dot}" fill="${fill}"/>`
                : '',
            )
            .join(''),
        )
        .join(''),
    )
    .join('');
}

/** Acceleration over its mean under one row of frames, from 0 to 3 times the mean. */
function curve(shown: readonly number[], { x, y }: { x: number; y: number }, { frames, motion }: SheetOptions): string {
  const { size } = frames;
  const bottom = y + CAPTION + size + CURVE - 6;
  const high = CURVE - 12;
  const at = (score: number): number => bottom - (Math.min(score, 3) / 3) * high;
  const right = x + shown.length * (size + GAP) - GAP;
  const points = shown.map((t, i) => {
    const score = motion?.score[t] ?? 0;
    return { cx: x + i * (size + GAP) + size / 2, cy: at(score), on: motion?.labels[t] === 1 };
  });
  const line = points.map(({ cx, cy }) => `${cx},${cy.toFixed(1)}`).join(' ');
  const dots = points
    .map(({ cx, cy, on }) => `<circle cx="${cx}" cy="${cy.toFixed(1)}" r="${on ? 4.5 : 2}" fill="#2767b0"/>`)
    .join('');
  return `<line x1="${x}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="#e4e2dd"/>
<line x1="${x}" x2="${right}" y1="${at(1).toFixed(1)}" y2="${at(1).toFixed(1)}" stroke="#98a1b3" stroke-dasharray="5 4"/>
<polyline points="${line}" fill="none" stroke="#2767b0" stroke-width="1.5"/>${dots}`;
}
