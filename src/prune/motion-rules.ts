/**
 * Rules of the motion layer beside Eq. 4 of the paper (kinematics.ts), as options: which frames of a trajectory matter.
 *
 *   quantile     |T''| above a quantile of the trajectory's, or a gripper change
 *   mad          |T''| above median + d * 1.4826 * MAD, or a gripper change
 *   primitives   where ECoT's move primitive changes (Zawalski et al. 2024): the sign of the motion over a window of four states, above tau
 *   c2farm       the keyframes of C2FARM (James et al. 2022): the gripper toggled, the episode's last frame, or the robot stopped
 *
 * Knows nothing about data sets.
 *
 * Shapes: T frames.
 */
import { PruneError } from './errors.js';
import {
  accelerationOf,
  gripperChanges,
  labelsAbove,
  type MotionLabels,
  meanAcceleration,
  type Velocity,
} from './kinematics.js';

export const MOTION_RULES = ['eq4', 'quantile', 'mad', 'primitives', 'c2farm'] as const;
export type MotionRule = (typeof MOTION_RULES)[number];

export interface MotionRuleOptions {
  /** Default 'eq4', the paper's. */
  readonly rule?: MotionRule;
  /** For 'quantile': 0 to 1; default 0.8. */
  readonly quantile?: number;
  /** For 'mad'; default 3. */
  readonly deviations?: number;
  /** For 'primitives': metres over the window; default 0.03, ECoT's on Bridge. Turns count a tenth of their radians. */
  readonly tau?: number;
  /** For 'c2farm': every component of the motion below it is a stop; m/s and rad/s; default 0.1, the released value for joints. */
  readonly stopSpeed?: number;
}

/** One trajectory, from whatever source. */
export interface MotionTrack {
  /** T. */
  readonly numFrames: number;
  readonly fps: number;
  /** T - 1 rows: six a hand (metres, rotation vector), or one a joint. */
  readonly velocity: Velocity;
  /** [T] of 0 (closed) and 1 (open), a hand each. */
  readonly grippers: readonly Uint8Array[];
  /** [T, 6] a hand: metres and roll, pitch, yaw; none for joints without a description of the robot. */
  readonly poses: readonly Float64Array[];
}

/** ECoT's window: states from the frame on. */
const PRIMITIVE_STATES = 4;
/** What turns (rad) are divided by before they are compared with tau. */
const TURN_DIVISOR = 10;
/** Frames after a stop in which there is no other. */
const STOP_BUFFER = 4;

/** Labels [T] by a rule. Throws PruneError for an option out of range, or a rule that needs poses where there are none. */
export function motionLabelsOfTrack(track: MotionTrack, options: MotionRuleOptions = {}): MotionLabels {
  const { rule = 'eq4', quantile = 0.8, deviations = 3, tau = 0.03, stopSpeed = 0.1 } = options;
  const { numFrames, velocity, grippers } = track;
  const acceleration = accelerationOf(velocity, numFrames);
  const gripperChange = gripperChanges(grippers, numFrames);
  const inner = acceleration.slice(1, Math.max(numFrames - 1, 1)).sort();
  switch (rule) {
    case 'eq4':
      return labelsAbove(acceleration, meanAcceleration(acceleration), gripperChange);
    case 'quantile':
      if (!(quantile >= 0 && quantile <= 1)) throw new PruneError(`The quantile ${quantile} is not within 0 and 1`);
      return labelsAbove(acceleration, quantileOf(inner, quantile), gripperChange);
    case 'mad': {
      if (!(deviations >= 0)) throw new PruneError(`${deviations} deviations: it must be 0 or more`);
      const middle = quantileOf(inner, 0.5);
      const mad = quantileOf(inner.map((value) => Math.abs(value - middle)).sort(), 0.5);
      return labelsAbove(acceleration, middle + deviations * 1.4826 * mad, gripperChange);
    }
    case 'primitives': {
      if (!(tau > 0)) throw new PruneError(`tau is ${tau} m, it must be more than 0`);
      const names = movePrimitives(track, tau);
      const labels = Uint8Array.from(names, (name, k) => (k > 0 && name !== names[k - 1] ? 1 : 0));
      return { labels, acceleration, threshold: meanAcceleration(acceleration), gripperChange };
    }
    case 'c2farm': {
      if (!(stopSpeed > 0)) throw new PruneError(`A stop below ${stopSpeed}: it must be more than 0`);
      const labels = new Uint8Array(numFrames);
      for (const k of c2farmKeyframes(track, stopSpeed)) labels[k] = 1;
      return { labels, acceleration, threshold: meanAcceleration(acceleration), gripperChange };
    }
  }
}

