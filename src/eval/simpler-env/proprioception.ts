/** The robot's state as policies have learned it, from SimplerEnv's `eef_pos`: x, y, z (metres), quaternion w, x, y, z, and the gripper. */
import type { SimplerRobot } from './action-processing.js';
import { matrixToEuler, type Quaternion, quaternionToMatrix } from './rotation-vector.js';

/**
 * @param eefPos [8]
 * @returns [8]. Google robot: x, y, z, quaternion x, y, z, w, opening (SimplerEnv gives how far it is closed). WidowX: x, y, z, roll, pitch, yaw with a
 * gripper that points down as zero, a zero, opening.
 * @throws RangeError for other lengths
 */
export function proprioception(robot: SimplerRobot, eefPos: readonly number[]): number[] {
  if (eefPos.length !== 8) throw new RangeError(`eef_pos has ${eefPos.length} numbers, not 8`);
  const [x, y, z, qw, qx, qy, qz, gripper] = eefPos as unknown as Eight;
  if (robot === 'google_robot') return [x, y, z, qx, qy, qz, qw, 1 - gripper];
  return [x, y, z, ...fromPointingDown([qw, qx, qy, qz]), 0, gripper];
}

type Eight = readonly [number, number, number, number, number, number, number, number];

/** R D^T with D = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], the Bridge data's zero: columns 3, 2, -1 of R. */
function fromPointingDown(quaternion: Quaternion): readonly [number, number, number] {
  const turned = quaternionToMatrix(quaternion).map(([a, b, c]) => [c, b, -a] as const);
  const [first, second, third] = turned;
  if (!first || !second || !third) throw new RangeError('a rotation has three rows');
  return matrixToEuler([first, second, third]);
}
