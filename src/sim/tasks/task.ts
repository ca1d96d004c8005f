/**
 * What a task is, and the pieces that its behaviour is made of. A task's `decide` is a function of the visible state alone (poses, contacts,
 * measured jaw opening): no memory, no plan, no clock, so the behaviour is Markov in image and proprioception and can
 * label any state that a learner reaches. Knows nothing of rendering, noise or language models.
 */
import type { ToolPose } from '../kinematics.js';
import { type Grasp, graspAt, type ObjectSpec } from '../objects.js';
import {
  add,
  clamp,
  distanceXY,
  fromRpy,
  type Mat3,
  type Pose,
  quatToMat,
  rotate,
  toRpy,
  transpose,
  type Vec3,
  wrap,
  yawQuat,
} from '../pose.js';
import type { Random } from '../random.js';
import type { RobotName } from '../robots.js';
import type { Fixture, World } from '../world.js';

export const TASK_IDS = [
  'widowx/put-spoon-on-towel',
  'widowx/put-carrot-on-plate',
  'widowx/stack-green-on-yellow',
  'widowx/put-eggplant-in-basket',
  'google/pick-coke-can',
  'google/move-near',
  'google/open-drawer',
  'google/close-drawer',
] as const;
export type TaskId = (typeof TASK_IDS)[number];

/** What sort of thing a task asks for; instructions and reasoning are worded by it. */
export type TaskKind = 'put-on' | 'put-in' | 'stack' | 'pick' | 'move-near' | 'open' | 'close';

/** What the arm is doing. */
export type Phase =
  | 'approach'
  | 'descend'
  | 'reach'
  | 'grasp'
  | 'recover'
  | 'lift'
  | 'carry'
  | 'lower'
  | 'release'
  | 'pull'
  | 'push'
  | 'done';

/** Where the tool should go from here (not yet limited to one step) and what the jaws should do (1 open, 0 close). */
export interface Decision {
  readonly phase: Phase;
  readonly position: Vec3;
  readonly rotation: Mat3;
  readonly gripper: 0 | 1;
}

/** What one episode asks for: the thing to act on, and what it is put on, in, or near. */
export interface Goal {
  readonly subject: string;
  readonly reference?: string;
  /** How instructions call them. */
  readonly subjectNoun: string;
  readonly referenceNoun?: string;
  /** Where the subject was at reset. */
  readonly start: Vec3;
  /** Objects that take part, for grounding; the subject first. */
  readonly objects: readonly string[];
}

export interface Task {
  readonly id: TaskId;
  readonly robot: RobotName;
  readonly kind: TaskKind;
  /** Control steps before an episode is cut off, as in SimplerEnv. */
  readonly maxSteps: number;
  readonly objects: readonly ObjectSpec[];
  readonly fixtures: readonly Fixture[];
  /** Bounding boxes of fixture bodies that goals name, in the body's frame. */
  readonly parts?: Readonly<Record<string, { readonly centre: Vec3; readonly halfSize: Vec3 }>>;
  /** Nominal tool pose at reset. */
  readonly start: ToolPose;
  /** Success must hold for this many consecutive steps. */
  readonly holdSteps: number;
  /** Camera other than the robot's own third-person one. */
  readonly camera?: { readonly position: Vec3; readonly lookAt: Vec3; readonly fovy: number };
  /** Places the objects of one episode; null if this draw is not usable (overlap, out of reach). */
  sample(world: World, random: Random): Goal | null;
  /** Strip of the table that the episode needs, which distractors keep clear of; default from the subject to its target. */
  way?(goal: Goal): { readonly from: Vec3; readonly to: Vec3; readonly halfWidth: number };
  /** Paraphrases of the instruction; the first is the canonical one. */
  instructions(goal: Goal): readonly string[];
  success(world: World, goal: Goal): boolean;
  /**
   * What to do from the present state.
   * @param bias metres by which the grasp is aimed past the object, in the world frame (deliberate failures)
   */
  decide(world: World, goal: Goal, bias?: Vec3): Decision;
  /** A bias with which a grasp closes on nothing, in the present state; absent where a task has no grasp. */
  missBy?(world: World, goal: Goal, random: Random): Vec3;
  /** 0 at the start to 1 at success, from the state alone. */
  progress(world: World, goal: Goal): number;
}

