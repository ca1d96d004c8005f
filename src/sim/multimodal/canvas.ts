/** A square picture to paint rectangles and text on, in 64ths of its side. */
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphAt } from './pixel-font.js';

/** Units along a side. */
export const UNITS = 64;

export class Canvas {
  /** RGB bytes, `size * size * 3`, row by row from the top. */
  readonly pixels: Uint8Array;
  readonly #size: number;

  /** @param paper background, `#rrggbb` */
  constructor(size: number, paper: string) {
    this.#size = size;
    this.pixels = new Uint8Array(size * size * 3);
    this.fill(0, 0, UNITS, UNITS, paper);
  }

  /** Fills a rectangle given in units; at least one pixel wide and high. */
  fill(x: number, y: number, width: number, height: number, hex: string): void {
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [
      number,
      number,
      number,
    ];
    const scale = this.#size / UNITS;
    const [x0, y0] = [Math.round(x * scale), Math.round(y * scale)];
    const x1 = Math.max(x0 + 1, Math.round((x + width) * scale));
    const y1 = Math.max(y0 + 1, Math.round((y + height) * scale));
    for (let row = Math.max(0, y0); row < Math.min(this.#size, y1); row++) {
      for (let column = Math.max(0, x0); column < Math.min(this.#size, x1); column++) {
        const at = 3 * (row * this.#size + column);
        this.pixels[at] = red;
        this.pixels[at + 1] = green;
        this.pixels[at + 2] = blue;
      }
    }
  }

  /** Writes text from its top left corner; a glyph pixel is `scale` units wide and high. */
  write(text: string, x: number, y: number, scale: number, hex: string): void {
    for (const [i, character] of [...text].entries()) {
      for (let row = 0; row < GLYPH_HEIGHT; row++) {
        for (let column = 0; column < GLYPH_WIDTH; column++) {
          if (!glyphAt(character, column, row)) continue;
          this.fill(x + scale * (i * (GLYPH_WIDTH + 1) + column), y + scale * row, scale, scale, hex);
        }
      }
    }
  }
}
