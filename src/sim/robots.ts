/**
 * The two embodiments, as data for one kinematic code: a six-joint arm (waist, shoulder, elbow, forearm roll, wrist pitch, wrist
 * roll) with a parallel gripper. `widowx` has the link lengths of a WidowX 250; `google` is larger, with a wider gripper, another
 * look and camera, at 3 Hz. Knows nothing of tasks.
 *
 * The tool frame at the fingertips is the identity when the gripper points straight down with its jaws opening along y.
 */
import type { Vec3 } from './pose.js';

export type RobotName = 'widowx' | 'google';

/** A camera fixed in the world (`frame: 'world'`) or in the gripper's frame (x forward, y jaws, z up when the gripper is level). */
export interface CameraSpec {
  readonly frame: 'world' | 'gripper';
  readonly position: Vec3;
  readonly lookAt: Vec3;
  readonly up: Vec3;
  /** Vertical field of view, degrees. */
  readonly fovy: number;
}

export interface RobotSpec {
  readonly name: RobotName;
  /** Control steps a second, and physics steps of 5 ms in one of them. */
  readonly controlHz: number;
  readonly substeps: number;
  /** Lengths in metres along the chain; see {@link joints}. */
  readonly shoulderHeight: number;
  readonly elbowOffset: Vec3;
  readonly forearmRoll: number;
  readonly wristPitch: number;
  readonly wristRoll: number;
  /** From the wrist-roll joint to the tool frame. */
  readonly tool: number;
  readonly linkRadius: number;
  readonly gripper: {
    /** Travel of one finger; the jaws open to twice that. */
    readonly stroke: number;
    readonly fingerLength: number;
    readonly fingerWidth: number;
    readonly padThickness: number;
    readonly palm: number;
  };
  /** Joint angles near which the inverse kinematics starts (gripper down, in front of the base). */
  readonly guess: readonly number[];
  /** Tool position before an episode of a table task. */
  readonly home: Vec3;
  /** Largest translation (m) and rotation (rad) of one action. */
  readonly maxTranslation: number;
  readonly maxRotation: number;
  readonly cameras: { readonly third: CameraSpec; readonly wrist: CameraSpec };
  /** Where the lamp hangs under visual matching: on the third-person camera's side of things. */
  readonly lamp: Vec3;
}

/** Height of the tool frame above the fingertips. */
export const TOOL_ABOVE_TIP = 0.006;

export const ROBOTS: Readonly<Record<RobotName, RobotSpec>> = {
  widowx: {
    name: 'widowx',
    controlHz: 5,
    substeps: 40,
    shoulderHeight: 0.11,
    elbowOffset: [0.05, 0, 0.25],
    forearmRoll: 0.175,
    wristPitch: 0.075,
    wristRoll: 0.065,
    tool: 0.0935,
    linkRadius: 0.024,
    gripper: { stroke: 0.04, fingerLength: 0.05, fingerWidth: 0.02, padThickness: 0.01, palm: 0.03 },
    guess: [0, -0.3, 0.7, 0, 1.2, 0],
    home: [0.25, 0, 0.15],
    lamp: [0.65, 0.6, 1.5],
    maxTranslation: 0.05,
    maxRotation: 0.5,
    cameras: {
      third: { frame: 'world', position: [0.66, -0.3, 0.44], lookAt: [0.27, 0.0, 0.03], up: [0, 0, 1], fovy: 38 },
      wrist: { frame: 'gripper', position: [0.005, 0, 0.085], lookAt: [0.1, 0, 0.016], up: [0, 0, 1], fovy: 68 },
    },
  },
  google: {
    name: 'google',
    controlHz: 3,
    substeps: 67,
    shoulderHeight: 0.24,
    elbowOffset: [0.04, 0, 0.36],
    forearmRoll: 0.2,
    wristPitch: 0.16,
    wristRoll: 0.07,
    tool: 0.125,
    linkRadius: 0.036,
    gripper: { stroke: 0.055, fingerLength: 0.075, fingerWidth: 0.026, padThickness: 0.012, palm: 0.04 },
    guess: [0, -0.4, 1.0, 0, 0.97, 0],
    home: [0.36, 0, 0.2],
    lamp: [0.65, 0.6, 1.5],
    maxTranslation: 0.08,
    maxRotation: 0.5,
    cameras: {
      third: { frame: 'world', position: [0.16, 0.46, 0.5], lookAt: [0.41, -0.01, 0.06], up: [0, 0, 1], fovy: 42 },
      wrist: { frame: 'gripper', position: [0.005, 0, 0.11], lookAt: [0.135, 0, 0.02], up: [0, 0, 1], fovy: 68 },
    },
  },
};

