/**
 * What the dimensions of a state or an action mean, and from them one trajectory for the motion layer: absolute poses, delta actions, or
 * joints (with a robot's description its end effector's poses, without one the joints themselves).
 *
 * A layout names every dimension: x y z roll pitch yaw gripper; qx qy qz qw in place of the angles; `-` for one that is not used. Names that
 * come again begin a second hand. For joints: the joint's name, `gripper`, `-`.
 *
 * Knows nothing about files.
 *
 * Shapes: T frames, D dimensions.
 */
import { multiplyRotations, rotationAbout, rotationFromRpy } from '../data/rotation.js';
import { PruneError } from './errors.js';
import { binarizeGripper, checkTrajectory, type Velocity, velocityOfDeltas, velocityOfPoses } from './kinematics.js';
import type { MotionTrack } from './motion-rules.js';
import type { KinematicChain } from './urdf.js';

type Rotation = ReturnType<typeof rotationFromRpy>;

export const STANDARD_LAYOUT = ['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'] as const;
const QUATERNION = ['qx', 'qy', 'qz', 'qw'];
const ANGLES = ['roll', 'pitch', 'yaw'];

/** Values of an episode's column. */
export interface MotionColumn {
  /** [T, D]. */
  readonly values: ArrayLike<number>;
  readonly size: number;
  readonly layout: readonly string[];
  /** Gripper values that mean closed and open; 0 and 1 by default. */
  readonly gripperRange?: readonly [closed: number, open: number] | undefined;
}

/** How the three angles of a delta action turn the hand. */
export const DELTA_ROTATIONS = ['rpy', 'axis-angle', 'rpy-difference'] as const;
export type DeltaRotation = (typeof DELTA_ROTATIONS)[number];

/** One hand's dimensions: name -> dimension. */
type Hand = ReadonlyMap<string, number>;

/** Splits a layout of poses into hands. Throws PruneError for names that are unknown, missing or too few. */
export function handsOf(layout: readonly string[], size: number, field: string): Hand[] {
  const known = [...STANDARD_LAYOUT, ...QUATERNION, '-'] as readonly string[];
  const stray = layout.find((name) => !known.includes(name));
  if (layout.length !== size || stray !== undefined)
    throw new PruneError(
      stray === undefined
        ? `The layout names ${layout.length} dimensions, the data have ${size}`
        : `"${stray}" is not the name of a pose's dimension`,
      { field, hint: `Names: ${known.join(', ')}; for joints: --motion-from joints` },
    );
  const hands: Map<string, number>[] = [];
  layout.forEach((name, d) => {
    if (name === '-') return;
    if (hands.length === 0 || hands.at(-1)?.has(name)) hands.push(new Map());
    hands.at(-1)?.set(name, d);
  });
  if (hands.length === 0) throw new PruneError('The layout uses no dimension', { field });
  for (const hand of hands) {
    const turn = ['qw'].some((name) => hand.has(name)) ? QUATERNION : ANGLES;
    const absent = ['x', 'y', 'z', ...turn].find((name) => !hand.has(name));
    if (absent !== undefined)
      throw new PruneError(`The layout has no "${absent}"`, { field, hint: `e.g. ${STANDARD_LAYOUT.join(',')}` });
  }
  return hands;
}

/** A layout from the names that a feature declares, or the standard one of 7 unnamed dimensions; undefined where neither fits. */
export function guessLayout(names: readonly string[] | null, size: number): string[] | undefined {
  if (names === null) return size === 7 ? [...STANDARD_LAYOUT] : undefined;
  const spoken: Readonly<Record<string, string>> = { rx: 'roll', ry: 'pitch', rz: 'yaw', pad: '-' };
  const layout = names.map((name) => spoken[name.toLowerCase()] ?? name.toLowerCase());
  try {
    handsOf(layout, size, '');
    return layout;
  } catch {
    return undefined;
  }
}

/** The trajectory of absolute poses. Throws PruneError naming frame and dimension of what is no number. */
export function trackOfPoses(column: MotionColumn, fps: number, field: string): MotionTrack {
  const { values, size, layout } = column;
  const numFrames = values.length / size;
  const hands = handsOf(layout, size, field);
  const poses = hands.map((hand) => posesOf(values, size, hand, numFrames));
  const grippers = hands.flatMap((hand) => gripperOf(column, hand, numFrames));
  poses.forEach((own) => {
    checkTrajectory(own, new Uint8Array(numFrames));
  });
  const rows = poses.map((own) => velocityOfPoses(own, numFrames));
  return { numFrames, fps, velocity: sideBySide(rows), grippers, poses };
}

