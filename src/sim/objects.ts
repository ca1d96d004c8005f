/**
 * Everything that can stand on the table, made of MuJoCo primitives: shape, mass, how to grasp it, and what it is called.
 * An object's long axis is its local x (cans: local z). Knows nothing of tasks or robots.
 */
import { type Pose, quatToMat, rotate, transform, type Vec3 } from './pose.js';

/** Where and how a gripper takes an object: a local point, the local axis the jaws close across (absent: any direction), and the yaw symmetry. */
export interface GraspSpec {
  readonly point: Vec3;
  readonly axis?: Vec3;
  readonly period: number;
}

export interface ObjectSpec {
  readonly name: string;
  /** Name in instructions, without an article. */
  readonly noun: string;
  /** Whether it moves freely; otherwise it is placed at reset and stays. */
  readonly free: boolean;
  /** MJCF geoms in the object's frame. */
  readonly geoms: string;
  /** Centre above the table in the resting orientation, and the highest point above the table then. */
  readonly restHeight: number;
  readonly top: number;
  /** Half sizes of the local bounding box, and its radius on the table. */
  readonly halfSize: Vec3;
  readonly radius: number;
  readonly grasp?: GraspSpec;
}

/** A grasp in the world: point, jaw yaw (absent: any) and the period of its symmetry. */
export interface Grasp {
  readonly point: Vec3;
  readonly yaw?: number;
  readonly period: number;
}

/** The grasp of an object at a pose. A long axis that stands upright leaves the yaw free. */
export function graspAt(spec: ObjectSpec, pose: Pose): Grasp {
  const grasp = spec.grasp;
  if (!grasp) return { point: pose.position, period: Math.PI };
  const point = transform(pose, grasp.point);
  if (!grasp.axis) return { point, period: grasp.period };
  const axis = rotate(quatToMat(pose.quaternion), grasp.axis);
  if (Math.abs(axis[2]) > 0.7) return { point, period: grasp.period };
  return { point, yaw: Math.atan2(axis[1], axis[0]), period: grasp.period };
}

interface GeomOptions {
  readonly mass?: number;
  /** Whether it collides, and whether it is drawn; default both. */
  readonly solid?: boolean;
  readonly drawn?: boolean;
}

class Builder {
  #serial = 0;
  readonly #name: string;
  readonly #parts: string[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(look: string, attributes: string, { mass = 0.02, solid = true, drawn = true }: GeomOptions = {}): this {
    // Drawn-only parts are in group 1 (parking switches the others' contacts off and on again), parts that are not drawn in group 3.
    const contact = solid ? 'contype="1" conaffinity="3"' : 'contype="0" conaffinity="0"';
    const group = solid ? (drawn ? 0 : 3) : 1;
    const dimensions = attributes.startsWith('type="box"') ? ' condim="3"' : '';
    this.#parts.push(
      `<geom name="${look}#${this.#name}${this.#serial++}" ${attributes} mass="${mass}" ${contact} group="${group}"${dimensions}/>`,
    );
    return this;
  }

  toString(): string {
    return this.#parts.join('\n');
  }
}

const build = (name: string, fill: (b: Builder) => Builder): string => fill(new Builder(name)).toString();

const SPOON: ObjectSpec = {
  name: 'spoon',
  noun: 'spoon',
  free: true,
  geoms: build('spoon', (b) =>
    b
      .add('spoon', 'type="box" pos="-0.02 0 0" size="0.05 0.008 0.007"', { mass: 0.03 })
      .add('spoon-bowl', 'type="ellipsoid" pos="0.047 0 0.001" size="0.026 0.019 0.008"', { mass: 0.001, solid: false })
      .add('spoon-bowl', 'type="capsule" fromto="0.033 0 0.0005 0.061 0 0.0005" size="0.0075"', {
        mass: 0.011,
        drawn: false,
      }),
  ),
  restHeight: 0.0071,
  top: 0.0142,
  halfSize: [0.072, 0.019, 0.008],
  radius: 0.07,
  grasp: { point: [-0.012, 0, 0], axis: [1, 0, 0], period: Math.PI },
};

