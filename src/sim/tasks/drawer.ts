/**
 * Google robot: open or close one of a cabinet's three drawers. The gripper leans 60 degrees forward and takes the upright bar of a
 * handle between its jaws. Success as in SimplerEnv: opened by 15 cm, or closed to within 5 cm.
 */
import { add, clamp, fromRpy, type Vec3, yawQuat } from '../pose.js';
import type { Fixture, World } from '../world.js';
import { type Decision, EXPERT_STEP, type Goal, type Task } from './task.js';

export const DRAWERS = ['top', 'middle', 'bottom'] as const;
export type DrawerName = (typeof DRAWERS)[number];

const WIDTH = 0.3;
const DEPTH = 0.24;
const PITCH = 0.08;
const TRAVEL = 0.2;
const WALL = 0.006;
const HEIGHT = DRAWERS.length * PITCH + 2 * WALL;
const STANDOFF = 0.048;
/** Nominal x of the cabinet's front. */
const FRONT = 0.64;
/** Far enough forward that the wrist is always bent (forearm and tool axes never align, where the kinematics is singular). */
const TILT = -Math.PI / 3;
/** The tool goes this far past the bar along the approach. */
const DEEPER = 0.008;

const box = (name: string, pos: readonly number[], half: readonly number[], extra: string): string =>
  `<geom name="${name}" type="box" pos="${pos.map((v) => v.toFixed(4)).join(' ')}" size="${half.map((v) => v.toFixed(4)).join(' ')}" ${extra}/>`;

/** Height of a drawer's centre. */
const drawerHeight = (index: number): number => WALL + PITCH * (DRAWERS.length - index - 0.5);

function drawerMjcf(name: DrawerName, index: number): string {
  const z = drawerHeight(index);
  const [halfWidth, halfHeight] = [WIDTH / 2 - WALL - 0.003, PITCH / 2 - 0.003];
  const solid = 'contype="0" conaffinity="3"';
  const part = (look: string, i: number, pos: readonly number[], half: readonly number[], mass = 0.05): string =>
    box(`${look}#${name}${i}`, pos, half, `mass="${mass}" ${solid}`);
  return `<body name="drawer_${name}" pos="0 0 ${z.toFixed(4)}">
    <joint name="drawer_${name}" type="slide" axis="-1 0 0" range="0 ${TRAVEL}" damping="6" frictionloss="1.5" armature="0.1"/>
    ${part('drawer', 0, [0.006, 0, 0], [0.006, halfWidth, halfHeight], 0.2)}
    ${part('drawer-inside', 1, [DEPTH / 2, 0, -halfHeight + 0.004], [DEPTH / 2 - 0.012, halfWidth - 0.004, 0.003])}
    ${part('drawer-inside', 2, [DEPTH / 2, halfWidth - 0.007, -0.006], [DEPTH / 2 - 0.012, 0.003, halfHeight - 0.008])}
    ${part('drawer-inside', 3, [DEPTH / 2, -halfWidth + 0.007, -0.006], [DEPTH / 2 - 0.012, 0.003, halfHeight - 0.008])}
    ${part('drawer-inside', 4, [DEPTH - 0.015, 0, -0.006], [0.003, halfWidth - 0.01, halfHeight - 0.008])}
  <body name="handle_${name}">
    ${part('handle', 5, [-STANDOFF, 0, 0], [0.007, 0.01, 0.024], 0.03)}
    ${part('handle', 6, [-STANDOFF / 2, 0, 0.019], [STANDOFF / 2, 0.006, 0.005], 0.01)}
    ${part('handle', 7, [-STANDOFF / 2, 0, -0.019], [STANDOFF / 2, 0.006, 0.005], 0.01)}
  </body></body>`;
}

function cabinetMjcf(): string {
  const frame = (i: number, pos: readonly number[], half: readonly number[]): string =>
    box(`cabinet#frame${i}`, pos, half, 'contype="0" conaffinity="2"');
  const [d, w, h] = [DEPTH / 2, WIDTH / 2, HEIGHT / 2];
  return `<body name="cabinet" pos="${FRONT} 0 0">
    ${frame(0, [d + 0.005, w - WALL / 2, h], [d, WALL / 2, h])}
    ${frame(1, [d + 0.005, -w + WALL / 2, h], [d, WALL / 2, h])}
    ${frame(2, [2 * d + 0.005, 0, h], [WALL / 2, w, h])}
    ${frame(3, [d + 0.005, 0, HEIGHT], [d + 0.006, w + 0.004, WALL])}
    ${frame(4, [d + 0.01, 0, WALL / 2], [d, w, WALL / 2])}
    ${DRAWERS.map(drawerMjcf).join('\n')}
  </body>`;
}

const CABINET: Fixture = {
  mjcf: cabinetMjcf(),
  bodies: DRAWERS.flatMap((name) => [`drawer_${name}`, `handle_${name}`]),
  joints: DRAWERS.map((name) => `drawer_${name}`),
};

const HANDLE_BOX = { centre: [-STANDOFF / 2, 0, 0], halfSize: [STANDOFF / 2 + 0.007, 0.01, 0.024] } as const;

const FORWARD = fromRpy(0, TILT, 0);
/** Where the tool points when tilted: forward and down. */
const APPROACH: Vec3 = [-Math.sin(TILT), 0, -Math.cos(TILT)];

const drawerOf = (goal: Goal): string => goal.subject.replace('handle_', 'drawer_');