/**
 * The trajectory that delta actions make from frame to frame; the gripper's dimension is absolute.
 * @param start roll, pitch, yaw of the first frame a hand, for `rpy-difference` (Bridge's actions are differences of Euler angles, which say
 * how the hand turns only from where it was)
 */
export function trackOfDeltas(
  column: MotionColumn,
  fps: number,
  field: string,
  rotation: DeltaRotation = 'rpy',
  start: readonly (readonly [number, number, number])[] = [],
): MotionTrack {
  const { values, size, layout } = column;
  const numFrames = values.length / size;
  const hands = handsOf(layout, size, field);
  const grippers = hands.flatMap((hand) => gripperOf(column, hand, numFrames));
  const rows: Velocity[] = [];
  const poses: Float64Array[] = [];
  hands.forEach((hand, h) => {
    const deltas = posesOf(values, size, hand, numFrames);
    checkTrajectory(deltas, new Uint8Array(numFrames));
    const own = start[h] ?? [0, 0, 0];
    if (rotation === 'rpy-difference' && start[h] === undefined)
      throw new PruneError('Differences of Euler angles need the first orientation, from the states', { field });
    const integrated = integrate(deltas, numFrames, rotation, own);
    poses.push(integrated);
    const turns = rotation === 'axis-angle';
    rows.push(
      rotation === 'rpy-difference'
        ? velocityOfPoses(integrated, numFrames)
        : turns
          ? Array.from({ length: Math.max(numFrames - 1, 0) }, (_, k) => [...deltas.subarray(k * 6, k * 6 + 6)])
          : velocityOfDeltas(deltas, numFrames),
    );
  });
  return { numFrames, fps, velocity: sideBySide(rows), grippers, poses };
}

/** The trajectory of joints: of the end effectors where chains are given, else of the joints themselves, all counted alike. */
export function trackOfJoints(
  column: MotionColumn,
  fps: number,
  field: string,
  chains: readonly KinematicChain[] = [],
  unit: 'rad' | 'deg' = 'rad',
): MotionTrack {
  const { values, size, layout } = column;
  if (layout.length !== size)
    throw new PruneError(`The layout names ${layout.length} dimensions, the data have ${size}`, { field });
  const numFrames = values.length / size;
  const scale = unit === 'deg' ? Math.PI / 180 : 1;
  const at = (k: number, d: number): number => (values[k * size + d] as number) * scale;
  for (let i = 0; i < values.length; i++)
    if (!Number.isFinite(values[i]) && layout[i % size] !== '-')
      throw new PruneError(`The value of "${layout[i % size]}" is ${values[i]}`, {
        frame: Math.floor(i / size),
        field,
      });
  const grippers = layout.flatMap((name, d) =>
    name === 'gripper' ? [openness(values, size, d, numFrames, column.gripperRange, field)] : [],
  );
  if (chains.length === 0) {
    const dims = layout.flatMap((name, d) => (name === 'gripper' || name === '-' ? [] : [d]));
    if (dims.length === 0) throw new PruneError('The layout names no joint', { field });
    const velocity = Array.from({ length: Math.max(numFrames - 1, 0) }, (_, k) =>
      dims.map((d) => at(k + 1, d) - at(k, d)),
    );
    return { numFrames, fps, velocity, grippers, poses: [] };
  }
  const poses = chains.map((chain) => {
    const dims = chain.joints.map((joint) => {
      const d = layout.indexOf(joint);
      if (d < 0)
        throw new PruneError(`The robot's joint "${joint}" on the way to "${chain.link}" is not among the data's`, {
          field,
          hint: `The data have: ${layout.join(', ')}. Name the dimensions as the URDF does with --motion-layout`,
        });
      return d;
    });
    const own = new Float64Array(numFrames * 6);
    for (let k = 0; k < numFrames; k++) {
      const { position, rotation } = chain.pose(dims.map((d) => at(k, d)));
      own.set([...position, ...rpyOf(rotation)], k * 6);
    }
    return own;
  });
  const rows = poses.map((own) => velocityOfPoses(own, numFrames));
  return { numFrames, fps, velocity: sideBySide(rows), grippers, poses };
}