const CARROT: ObjectSpec = {
  name: 'carrot',
  noun: 'carrot',
  free: true,
  geoms: build('carrot', (b) =>
    b
      .add('carrot', 'type="capsule" fromto="-0.04 0 0 0.005 0 0" size="0.016"', { mass: 0.03 })
      .add('carrot', 'type="capsule" fromto="0 0 -0.003 0.03 0 -0.003" size="0.013"', { mass: 0.015, solid: false })
      .add('carrot', 'type="capsule" fromto="0.03 0 -0.007 0.055 0 -0.007" size="0.009"', { mass: 0.006 })
      .add('leaf', 'type="capsule" fromto="-0.055 0 0 -0.078 0.008 0.004" size="0.005"', { mass: 0.001, solid: false })
      .add('leaf', 'type="capsule" fromto="-0.055 0 0 -0.078 -0.008 0.002" size="0.005"', {
        mass: 0.001,
        solid: false,
      }),
  ),
  restHeight: 0.0161,
  top: 0.032,
  halfSize: [0.07, 0.016, 0.016],
  radius: 0.066,
  grasp: { point: [-0.008, 0, 0], axis: [1, 0, 0], period: Math.PI },
};

const EGGPLANT: ObjectSpec = {
  name: 'eggplant',
  noun: 'eggplant',
  free: true,
  geoms: build('eggplant', (b) =>
    b
      .add('eggplant', 'type="capsule" fromto="-0.008 0 0 0.016 0 0" size="0.021"', { mass: 0.035 })
      .add('eggplant', 'type="capsule" fromto="-0.036 0 -0.004 0 0 -0.004" size="0.0165"', { mass: 0.02 })
      .add('stem', 'type="cylinder" fromto="-0.048 0 -0.004 -0.056 0 -0.004" size="0.0135"', {
        mass: 0.001,
        solid: false,
      })
      .add('stem', 'type="capsule" fromto="-0.056 0 -0.004 -0.068 0 -0.001" size="0.005"', {
        mass: 0.001,
        solid: false,
      }),
  ),
  restHeight: 0.0211,
  top: 0.042,
  halfSize: [0.055, 0.021, 0.021],
  radius: 0.055,
  grasp: { point: [-0.004, 0, 0], axis: [1, 0, 0], period: Math.PI },
};

function cubeSpec(name: string, noun: string, look: string, half: number): ObjectSpec {
  return {
    name,
    noun,
    free: true,
    geoms: build(name, (b) => b.add(look, `type="box" size="${half} ${half} ${half}"`, { mass: 0.05 })),
    restHeight: half,
    top: 2 * half,
    halfSize: [half, half, half],
    radius: half * Math.SQRT2,
    grasp: { point: [0, 0, 0], axis: [1, 0, 0], period: Math.PI / 2 },
  };
}

function canSpec(name: string, noun: string, look: string): ObjectSpec {
  const [r, half] = [0.028, 0.05];
  return {
    name,
    noun,
    free: true,
    geoms: build(name, (b) => b.add(look, `type="cylinder" size="${r} ${half}"`, { mass: 0.06 })),
    restHeight: half,
    top: 2 * half,
    halfSize: [r, r, half],
    radius: r,
    grasp: { point: [0, 0, 0], axis: [0, 0, 1], period: Math.PI },
  };
}

function ballSpec(name: string, noun: string, look: string, r: number): ObjectSpec {
  return {
    name,
    noun,
    free: true,
    // A flattened base keeps fruit from rolling off on its own.
    geoms: build(name, (b) =>
      b
        .add(look, `type="sphere" size="${r}"`, { mass: 0.05 })
        .add(
          look,
          `type="cylinder" pos="0 0 ${(-0.92 * r).toFixed(4)}" size="${(r * 0.42).toFixed(4)} ${(r * 0.08).toFixed(4)}"`,
          { mass: 0.02 },
        )
        .add('stem', `type="capsule" fromto="0 0 ${r} 0.003 0 ${r + 0.01}" size="0.003"`, {
          mass: 0.001,
          solid: false,
        }),
    ),
    restHeight: r,
    top: 2 * r,
    halfSize: [r, r, r],
    radius: r,
    grasp: { point: [0, 0, 0], period: Math.PI },
  };
}

