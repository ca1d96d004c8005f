/**
 * Pictures to and from bytes: lossless PNG out; PNG, JPEG, WebP ... in, at their own size or scaled to one.
 */
import type { ImageSequence } from './episode.js';
import { ImageError } from './errors.js';
import { decodePng, encodePng, isPng } from './png.js';

export { encodePng } from './png.js';

/** Loaded only for pictures that need it: it takes a tenth of a second, and decoding workers mostly meet plain PNG of the right size. */
const loadSharp = async (): Promise<typeof import('sharp').default> => (await import('sharp')).default;

/** One PNG for each picture of a sequence. */
export function encodePngs({ data, width, height }: ImageSequence): Uint8Array[] {
  const size = width * height * 3;
  return Array.from({ length: data.length / size }, (_, t) =>
    encodePng(data.subarray(t * size, (t + 1) * size), width, height),
  );
}

/** Larger pictures are none that a robot's camera takes; a damaged header easily says so. */
const MAX_PIXELS = 2 ** 26;

/** A damaged declaration asks for pictures of any size. Throws ImageError for one that no picture of this size was meant to be scaled to. */
function checkSize(ownPixels: number, width: number, height: number): void {
  const pixels = width * height;
  if (pixels > MAX_PIXELS || (pixels > 2 ** 20 && pixels > 16 * ownPixels))
    throw new ImageError(`A picture of ${ownPixels} pixels where ${width} x ${height} are declared`);
}

/**
 * Decodes a picture into uint8 RGB [height, width, 3], scaled with bicubic interpolation where its own size differs.
 * Throws ImageError for bytes that are no picture.
 */
export async function decodeImage(bytes: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  if (isPng(bytes)) {
    const decoded = decodePng(bytes);
    if (decoded && decoded.width === width && decoded.height === height) return decoded.pixels;
  }
  try {
    const sharp = await loadSharp();
    const picture = sharp(bytes, { limitInputPixels: MAX_PIXELS });
    const own = await picture.metadata();
    checkSize((own.width ?? 0) * (own.height ?? 0), width, height);
    const { data } = await picture
      .removeAlpha()
      .toColourspace('srgb')
      .resize(width, height, { fit: 'fill', kernel: 'cubic' })
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (data.length !== width * height * 3) throw new Error(`${data.length} bytes, expected ${width * height * 3}`);
    return data;
  } catch (cause) {
    if (cause instanceof ImageError) throw cause;
    throw new ImageError(`The picture does not decode: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** Scales uint8 RGB pixels [height, width, 3] to [toHeight, toWidth, 3]. */
export async function resizePixels(
  pixels: Uint8Array,
  width: number,
  height: number,
  toWidth: number,
  toHeight: number,
): Promise<Uint8Array> {
  if (width === toWidth && height === toHeight) return pixels;
  const sharp = await loadSharp();
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .resize(toWidth, toHeight, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
}
