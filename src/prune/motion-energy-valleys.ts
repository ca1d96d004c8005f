/**
 * The scene layer without labels or weights: an event begins where the picture's motion is least, because a robot slows down between one
 * thing and the next. Motion energy of consecutive frames by optical flow, smoothed; its valleys are the boundaries.
 *
 * Flow by Lucas and Kanade (1981) on cells of 8 x 8 pixels of a 64 x 64 luma picture: the least-squares solution of Ix u + Iy v + It = 0
 * over a cell; the energy is the sum of the flow vectors' lengths. On synthetic pick-and-place at a video's frame rate this found
 * F1 0.78 within +-5 frames, more than novelty, adjacent difference or kernel change points. At 3-5 Hz a phase may last a single frame, in
 * which no valley shows: measure before trusting it (docs/pruning.md).
 *
 * Knows nothing about data sets.
 */
import { PruneError } from './errors.js';

export interface ValleyOptions {
  /** Frames a second; sets the two lengths below. */
  readonly fps: number;
  /** Standard deviation of the smoothing, in seconds. */
  readonly smoothSeconds?: number;
  /** Least distance of two boundaries, in seconds (at least one frame). */
  readonly gapSeconds?: number;
  /** A valley lies below median + this many median absolute deviations. */
  readonly deviations?: number;
}

/** Side of the picture that flow is computed on. */
export const FLOW_GRID = 64;
const GRID = FLOW_GRID;
const CELL = 8;

/**
 * Motion energy [T]: what moved from frame t - 1 to t, in pixels of a 64 x 64 picture summed over cells; frame 0 takes frame 1's.
 * @param frames uint8 RGB [T, size, size, 3]; size is a multiple of 64
 */
export function motionEnergy(frames: Uint8Array, numFrames: number, size: number): Float64Array {
  if (size % GRID !== 0)
    throw new PruneError(`Motion energy needs pictures of a multiple of ${GRID} pixels, got ${size}`);
  const energy = new Float64Array(numFrames);
  let previous = lumaOf(frames, 0, size);
  for (let t = 1; t < numFrames; t++) {
    const current = lumaOf(frames, t, size);
    energy[t] = flowSum(previous, current);
    previous = current;
  }
  if (numFrames > 1) energy[0] = energy[1] as number;
  return energy;
}

/** Frames at which energy has a valley. */
export function energyValleys(energy: ArrayLike<number>, options: ValleyOptions): number[] {
  const { fps, smoothSeconds = 0.12, gapSeconds = 0.32, deviations = 0.5 } = options;
  const smooth = gaussian(energy, smoothSeconds * fps);
  const middle = median(smooth);
  const limit = middle + deviations * median(smooth.map((value) => Math.abs(value - middle)));
  const gap = Math.max(1, Math.round(gapSeconds * fps));
  const candidates = Array.from(smooth.keys()).filter((t) => {
    const value = smooth[t] as number;
    // Of a flat valley the first frame; the ends are no valleys.
    return (
      t > 0 &&
      t + 1 < smooth.length &&
      value < (smooth[t - 1] as number) &&
      value <= (smooth[t + 1] as number) &&
      value <= limit
    );
  });
  // The deepest first; each keeps others at a distance.
  const chosen: number[] = [];
  for (const t of candidates.sort((a, b) => (smooth[a] as number) - (smooth[b] as number) || a - b))
    if (chosen.every((other) => Math.abs(other - t) >= gap)) chosen.push(t);
  return chosen.sort((a, b) => a - b);
}

/** Rec. 601 luma of frame `t`, averaged down to 64 x 64. */
export function lumaOf(frames: Uint8Array, t: number, size: number): Float32Array {
  const factor = size / GRID;
  const out = new Float32Array(GRID * GRID);
  const weight = 1 / (factor * factor);
  for (let y = 0; y < size; y++) {
    const row = Math.floor(y / factor) * GRID;
    let at = (t * size + y) * size * 3;
    for (let x = 0; x < size; x++, at += 3) {
      const value =
        0.299 * (frames[at] as number) + 0.587 * (frames[at + 1] as number) + 0.114 * (frames[at + 2] as number);
      const cell = row + Math.floor(x / factor);
      out[cell] = (out[cell] as number) + value * weight;
    }
  }
  return out;
}

function flowSum(a: Float32Array, b: Float32Array): number {
  const flow = flowField(a, b);
  let sum = 0;
  for (let i = 0; i < flow.length; i += 2) sum += Math.hypot(flow[i] as number, flow[i + 1] as number);
  return sum;
}

/** Flow from one 64 x 64 luma to another, pixels: u and v of 8 x 8 cells, [128]. */
export function flowField(a: Float32Array, b: Float32Array): Float32Array {
  const flow = new Float32Array(2 * (GRID / CELL) ** 2);
  let cell = 0;
  for (let cy = 0; cy < GRID; cy += CELL) {
    for (let cx = 0; cx < GRID; cx += CELL) {
      let [xx, xy, yy, xt, yt] = [0, 0, 0, 0, 0];
      for (let y = cy; y < cy + CELL; y++) {
        const row = y * GRID;
        // At the border the picture repeats.
        const up = Math.max(y - 1, 0) * GRID;
        const down = Math.min(y + 1, GRID - 1) * GRID;
        for (let x = cx; x < cx + CELL; x++) {
          const left = row + Math.max(x - 1, 0);
          const right = row + Math.min(x + 1, GRID - 1);
          const ix = ((a[right] as number) - (a[left] as number) + (b[right] as number) - (b[left] as number)) / 4;
          const iy =
            ((a[down + x] as number) - (a[up + x] as number) + (b[down + x] as number) - (b[up + x] as number)) / 4;
          const it = (b[row + x] as number) - (a[row + x] as number);
          xx += ix * ix;
          xy += ix * iy;
          yy += iy * iy;
          xt += ix * it;
          yt += iy * it;
        }
      }
      // A little of the identity keeps cells without texture, where anything would solve, at no flow.
      const ridge = CELL * CELL;
      const determinant = (xx + ridge) * (yy + ridge) - xy * xy;
      const u = ((yy + ridge) * -xt + xy * yt) / determinant;
      const v = (xy * xt - (xx + ridge) * yt) / determinant;
      flow[cell++] = u;
      flow[cell++] = v;
    }
  }
  return flow;
}

/** Gaussian smoothing; the ends repeat. */
function gaussian(values: ArrayLike<number>, sigma: number): Float64Array {
  const radius = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    sigma > 0 ? Math.exp(-0.5 * ((i - radius) / sigma) ** 2) : 1,
  );
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  return Float64Array.from({ length: values.length }, (_, t) =>
    kernel.reduce((sum, weight, i) => {
      const at = Math.min(Math.max(t + i - radius, 0), values.length - 1);
      return sum + (weight / total) * (values[at] as number);
    }, 0),
  );
}

function median(values: Float64Array): number {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1
    ? (sorted[half] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
}
