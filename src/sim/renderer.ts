/**
 * Images by MuJoCo's ray caster: one ray a pixel, Lambert shading with a sky term and a highlight, procedural looks, and hard
 * shadows from one more ray per lit pixel (cast from the light through all hit points in a single call). The table top and the
 * room are planes that are met in closed form, and rays that cannot hit anything else are not cast (`ray-culling.ts`).
 * The same scene gives the same bytes. Knows nothing of tasks.
 */
import { LOOKS, type Look, type Rgb } from './looks.js';
import type { Physics, RayHits } from './physics.js';
import { cross, type Mat3, normalize, rotate, sub, type Vec3 } from './pose.js';
import { RayCulling } from './ray-culling.js';
import { ROOM, TABLE } from './scene.js';

/** A camera in the world: position, orientation (columns right, up, backward) and vertical field of view in degrees. */
export interface Camera {
  readonly position: Vec3;
  readonly rotation: Mat3;
  readonly fovy: number;
}

/** One point light with a sky term. Colours are linear-light factors. */
export interface Lighting {
  readonly position: Vec3;
  readonly diffuse: Rgb;
  readonly ambient: Rgb;
}

export interface Appearance {
  readonly lighting: Lighting;
  /** Replacements for entries of {@link LOOKS} (table, wall, floor). */
  readonly looks: Readonly<Record<string, Look>>;
}

/** A camera at `position` that looks at a point. */
export function lookAt(position: Vec3, at: Vec3, up: Vec3, fovy: number): Camera {
  const back = normalize(sub(position, at));
  const right = normalize(cross(up, back));
  const top = cross(back, right);
  return {
    position,
    fovy,
    rotation: [right[0], top[0], back[0], right[1], top[1], back[1], right[2], top[2], back[2]],
  };
}

/** Image coordinates of a world point, u right and v down, 0..1 inside a square image; depth in metres along the view. */
export function project(camera: Camera, point: Vec3): { u: number; v: number; depth: number } {
  const d = sub(point, camera.position);
  const m = camera.rotation;
  const x = m[0] * d[0] + m[3] * d[1] + m[6] * d[2];
  const y = m[1] * d[0] + m[4] * d[1] + m[7] * d[2];
  const depth = -(m[2] * d[0] + m[5] * d[1] + m[8] * d[2]);
  const f = 0.5 / Math.tan((camera.fovy * Math.PI) / 360) / Math.max(depth, 1e-6);
  return { u: 0.5 + x * f, v: 0.5 - y * f, depth };
}

const SHADOW_BIAS = 0.0015;
/** Size handed to the looks of table, wall and floor, which do not depend on it. */
const ROOM_SIZE: Rgb = [1, 1, 1];

/** Where a ray meets the table top or the room. */
interface Surface {
  distance: number;
  kind: 'table' | 'floor' | 'wall';
  nx: number;
  ny: number;
  nz: number;
}

/** First meeting of a ray from inside the room with the table top, the floor or a wall (the ceiling counts as wall). */
function meetRoom(ox: number, oy: number, oz: number, dx: number, dy: number, dz: number, out: Surface): void {
  if (dz < 0) {
    const t = -oz / dz;
    const x = ox + t * dx - TABLE.centre[0];
    const y = oy + t * dy - TABLE.centre[1];
    if (t > 0 && Math.abs(x) < TABLE.half[0] && Math.abs(y) < TABLE.half[1]) {
      out.distance = t;
      out.kind = 'table';
      out.nx = out.ny = 0;
      out.nz = 1;
      return;
    }
  }
  const tx = ((dx > 0 ? ROOM.x : -ROOM.x) - ox) / (dx || 1e-12);
  const ty = ((dy > 0 ? ROOM.y : -ROOM.y) - oy) / (dy || 1e-12);
  const tz = ((dz > 0 ? ROOM.ceiling : ROOM.floor) - oz) / (dz || 1e-12);
  out.nx = out.ny = out.nz = 0;
  if (tz < tx && tz < ty) {
    out.distance = tz;
    out.kind = dz > 0 ? 'wall' : 'floor';
    out.nz = dz > 0 ? -1 : 1;
  } else {
    out.distance = Math.min(tx, ty);
    out.kind = 'wall';
    if (tx < ty) out.nx = dx > 0 ? -1 : 1;
    else out.ny = dy > 0 ? -1 : 1;
  }
}