/** One hinge: where it lies in its parent's frame, its axis there, and its range. */
export interface JointSpec {
  readonly name: string;
  readonly offset: Vec3;
  readonly axis: Vec3;
  readonly range: readonly [number, number];
  readonly gain: number;
}

/** The kinematic chain of an arm, base to tip. Used by both the MJCF and the inverse kinematics. */
export function joints(robot: RobotSpec): readonly JointSpec[] {
  return [
    { name: 'waist', offset: [0, 0, 0], axis: [0, 0, 1], range: [-2.8, 2.8], gain: 400 },
    { name: 'shoulder', offset: [0, 0, robot.shoulderHeight], axis: [0, 1, 0], range: [-1.9, 1.7], gain: 600 },
    { name: 'elbow', offset: robot.elbowOffset, axis: [0, 1, 0], range: [-1.5, 2.4], gain: 400 },
    { name: 'forearm_roll', offset: [robot.forearmRoll, 0, 0], axis: [1, 0, 0], range: [-3, 3], gain: 120 },
    { name: 'wrist_pitch', offset: [robot.wristPitch, 0, 0], axis: [0, 1, 0], range: [-1.9, 2.2], gain: 120 },
    { name: 'wrist_roll', offset: [robot.wristRoll, 0, 0], axis: [1, 0, 0], range: [-3, 3], gain: 60 },
  ];
}

const n = (...values: number[]): string => values.map((v) => Number(v.toFixed(6)).toString()).join(' ');

/** Robot geoms from the forearm on collide with objects (contype 2 against their conaffinity 3), never with the robot itself; what cannot get there does not. */
const robotGeom = (look: string, serial: number, attributes: string, reaches: boolean): string =>
  `<geom name="${look}#r${serial}" contype="${reaches ? 2 : 0}" conaffinity="0" ${attributes}/>`;

