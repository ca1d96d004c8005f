/**
 * Vectors, quaternions (w, x, y, z), 3 x 3 row-major matrices and roll-pitch-yaw angles (R = Rz(yaw) Ry(pitch) Rx(roll)).
 * Plain arrays: a scene has a few dozen poses, and these are copied out of MuJoCo's heap anyway.
 */

import { multiplyRotations, type RotationMatrix, rotationAbout, rotationFromRpy } from '../data/rotation.js';

export type Vec3 = readonly [number, number, number];
export type Quat = readonly [number, number, number, number];
/** Row-major 3 x 3 rotation. */
export type Mat3 = RotationMatrix;

export interface Pose {
  readonly position: Vec3;
  readonly quaternion: Quat;
}

export const IDENTITY: Mat3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
export const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));
export const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const sub = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Vec3, s: number): Vec3 => [a[0] * s, a[1] * s, a[2] * s];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const norm = (a: Vec3): number => Math.hypot(a[0], a[1], a[2]);
export const distance = (a: Vec3, b: Vec3): number => norm(sub(a, b));
export const distanceXY = (a: Vec3, b: Vec3): number => Math.hypot(a[0] - b[0], a[1] - b[1]);
export const normalize = (a: Vec3): Vec3 => scale(a, 1 / Math.max(norm(a), 1e-12));
export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Distance of a point from the segment a-b, seen from above. */
export function distanceToSegment(point: Vec3, a: Vec3, b: Vec3): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const t = Math.min(1, Math.max(0, ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(point[0] - a[0] - t * dx, point[1] - a[1] - t * dy);
}

/** `a`, shortened to length `limit` if it is longer. */
export function limitNorm(a: Vec3, limit: number): Vec3 {
  const length = norm(a);
  return length > limit ? scale(a, limit / length) : a;
}

export const rotate = (m: Mat3, v: Vec3): Vec3 => [
  m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
  m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
  m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
];

export const transpose = (m: Mat3): Mat3 => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];

/** A B. */
export const multiply: (a: Mat3, b: Mat3) => Mat3 = multiplyRotations;

/** Rotation by `angle` about a unit axis (Rodrigues). */
export const axisAngle: (axis: Vec3, angle: number) => Mat3 = rotationAbout;

/** Rz(yaw) Ry(pitch) Rx(roll). */
export const fromRpy = (roll: number, pitch: number, yaw: number): Mat3 => rotationFromRpy(roll, pitch, yaw);

/** Inverse of {@link fromRpy}; pitch in [-pi/2, pi/2]. */
export function toRpy(m: Mat3): Vec3 {
  return [Math.atan2(m[7], m[8]), Math.asin(clamp(-m[6], -1, 1)), Math.atan2(m[3], m[0])];
}

export function quatToMat(q: Quat): Mat3 {
  const [w, x, y, z] = q;
  return [
    1 - 2 * (y * y + z * z),
    2 * (x * y - w * z),
    2 * (x * z + w * y),
    2 * (x * y + w * z),
    1 - 2 * (x * x + z * z),
    2 * (y * z - w * x),
    2 * (x * z - w * y),
    2 * (y * z + w * x),
    1 - 2 * (x * x + y * y),
  ];
}

export const quatMultiply = (a: Quat, b: Quat): Quat => [
  a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
  a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
  a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
  a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
];

export const quatAxisAngle = (axis: Vec3, angle: number): Quat => {
  const s = Math.sin(angle / 2);
  return [Math.cos(angle / 2), axis[0] * s, axis[1] * s, axis[2] * s];
};

export const yawQuat = (yaw: number): Quat => [Math.cos(yaw / 2), 0, 0, Math.sin(yaw / 2)];

/** Rotation vector (axis times angle) of a rotation matrix; zero for the identity. */
export function rotationVector(m: Mat3): Vec3 {
  const angle = Math.acos(clamp((m[0] + m[4] + m[8] - 1) / 2, -1, 1));
  const v: Vec3 = [m[7] - m[5], m[2] - m[6], m[3] - m[1]];
  const twiceSine = norm(v);
  if (twiceSine > 1e-6) return scale(v, angle / twiceSine);
  if (angle < 1) return [0, 0, 0];
  // Half a turn: the axis is the column of (R + 1) / 2 with the largest diagonal entry.
  const columns: Vec3[] = [
    [m[0] + 1, m[3], m[6]],
    [m[1], m[4] + 1, m[7]],
    [m[2], m[5], m[8] + 1],
  ];
  return scale(normalize(columns.reduce((best, c) => (norm(c) > norm(best) ? c : best))), angle);
}

/** The rotation nearest to a product of rotations that has drifted (Gram-Schmidt on the rows). */
export function orthonormal(m: Mat3): Mat3 {
  const x = normalize([m[0], m[1], m[2]]);
  const y0: Vec3 = [m[3], m[4], m[5]];
  const y = normalize(sub(y0, scale(x, dot(x, y0))));
  return [...x, ...y, ...cross(x, y)];
}

/** Wraps an angle difference into [-period/2, period/2]. */
export function wrap(angle: number, period = 2 * Math.PI): number {
  return angle - period * Math.round(angle / period);
}

/** World position of a point given in a body's frame. */
export const transform = (pose: Pose, local: Vec3): Vec3 =>
  add(pose.position, rotate(quatToMat(pose.quaternion), local));
