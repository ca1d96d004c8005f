/**
 * Renders tabletop pictures with the benchmark's ray caster: one compiled world a robot holds every thing, those that a picture does not
 * show wait out of sight. The robot's arm is somewhere over the table if it then hides nothing, else withdrawn. Knows nothing of questions.
 */
import { color, LOOKS, type Look, type Painter } from '../looks.js';
import type { ObjectSpec } from '../objects.js';
import { fromRpy, type Pose, quatToMat, rotate, type Vec3, yawQuat } from '../pose.js';
import { Random } from '../random.js';
import { type Camera, Renderer } from '../renderer.js';
import { ROBOTS, type RobotName } from '../robots.js';
import { drawAppearance } from '../variation.js';
import { World } from '../world.js';
import { glyphAt } from './pixel-font.js';
import {
  BENCHMARK_SPECS,
  CARD_HALF,
  CARD_THICKNESS,
  type Card,
  cameraOf,
  isShape,
  MAX_CARDS,
  MAX_OF_ONE_NOUN,
  restHeight,
  SHAPE_GEOMS,
  type Tabletop,
  type Thing,
} from './tabletop.js';
import { COLORS, SHAPES, type Shape } from './vocabulary.js';

/** Tool position where the arm hides nothing of the table's front, metres, and the box of those above it. */
const WITHDRAWN: Readonly<Record<RobotName, Vec3>> = { widowx: [0.16, 0, 0.3], google: [0.24, -0.2, 0.36] };
const HOVER: Readonly<Record<RobotName, { readonly low: Vec3; readonly high: Vec3 }>> = {
  widowx: { low: [0.16, -0.16, 0.07], high: [0.34, 0.16, 0.26] },
  google: { low: [0.26, -0.2, 0.08], high: [0.48, 0.2, 0.3] },
};
const HOVER_DRAWS = 4;
const HOVER_PROBABILITY = 0.7;
/** Share of the probe points of a thing, and of a card, that must be seen. */
const SEEN = { thing: 0.75, card: 1 } as const;

/** A body that ought to be in sight: points of it, and how many of them. */
interface Probed {
  readonly body: string;
  readonly points: readonly Vec3[];
  readonly share: number;
}

const cardName = (characters: 1 | 2, i: number): string => `card${characters}_${i}`;

function specs(): ObjectSpec[] {
  const drawn = (name: string, geom: string, rest: number): ObjectSpec => ({
    name,
    noun: name,
    free: false,
    geoms: `<geom name="${name}#0" ${geom} contype="0" conaffinity="0" group="1"/>`,
    restHeight: rest,
    top: 2 * rest,
    halfSize: [0.05, 0.05, rest],
    radius: 0.05,
  });
  const numbered = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  return [
    ...SHAPES.flatMap((shape) =>
      numbered(MAX_OF_ONE_NOUN).map((i) => drawn(`${shape}_${i}`, SHAPE_GEOMS[shape].geom, SHAPE_GEOMS[shape].rest)),
    ),
    ...([1, 2] as const).flatMap((characters) =>
      numbered(MAX_CARDS).map((i) => {
        const [x, y] = CARD_HALF[characters];
        return drawn(cardName(characters, i), `type="box" size="${x} ${y} ${CARD_THICKNESS}"`, CARD_THICKNESS);
      }),
    ),
    ...Object.values(BENCHMARK_SPECS),
  ];
}

/** The surface of a recoloured shape: can lids, plate rims and towel hems keep shapes apart from above. */
function surface(shape: Shape, hex: string): Look {
  const [base, light, dark] = [color(hex), color('#eeeeec'), color('#a9adb1')];
  const paint: Painter = (x, y, z, s, out) => {
    let c = base;
    if (shape === 'can' && z > 0.86 * s[1]) c = Math.hypot(x, y) > 0.8 * s[0] || z < 0.98 * s[1] ? light : dark;
    else if (shape === 'plate' && Math.abs(Math.hypot(x, y) / s[0] - 0.72) < 0.1) c = light;
    else if (shape === 'towel' && Math.abs(Math.abs(x) / s[0] - 0.66) < 0.1) c = light;
    out[0] = c[0];
    out[1] = c[1];
    out[2] = c[2];
  };
  return { paint, gloss: shape === 'towel' ? 0 : shape === 'block' ? 0.08 : 0.3 };
}