/** Centre of the handle's bar in the base frame. */
export function handlePosition(world: World, goal: Goal): Vec3 {
  const [x, y, z] = world.bodyPose(goal.subject).position;
  return [x - STANDOFF, y, z];
}

function task(kind: 'open' | 'close'): Task {
  const opening = kind === 'open';
  return {
    id: `google/${kind}-drawer`,
    robot: 'google',
    kind,
    maxSteps: 113,
    objects: [],
    fixtures: [CABINET],
    parts: Object.fromEntries(DRAWERS.map((name) => [`handle_${name}`, HANDLE_BOX])),
    start: { position: [0.31, 0, 0.18], rotation: FORWARD },
    holdSteps: 1,
    camera: { position: [0.08, 0.48, 0.52], lookAt: [0.48, 0.0, 0.1], fovy: 42 },
    sample(world, random) {
      const name = random.pick(DRAWERS);
      const [x, y] = [random.range(FRONT - 0.025, FRONT + 0.025), random.range(-0.06, 0.06)];
      world.placeFixture('cabinet', { position: [x, y, 0], quaternion: yawQuat(0) });
      const value = opening ? 0 : random.range(0.12, 0.18);
      world.setSlide(`drawer_${name}`, value);
      const index = DRAWERS.indexOf(name);
      return {
        subject: `handle_${name}`,
        subjectNoun: `${name} drawer`,
        start: [x - STANDOFF - value, y, drawerHeight(index)],
        objects: [`handle_${name}`],
      };
    },
    // Wherever the drawer and the arm behind its handle come.
    way: ({ start: [x, y, z] }) => ({ from: [x - 0.3, y, z], to: [x + 0.2, y, z], halfWidth: WIDTH / 2 + 0.01 }),
    instructions: ({ subjectNoun: noun }) =>
      opening
        ? [
            `open ${noun}`,
            `open the ${noun}`,
            `pull the ${noun} open`,
            `pull out the ${noun}`,
            `open the ${noun} of the cabinet`,
          ]
        : [
            `close ${noun}`,
            `close the ${noun}`,
            `push the ${noun} shut`,
            `push in the ${noun}`,
            `shut the ${noun} of the cabinet`,
          ],
    success(world, goal) {
      const value = world.slide(drawerOf(goal));
      return opening ? value >= 0.15 : value <= 0.05;
    },
    decide: (world, goal, bias) => (opening ? decideOpen(world, goal, bias) : decideClose(world, goal)),
    // Too early: the jaws close in front of the bar.
    ...(opening && { missBy: (_world, _goal, random) => [random.range(-0.06, -0.035), 0, random.range(-0.01, 0.01)] }),
    progress(world, goal) {
      const value = world.slide(drawerOf(goal));
      const moved = opening ? value / 0.15 : clamp((0.15 - value) / 0.1, 0, 1);
      if (world.holds(goal.subject) || moved > 0.2) return clamp(0.5 + 0.5 * moved, 0, 1);
      const handle = handlePosition(world, goal);
      const tool = world.tool().position;
      return 0.45 * clamp(1 - Math.hypot(handle[0] - tool[0], handle[1] - tool[1], handle[2] - tool[2]) / 0.3, 0, 1);
    },
  };
}

/** Moves in front of the bar first, then forward: x keeps back while the tool is not yet level with the bar. */
function toward(
  world: World,
  goal: Goal,
  past: number,
  bias: Vec3 = [0, 0, 0],
): { position: Vec3; off: number; ahead: number } {
  const [hx, hy, hz] = add(handlePosition(world, goal), bias);
  const target: Vec3 = [hx + APPROACH[0] * past, hy, hz + APPROACH[2] * past];
  const tool = world.tool().position;
  const off = Math.hypot(target[1] - tool[1], target[2] - tool[2]);
  const left = Math.max(0, off - EXPERT_STEP.google.move);
  const back = clamp(2.5 * (left - 0.008), 0, 0.07);
  return { position: [target[0] - back, target[1], target[2]], off, ahead: target[0] - tool[0] };
}

function decideOpen(world: World, goal: Goal, bias?: Vec3): Decision {
  const tool = world.tool();
  const [x, y, z] = tool.position;
  if (world.holds(goal.subject)) {
    return { phase: 'pull', position: [x - 0.1, y, z], rotation: FORWARD, gripper: 0 };
  }
  if (world.opening() < 0.9) {
    return { phase: 'recover', position: [x - 0.045, y, z], rotation: FORWARD, gripper: 1 };
  }
  const { position, off, ahead } = toward(world, goal, DEEPER, bias);
  if (off < 0.005 && Math.abs(ahead) < 0.006) {
    return { phase: 'grasp', position: tool.position, rotation: tool.rotation, gripper: 0 };
  }
  return { phase: off > 0.03 ? 'approach' : 'reach', position, rotation: FORWARD, gripper: 1 };
}

/** Pushes the bar with closed jaws. */
function decideClose(world: World, goal: Goal): Decision {
  const { position, off, ahead } = toward(world, goal, 0);
  const tool = world.tool();
  if (off < 0.014 && ahead < 0.04) {
    return {
      phase: 'push',
      position: [tool.position[0] + 0.1, position[1], position[2]],
      rotation: FORWARD,
      gripper: 0,
    };
  }
  // The jaws stop in front of the bar until they are level with it.
  return {
    phase: 'approach',
    position: [position[0] - 0.025, position[1], position[2]],
    rotation: FORWARD,
    gripper: 0,
  };
}

export const OPEN_DRAWER = task('open');
export const CLOSE_DRAWER = task('close');
