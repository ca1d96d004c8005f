/**
 * Forward kinematics and damped-least-squares inverse kinematics of the arm chain of `robots.ts`.
 *
 *   dq = J^T (J J^T + lambda^2 I)^-1 e,   e = [p* - p; w (rotation vector of R* R^T)]
 *
 * Written out for six joints (no physics call): about 2 us an iteration. Knows nothing of MuJoCo; a test compares it with MuJoCo's site.
 */
import {
  add,
  axisAngle,
  clamp,
  cross,
  IDENTITY,
  type Mat3,
  multiply,
  norm,
  rotate,
  rotationVector,
  sub,
  transpose,
  type Vec3,
} from './pose.js';
import { type JointSpec, joints, type RobotSpec } from './robots.js';

const DAMPING = 0.003;
const ROTATION_WEIGHT = 0.3;
const MAX_JOINT_STEP = 0.4;
/** Tool frame in the wrist-roll frame: rotation by -90 degrees about y. */
const TOOL_ROTATION: Mat3 = [0, 0, -1, 0, 1, 0, 1, 0, 0];

export interface ToolPose {
  readonly position: Vec3;
  readonly rotation: Mat3;
}

export interface IkResult {
  readonly q: Float64Array;
  /** Remaining position error (m) and rotation error (rad). */
  readonly positionError: number;
  readonly rotationError: number;
}

export class Kinematics {
  readonly #chain: readonly JointSpec[];
  readonly #tool: Vec3;

  constructor(robot: RobotSpec) {
    this.#chain = joints(robot);
    this.#tool = [robot.tool, 0, 0];
  }

  /** Tool pose, and each joint's origin and axis in the base frame, for six joint angles. */
  forward(q: ArrayLike<number>): ToolPose & { origins: Vec3[]; axes: Vec3[] } {
    let position: Vec3 = [0, 0, 0];
    let rotation: Mat3 = IDENTITY;
    const origins: Vec3[] = [];
    const axes: Vec3[] = [];
    for (const [i, joint] of this.#chain.entries()) {
      position = add(position, rotate(rotation, joint.offset));
      origins.push(position);
      axes.push(rotate(rotation, joint.axis));
      rotation = multiply(rotation, axisAngle(joint.axis, q[i] ?? 0));
    }
    return {
      position: add(position, rotate(rotation, this.#tool)),
      rotation: multiply(rotation, TOOL_ROTATION),
      origins,
      axes,
    };
  }

  /**
   * Joint angles that bring the tool to `target`, starting from `seed` (6). Steps that do not help are taken back and the damping raised
   * (Levenberg-Marquardt), so that a stretched arm or aligned wrist axes slow it down but do not throw it off. Stops at 0.1 mm and 1 mrad, or
   * after `iterations`.
   */
  inverse(target: ToolPose, seed: ArrayLike<number>, iterations = 30): IkResult {
    let q: Float64Array = Float64Array.from({ length: 6 }, (_, i) => seed[i] ?? 0);
    let at = this.#linearize(target, q);
    let damping = DAMPING;
    for (let iteration = 0; iteration < iterations; iteration++) {
      if (at.positionError < 1e-4 && at.rotationError < 1e-3) break;
      const step = dampedSolve(at.jacobian, at.error, damping);
      const next = q.map((value, i) => {
        const [low, high] = (this.#chain[i] as JointSpec).range;
        return clamp(value + clamp(step[i] as number, -MAX_JOINT_STEP, MAX_JOINT_STEP), low, high);
      });
      const there = this.#linearize(target, next);
      if (there.cost < at.cost) {
        [q, at] = [next, there];
        damping = Math.max(DAMPING, damping / 3);
      } else {
        damping *= 5;
      }
    }
    return { q, positionError: at.positionError, rotationError: at.rotationError };
  }

  /** Columns of the Jacobian (6 of 6) and the error, rotation weighted, at joint angles `q`. */
  #linearize(target: ToolPose, q: Float64Array) {
    const now = this.forward(q);
    const dp = sub(target.position, now.position);
    const dr = rotationVector(multiply(target.rotation, transpose(now.rotation)));
    const jacobian = now.axes.map((axis, i) => {
      const linear = cross(axis, sub(now.position, now.origins[i] as Vec3));
      return [...linear, ...axis.map((a) => a * ROTATION_WEIGHT)];
    });
    const error = [...dp, ...dr.map((a) => a * ROTATION_WEIGHT)];
    const cost = error.reduce((sum, e) => sum + e * e, 0);
    return { jacobian, error, cost, positionError: norm(dp), rotationError: norm(dr) };
  }
}

/** J^T (J J^T + lambda^2 I)^-1 e, with `columns[i]` the i-th column of J (6 x 6), by Gaussian elimination with pivoting. */
function dampedSolve(columns: readonly number[][], e: readonly number[], damping: number): number[] {
  const a = Array.from({ length: 6 }, (_, r) =>
    Array.from({ length: 7 }, (_, c) => {
      if (c === 6) return e[r] as number;
      let sum = r === c ? damping * damping : 0;
      for (const column of columns) sum += (column[r] as number) * (column[c] as number);
      return sum;
    }),
  );
  for (let k = 0; k < 6; k++) {
    let pivot = k;
    for (let r = k + 1; r < 6; r++) if (Math.abs(at(a, r, k)) > Math.abs(at(a, pivot, k))) pivot = r;
    [a[k], a[pivot]] = [a[pivot] as number[], a[k] as number[]];
    for (let r = k + 1; r < 6; r++) {
      const factor = at(a, r, k) / at(a, k, k);
      for (let c = k; c < 7; c++) (a[r] as number[])[c] = at(a, r, c) - factor * at(a, k, c);
    }
  }
  const y = new Array<number>(6).fill(0);
  for (let k = 5; k >= 0; k--) {
    let sum = at(a, k, 6);
    for (let c = k + 1; c < 6; c++) sum -= at(a, k, c) * (y[c] as number);
    y[k] = sum / at(a, k, k);
  }
  return columns.map((column) => column.reduce((sum, value, r) => sum + value * (y[r] as number), 0));
}

const at = (a: readonly number[][], r: number, c: number): number => (a[r] as number[])[c] as number;
