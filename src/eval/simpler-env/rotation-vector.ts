/** Roll, pitch and yaw to rotation vectors, and back from quaternions: what SimplerEnv's observations and actions are given in. */

export type Axes = readonly [number, number, number];
/** w, x, y, z. */
export type Quaternion = readonly [number, number, number, number];

/** @param angles roll, pitch, yaw of R = Rz(yaw) Ry(pitch) Rx(roll), radians @returns the unit quaternion */
export function eulerToQuaternion([roll, pitch, yaw]: Axes): Quaternion {
  const [cr, sr] = [Math.cos(roll / 2), Math.sin(roll / 2)];
  const [cp, sp] = [Math.cos(pitch / 2), Math.sin(pitch / 2)];
  const [cy, sy] = [Math.cos(yaw / 2), Math.sin(yaw / 2)];
  return [
    cy * cp * cr + sy * sp * sr,
    cy * cp * sr - sy * sp * cr,
    cy * sp * cr + sy * cp * sr,
    sy * cp * cr - cy * sp * sr,
  ];
}

/**
 * Axis times angle. The angle is 2 acos(w), in [0, 2 pi]: a quaternion with w < 0 gives the long way round, as SimplerEnv has it.
 * @param angles roll, pitch, yaw, radians
 */
export function eulerToRotationVector(angles: Axes): Axes {
  const [w, x, y, z] = eulerToQuaternion(angles);
  const sine = Math.sqrt(x * x + y * y + z * z);
  // No rotation has no axis.
  if (sine < IDENTITY_SINE) return [0, 0, 0];
  const angle = 2 * Math.acos(Math.max(-1, Math.min(1, w)));
  return [(x / sine) * angle, (y / sine) * angle, (z / sine) * angle];
}

/** Three float64 roundings: below it a rotation is none. */
const IDENTITY_SINE = 3 * Number.EPSILON;

type Rows = readonly [Axes, Axes, Axes];

/** @param quaternion need not be of length one @returns the rotation matrix, row by row */
export function quaternionToMatrix([w, x, y, z]: Quaternion): Rows {
  const s = 2 / (w * w + x * x + y * y + z * z);
  return [
    [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
    [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
    [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
  ];
}

/** @returns roll, pitch, yaw; yaw is 0 where the pitch is straight up or down */
export function matrixToEuler([a, b, c]: Rows): Axes {
  const level = Math.hypot(a[0], b[0]);
  const pitch = Math.atan2(-c[0], level);
  if (level > 4 * Number.EPSILON) return [Math.atan2(c[1], c[2]), pitch, Math.atan2(b[0], a[0])];
  return [Math.atan2(-b[2], b[1]), pitch, 0];
}
