/**
 * A rollout in five pictures side by side (beginning, quarters, end), each fitted into a square: small enough to be kept by the hundred and to be shown to
 * a judge as one picture.
 */
import { type Picture, type Rollout, RolloutError } from './rollout.js';

export const STRIP_FRAMES = 5;
/** Side of a picture of the strip, pixels. */
export const STRIP_SIDE = 96;

/** The moments that are in a rollout's strip; a short one repeats some. */
export function stripMoments({ thoughts }: Pick<Rollout, 'thoughts'>): number[] {
  return Array.from({ length: STRIP_FRAMES }, (_, i) => Math.round((i * (thoughts.length - 1)) / (STRIP_FRAMES - 1)));
}

/** Five pictures in a row, what is beside them black. */
export function joinStrip(pictures: readonly Picture[]): Picture {
  const width = STRIP_SIDE * pictures.length;
  const data = new Uint8Array(width * STRIP_SIDE * 3);
  for (const [i, picture] of pictures.entries()) {
    const left = i * STRIP_SIDE + Math.floor((STRIP_SIDE - picture.width) / 2);
    const top = Math.floor((STRIP_SIDE - picture.height) / 2);
    for (let y = 0; y < picture.height; y++) {
      const row = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
      data.set(row, ((top + y) * width + left) * 3);
    }
  }
  return { width, height: STRIP_SIDE, data };
}

/** The pictures of a strip. */
export function cutStrip({ width, data }: Picture): Picture[] {
  return Array.from({ length: width / STRIP_SIDE }, (_, i) => {
    const picture = new Uint8Array(STRIP_SIDE * STRIP_SIDE * 3);
    for (let y = 0; y < STRIP_SIDE; y++) {
      const at = (y * width + i * STRIP_SIDE) * 3;
      picture.set(data.subarray(at, at + STRIP_SIDE * 3), y * STRIP_SIDE * 3);
    }
    return { width: STRIP_SIDE, height: STRIP_SIDE, data: picture };
  });
}

export async function filmStrip(rollout: Rollout): Promise<Picture> {
  return joinStrip(await rollout.pictures(stripMoments(rollout), STRIP_SIDE));
}

/** A strip from its file. @throws RolloutError if it is none */
export async function decodeStrip(bytes: Uint8Array, path: string): Promise<Picture> {
  const sharp = (await import('sharp')).default;
  try {
    const { data, info } = await sharp(bytes).removeAlpha().toColourspace('srgb').raw().toBuffer({
      resolveWithObject: true,
    });
    if (info.height === STRIP_SIDE && info.width === STRIP_SIDE * STRIP_FRAMES) {
      return { width: info.width, height: info.height, data };
    }
    throw new Error(`${info.width} x ${info.height} pixels`);
  } catch (error) {
    throw new RolloutError(`${path} is no strip of ${STRIP_FRAMES} pictures: ${(error as Error).message}`);
  }
}