/** Where objects are put: the reachable middle of the table, 20 x 25 cm. */
export const WORKSPACE: Readonly<Record<RobotName, { x: readonly [number, number]; y: readonly [number, number] }>> = {
  widowx: { x: [0.19, 0.39], y: [-0.125, 0.125] },
  google: { x: [0.3, 0.5], y: [-0.125, 0.125] },
};

/** Largest translation and turn that the expert makes in one step; smaller than the robot's limits. */
export const EXPERT_STEP: Readonly<Record<RobotName, { move: number; turn: number }>> = {
  widowx: { move: 0.035, turn: 0.3 },
  google: { move: 0.035, turn: 0.35 },
};

export const pointingDown = (yaw: number): Mat3 => fromRpy(0, 0, yaw);

/** A random pose on the table with the object's resting height. */
export function randomPose(spec: ObjectSpec, robot: RobotName, random: Random, yawRange: number): Pose {
  const { x, y } = WORKSPACE[robot];
  return {
    position: [random.range(...x), random.range(...y), spec.restHeight + 0.0005],
    quaternion: yawQuat(random.range(-yawRange, yawRange)),
  };
}

/** Whether every pair keeps its distance: footprints plus `margin`. */
export function separated(placed: readonly { spec: ObjectSpec; pose: Pose }[], margin: number): boolean {
  return placed.every((a, i) =>
    placed
      .slice(i + 1)
      .every((b) => distanceXY(a.pose.position, b.pose.position) >= a.spec.radius + b.spec.radius + margin),
  );
}

/** Whether the tool can be at a pose to within 2 mm. */
export function reachable(world: World, pose: ToolPose): boolean {
  const { positionError, rotationError } = world.kinematics.inverse(pose, world.robot.guess, 60);
  return positionError < 0.002 && rotationError < 0.03;
}

/** Where the tool goes to grasp an object, as the object lies now, aimed off by `bias`. */
export function toolGrasp(world: World, name: string, bias: Vec3 = [0, 0, 0]): Grasp {
  const spec = world.objects.get(name) as ObjectSpec;
  const grasp = graspAt(spec, world.objectPose(name));
  const [x, y, z] = add(grasp.point, bias);
  return { ...grasp, point: [x, y, Math.max(z, 0.01)] };
}

/** Half the length of an object's bounding box along a world direction, as it lies now. */
function halfExtent(spec: ObjectSpec, pose: Pose, direction: Vec3): number {
  const local = rotate(transpose(quatToMat(pose.quaternion)), direction);
  return local.reduce((sum, component, i) => sum + Math.abs(component) * (spec.halfSize[i] as number), 0);
}

/** A way to miss an object from above: too high, or past its end (beside it, if it is round). */
export function missFromAbove(world: World, name: string, random: Random): Vec3 {
  const spec = world.objects.get(name) as ObjectSpec;
  const pose = world.objectPose(name);
  const grasp = graspAt(spec, pose);
  if (random.chance(0.5)) {
    const top = pose.position[2] + halfExtent(spec, pose, [0, 0, 1]) - grasp.point[2];
    return [random.range(-0.008, 0.008), random.range(-0.008, 0.008), top + random.range(0.014, 0.03)];
  }
  const angle = (grasp.yaw ?? 0) + (random.chance(0.5) ? Math.PI : 0);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const offCentre = (pose.position[0] - grasp.point[0]) * cos + (pose.position[1] - grasp.point[1]) * sin;
  const end = halfExtent(spec, pose, [cos, sin, 0]) + offCentre;
  const along = end + world.robot.gripper.fingerWidth / 2 + random.range(0.006, 0.018);
  return [along * cos, along * sin, random.range(0, 0.01)];
}

/** Yaw of the tool about the vertical. */
export const toolYaw = (tool: ToolPose): number => toRpy(tool.rotation)[2];

const GRASP_TOLERANCE = { lateral: 0.007, height: 0.006, yaw: 0.12 } as const;

