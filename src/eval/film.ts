/**
 * Filmed episodes as mp4 files that browsers play: control steps in real time, then the last picture held for a second
 * in a green (success) or red (failure) frame.
 *
 * Knows nothing about where episodes come from.
 */
import { encodeVideo } from '../data/video.js';

/** One filmed episode. */
export interface FilmedEpisode {
  /** RGB, size * size * 3 bytes each. */
  frames: readonly Uint8Array[];
  success: boolean;
  controlHz: number;
}

const GREEN = [42, 160, 92] as const;
const RED = [200, 64, 48] as const;

/**
 * Writes one film of all episodes, one after the other.
 * @param size side of the pictures, pixels; even
 * @throws VideoError if ffmpeg is missing or fails; RangeError without a picture
 */
export async function writeFilm(path: string, episodes: readonly FilmedEpisode[], size: number): Promise<void> {
  const fps = episodes[0]?.controlHz;
  const frames = episodes.flatMap((episode) => withOutcome(episode, size));
  if (fps === undefined || frames.length === 0) throw new RangeError(`no picture to write to ${path}`);
  const all = new Uint8Array(frames.length * size * size * 3);
  for (const [i, frame] of frames.entries()) all.set(frame, i * size * size * 3);
  const codec = { codec: 'libx264', crf: 22, gop: 25, pixelFormat: 'yuv420p' } as const;
  await encodeVideo({ path, frames: all, width: size, height: size, fps, ...codec });
}

function withOutcome({ frames, success, controlHz }: FilmedEpisode, size: number): Uint8Array[] {
  const last = frames.at(-1);
  if (last === undefined) return [];
  const framed = drawFrame(last, size, success ? GREEN : RED);
  return [...frames, ...Array.from({ length: Math.max(1, Math.round(controlHz)) }, () => framed)];
}

/** A copy with a coloured frame of 1/32 of its side. */
function drawFrame(picture: Uint8Array, size: number, colour: readonly [number, number, number]): Uint8Array {
  const copy = picture.slice();
  const width = Math.max(1, Math.round(size / 32));
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (Math.min(x, y, size - 1 - x, size - 1 - y) < width) copy.set(colour, (y * size + x) * 3);
    }
  }
  return copy;
}