const SPONGE: ObjectSpec = {
  name: 'sponge',
  noun: 'sponge',
  free: true,
  geoms: build('sponge', (b) => b.add('sponge', 'type="box" size="0.045 0.03 0.018"', { mass: 0.03 })),
  restHeight: 0.018,
  top: 0.036,
  halfSize: [0.045, 0.03, 0.018],
  radius: 0.05,
  grasp: { point: [0, 0, 0], axis: [1, 0, 0], period: Math.PI },
};

const BOTTLE: ObjectSpec = {
  name: 'bottle',
  noun: 'blue bottle',
  free: true,
  geoms: build('bottle', (b) =>
    b
      .add('bottle', 'type="cylinder" pos="0 0 -0.012" size="0.026 0.04"', { mass: 0.06 })
      .add('bottle', 'type="cylinder" pos="0 0 0.036" size="0.014 0.009"', { mass: 0.005 })
      .add('cap', 'type="cylinder" pos="0 0 0.052" size="0.016 0.008"', { mass: 0.003 }),
  ),
  restHeight: 0.052,
  top: 0.112,
  halfSize: [0.026, 0.026, 0.056],
  radius: 0.026,
  grasp: { point: [0, 0, -0.005], axis: [0, 0, 1], period: Math.PI },
};

const TOWEL: ObjectSpec = {
  name: 'towel',
  noun: 'towel',
  free: false,
  geoms: build('towel', (b) => b.add('towel', 'type="box" size="0.07 0.055 0.002"')),
  restHeight: 0.002,
  top: 0.004,
  halfSize: [0.07, 0.055, 0.002],
  radius: 0.085,
};

const PLATE: ObjectSpec = {
  name: 'plate',
  noun: 'plate',
  free: false,
  geoms: build('plate', (b) => b.add('plate', 'type="cylinder" size="0.07 0.004" condim="3"')),
  restHeight: 0.004,
  top: 0.008,
  halfSize: [0.07, 0.07, 0.004],
  radius: 0.07,
};

const BASKET_HALF = { x: 0.07, y: 0.055, z: 0.022, wall: 0.004 };
const BASKET: ObjectSpec = {
  name: 'basket',
  noun: 'basket',
  free: false,
  geoms: build('basket', (b) => {
    const { x, y, z, wall } = BASKET_HALF;
    return b
      .add('basket-floor', `type="box" pos="0 0 ${-z + 0.003}" size="${x} ${y} 0.003"`)
      .add('basket', `type="box" pos="${x} 0 0" size="${wall} ${y + wall} ${z}"`)
      .add('basket', `type="box" pos="${-x} 0 0" size="${wall} ${y + wall} ${z}"`)
      .add('basket', `type="box" pos="0 ${y} 0" size="${x} ${wall} ${z}"`)
      .add('basket', `type="box" pos="0 ${-y} 0" size="${x} ${wall} ${z}"`);
  }),
  restHeight: BASKET_HALF.z,
  top: 2 * BASKET_HALF.z,
  halfSize: [BASKET_HALF.x, BASKET_HALF.y, BASKET_HALF.z],
  radius: 0.09,
};

export const OBJECTS = {
  spoon: SPOON,
  carrot: CARROT,
  eggplant: EGGPLANT,
  greenCube: cubeSpec('green_block', 'green block', 'green', 0.02),
  yellowCube: cubeSpec('yellow_block', 'yellow block', 'yellow', 0.02),
  towel: TOWEL,
  plate: PLATE,
  basket: BASKET,
  coke: canSpec('coke_can', 'coke can', 'coke'),
  blueCan: canSpec('blue_can', 'blue can', 'can-blue'),
  greenCan: canSpec('green_can', 'green can', 'can-green'),
  apple: ballSpec('apple', 'apple', 'apple', 0.033),
  orange: ballSpec('orange', 'orange', 'orange', 0.033),
  sponge: SPONGE,
  bottle: BOTTLE,
} as const satisfies Record<string, ObjectSpec>;

/** Small things that variant aggregation strews beside the task's own objects. */
export const DISTRACTORS: readonly ObjectSpec[] = [
  { ...cubeSpec('distractor_a', 'pink block', 'distractor-a', 0.016), top: 0.032 },
  { ...cubeSpec('distractor_b', 'checkered block', 'distractor-b', 0.018), top: 0.036 },
  { ...ballSpec('distractor_c', 'teal ball', 'distractor-c', 0.019), top: 0.038 },
];
