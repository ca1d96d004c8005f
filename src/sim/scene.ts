/**
 * The MJCF text of a scene: table, one robot and a list of objects; contact settings from measurements
 * (elliptic cones, stiff short-range contacts, rolling friction on round things so that a knocked carrot does not roll away; a contact has the larger
 * dimension of its two geoms, so boxes on the table get by with three). Bodies have one to five geoms: trees of boxes around them (MuJoCo's
 * middle phase) cost more than they save, up to a tenth of a step, and change no number.
 */
import type { ObjectSpec } from './objects.js';
import { type RobotSpec, robotMjcf } from './robots.js';

/** Table top at z = 0: centre and half sizes, metres. It is drawn to these sizes; contacts are with an unbounded plane (cheap and exact). */
export const TABLE = { centre: [0.3, 0], half: [0.46, 0.62] } as const;
/** The room around it, which only the renderer knows: floor height, and walls at +-x and +-y. */
export const ROOM = { floor: -0.7, ceiling: 3, x: 1.6, y: 1.7 } as const;

const objectBody = (spec: ObjectSpec): string =>
  `<body name="${spec.name}" pos="0 0 ${spec.restHeight}">${spec.free ? `<freejoint name="${spec.name}"/>` : ''}${spec.geoms}</body>`;

/**
 * @param objects bodies of their own
 * @param fixtures further MJCF inside the world body (a cabinet)
 */
export function sceneMjcf(robot: RobotSpec, objects: readonly ObjectSpec[], fixtures = ''): string {
  const arm = robotMjcf(robot);
  return `<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <size memory="6M"/>
  <option timestep="0.005" integrator="implicitfast" cone="elliptic" impratio="10" solver="Newton" iterations="30">
    <flag midphase="disable"/>
  </option>
  <default>
    <geom solref="0.01 1" solimp="0.95 0.99 0.001" condim="6" friction="1 0.01 0.002"/>
  </default>
  <worldbody>
    <geom name="table#top" type="plane" size="1 1 0.1" condim="3" contype="1" conaffinity="3" group="3"/>
    ${arm.body}
    ${objects.map(objectBody).join('\n')}
    ${fixtures}
  </worldbody>
  <equality>${arm.equality}</equality>
  <actuator>${arm.actuators}</actuator>
</mujoco>`;
}
