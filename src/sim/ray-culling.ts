/**
 * Where rays are worth casting: pixels onto which no geom's box projects see only the room, and table points outside every box's shadow
 * are lit. Both tests are conservative (a skipped ray could not have hit anything), so pictures do not change. Knows nothing of shading.
 */
import type { Physics } from './physics.js';
import type { Vec3 } from './pose.js';
import type { Camera } from './renderer.js';
import { TABLE } from './scene.js';

/** Cells of the table's shadow grid along x and y (about 1 cm). */
const GRID = 96;
const NEAR = 0.01;

export class RayCulling {
  readonly #physics: Physics;
  /** Drawn geoms. */
  readonly #geoms: readonly number[];
  /** World positions of the eight corners of each drawn geom's box. */
  readonly #corners: Float64Array;
  readonly #shadow = new Uint8Array(GRID * GRID);

  constructor(physics: Physics) {
    this.#physics = physics;
    const group = physics.model('geom_group');
    this.#geoms = Array.from({ length: physics.numGeoms }, (_, id) => id).filter((id) => (group[id] as number) < 3);
    this.#corners = new Float64Array(this.#geoms.length * 24);
  }

  /** Takes the geoms' present poses; call it before the other two. */
  update(): void {
    const box = this.#physics.model('geom_aabb');
    const xpos = this.#physics.data('geom_xpos');
    const xmat = this.#physics.data('geom_xmat');
    let out = 0;
    for (const id of this.#geoms) {
      const [b, p, m] = [6 * id, 3 * id, 9 * id];
      for (let corner = 0; corner < 8; corner++) {
        const x = (box[b] as number) + (corner & 1 ? 1 : -1) * (box[b + 3] as number);
        const y = (box[b + 1] as number) + (corner & 2 ? 1 : -1) * (box[b + 4] as number);
        const z = (box[b + 2] as number) + (corner & 4 ? 1 : -1) * (box[b + 5] as number);
        for (let axis = 0; axis < 3; axis++) {
          const r = m + 3 * axis;
          this.#corners[out++] =
            (xpos[p + axis] as number) +
            (xmat[r] as number) * x +
            (xmat[r + 1] as number) * y +
            (xmat[r + 2] as number) * z;
        }
      }
    }
  }

  /** Marks with 1 the pixels of a square image whose rays may hit a geom. */
  markPixels(camera: Camera, size: number, mask: Uint8Array): void {
    mask.fill(0);
    const m = camera.rotation;
    const [cx, cy, cz] = camera.position;
    const f = size / 2 / Math.tan((camera.fovy * Math.PI) / 360);
    const half = size / 2;
    for (let g = 0; g < this.#corners.length; g += 24) {
      let [left, right, top, bottom] = [
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
      ];
      let [ahead, behind] = [0, 0];
      for (let k = g; k < g + 24; k += 3) {
        const dx = (this.#corners[k] as number) - cx;
        const dy = (this.#corners[k + 1] as number) - cy;
        const dz = (this.#corners[k + 2] as number) - cz;
        const depth = -(m[2] * dx + m[5] * dy + m[8] * dz);
        if (depth < NEAR) {
          behind++;
          continue;
        }
        ahead++;
        const u = half + (f * (m[0] * dx + m[3] * dy + m[6] * dz)) / depth;
        const v = half - (f * (m[1] * dx + m[4] * dy + m[7] * dz)) / depth;
        left = Math.min(left, u);
        right = Math.max(right, u);
        top = Math.min(top, v);
        bottom = Math.max(bottom, v);
      }
      if (ahead === 0) continue;
      if (behind > 0) {
        // The box crosses the camera's plane: it may be anywhere in the image.
        mask.fill(1);
        return;
      }
      const [x0, x1] = [Math.max(0, Math.floor(left - 0.5)), Math.min(size, Math.ceil(right + 0.5))];
      const [y0, y1] = [Math.max(0, Math.floor(top - 0.5)), Math.min(size, Math.ceil(bottom + 0.5))];
      for (let y = y0; y < y1; y++) if (x0 < x1) mask.fill(1, y * size + x0, y * size + x1);
    }
  }

  /** Prepares {@link mayBeShaded} for a light above the table. */
  markShadows(light: Vec3): void {
    this.#shadow.fill(0);
    const [lx, ly, lz] = light;
    for (let g = 0; g < this.#corners.length; g += 24) {
      let [x0, x1, y0, y1] = [GRID, 0, GRID, 0];
      for (let k = g; k < g + 24; k += 3) {
        const z = this.#corners[k + 2] as number;
        if (z > lz - NEAR) {
          this.#shadow.fill(1);
          return;
        }
        // Parked objects lie far below the table and shade nothing.
        const t = z > -1 ? lz / (lz - z) : Number.NaN;
        const x = cellX(lx + t * ((this.#corners[k] as number) - lx));
        const y = cellY(ly + t * ((this.#corners[k + 1] as number) - ly));
        x0 = Math.min(x0, x);
        x1 = Math.max(x1, x + 1);
        y0 = Math.min(y0, y);
        y1 = Math.max(y1, y + 1);
      }
      if (!(x1 > x0 && y1 > y0)) continue;
      const [left, right] = [Math.max(0, Math.floor(x0)), Math.min(GRID, Math.ceil(x1))];
      const [low, high] = [Math.max(0, Math.floor(y0)), Math.min(GRID, Math.ceil(y1))];
      for (let y = low; y < high; y++) if (left < right) this.#shadow.fill(1, y * GRID + left, y * GRID + right);
    }
  }

  /** Whether a point of the table top may lie in a shadow. */
  mayBeShaded(x: number, y: number): boolean {
    return this.#shadow[Math.floor(cellY(y)) * GRID + Math.floor(cellX(x))] !== 0;
  }
}

/** Grid coordinate of a table position. */
const cellX = (x: number): number => ((x - TABLE.centre[0]) / TABLE.half[0] + 1) * (GRID / 2);
const cellY = (y: number): number => ((y - TABLE.centre[1]) / TABLE.half[1] + 1) * (GRID / 2);
