/**
 * What a tabletop picture shows, as plain data: which things lie where, which cards, which robot and look. Drawn by a seed, without physics
 * or pixels, so that questions can be planned before anything is rendered (`tabletop-studio.ts` does that).
 */
import { OBJECTS, type ObjectSpec } from '../objects.js';
import type { Vec3 } from '../pose.js';
import type { Random } from '../random.js';
import { type Camera, lookAt, project } from '../renderer.js';
import { ROBOTS, type RobotName } from '../robots.js';
import { drawCamera, type Variant } from '../variation.js';
import {
  BENCHMARK_THINGS,
  type BenchmarkThing,
  COLOR_NAMES,
  type Color,
  isHeldOutPair,
  type Noun,
  SHAPES,
  type Shape,
} from './vocabulary.js';

/** A thing on the table. */
export interface Thing {
  readonly noun: Noun;
  /** Absent for things of the benchmark in their own look. */
  readonly color?: Color;
  /** Centre on the table, metres, and turn, radians. */
  readonly x: number;
  readonly y: number;
  readonly yaw: number;
  /** Where its centre is seen: u right and v down, 0..1. */
  readonly u: number;
  readonly v: number;
}

/** A card that lies on the table, its text upright for the camera. */
export interface Card {
  readonly text: string;
  /** Of its border. */
  readonly color: Color;
  readonly x: number;
  readonly y: number;
  readonly u: number;
  readonly v: number;
}

export interface Tabletop {
  readonly kind: 'tabletop';
  /** Decides look, camera and robot pose. */
  readonly seed: number;
  readonly robot: RobotName;
  readonly variant: Variant;
  readonly things: readonly Thing[];
  readonly cards: readonly Card[];
}

/** Things of one noun that a picture can hold. */
export const MAX_OF_ONE_NOUN = 5;
export const MAX_CARDS = 2;

/** Half sizes of a card for one and for two characters, metres. */
export const CARD_HALF = { 1: [0.072, 0.1], 2: [0.13, 0.1] } as const;
export const CARD_THICKNESS = 0.002;

/** The recolourable things: MJCF of their one geom without name, rest height, and radius of the space they take. */
export const SHAPE_GEOMS: Readonly<
  Record<Shape, { readonly geom: string; readonly rest: number; readonly radius: number }>
> = {
  block: { geom: 'type="box" size="0.026 0.026 0.026"', rest: 0.026, radius: 0.037 },
  ball: { geom: 'type="sphere" size="0.031"', rest: 0.031, radius: 0.031 },
  can: { geom: 'type="cylinder" size="0.027 0.048"', rest: 0.048, radius: 0.027 },
  plate: { geom: 'type="cylinder" size="0.062 0.005"', rest: 0.005, radius: 0.062 },
  towel: { geom: 'type="box" size="0.066 0.05 0.0025"', rest: 0.0025, radius: 0.078 },
};

/** The benchmark's own things as the simulator knows them. */
export const BENCHMARK_SPECS: Readonly<Record<BenchmarkThing, ObjectSpec>> = {
  carrot: OBJECTS.carrot,
  eggplant: OBJECTS.eggplant,
  spoon: OBJECTS.spoon,
  sponge: OBJECTS.sponge,
  basket: OBJECTS.basket,
};

export const isShape = (noun: Noun): noun is Shape => (SHAPES as readonly string[]).includes(noun);

export const restHeight = (noun: Noun): number =>
  isShape(noun) ? SHAPE_GEOMS[noun].rest : BENCHMARK_SPECS[noun].restHeight;

const radiusOf = (noun: Noun): number => (isShape(noun) ? SHAPE_GEOMS[noun].radius : BENCHMARK_SPECS[noun].radius);

/** The third-person camera of a picture. */
export function cameraOf({ robot, variant, seed }: Pick<Tabletop, 'robot' | 'variant' | 'seed'>): Camera {
  const { position, lookAt: at, up, fovy } = drawCamera(variant, seed, ROBOTS[robot].cameras.third);
  return lookAt(position, at, up, fovy);
}

/** The point at height z that is seen at (u, v). */
export function unproject({ position, rotation: m, fovy }: Camera, u: number, v: number, z: number): Vec3 {
  const half = Math.tan((fovy * Math.PI) / 360);
  const [x, y] = [half * (2 * u - 1), half * (1 - 2 * v)];
  const d: Vec3 = [m[0] * x + m[1] * y - m[2], m[3] * x + m[4] * y - m[5], m[6] * x + m[7] * y - m[8]];
  const t = (z - position[2]) / d[2];
  return [position[0] + t * d[0], position[1] + t * d[1], z];
}

/** Part of the image in which centres may lie. */
export const FIELD = { u: [0.14, 0.86], v: [0.37, 0.83] } as const;
/** Part of the table on which things may lie: in front of the robot's base. */
const REACH: Readonly<
  Record<RobotName, { readonly x: readonly [number, number]; readonly y: readonly [number, number] }>