/** Whether the table hides a point below it from the light. */
function underTable(px: number, py: number, pz: number, lx: number, ly: number, lz: number): boolean {
  const t = pz / (pz - lz);
  const x = px + t * (lx - px) - TABLE.centre[0];
  const y = py + t * (ly - py) - TABLE.centre[1];
  return Math.abs(x) < TABLE.half[0] && Math.abs(y) < TABLE.half[1];
}

const ROOM_LOOKS = { table: LOOKS.table as Look, floor: LOOKS.floor as Look, wall: LOOKS.wall as Look };

export class Renderer {
  #physics: Physics;
  #lookNames: readonly string[] = [];
  #looks: Look[] = [];
  #room: Readonly<Record<Surface['kind'], Look>> = ROOM_LOOKS;
  readonly #paint = new Float64Array(3);
  #culling: RayCulling;
  #mask = new Uint8Array(0);
  /** Directions of the rays that are cast, and for each pixel its place among them (-1: not cast). */
  #cast = new Float64Array(0);
  #rayOf = new Int32Array(0);
  #appearance: Appearance | undefined;
  #directions = new Float64Array(0);
  #toLight = new Float64Array(0);
  #pending = new Int32Array(0);
  #pendingDistance = new Float64Array(0);
  #shade = new Float64Array(0);
  #albedo = new Float64Array(0);
  #sizes: Rgb[] = [];

  constructor(physics: Physics) {
    this.#physics = physics;
    this.#culling = new RayCulling(physics);
    this.#readGeoms();
  }

  /** From now on draws another scene; set its appearance next. */
  attach(physics: Physics): void {
    this.#physics = physics;
    this.#culling = new RayCulling(physics);
    this.#appearance = undefined;
    this.#readGeoms();
  }

