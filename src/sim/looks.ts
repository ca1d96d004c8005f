/**
 * Procedural surfaces. A look paints a point of a geom, given in the geom's own frame (metres), with a linear-light colour in
 * [0, 1]^3; the renderer adds light and shadow. Geoms name their look before a `#` in their MJCF name. Knows nothing of rays.
 */

export type Rgb = readonly [number, number, number];
/** Writes the colour at a point to `out[0..2]`. `size` are the geom's half sizes. */
export type Painter = (x: number, y: number, z: number, size: Rgb, out: Float64Array) => void;

export interface Look {
  readonly paint: Painter;
  /** Strength of the highlight, 0 = matt. */
  readonly gloss: number;
}

/** `#rrggbb` (display values) to linear light; display = sqrt(linear). */
export function color(hex: string): Rgb {
  const channel = (i: number): number => (Number.parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16) / 255) ** 2;
  return [channel(0), channel(1), channel(2)];
}

function hash(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ Math.imul(seed, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  h ^= h >>> 13;
  return (h >>> 0) / 4294967296;
}

/** Smooth value noise in [0, 1]. */
export function noise(x: number, y: number, seed: number): number {
  const [ix, iy] = [Math.floor(x), Math.floor(y)];
  const [fx, fy] = [x - ix, y - iy];
  const [u, v] = [fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)];
  const low = hash(ix, iy, seed) * (1 - u) + hash(ix + 1, iy, seed) * u;
  const high = hash(ix, iy + 1, seed) * (1 - u) + hash(ix + 1, iy + 1, seed) * u;
  return low * (1 - v) + high * v;
}

function mix(a: Rgb, b: Rgb, t: number, out: Float64Array): void {
  out[0] = a[0] + (b[0] - a[0]) * t;
  out[1] = a[1] + (b[1] - a[1]) * t;
  out[2] = a[2] + (b[2] - a[2]) * t;
}

const set = (c: Rgb, out: Float64Array): void => {
  out[0] = c[0];
  out[1] = c[1];
  out[2] = c[2];
};

export function solid(hex: string, gloss = 0.08): Look {
  const c = color(hex);
  return { gloss, paint: (_x, _y, _z, _s, out) => set(c, out) };
}

/** Planks along x with grain; `light` and `dark` are the two tones. */
export function wood(light: string, dark: string, plank = 0.11, seed = 1): Look {
  const [a, b] = [color(light), color(dark)];
  return {
    gloss: 0.06,
    paint: (x, y, _z, _s, out) => {
      const row = Math.floor(y / plank);
      const shift = hash(row, 7, seed);
      const across = y / plank - row;
      const waves =
        noise(x * 5 + shift * 31, y * 28, seed) * 0.55 + noise(x * 14 + shift * 17, y * 110, seed + 1) * 0.45;
      const seam = across < 0.035 ? 0.55 : 0;
      mix(a, b, Math.min(1, waves * 0.62 + shift * 0.3 + seam), out);
    },
  };
}

export function checker(first: string, second: string, cell: number): Look {
  const [a, b] = [color(first), color(second)];
  return {
    gloss: 0.08,
    paint: (x, y, _z, _s, out) => set((Math.floor(x / cell) + Math.floor(y / cell)) & 1 ? b : a, out),
  };
}

/** Stone: noise at two scales. */
export function speckle(first: string, second: string, cell = 0.02, seed = 3): Look {
  const [a, b] = [color(first), color(second)];
  return {
    gloss: 0.12,
    paint: (x, y, z, _s, out) => {
      const t =
        noise((x + z) / cell, (y + z) / cell, seed) * 0.6 +
        noise((x + z) / (cell * 0.3), y / (cell * 0.3), seed + 1) * 0.4;
      mix(a, b, t * t * (3 - 2 * t), out);
    },
  };
}

/** Stripes across x, of the given period and share of the second colour. */
export function stripes(first: string, second: string, period: number, share = 0.3): Look {
  const [a, b] = [color(first), color(second)];
  return {
    gloss: 0.02,
    paint: (x, _y, _z, _s, out) => {
      const t = x / period - Math.floor(x / period);
      set(t < share ? b : a, out);
    },
  };
}

/** A cloth with a border and stripes; sizes are the geom's. */
function towel(base: string, stripe: string): Look {
  const [a, b] = [color(base), color(stripe)];
  return {
    gloss: 0,
    paint: (x, y, _z, s, out) => {
      const edge = Math.max(Math.abs(x) / s[0], Math.abs(y) / s[1]);
      const band = Math.abs(Math.abs(x) / s[0] - 0.62) < 0.09;
      const weave = 0.92 + 0.08 * noise(x * 400, y * 400, 5);
      set(band || edge > 0.95 ? b : a, out);
      for (let i = 0; i < 3; i++) out[i] = (out[i] as number) * weave;
    },
  };
}

/** A plate seen from above: rim, a thin ring, and a well. */
function plate(base: string, ring: string, well: string): Look {
  const [a, b, c] = [color(base), color(ring), color(well)];
  return {
    gloss: 0.25,
    paint: (x, y, z, s, out) => {
      const r = Math.hypot(x, y) / s[0];
      if (z < s[1] * 0.5) set(a, out);
      else set(r > 0.9 ? a : r > 0.8 ? b : r > 0.62 ? a : c, out);
    },
  };
}