/** A white card with a coloured border and one or two black characters. */
function cardLook({ text, color: name }: Card): Look {
  const [frame, ink, paper] = [color(COLORS[name]), color('#16181c'), color('#fbfbf7')];
  const columns = 6 * text.length + 1;
  const rows = 9;
  const paint: Painter = (x, y, _z, s, out) => {
    const column = ((x / s[0] + 1) / 2) * (columns + 2.6) - 1.3;
    const row = ((1 - y / s[1]) / 2) * (rows + 2.6) - 1.3;
    const border = column < 0 || column > columns || row < 0 || row > rows;
    const character = Math.floor((column - 1) / 6);
    const inked = glyphAt(text[character] ?? ' ', Math.floor(column - 1 - 6 * character), Math.floor(row - 1));
    const c = border ? frame : inked ? ink : paper;
    out[0] = c[0];
    out[1] = c[1];
    out[2] = c[2];
  };
  return { paint, gloss: 0 };
}

const UNUSED: Look = { paint: (_x, _y, _z, _s, out) => out.fill(0.5), gloss: 0 };

export class TabletopStudio {
  readonly #world: World;
  readonly #renderer: Renderer;
  readonly #idle: Readonly<Record<string, Look>>;

  private constructor(world: World) {
    this.#world = world;
    this.#renderer = new Renderer(world.physics);
    this.#idle = Object.fromEntries(
      [...world.objects.keys()].filter((name) => !(name in LOOKS)).map((name) => [name, UNUSED]),
    );
  }

  static async create(robot: RobotName): Promise<TabletopStudio> {
    return new TabletopStudio(await World.create(ROBOTS[robot], specs()));
  }

  /** @returns RGB bytes, `size * size * 3`. The same picture gives the same bytes. */
  render(picture: Tabletop, size: number): Uint8Array {
    const camera = cameraOf(picture);
    const random = new Random(picture.seed, 'multimodal-robot');
    const looks = this.#arrange(picture, camera, random);
    const appearance = drawAppearance(picture.variant, picture.seed, this.#world.robot.lamp);
    this.#renderer.setAppearance({ ...appearance, looks: { ...this.#idle, ...appearance.looks, ...looks } });
    // Text needs more than a ray a pixel; everything else is drawn as the robots see it.
    if (picture.cards.length === 0) return this.#renderer.render(camera, size, true);
    return halved(this.#renderer.render(camera, 2 * size, true), size);
  }

  dispose(): void {
    this.#world.dispose();
  }

  /** Places everything; returns the looks that this picture needs. */
  #arrange(picture: Tabletop, camera: Camera, random: Random): Record<string, Look> {
    const { name } = this.#world.robot;
    const { low, high } = HOVER[name];
    const hover = random.chance(HOVER_PROBABILITY);
    for (let draw = 0; hover && draw < HOVER_DRAWS; draw++) {
      const position: Vec3 = [
        random.range(low[0], high[0]),
        random.range(low[1], high[1]),
        random.range(low[2], high[2]),
      ];
      if (!this.#world.reset({ position, rotation: fromRpy(0, 0, random.range(-1, 1)) })) continue;
      const { looks, bodies } = this.#place(picture, camera);
      if (bodies.every((body) => this.#seen(camera, body))) return looks;
    }
    this.#world.reset({ position: WITHDRAWN[name], rotation: fromRpy(0, 0, 0) });
    return this.#place(picture, camera).looks;
  }

  #place({ things, cards }: Tabletop, camera: Camera): { looks: Record<string, Look>; bodies: Probed[] } {
    const looks: Record<string, Look> = {};
    const bodies: Probed[] = [];
    const count = new Map<string, number>();
    for (const thing of things) {
      const i = count.get(thing.noun) ?? 0;
      count.set(thing.noun, i + 1);
      const body = isShape(thing.noun) ? `${thing.noun}_${i}` : BENCHMARK_SPECS[thing.noun].name;
      if (isShape(thing.noun) && thing.color) looks[body] = surface(thing.noun, COLORS[thing.color]);
      const pose = poseOf(thing);
      this.#world.place(body, pose);
      bodies.push({ body, points: probes(pose, thing), share: SEEN.thing });
    }
    for (const [i, card] of cards.entries()) {
      const characters = card.text.length === 1 ? 1 : 2;
      const body = cardName(characters, i);
      looks[body] = cardLook(card);
      const pose = cardPose(card, camera);
      this.#world.place(body, pose);
      const [x, y] = CARD_HALF[characters];
      bodies.push({ body, points: grid(pose, 0.9 * x, 0.9 * y, CARD_THICKNESS, 7), share: SEEN.card });
    }
    this.#world.settle(0);
    return { looks, bodies };
  }

  /** Whether most of the points are in sight: rays towards them first meet the body that they belong to. */
  #seen(camera: Camera, { points, body: name, share }: Probed): boolean {
    const { physics } = this.#world;
    const directions = new Float64Array(3 * points.length);
    for (const [i, point] of points.entries()) {
      const d = point.map((value, axis) => value - (camera.position[axis] as number));
      const length = Math.hypot(...d);
      for (let axis = 0; axis < 3; axis++) directions[3 * i + axis] = (d[axis] as number) / length;
    }
    const hits = physics.castRays(camera.position, directions, points.length).geom;
    const bodyOf = physics.model('geom_bodyid');
    const body = physics.bodyId(name);
    let other = 0;
    for (let i = 0; i < points.length; i++) {
      const geom = hits[i] as number;
      if (geom >= 0 && bodyOf[geom] !== body && bodyOf[geom] !== 0) other++;
    }
    return other <= (1 - share) * points.length;
  }
}

const poseOf = ({ noun, x, y, yaw }: Thing): Pose => ({ position: [x, y, restHeight(noun)], quaternion: yawQuat(yaw) });

/** A card lies so that its text runs along the image's rows. */
function cardPose({ x, y }: Card, camera: Camera): Pose {
  const yaw = Math.atan2(camera.rotation[3], camera.rotation[0]);
  return { position: [x, y, CARD_THICKNESS], quaternion: yawQuat(yaw) };
}

/** Points of a thing that ought to be in sight. */
function probes(pose: Pose, { noun }: Thing): Vec3[] {
  const half = isShape(noun) ? (noun === 'plate' || noun === 'towel' ? 0.045 : 0.02) : 0.03;
  return grid(
    pose,
    half,
    noun === 'carrot' || noun === 'spoon' || noun === 'eggplant' ? 0.008 : half,
    0.5 * restHeight(noun),
  );
}

/** Points of a rectangle of half sizes x, y at a height above a pose, `side` along each side. */
function grid(pose: Pose, x: number, y: number, z: number, side = 3): Vec3[] {
  const m = quatToMat(pose.quaternion);
  const points: Vec3[] = [];
  const steps = Array.from({ length: side }, (_, i) => (2 * i) / (side - 1) - 1);
  for (const i of steps) {
    for (const j of steps) {
      const r = rotate(m, [i * x, j * y, z]);
      points.push([pose.position[0] + r[0], pose.position[1] + r[1], pose.position[2] + r[2]]);
    }
  }
  return points;
}

/** Mean of 2 x 2 pixels, of an image of twice `size`. */
function halved(pixels: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size * size * 3);
  const stride = 6 * size;
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < 3 * size; k++) {
      const at = 2 * row * stride + 6 * Math.floor(k / 3) + (k % 3);
      const sum =
        (pixels[at] as number) +
        (pixels[at + 3] as number) +
        (pixels[at + stride] as number) +
        (pixels[at + stride + 3] as number);
      out[row * 3 * size + k] = (sum + 2) >> 2;
    }
  }
  return out;
}
