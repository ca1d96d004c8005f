/**
 * Features of frames for kernel segmentation: the picture itself, its motion, or those of a vision encoder that somebody hands in (an
 * encoder belongs to src/model, which comes later; the command line brings the two together).
 *
 * Knows nothing about data sets.
 *
 * Shapes: T frames, D features.
 */
import { PruneError } from './errors.js';
import { FLOW_GRID, flowField, lumaOf } from './motion-energy-valleys.js';

export interface FrameFeatureSet {
  /** [T, D]. */
  readonly values: Float32Array;
  readonly size: number;
}

/** A vision encoder. */
export interface FrameEncoder {
  /** What results say of it. */
  readonly name: string;
  /** Height and width of the pictures it takes. */
  readonly imageSize: number;
  /** @param frames uint8 RGB [T, imageSize, imageSize, 3] */
  encode(frames: Uint8Array, numFrames: number): FrameFeatureSet;
}

export const PIXEL_FEATURES = ['pixels', 'flow'] as const;
/** `pixels`: 16 x 16 luma. `flow`: motion from the frame before in 8 x 8 cells of a 64 x 64 picture. */
export type PixelFeatures = (typeof PIXEL_FEATURES)[number];

const CELLS = 16;

/** Features of frames. @param frames uint8 RGB [T, size, size, 3]; size is a multiple of 64 */
export function pixelFeatures(
  kind: PixelFeatures,
  frames: Uint8Array,
  numFrames: number,
  size: number,
): FrameFeatureSet {
  if (size % FLOW_GRID !== 0)
    throw new PruneError(`Features need pictures of a multiple of ${FLOW_GRID} pixels, got ${size}`);
  const lumas = Array.from({ length: numFrames }, (_, t) => lumaOf(frames, t, size));
  const rows = kind === 'pixels' ? lumas.map(reduced) : flows(lumas);
  const width = rows[0]?.length ?? 0;
  const values = new Float32Array(numFrames * width);
  rows.forEach((row, t) => {
    values.set(row, t * width);
  });
  return { values, size: width };
}

/** 64 x 64 -> 16 x 16 by means. */
function reduced(luma: Float32Array): Float32Array {
  const factor = FLOW_GRID / CELLS;
  const out = new Float32Array(CELLS * CELLS);
  luma.forEach((value, i) => {
    const cell = Math.floor(i / FLOW_GRID / factor) * CELLS + Math.floor((i % FLOW_GRID) / factor);
    out[cell] = (out[cell] as number) + value / (factor * factor);
  });
  return out;
}

/** The first frame takes the second's. */
function flows(lumas: readonly Float32Array[]): Float32Array[] {
  const rows = lumas.slice(1).map((luma, t) => flowField(lumas[t] as Float32Array, luma));
  return lumas.length === 1 ? [new Float32Array(2 * (FLOW_GRID / 8) ** 2)] : [rows[0] as Float32Array, ...rows];
}

/** Frames through an encoder, `batch` at a time. Throws PruneError where it gives something else than numbers. */
export function encodedFeatures(
  encoder: FrameEncoder,
  frames: Uint8Array,
  numFrames: number,
  batch = 32,
): FrameFeatureSet {
  const bytes = encoder.imageSize ** 2 * 3;
  let values = new Float32Array(0);
  let size = 0;
  for (let from = 0; from < numFrames; from += batch) {
    const count = Math.min(batch, numFrames - from);
    const part = encoder.encode(frames.subarray(from * bytes, (from + count) * bytes), count);
    if (from === 0) {
      size = part.size;
      values = new Float32Array(numFrames * size);
    }
    const bad = part.values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new PruneError(`The encoder ${encoder.name} gives ${part.values[bad]}`, {
        frame: from + Math.floor(bad / size),
      });
    values.set(part.values, from * size);
  }
  return { values, size };
}
