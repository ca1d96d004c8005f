import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { ImageError } from './errors.js';
import { decodeImage, encodePng, resizePixels } from './image-codec.js';
import { decodePng, isPng } from './png.js';

const picture = fc
  .record({
    width: fc.integer({ min: 1, max: 12 }),
    height: fc.integer({ min: 1, max: 12 }),
    seed: fc.integer({ min: 0, max: 1e6 }),
    smooth: fc.boolean(),
  })
  .map(({ width, height, seed, smooth }) => {
    let state = seed;
    const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return smooth ? (i * 3 + seed) & 255 : state >> 16;
    });
    return { width, height, pixels };
  });

describe('PNG', () => {
  it('gives back every pixel', () => {
    fc.assert(
      fc.property(picture, ({ width, height, pixels }) => {
        const bytes = encodePng(pixels, width, height);
        expect(isPng(bytes)).toBe(true);
        expect(decodePng(bytes)).toEqual({ width, height, pixels });
      }),
    );
  });

  it('is read by another decoder, and reads another encoder', async () => {
    const [width, height] = [9, 5];
    const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) & 255);
    const raw = await sharp(encodePng(pixels, width, height))
      .raw()
      .toBuffer();
    expect(Uint8Array.from(raw)).toEqual(pixels);
    const foreign = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .png({ adaptiveFiltering: true })
      .toBuffer();
    expect(decodePng(foreign)?.pixels).toEqual(pixels);
  });

  it('reports any damage as an ImageError, never as other pixels', () => {
    fc.assert(
      fc.property(picture, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ width, height, pixels }, at, change) => {
        const bytes = encodePng(pixels, width, height);
        const i = 8 + (at % (bytes.length - 8));
        bytes[i] = (bytes[i] as number) ^ change;
        try {
          // A changed chunk name may turn it into a kind that is left to the general decoder.
          expect(decodePng(bytes)).toBeUndefined();
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
    );
  });

  it('reports any cut as an ImageError', () => {
    fc.assert(
      fc.property(picture, fc.double({ min: 0, max: 0.999, noNaN: true }), ({ width, height, pixels }, share) => {
        const bytes = encodePng(pixels, width, height);
        expect(() => decodePng(bytes.subarray(0, Math.floor(bytes.length * share)))).toThrow(ImageError);
      }),
    );
  });

  it('refuses pixels of another size', () => {
    expect(() => encodePng(new Uint8Array(5), 2, 2)).toThrow('expected 12');
  });
});

describe('decodeImage', () => {
  const pixels = new Uint8Array(8 * 8 * 3).fill(100);

  it('reads JPEG, palette and alpha, scales, and refuses rubbish', async () => {
    const raw = { raw: { width: 8, height: 8, channels: 3 } } as const;
    const jpeg = await decodeImage(await sharp(pixels, raw).jpeg().toBuffer(), 8, 8);
    expect(jpeg.every((value) => Math.abs(value - 100) <= 2)).toBe(true);
    const palette = await decodeImage(await sharp(pixels, raw).png({ palette: true }).toBuffer(), 8, 8);
    expect(Uint8Array.from(palette)).toEqual(pixels);
    expect(await decodeImage(encodePng(pixels, 8, 8), 4, 4)).toHaveLength(4 * 4 * 3);
    expect(await resizePixels(pixels, 8, 8, 16, 16)).toHaveLength(16 * 16 * 3);
    await expect(decodeImage(Uint8Array.of(1, 2, 3), 8, 8)).rejects.toThrow(ImageError);
  });
});