/** Of sorted values, linear between neighbours; 0 of none. */
function quantileOf(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) return 0;
  const place = q * (sorted.length - 1);
  const low = Math.floor(place);
  const [a, b] = [sorted[low] as number, sorted[Math.min(low + 1, sorted.length - 1)] as number];
  return a + (place - low) * (b - a);
}

const wrap = (angle: number): number => Math.atan2(Math.sin(angle), Math.cos(angle));

/**
 * ECoT's primitive of every frame as signs, `+00 -00 0` for forward, rolling back: the difference of the states at both ends of the
 * window that begins at the frame (shorter at the end; the last frame repeats the one before). A long translation is scaled to an L1 norm of
 * 3 tau, so that it names the directions that make up more than a third of it.
 */
export function movePrimitives({ numFrames, poses, grippers }: MotionTrack, tau: number): string[] {
  if (poses.length === 0)
    throw new PruneError('Primitives need poses of the end effector', {
      hint: 'Give --urdf robot.urdf, or another --motion',
    });
  const sign = (value: number): string => (value > tau ? '+' : value < -tau ? '-' : '0');
  return Array.from({ length: numFrames }, (_, frame) => {
    const from = Math.max(Math.min(frame, numFrames - 2), 0);
    const to = Math.min(from + PRIMITIVE_STATES - 1, numFrames - 1);
    return poses
      .map((hand, h) => {
        const moved = Array.from(
          { length: 6 },
          (_, d) => (hand[to * 6 + d] as number) - (hand[from * 6 + d] as number),
        );
        const length = moved.slice(0, 3).reduce((sum, value) => sum + Math.abs(value), 0);
        const scale = length > 3 * tau ? (3 * tau) / length : 1;
        const jaws = ((grippers[h]?.[to] as number) ?? 0) - ((grippers[h]?.[from] as number) ?? 0);
        return moved
          .map((value, d) => sign(d < 3 ? value * scale : wrap(value) / TURN_DIVISOR))
          .concat(sign(jaws))
          .join('');
      })
      .join(' ');
  });
}

/**
 * C2FARM's keyframes, ascending. Two in a row at the end are one; the gripper is at rest around a stop; before the first frame it was as
 * in it (the released code looks at the episode's end there).
 */
export function c2farmKeyframes({ numFrames: T, velocity, grippers, fps }: MotionTrack, stopSpeed: number): number[] {
  const change = gripperChanges(grippers, T);
  const still = (k: number): boolean => {
    const [before, after] = [velocity[k - 1] ?? velocity[k], velocity[k] ?? velocity[k - 1]];
    return (before ?? []).every((value, d) => Math.abs((value + (after?.[d] ?? 0)) / 2) * fps < stopSpeed);
  };
  const keyframes: number[] = [];
  let buffer = 0;
  for (let k = 0; k < T; k++) {
    const gripperRests = k < T - 2 && !change[k + 1] && !change[k] && !(k > 0 && change[k - 1]);
    const stopped = buffer <= 0 && k !== T - 2 && gripperRests && still(k);
    buffer = stopped ? STOP_BUFFER : buffer - 1;
    if (k > 0 && (change[k] || k === T - 1 || stopped)) keyframes.push(k);
  }
  if (keyframes.length > 1 && keyframes.at(-2) === T - 2) keyframes.splice(-2, 1);
  return keyframes;
}
