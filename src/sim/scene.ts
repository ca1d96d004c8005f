/**
 * The MJCF text of a scene: table, wall, floor, one robot and a list of objects; contact settings from measurements
 * (elliptic cones, stiff short-range contacts, six-dimensional friction so that a knocked carrot does not roll away).
 */
import type { ObjectSpec } from './objects.js';
import { type RobotSpec, robotMjcf } from './robots.js';

/** Table top: z = 0; half sizes and centre in metres. */
export const TABLE = { centre: [0.3, 0], half: [0.46, 0.62], thickness: 0.02 } as const;
const FLOOR = -0.7;
const WALL_X = 1.6;
const WALL_Y = 1.7;

const objectBody = (spec: ObjectSpec): string =>
  `<body name="${spec.name}" pos="0 0 ${spec.restHeight}">${spec.free ? `<freejoint name="${spec.name}"/>` : ''}${spec.geoms}</body>`;

/**
 * @param objects bodies of their own
 * @param fixtures further MJCF inside the world body (a cabinet)
 */
export function sceneMjcf(robot: RobotSpec, objects: readonly ObjectSpec[], fixtures = ''): string {
  const arm = robotMjcf(robot);
  const [cx, cy] = TABLE.centre;
  const [hx, hy] = TABLE.half;
  const wall = (name: string, pos: string, size: string): string =>
    `<geom name="wall#${name}" type="box" pos="${pos}" size="${size}" contype="0" conaffinity="0"/>`;
  return `<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <size memory="6M"/>
  <option timestep="0.004" integrator="implicitfast" cone="elliptic" impratio="10" solver="Newton" iterations="30"/>
  <default>
    <geom solref="0.008 1" solimp="0.95 0.99 0.001" condim="6" friction="1 0.01 0.002"/>
  </default>
  <worldbody>
    <geom name="table#top" type="box" pos="${cx} ${cy} ${-TABLE.thickness}" size="${hx} ${hy} ${TABLE.thickness}" contype="1" conaffinity="3"/>
    <geom name="floor#floor" type="plane" pos="0 0 ${FLOOR}" size="4 4 0.1" contype="1" conaffinity="1"/>
    ${wall('front', `${WALL_X} 0 0.6`, '0.02 4 2')}
    ${wall('back', `${-WALL_X} 0 0.6`, '0.02 4 2')}
    ${wall('left', `0 ${WALL_Y} 0.6`, '4 0.02 2')}
    ${wall('right', `0 ${-WALL_Y} 0.6`, '4 0.02 2')}
    ${arm.body}
    ${objects.map(objectBody).join('\n')}
    ${fixtures}
  </worldbody>
  <equality>${arm.equality}</equality>
  <actuator>${arm.actuators}</actuator>
</mujoco>`;
}
