/** Random shift augmentation (DrQ, Kostrikov et al. 2020): the picture moves by whole pixels and its edges repeat. */

/** Copies uint8 RGB [height, width, 3] so that out(y, x) = source(y + dy, x + dx), coordinates clamped to the picture. */
export function shiftInto(
  source: Uint8Array,
  out: Uint8Array,
  width: number,
  height: number,
  dx: number,
  dy: number,
): void {
  const stride = width * 3;
  const right = Math.min(Math.max(dx, -width), width);
  for (let y = 0; y < height; y++) {
    const from = Math.min(Math.max(y + dy, 0), height - 1) * stride;
    const to = y * stride;
    const copied = Math.max(width - Math.abs(right), 0);
    const sourceX = Math.max(right, 0);
    const outX = Math.max(-right, 0);
    out.set(source.subarray(from + sourceX * 3, from + (sourceX + copied) * 3), to + outX * 3);
    for (let x = 0; x < outX && x < width; x++) out.set(source.subarray(from, from + 3), to + x * 3);
    for (let x = Math.max(width - Math.max(right, 0), 0); x < width; x++)
      out.set(source.subarray(from + stride - 3, from + stride), to + x * 3);
  }
}