> = {
  widowx: { x: [0.13, 0.55], y: [-0.32, 0.32] },
  google: { x: [0.2, 0.68], y: [-0.34, 0.34] },
};

/** What is to be placed: a noun and its colour. */
export interface Wanted {
  readonly noun: Noun;
  readonly color?: Color;
}

const VARIANT_WEIGHTS: readonly (readonly [Variant, number])[] = [
  ['vm', 0.4],
  ['va', 0.2],
  ['va:lighting', 0.1],
  ['va:table', 0.1],
  ['va:background', 0.1],
  ['va:camera', 0.1],
];

function drawVariant(random: Random): Variant {
  let at = random.float();
  for (const [variant, weight] of VARIANT_WEIGHTS) {
    at -= weight;
    if (at < 0) return variant;
  }
  return 'vm';
}

/** Whether a place can be taken: gap in the image for looking, gap on the table for lying. */
interface Taken {
  readonly u: number;
  readonly v: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/**
 * Lays things out at random, apart from each other on the table and in the image.
 * @param gap least distance of centres in the image, as a share of its side
 * @returns undefined when they find no room in a few draws
 */
export function layOut(random: Random, seed: number, wanted: readonly Wanted[], gap = 0.17): Tabletop | undefined {
  const robot = random.pick(['widowx', 'google'] as const);
  const variant = drawVariant(random);
  const camera = cameraOf({ robot, variant, seed });
  const taken: Taken[] = [];
  const things: Thing[] = [];
  for (const { noun, color } of wanted) {
    const place = drawPlace(random, camera, robot, radiusOf(noun), restHeight(noun), taken, gap);
    if (!place) return undefined;
    taken.push(place);
    const { x, y, u, v } = place;
    things.push({ noun, ...(color ? { color } : {}), x, y, yaw: random.range(-Math.PI, Math.PI), u, v });
  }
  return { kind: 'tabletop', seed, robot, variant, things, cards: [] };
}

/** Lays cards out side by side, nothing else. */
export function layOutCards(
  random: Random,
  seed: number,
  cards: readonly { readonly text: string; readonly color: Color }[],
): Tabletop {
  const robot = random.pick(['widowx', 'google'] as const);
  const variant = drawVariant(random);
  const camera = cameraOf({ robot, variant, seed });
  const placed = cards.map(({ text, color }, i): Card => {
    const u = (cards.length === 1 ? 0.5 : 0.28 + 0.44 * i) + random.range(-0.05, 0.05);
    const v = 0.62 + random.range(-0.06, 0.06);
    const [x, y] = unproject(camera, u, v, CARD_THICKNESS);
    return { text, color, x, y, u, v };
  });
  return { kind: 'tabletop', seed, robot, variant, things: [], cards: placed };
}

function drawPlace(
  random: Random,
  camera: Camera,
  robot: RobotName,
  radius: number,
  rest: number,
  taken: readonly Taken[],
  gap: number,
): Taken | undefined {
  const reach = REACH[robot];
  for (let draw = 0; draw < 30; draw++) {
    const [u, v] = [random.range(...FIELD.u), random.range(...FIELD.v)];
    const [x, y] = unproject(camera, u, v, rest);
    if (x < reach.x[0] || x > reach.x[1] || y < reach.y[0] || y > reach.y[1]) continue;
    const free = taken.every(
      (other) =>
        Math.hypot(other.u - u, other.v - v) >= gap &&
        Math.hypot(other.x - x, other.y - y) >= other.radius + radius + 0.012,
    );
    if (free) return { u, v, x, y, radius };
  }
  return undefined;
}

/** Whether a thing's centre is where it says, for tests. */
export function projectionError(picture: Tabletop): number {
  const camera = cameraOf(picture);
  return Math.max(
    0,
    ...picture.things.map(({ noun, x, y, u, v }) => {
      const seen = project(camera, [x, y, restHeight(noun)]);
      return Math.hypot(seen.u - u, seen.v - v);
    }),
  );
}

/** A colour for a shape; held-out pairs only where they are `shown`. */
export function drawColor(random: Random, shape: Shape, shown: boolean): Color {
  for (;;) {
    const color = random.pick(COLOR_NAMES);
    if (shown || !isHeldOutPair(color, shape)) return color;
  }
}

/** A recolourable thing. */
export function drawShape(random: Random, shown: boolean): { noun: Shape; color: Color } {
  const noun = random.pick(SHAPES);
  return { noun, color: drawColor(random, noun, shown) };
}

/** Different nouns, some perhaps of the benchmark, in random order. */
export function drawNouns(random: Random, count: number, benchmark = false): Noun[] {
  return random.shuffle<Noun>(benchmark ? [...SHAPES, ...BENCHMARK_THINGS] : SHAPES).slice(0, count);
}