/** Roll, pitch, yaw of R = Rz(yaw) Ry(pitch) Rx(roll); at pitch +-90 degrees with roll 0. */
export function rpyOf(r: Rotation): [number, number, number] {
  const [m00, m01, , m10, m11, , m20, m21, m22] = r;
  const cosine = Math.hypot(m00, m10);
  if (cosine < 1e-9) return [0, Math.atan2(-m20, cosine), Math.atan2(-m01, m11)];
  return [Math.atan2(m21, m22), Math.atan2(-m20, cosine), Math.atan2(m10, m00)];
}

function sideBySide(rows: readonly Velocity[]): Velocity {
  const [first, ...others] = rows;
  return (first ?? []).map((row, k) => [...row, ...others.flatMap((other) => other[k] as readonly number[])]);
}

/** [T, 6] of one hand. */
function posesOf(values: ArrayLike<number>, size: number, hand: Hand, numFrames: number): Float64Array {
  const poses = new Float64Array(numFrames * 6);
  const at = (k: number, name: string): number => values[k * size + (hand.get(name) as number)] as number;
  for (let k = 0; k < numFrames; k++) {
    const turn = hand.has('qw')
      ? rpyOfQuaternion(QUATERNION.map((name) => at(k, name)) as [number, number, number, number])
      : ANGLES.map((name) => at(k, name));
    poses.set([at(k, 'x'), at(k, 'y'), at(k, 'z'), ...turn], k * 6);
  }
  return poses;
}

function rpyOfQuaternion([x, y, z, w]: [number, number, number, number]): [number, number, number] {
  // Not a number where the quaternion has no length: the check of the trajectory names the frame.
  const s = 2 / (x * x + y * y + z * z + w * w);
  return rpyOf([
    1 - s * (y * y + z * z),
    s * (x * y - z * w),
    s * (x * z + y * w),
    s * (x * y + z * w),
    1 - s * (x * x + z * z),
    s * (y * z - x * w),
    s * (x * z - y * w),
    s * (y * z + x * w),
    1 - s * (x * x + y * y),
  ]);
}

function gripperOf(column: MotionColumn, hand: Hand, numFrames: number): Uint8Array[] {
  const d = hand.get('gripper');
  if (d === undefined) return [];
  return [openness(column.values, column.size, d, numFrames, column.gripperRange, 'gripper')];
}

function openness(
  values: ArrayLike<number>,
  size: number,
  d: number,
  numFrames: number,
  [closed, open]: readonly [number, number] = [0, 1],
  field: string,
): Uint8Array {
  const opening = Float64Array.from({ length: numFrames }, (_, k) => {
    const value = values[k * size + d] as number;
    if (!Number.isFinite(value)) throw new PruneError(`The gripper's value is ${value}`, { frame: k, field });
    return (value - closed) / (open - closed);
  });
  return binarizeGripper(opening);
}

/** Poses [T, 6] that deltas lead to, from the origin. */
function integrate(
  deltas: Float64Array,
  numFrames: number,
  rotation: DeltaRotation,
  start: readonly [number, number, number],
): Float64Array {
  const poses = new Float64Array(numFrames * 6);
  let turn: Rotation = rotationFromRpy(...start);
  poses.set([0, 0, 0, ...start], 0);
  for (let k = 0; k + 1 < numFrames; k++) {
    const delta = deltas.subarray(k * 6, k * 6 + 6);
    const angles = [...delta.subarray(3)] as [number, number, number];
    const next = [0, 1, 2].map((d) => (poses[k * 6 + d] as number) + (delta[d] as number));
    if (rotation === 'rpy-difference') {
      next.push(...[3, 4, 5].map((d) => (poses[k * 6 + d] as number) + (delta[d] as number)));
    } else {
      turn = multiplyRotations(rotation === 'rpy' ? rotationFromRpy(...angles) : rotationOfVector(angles), turn);
      next.push(...rpyOf(turn));
    }
    poses.set(next, (k + 1) * 6);
  }
  return poses;
}

function rotationOfVector(vector: readonly [number, number, number]): Rotation {
  const angle = Math.hypot(...vector);
  const axis = vector.map((value) => value / (angle || 1)) as [number, number, number];
  return rotationAbout(axis, angle);
}