/** MJCF of an arm at the origin, as `{ body, actuators, equality }` fragments. */
export function robotMjcf(robot: RobotSpec): { body: string; actuators: string; equality: string } {
  const chain = joints(robot);
  const r = robot.linkRadius;
  const { stroke, fingerLength, fingerWidth, padThickness, palm } = robot.gripper;
  const look = robot.name === 'google' ? 'google' : 'robot';
  let serial = 0;
  let link = 0;
  const geom = (name: string, attributes: string): string => robotGeom(name, serial++, attributes, link >= 3);
  const capsule = (look: string, from: Vec3, to: Vec3, radius: number, mass: number): string =>
    geom(look, `type="capsule" fromto="${n(...from, ...to)}" size="${n(radius)}" mass="${n(mass)}"`);
  const drum = (look: string, axis: 'y' | 'x' | 'z', at: Vec3, radius: number, half: number): string => {
    const d: Vec3 = axis === 'y' ? [0, half, 0] : axis === 'x' ? [half, 0, 0] : [0, 0, half];
    const fromto = n(at[0] - d[0], at[1] - d[1], at[2] - d[2], at[0] + d[0], at[1] + d[1], at[2] + d[2]);
    return geom(look, `type="cylinder" fromto="${fromto}" size="${n(radius)}" mass="0.05"`);
  };

  const tip = robot.tool + TOOL_ABOVE_TIP;
  const fingerCentre = tip - fingerLength / 2;
  const finger = (side: 1 | -1): string => {
    const name = side > 0 ? 'left' : 'right';
    const bracket = padThickness * 0.5;
    return `<body name="finger_${name}" pos="0 0 0" gravcomp="1">
      <joint name="finger_${name}" type="slide" axis="0 ${side} 0" range="0 ${n(stroke)}" damping="2" armature="0.02"/>
      ${geom(`${look}-pad`, `type="box" pos="${n(fingerCentre, (side * padThickness) / 2, 0)}" size="${n(fingerLength / 2, padThickness / 2, fingerWidth / 2)}" mass="0.03" condim="3" friction="1.5 0.02 0.002"`)}
      ${geom(`${look}-finger`, `type="box" pos="${n(tip - fingerLength - 0.008, side * (padThickness / 2 + bracket / 2), 0)}" size="${n(0.01, padThickness / 2 + bracket, fingerWidth / 2 + 0.002)}" mass="0.02"`)}
    </body>`;
  };

  const open = (index: number): string => {
    const joint = chain[index] as JointSpec;
    link = index + 1;
    return `<body name="${joint.name}" pos="${n(...joint.offset)}" gravcomp="1"><joint name="${joint.name}" axis="${n(...joint.axis)}" range="${n(...joint.range)}" armature="0.05"/>`;
  };
  const [ex, , ez] = robot.elbowOffset;
  const palmStart = robot.tool - fingerLength - palm;
  const body = `<body name="robot_base">
    ${geom(`${look}-base`, `type="cylinder" pos="${n(0, 0, (robot.shoulderHeight - r) / 4)}" size="${n(r * 2.6, (robot.shoulderHeight - r) / 4)}"`)}
    ${open(0)}
      ${geom(`${look}-link`, `type="cylinder" pos="${n(0, 0, robot.shoulderHeight * 0.66)}" size="${n(r * 1.9, robot.shoulderHeight * 0.34)}" mass="0.5"`)}
      ${open(1)}
        ${drum(`${look}-joint`, 'y', [0, 0, 0], r * 1.5, r * 2)}
        ${capsule(`${look}-link`, [0, 0, 0], [0, 0, ez], r, 0.5)}
        ${capsule(`${look}-link`, [0, 0, ez], [ex, 0, ez], r, 0.1)}
        ${open(2)}
          ${drum(`${look}-joint`, 'y', [0, 0, 0], r * 1.35, r * 1.6)}
          ${capsule(`${look}-link`, [0, 0, 0], [robot.forearmRoll, 0, 0], r * 0.92, 0.3)}
          ${open(3)}
            ${capsule(`${look}-accent`, [0, 0, 0], [robot.wristPitch * 0.8, 0, 0], r * 0.85, 0.15)}
            ${open(4)}
              ${drum(`${look}-joint`, 'y', [0, 0, 0], r * 1.15, r * 1.3)}
              ${capsule(`${look}-link`, [0, 0, 0], [robot.wristRoll, 0, 0], r * 0.8, 0.1)}
              ${open(5)}
                <site name="gripper_frame" pos="0 0 0"/>
                <site name="tool" pos="${n(robot.tool, 0, 0)}" quat="0.70710678118 0 -0.70710678118 0"/>
                ${drum(`${look}-accent`, 'x', [palmStart / 2, 0, 0], r * 0.95, Math.max(0.004, palmStart / 2))}
                ${geom(`${look}-palm`, `type="box" pos="${n(palmStart + palm / 2, 0, 0)}" size="${n(palm / 2, stroke * 0.8 + padThickness, fingerWidth * 0.75)}" mass="0.1"`)}
                ${finger(1)}${finger(-1)}
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>
  </body>`;
  const actuators = [
    ...chain.map(
      ({ name, gain, range }) =>
        `<position name="${name}" joint="${name}" kp="${gain}" dampratio="1" ctrlrange="${n(...range)}" forcerange="-80 80"/>`,
    ),
    `<position name="gripper" joint="finger_left" kp="300" dampratio="1" ctrlrange="0 ${n(stroke)}" forcerange="-12 12"/>`,
  ].join('\n');
  const equality = `<joint joint1="finger_right" joint2="finger_left" polycoef="0 1 0 0 0" solref="0.01 1" solimp="0.99 0.999 0.001"/>`;
  return { body, actuators, equality };
}
