/**
 * The motion layer of dual-layer pruning (paper Sec. 3.2.1, Eq. 4): a frame matters when the end effector accelerates more than it
 * does on average over the trajectory, or when the gripper changes state. Parameter-free.
 *
 *   T(t) = [x, y, z, roll, pitch, yaw],  G(t) in {0, 1}
 *   label(k) = 1  iff  |T''(k)|_2 > (1/N) sum_i |T''(i)|_2   or   G(k) != G(k-1)
 *
 * What the paper leaves open is decided here:
 * - T'' is the central second difference of frames k-1, k, k+1, per frame squared: the comparison with the mean does not change with
 *   the frame rate. Metres and radians stand beside each other in one norm, as Eq. 4 writes it.
 * - The rotation's part is log(R(k)^T R(k+1)) - log(R(k-1)^T R(k)), rotation vectors in SO(3): both are in the frame of k (a rotation
 *   leaves its own axis in place), so a constant turn has none and angles never wrap.
 * - The first and the last frame have no second difference: their acceleration is 0, they are not among the N of the mean, and they
 *   are labelled only by a gripper change (the first one never: what came before is unknown).
 * - Accelerations within MIN_ACCELERATION of each other are equal: a motion of constant velocity, whose differences are rounding alone, has no keyframes.
 *
 * Frames are as R = Rz(yaw) Ry(pitch) Rx(roll), the convention of LeRobot's, Bridge's and this project's states. Knows nothing of
 * pictures, files or text.
 *
 * Shapes: T frames.
 */
import { type RotationMatrix as Rotation, rotationFromRpy } from '../data/rotation.js';
import { PruneError } from './errors.js';

/** A trajectory of one end effector. */
export interface PoseTrajectory {
  /** [T, 6]: x, y, z in metres and roll, pitch, yaw in radians. */
  readonly poses: ArrayLike<number>;
  /** [T]: 0 or 1; see `binarizeGripper`. */
  readonly gripper: ArrayLike<number>;
}

/** A trajectory known by its actions alone: what every frame adds to the pose. */
export interface DeltaTrajectory {
  /** [T, 6]: the motion from frame k to k + 1, in the world's axes; metres, and radians as the rotation of these Euler angles. */
  readonly deltas: ArrayLike<number>;
  readonly gripper: ArrayLike<number>;
}

export interface MotionLabels {
  /** [T]: 0 or 1. */
  readonly labels: Uint8Array;
  /** [T]: |T''|_2 per frame squared; 0 at the ends. */
  readonly acceleration: Float64Array;
  /** What acceleration is compared with: by Eq. 4 its mean; 0 where a trajectory has fewer than three frames. */
  readonly threshold: number;
  /** [T]: 1 where the gripper changes state. */
  readonly gripperChange: Uint8Array;
}

/** A trajectory's motion per frame, whatever it was computed from: row k leads from frame k to k + 1, T - 1 rows. */
export type Velocity = readonly (readonly number[])[];

/** Below this |T''| (m and rad per frame squared) is rounding of float32 states: a micrometre, a microradian. */
export const MIN_ACCELERATION = 1e-6;

type Vector = readonly [number, number, number];

/** Eq. 4 for absolute poses. Throws PruneError where lengths disagree or a value is not finite. */
export function motionLabels({ poses, gripper }: PoseTrajectory): MotionLabels {
  return motionLabelsOfVelocity(velocityOfPoses(poses, checkTrajectory(poses, gripper)), [gripper]);
}

/**
 * Eq. 4 for data of delta actions: T''(k) is the action of k minus that of k - 1, rotations by their SO(3) log. Equal to Eq. 4 of the poses
 * that the deltas lead to, whether a delta's rotation is about the world's or the tool's axes: the difference of two neighbours has the
 * same length in either. The last frame's action is not needed (it leads out of the trajectory).
 */
export function motionLabelsOfDeltas({ deltas, gripper }: DeltaTrajectory): MotionLabels {
  return motionLabelsOfVelocity(velocityOfDeltas(deltas, checkTrajectory(deltas, gripper)), [gripper]);
}