/**
 * Approach and grasp from above. The height follows the remaining sideways error (a funnel), so that approach and descent are one smooth
 * curve: z = z_grasp + clamp(slope (error after this step - 1 cm), 0, hover).
 * Jaws that are closed on nothing are first opened while rising (`recover`): that is how a failed grasp is noticed.
 */
export function decideGrasp(world: World, grasp: Grasp, hover: number): Decision {
  const tool = world.tool();
  const yawNow = toolYaw(tool);
  const yaw = grasp.yaw === undefined ? 0 : yawNow + wrap(grasp.yaw - yawNow, grasp.period);
  const rotation = pointingDown(yaw);
  const [x, y, z] = grasp.point;
  if (world.opening() < 0.9) {
    return {
      phase: 'recover',
      position: [
        tool.position[0],
        tool.position[1],
        Math.max(tool.position[2], Math.min(tool.position[2] + 0.04, z + hover)),
      ],
      rotation: tool.rotation,
      gripper: 1,
    };
  }
  const lateral = distanceXY(tool.position, grasp.point);
  const turn = Math.abs(wrap(yaw - yawNow));
  const above = tool.position[2] - z;
  if (lateral < GRASP_TOLERANCE.lateral && Math.abs(above) < GRASP_TOLERANCE.height && turn < GRASP_TOLERANCE.yaw) {
    return { phase: 'grasp', position: tool.position, rotation: tool.rotation, gripper: 0 };
  }
  const step = EXPERT_STEP[world.robot.name];
  const left = Math.max(0, lateral - step.move) + 0.06 * Math.max(0, turn - step.turn);
  const height = clamp(2.5 * (left - 0.01), 0, hover);
  return {
    phase: height > 0.005 ? 'approach' : 'descend',
    position: [x, y, z + height],
    rotation,
    gripper: 1,
  };
}

/**
 * Carries a held object so that its centre comes to `place`, over a hill of `clearance`, and lets go there. Sideways motion begins
 * as the object leaves the table.
 */
export function decidePlace(world: World, name: string, place: Vec3, clearance: number): Decision {
  const tool = world.tool();
  const object = world.objectPose(name).position;
  const spec = world.objects.get(name) as ObjectSpec;
  const [dx, dy, dz] = [place[0] - object[0], place[1] - object[1], place[2] - object[2]];
  const lateral = Math.hypot(dx, dy);
  if (lateral < 0.012 && Math.abs(dz) < 0.007) {
    return { phase: 'release', position: tool.position, rotation: tool.rotation, gripper: 1 };
  }
  const step = EXPERT_STEP[world.robot.name].move;
  const left = Math.max(0, lateral - step);
  const hill = clamp(2 * (left - 0.008), 0, clearance);
  const up = dz + hill;
  // Free of the table, and, close to the goal, above the height that the hill asks for there.
  const cleared = clamp((object[2] - spec.restHeight - 0.004) / 0.035, 0, 1);
  const raised = clamp(1 - (up - step) / 0.03, 0, 1);
  const share = Math.min(cleared, raised);
  const reach = lateral > 0 ? Math.min(1, (share * step) / lateral) : 0;
  const phase: Phase = cleared < 0.5 && hill > 0.01 ? 'lift' : hill > 0.005 ? 'carry' : 'lower';
  return {
    phase,
    position: [tool.position[0] + dx * reach, tool.position[1] + dy * reach, tool.position[2] + up],
    rotation: tool.rotation,
    gripper: 0,
  };
}

/** Progress of fetching something to a place: half for grasping, half for bringing it. */
export function fetchProgress(world: World, name: string, start: Vec3, place: Vec3, hover: number): number {
  const object = world.objectPose(name).position;
  const whole = Math.max(distanceXY(start, place), 0.02);
  const brought = clamp(1 - distanceXY(object, place) / whole, 0, 1);
  if (world.holds(name) || brought > 0.9) return 0.5 + 0.45 * brought;
  const grasp = toolGrasp(world, name);
  const tool = world.tool().position;
  const away = distanceXY(tool, grasp.point) + 0.5 * Math.max(0, tool[2] - grasp.point[2]);
  return 0.45 * clamp(1 - away / (0.2 + hover), 0, 1);
}
