/** Rotation matrices: from roll, pitch and yaw, about an axis, one after another. Knows nothing about robots. */

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

/** Rodrigues' formula: rotation by `angle` radians about an axis of unit length. */
export function rotationAbout([x, y, z]: readonly [number, number, number], angle: number): RotationMatrix {
  const c = Math.cos(angle);
  const s = Math.sin(angle);
  const t = 1 - c;
  return [
    t * x * x + c,
    t * x * y - s * z,
    t * x * z + s * y,
    t * x * y + s * z,
    t * y * y + c,
    t * y * z - s * x,
    t * x * z - s * y,
    t * y * z + s * x,
    t * z * z + c,
  ];
}

/** A B. */
export function multiplyRotations(a: RotationMatrix, b: RotationMatrix): RotationMatrix {
  const [b0, b1, b2, b3, b4, b5, b6, b7, b8] = b;
  const row = (x: number, y: number, z: number): readonly [number, number, number] => [
    x * b0 + y * b3 + z * b6,
    x * b1 + y * b4 + z * b7,
    x * b2 + y * b5 + z * b8,
  ];
  return [...row(a[0], a[1], a[2]), ...row(a[3], a[4], a[5]), ...row(a[6], a[7], a[8])];
}