  #readGeoms(): void {
    const physics = this.#physics;
    this.#lookNames = physics.geomNames().map((name) => name.split('#')[0] ?? '');
    const size = physics.model('geom_size');
    this.#sizes = this.#lookNames.map((_, i) => [
      size[3 * i] as number,
      size[3 * i + 1] as number,
      size[3 * i + 2] as number,
    ]);
  }

  setAppearance(appearance: Appearance): void {
    this.#appearance = appearance;
    this.#looks = this.#lookNames.map((name) => {
      const look = appearance.looks[name] ?? LOOKS[name];
      if (!look) throw new Error(`no look named '${name}'`);
      return look;
    });
    this.#room = { ...ROOM_LOOKS, ...appearance.looks };
  }

  /**
   * Renders a square RGB image, row by row from the top, `size * size * 3` bytes.
   * @param out where to write; allocated when absent
   */
  render(
    camera: Camera,
    size: number,
    shadows: boolean,
    out: Uint8Array = new Uint8Array(size * size * 3),
  ): Uint8Array {
    const appearance = this.#appearance;
    if (!appearance) throw new Error('set an appearance before rendering');
    const count = size * size;
    this.#reserve(count);
    this.#aim(camera, size);
    this.#culling.update();
    if (shadows) this.#culling.markShadows(appearance.lighting.position);
    const hits = this.#castView(camera, size);
    const lit = this.#shadeHits(camera, appearance.lighting, hits, count, shadows);
    if (shadows) this.#castShadows(appearance.lighting.position, lit);
    this.#develop(appearance.lighting, count, out);
    return out;
  }

  #reserve(count: number): void {
    if (this.#pending.length === count) return;
    this.#directions = new Float64Array(3 * count);
    this.#toLight = new Float64Array(3 * count);
    this.#mask = new Uint8Array(count);
    this.#cast = new Float64Array(3 * count);
    this.#rayOf = new Int32Array(count);
    this.#pending = new Int32Array(count);
    this.#pendingDistance = new Float64Array(count);
    this.#shade = new Float64Array(3 * count);
    this.#albedo = new Float64Array(3 * count);
  }

  /** Unit ray directions through the pixel centres. */
  #aim(camera: Camera, size: number): void {
    const half = Math.tan((camera.fovy * Math.PI) / 360);
    const m = camera.rotation;
    const d = this.#directions;
    let k = 0;
    for (let row = 0; row < size; row++) {
      const y = half * (1 - (2 * row + 1) / size);
      for (let column = 0; column < size; column++) {
        const x = half * ((2 * column + 1) / size - 1);
        const s = 1 / Math.sqrt(x * x + y * y + 1);
        d[k] = (m[0] * x + m[1] * y - m[2]) * s;
        d[k + 1] = (m[3] * x + m[4] * y - m[5]) * s;
        d[k + 2] = (m[6] * x + m[7] * y - m[8]) * s;
        k += 3;
      }
    }
  }

  /**
   * Albedo, sky and diffuse share of every pixel. `#shade` holds [sky, diffuse, highlight] and, for the pixels that face the
   * light, `#pending` their index and `#toLight` the direction from the light. Returns how many of those there are.
   */
  #shadeHits(camera: Camera, lighting: Lighting, hits: RayHits, count: number, shadows: boolean): number {
    const { geom, distance, normal } = hits;
    const [directions, albedo, shade, toLight] = [this.#directions, this.#albedo, this.#shade, this.#toLight];
    const rayOf = this.#rayOf;
    const [ox, oy, oz] = camera.position;
    const [lx, ly, lz] = lighting.position;
    const xpos = this.#physics.data('geom_xpos');
    const xmat = this.#physics.data('geom_xmat');
    const paint = this.#paint;
    const surface: Surface = { distance: 0, kind: 'table', nx: 0, ny: 0, nz: 1 };
    let lit = 0;
    for (let i = 0; i < count; i++) {
      const k = 3 * i;
      const dx = directions[k] as number;
      const dy = directions[k + 1] as number;
      const dz = directions[k + 2] as number;
      meetRoom(ox, oy, oz, dx, dy, dz, surface);
      const ray = rayOf[i] as number;
      const id = ray >= 0 ? (geom[ray] as number) : -1;
      const body = id >= 0 && (distance[ray] as number) < surface.distance;
      const t = body ? (distance[ray] as number) : surface.distance;
      const px = ox + t * dx;
      const py = oy + t * dy;
      const pz = oz + t * dz;
      let nx = surface.nx;
      let ny = surface.ny;
      let nz = surface.nz;
      if (body) {
        const p = 3 * id;
        const m = 9 * id;
        const rx = px - (xpos[p] as number);
        const ry = py - (xpos[p + 1] as number);
        const rz = pz - (xpos[p + 2] as number);
        (this.#looks[id] as Look).paint(
          (xmat[m] as number) * rx + (xmat[m + 3] as number) * ry + (xmat[m + 6] as number) * rz,
          (xmat[m + 1] as number) * rx + (xmat[m + 4] as number) * ry + (xmat[m + 7] as number) * rz,
          (xmat[m + 2] as number) * rx + (xmat[m + 5] as number) * ry + (xmat[m + 8] as number) * rz,
          this.#sizes[id] as Rgb,
          paint,
        );
        nx = normal[3 * ray] as number;
        ny = normal[3 * ray + 1] as number;
        nz = normal[3 * ray + 2] as number;
      } else {
        // Walls are painted along their width and height, table and floor from above.
        const look = this.#room[surface.kind] as Look;
        if (surface.kind === 'wall') look.paint(nx === 0 ? px : py, pz, 0, ROOM_SIZE, paint);
        else look.paint(px, py, 0, ROOM_SIZE, paint);
      }
      albedo[k] = paint[0] as number;
      albedo[k + 1] = paint[1] as number;
      albedo[k + 2] = paint[2] as number;
      const vx = lx - px;
      const vy = ly - py;
      const vz = lz - pz;
      const far = Math.sqrt(vx * vx + vy * vy + vz * vz);
      const facing = (nx * vx + ny * vy + nz * vz) / far;
      shade[k] = 0.6 + 0.4 * nz;
      shade[k + 1] = shade[k + 2] = 0;
      if (facing <= 0 || (!body && surface.kind === 'floor' && underTable(px, py, pz, lx, ly, lz))) continue;
      shade[k + 1] = facing;
      const gloss = body ? (this.#looks[id] as Look).gloss : (this.#room[surface.kind] as Look).gloss;
      if (gloss > 0) {
        // Blinn highlight with exponent 32.
        const hx = vx / far - dx;
        const hy = vy / far - dy;
        const hz = vz / far - dz;
        let h = (nx * hx + ny * hy + nz * hz) / Math.sqrt(hx * hx + hy * hy + hz * hz);
        h = h > 0 ? h * h : 0;
        h *= h;
        h *= h;
        h *= h;
        shade[k + 2] = gloss * h * h;
      }
      if (shadows && (body || surface.kind !== 'table' || this.#culling.mayBeShaded(px, py))) {
        toLight[3 * lit] = -vx / far;
        toLight[3 * lit + 1] = -vy / far;
        toLight[3 * lit + 2] = -vz / far;
        this.#pendingDistance[lit] = far;
        this.#pending[lit++] = i;
      }
    }
    return lit;
  }

  /** Casts the rays of the pixels that may see a geom. */
  #castView(camera: Camera, size: number): RayHits {
    this.#culling.markPixels(camera, size, this.#mask);
    let cast = 0;
    for (let i = 0; i < size * size; i++) {
      if (this.#mask[i] === 0) {
        this.#rayOf[i] = -1;
        continue;
      }
      const [from, to] = [3 * i, 3 * cast];
      this.#cast[to] = this.#directions[from] as number;
      this.#cast[to + 1] = this.#directions[from + 1] as number;
      this.#cast[to + 2] = this.#directions[from + 2] as number;
      this.#rayOf[i] = cast++;
    }
    const count = this.#padded(this.#cast, cast);
    return this.#physics.castRays(camera.position, this.#cast, count);
  }

  /**
   * Rounds a number of rays up to sixteenths of the image (result buffers are kept by count); the rest points upwards, where nothing is.
   */
  #padded(directions: Float64Array, rays: number): number {
    const total = this.#mask.length;
    const bucket = Math.max(16, Math.ceil(total / 16));
    const count = Math.min(total, Math.max(1, Math.ceil(rays / bucket)) * bucket);
    for (let j = 3 * rays; j < 3 * count; j += 3) {
      directions[j] = directions[j + 1] = 0;
      directions[j + 2] = 1;
    }
    return count;
  }

  #castShadows(light: Vec3, lit: number): void {
    if (lit === 0) return;
    const count = this.#padded(this.#toLight, lit);
    const distance = this.#physics.castDistances(light, this.#toLight, count);
    for (let j = 0; j < lit; j++) {
      const t = distance[j] as number;
      if (t < 0 || t >= (this.#pendingDistance[j] as number) - SHADOW_BIAS) continue;
      const k = 3 * (this.#pending[j] as number);
      this.#shade[k + 1] = this.#shade[k + 2] = 0;
    }
  }

  #develop({ diffuse, ambient }: Lighting, count: number, out: Uint8Array): void {
    const [albedo, shade] = [this.#albedo, this.#shade];
    for (let k = 0; k < 3 * count; k += 3) {
      const [sky, sun, gloss] = [shade[k] as number, shade[k + 1] as number, shade[k + 2] as number];
      for (let c = 0; c < 3; c++) {
        const light = (albedo[k + c] as number) * ((ambient[c] as number) * sky + (diffuse[c] as number) * sun) + gloss;
        const value = 255 * Math.sqrt(light) + 0.5;
        out[k + c] = Math.min(value, 255);
      }
    }
  }
}

/** A camera that is fixed to a moving frame. */
export function attachedCamera(
  frame: { position: Vec3; rotation: Mat3 },
  local: { position: Vec3; lookAt: Vec3; up: Vec3; fovy: number },
): Camera {
  const world = (v: Vec3): Vec3 => {
    const r = rotate(frame.rotation, v);
    return [frame.position[0] + r[0], frame.position[1] + r[1], frame.position[2] + r[2]];
  };
  return lookAt(world(local.position), world(local.lookAt), rotate(frame.rotation, local.up), local.fovy);
}