/** Poses [T, 6] -> velocity: metres, and rotation vectors in the frame of the pose that they leave. */
export function velocityOfPoses(poses: ArrayLike<number>, numFrames: number): Velocity {
  const rotations = Array.from({ length: numFrames }, (_, k) => rotationFromRpy(...rotationOf(poses, k)));
  return rotations.slice(1).map((next, k) => {
    const turn = rotationLog(relative(rotations[k] as Rotation, next));
    return [...[0, 1, 2].map((d) => at(poses, k + 1, d) - at(poses, k, d)), ...turn];
  });
}

/** Deltas [T, 6] -> velocity. */
export function velocityOfDeltas(deltas: ArrayLike<number>, numFrames: number): Velocity {
  return Array.from({ length: Math.max(numFrames - 1, 0) }, (_, k) => [
    ...[0, 1, 2].map((d) => at(deltas, k, d)),
    ...rotationLog(rotationFromRpy(...rotationOf(deltas, k))),
  ]);
}

/** |T''|_2 of every frame [T]: the difference of the velocities around it; 0 at the ends. */
export function accelerationOf(velocity: Velocity, numFrames: number): Float64Array {
  const acceleration = new Float64Array(numFrames);
  for (let k = 1; k + 1 < numFrames; k++) {
    const [before, after] = [velocity[k - 1] as readonly number[], velocity[k] as readonly number[]];
    acceleration[k] = Math.hypot(...after.map((value, d) => value - (before[d] as number)));
  }
  return acceleration;
}

/** [T]: 1 where one of the grippers changes state. @param grippers [T] of 0 and 1 each */
export function gripperChanges(grippers: readonly ArrayLike<number>[], numFrames: number): Uint8Array {
  return Uint8Array.from({ length: numFrames }, (_, k) =>
    k > 0 && grippers.some((gripper) => gripper[k] !== gripper[k - 1]) ? 1 : 0,
  );
}

/** The mean of |T''| over the frames that have one. */
export function meanAcceleration(acceleration: Float64Array): number {
  return acceleration.length > 2 ? acceleration.reduce((a, b) => a + b, 0) / (acceleration.length - 2) : 0;
}

/** Labels by a threshold on |T''|, and at gripper changes. */
export function labelsAbove(acceleration: Float64Array, threshold: number, gripperChange: Uint8Array): MotionLabels {
  const labels = gripperChange.map((change, k) =>
    change || (acceleration[k] as number) > threshold + MIN_ACCELERATION ? 1 : 0,
  );
  return { labels, acceleration, threshold, gripperChange };
}

/** Eq. 4 for any velocity. @param grippers [T] of 0 and 1 each; none for a robot without */
export function motionLabelsOfVelocity(velocity: Velocity, grippers: readonly ArrayLike<number>[]): MotionLabels {
  const numFrames = grippers[0]?.length ?? velocity.length + 1;
  const acceleration = accelerationOf(velocity, numFrames);
  return labelsAbove(acceleration, meanAcceleration(acceleration), gripperChanges(grippers, numFrames));
}

/**
 * Opening [T] (0 closed to 1 open, continuous) -> state [T] (1 open, 0 closed), by hysteresis on travel: the state changes at the
 * frame where the opening has come back from its largest (smallest) value since the last change by more than `travel`.
 *
 * Fixed levels would not do: jaws that close on a thing stop at its width (0.2 on a spoon, 0.5 on a can), and no pair of levels fits
 * all of them. Sensor noise below `travel` changes nothing. Slower closings than a frame change at the frame that completes the travel.
 *
 * @param travel share of the full opening; 0.15 is below the travel onto the widest thing that the benchmark's jaws take
 */
export function binarizeGripper(opening: ArrayLike<number>, { travel = 0.15 }: { travel?: number } = {}): Uint8Array {
  const states = new Uint8Array(opening.length);
  let open = (opening[0] ?? 1) >= 0.5;
  let extreme = opening[0] ?? 1;
  // Until the first change the state is a guess from the level; the change itself tells what it was.
  let certain = false;
  let highest = extreme;
  let lowest = extreme;
  for (let k = 0; k < opening.length; k++) {
    const value = opening[k] as number;
    highest = Math.max(highest, value);
    lowest = Math.min(lowest, value);
    extreme = open ? Math.max(extreme, value) : Math.min(extreme, value);
    if (!certain && (highest - value > travel || value - lowest > travel)) {
      const closing = highest - value > travel;
      states.fill(closing ? 1 : 0, 0, k);
      open = !closing;
      extreme = value;
      certain = true;
    } else if (open ? extreme - value > travel : value - extreme > travel) {
      open = !open;
      extreme = value;
      certain = true;
    }
    states[k] = open ? 1 : 0;
  }
  return states;
}

