/** Rotation matrices of the roll, pitch and yaw that robot states hold. Knows nothing about robots. */

/** Nine numbers, row by row. */
export type RotationMatrix = readonly [number, number, number, number, number, number, number, number, number];

/** Rz(yaw) Ry(pitch) Rx(roll), angles in radians. */
export function rotationFromRpy(roll: number, pitch: number, yaw: number): RotationMatrix {
  const [cr, sr, cp, sp] = [Math.cos(roll), Math.sin(roll), Math.cos(pitch), Math.sin(pitch)];
  const [cy, sy] = [Math.cos(yaw), Math.sin(yaw)];
  return [
    cy * cp,
    cy * sp * sr - sy * cr,
    cy * sp * cr + sy * sr,
    sy * cp,
    sy * sp * sr + cy * cr,
    sy * sp * cr - cy * sr,
    -sp,
    cp * sr,
    cp * cr,
  ];
}