/** A drinks can: coloured body with a wave, silver lid, base and rims (cylinder along z). */
function can(body: string, wave: string): Look {
  const [a, b, metal, dark] = [color(body), color(wave), color('#d0d3d6'), color('#7d8184')];
  return {
    gloss: 0.35,
    paint: (x, y, z, s, out) => {
      const h = z / s[1];
      if (Math.abs(h) > 0.985) return set(Math.hypot(x, y) > s[0] * 0.8 ? metal : dark, out);
      if (Math.abs(h) > 0.88) return set(metal, out);
      const angle = Math.atan2(y, x);
      set(Math.abs(h - 0.45 * Math.sin(2 * angle)) < 0.16 ? b : a, out);
    },
  };
}

/** Rings along x (a carrot). */
function ringed(base: string, ring: string, period: number): Look {
  const [a, b] = [color(base), color(ring)];
  return {
    gloss: 0.05,
    paint: (_x, y, z, _s, out) => mix(a, b, noise(z / period, y / (period * 2), 9) > 0.68 ? 0.75 : 0, out),
  };
}

/** A box front with a frame line (a drawer). */
function panel(base: string, line: string): Look {
  const [a, b] = [color(base), color(line)];
  return {
    gloss: 0.06,
    paint: (_x, y, z, s, out) => {
      const edge = Math.min(s[1] - Math.abs(y), s[2] - Math.abs(z));
      const grain = noise(y * 12, z * 120, 21);
      mix(a, b, edge > 0.006 && edge < 0.012 ? 0.8 : grain * 0.22, out);
    },
  };
}

/** Sponge: two layers with pores. */
function sponge(top: string, bottom: string): Look {
  const [a, b] = [color(top), color(bottom)];
  return {
    gloss: 0,
    paint: (x, y, z, s, out) => {
      if (z < -0.35 * s[2]) return set(b, out);
      const pores = noise(x * 260, y * 260 + z * 90, 13);
      mix(a, b, pores > 0.75 ? 0.35 : 0, out);
    },
  };
}

/** Looks by the name that geoms carry. `table`, `wall` and `floor` are replaced by the variation of a scene. */
export const LOOKS: Readonly<Record<string, Look>> = {
  'robot-base': solid('#9aa1ab', 0.15),
  'robot-link': solid('#c9ced6', 0.2),
  'robot-joint': solid('#76808d', 0.2),
  'robot-accent': solid('#3f6fb5', 0.2),
  'robot-palm': solid('#98a0ab', 0.15),
  'robot-finger': solid('#808995', 0.15),
  'robot-pad': solid('#5f6874', 0.05),
  'google-base': solid('#d9d7d0', 0.15),
  'google-link': solid('#f0eee8', 0.2),
  'google-joint': solid('#a9aaa6', 0.2),
  'google-accent': solid('#e2a33a', 0.2),
  'google-palm': solid('#8d8f8e', 0.15),
  'google-finger': solid('#76787a', 0.15),
  'google-pad': solid('#6a6f75', 0.05),
  table: wood('#cdb08a', '#a98660'),
  wall: solid('#cfd3d2', 0),
  floor: checker('#8f8a83', '#7f7a74', 0.25),
  'table-edge': solid('#7a5531', 0.05),
  spoon: solid('#2f9e62', 0.25),
  'spoon-bowl': solid('#37b873', 0.3),
  towel: towel('#4566c4', '#e8ecf7'),
  carrot: ringed('#f07818', '#c25408', 0.008),
  leaf: solid('#3f9b32', 0.03),
  plate: plate('#f4f1ea', '#3d7fc4', '#e6e2d8'),
  green: solid('#2eaa3f', 0.1),
  yellow: solid('#f2cf1d', 0.1),
  eggplant: solid('#5b2a86', 0.35),
  stem: solid('#4f9a3c', 0.05),
  basket: stripes('#e3b52a', '#b98c14', 0.014, 0.4),
  'basket-floor': solid('#b98c14', 0.02),
  coke: can('#d2141c', '#ffffff'),
  'can-blue': can('#1f55c8', '#ffffff'),
  'can-green': can('#1f9d47', '#ffe14d'),
  apple: solid('#d8262b', 0.3),
  orange: speckle('#f58d14', '#ff9f2e', 0.004, 17),
  sponge: sponge('#f1d944', '#3fa05a'),
  bottle: solid('#3fa7d6', 0.4),
  cap: solid('#f4f4f2', 0.2),
  cube: solid('#c0392b', 0.1),
  chip: solid('#8a3fb0', 0.15),
  cabinet: wood('#8f6440', '#70492a', 0.3, 5),
  drawer: panel('#e3ded2', '#a9a294'),
  'drawer-inside': solid('#c9b79a', 0.02),
  handle: solid('#34506e', 0.4),
  'distractor-a': solid('#d657a0', 0.15),
  'distractor-b': checker('#2b2b2b', '#f0f0f0', 0.012),
  'distractor-c': solid('#26b8b8', 0.15),
};