/** A^T B. */
function relative(a: Rotation, b: Rotation): Rotation {
  const entry = (i: number, j: number): number =>
    (a[i] as number) * (b[j] as number) +
    (a[3 + i] as number) * (b[3 + j] as number) +
    (a[6 + i] as number) * (b[6 + j] as number);
  return [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => entry(i, j))) as unknown as Rotation;
}

/** The rotation vector (axis times angle, 0 to pi) of a rotation, through its unit quaternion: exact for small and for half turns. */
export function rotationLog(r: Rotation): Vector {
  const [m00, m01, m02, m10, m11, m12, m20, m21, m22] = r;
  // Four times the squares of w, x, y, z; the largest one divides best.
  const squares = [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22];
  const rows: readonly (readonly [number, number, number, number])[] = [
    [squares[0] as number, m21 - m12, m02 - m20, m10 - m01],
    [m21 - m12, squares[1] as number, m01 + m10, m02 + m20],
    [m02 - m20, m01 + m10, squares[2] as number, m12 + m21],
    [m10 - m01, m02 + m20, m12 + m21, squares[3] as number],
  ];
  const row = rows[squares.indexOf(Math.max(...squares))] as readonly [number, number, number, number];
  const sign = row[0] < 0 ? -1 : 1;
  const length = Math.hypot(...row);
  const [w, x, y, z] = row.map((value) => (value * sign) / length) as [number, number, number, number];
  const sine = Math.hypot(x, y, z);
  // angle / sin(angle / 2) tends to 2 for no turn at all.
  const scale = sine < 1e-12 ? 2 : (2 * Math.atan2(sine, w)) / sine;
  return [x * scale, y * scale, z * scale];
}

const at = (values: ArrayLike<number>, frame: number, d: number): number => values[frame * 6 + d] as number;
const rotationOf = (values: ArrayLike<number>, frame: number): Vector => [
  at(values, frame, 3),
  at(values, frame, 4),
  at(values, frame, 5),
];

/** T. Throws PruneError where poses [T, 6] and states [T] do not fit, a value is not finite or a state neither 0 nor 1. */
export function checkTrajectory(poses: ArrayLike<number>, gripper: ArrayLike<number>): number {
  if (poses.length !== gripper.length * 6)
    throw new PruneError(
      `A trajectory of ${gripper.length} gripper states needs ${gripper.length} x 6 pose values, it has ${poses.length}`,
    );
  for (let i = 0; i < poses.length; i++)
    if (!Number.isFinite(poses[i]))
      throw new PruneError(`Pose value ${poses[i]} in dimension ${i % 6}`, { frame: Math.floor(i / 6) });
  for (let k = 0; k < gripper.length; k++)
    if (gripper[k] !== 0 && gripper[k] !== 1)
      throw new PruneError(`Gripper state ${gripper[k]} is neither 0 nor 1; binarizeGripper makes states of openings`, {
        frame: k,
      });
  return gripper.length;
}

/** Eq. 4 for states [T, 7] of x, y, z, roll, pitch, yaw, gripper opening, as this project's, Bridge's and InstructVLA's data have them. */
export function motionLabelsOfStates(states: ArrayLike<number>, stateDim: number): MotionLabels {
  if (stateDim !== 7 || states.length % 7 !== 0)
    throw new PruneError(
      `Eq. 4 needs states of x, y, z, roll, pitch, yaw, gripper; these have ${stateDim} dimensions`,
      {
        field: 'observation.state',
        hint: 'Other layouts: call motionLabels with poses and gripper states, or prune with --motion none',
      },
    );
  const numFrames = states.length / 7;
  const poses = new Float64Array(numFrames * 6);
  const opening = new Float64Array(numFrames);
  for (let k = 0; k < numFrames; k++) {
    for (let d = 0; d < 6; d++) poses[k * 6 + d] = states[k * 7 + d] as number;
    opening[k] = states[k * 7 + 6] as number;
  }
  return motionLabels({ poses, gripper: binarizeGripper(opening) });
}
