/**
 * The four WidowX tasks: put one thing on (or in) another. Success: the thing touches its target, lies over it, is at rest, and
 * the gripper has let go.
 */
import { OBJECTS, type ObjectSpec } from '../objects.js';
import { quatToMat, rotate, sub, transpose, type Vec3 } from '../pose.js';
import type { Random } from '../random.js';
import type { World } from '../world.js';
import {
  type Decision,
  decideGrasp,
  decidePlace,
  fetchProgress,
  type Goal,
  missFromAbove,
  pointingDown,
  randomPose,
  reachable,
  separated,
  type Task,
  type TaskId,
  type TaskKind,
  toolGrasp,
} from './task.js';

interface PutOn {
  readonly id: TaskId;
  readonly kind: TaskKind;
  readonly subject: ObjectSpec;
  readonly target: ObjectSpec;
  /** Yaw ranges of subject and target at reset, rad. */
  readonly yaw: readonly [number, number];
  /** Free space between the two footprints. */
  readonly margin: number;
  /** How far the subject's centre may be from the target's, along the target's x and y, metres; round targets use x alone. */
  readonly within: readonly [number, number];
  readonly round: boolean;
  /** Height of the subject's centre above the target's centre when it rests there: [low, high]. */
  readonly above: readonly [number, number];
  /** Height of the subject's centre above the target's centre at which it is let go. */
  readonly drop: number;
  readonly clearance: number;
  readonly maxSteps: number;
  readonly phrases: readonly string[];
}

const HOVER = 0.07;

function putOn(o: PutOn): Task {
  const place = (world: World): Vec3 => {
    const [x, y, z] = world.objectPose(o.target.name).position;
    return [x, y, z + o.drop];
  };
  return {
    id: o.id,
    robot: 'widowx',
    kind: o.kind,
    maxSteps: o.maxSteps,
    objects: [o.subject, o.target],
    fixtures: [],
    start: { position: [0.25, 0, 0.13], rotation: pointingDown(0) },
    holdSteps: 1,
    sample(world: World, random: Random): Goal | null {
      const subject = { spec: o.subject, pose: randomPose(o.subject, 'widowx', random, o.yaw[0]) };
      const target = { spec: o.target, pose: randomPose(o.target, 'widowx', random, o.yaw[1]) };
      if (!separated([subject, target], o.margin)) return null;
      for (const { spec, pose } of [subject, target]) {
        world.place(spec.name, pose);
        for (const z of [0.012, 0.012 + o.clearance + HOVER]) {
          const [x, y] = pose.position;
          if (!reachable(world, { position: [x, y, z], rotation: pointingDown(0) })) return null;
        }
      }
      return {
        subject: o.subject.name,
        reference: o.target.name,
        subjectNoun: o.subject.noun,
        referenceNoun: o.target.noun,
        start: subject.pose.position,
        objects: [o.subject.name, o.target.name],
      };
    },
    instructions: () => o.phrases,
    success(world: World): boolean {
      const { subject, target } = o;
      if (world.touchesRobot(subject.name) || !world.touching(subject.name, target.name)) return false;
      const pose = world.objectPose(target.name);
      const d = rotate(
        transpose(quatToMat(pose.quaternion)),
        sub(world.objectPose(subject.name).position, pose.position),
      );
      const inside = o.round
        ? Math.hypot(d[0], d[1]) <= o.within[0]
        : Math.abs(d[0]) <= o.within[0] && Math.abs(d[1]) <= o.within[1];
      return inside && d[2] >= o.above[0] && d[2] <= o.above[1] && world.speed(subject.name) < 0.1;
    },
    decide(world: World, _goal: Goal, bias?: Vec3): Decision {
      if (world.holds(o.subject.name)) return decidePlace(world, o.subject.name, place(world), o.clearance);
      return decideGrasp(world, toolGrasp(world, o.subject.name, bias), HOVER);
    },
    missBy: (world, _goal, random) => missFromAbove(world, o.subject.name, random),
    progress(world: World, goal: Goal): number {
      return fetchProgress(world, o.subject.name, goal.start, place(world), HOVER);
    },
  };
}

export const PUT_ON_TASKS: readonly Task[] = [
  putOn({
    id: 'widowx/put-spoon-on-towel',
    kind: 'put-on',
    subject: OBJECTS.spoon,
    target: OBJECTS.towel,
    yaw: [1.0, 0.5],
    margin: 0.005,
    within: [0.07, 0.055],
    round: false,
    above: [0.002, 0.03],
    drop: 0.015,
    clearance: 0.04,
    maxSteps: 60,
    phrases: [
      'put the spoon on the towel',
      'place the spoon on the towel',
      'move the spoon onto the towel',
      'pick up the spoon and put it on the towel',
      'set the spoon down on the towel',
      'lay the spoon on the cloth',
    ],
  }),
  putOn({
    id: 'widowx/put-carrot-on-plate',
    kind: 'put-on',
    subject: OBJECTS.carrot,
    target: OBJECTS.plate,
    yaw: [1.0, 0],
    margin: 0.01,
    within: [0.06, 0.06],
    round: true,
    above: [0.005, 0.04],
    drop: 0.026,
    clearance: 0.045,
    maxSteps: 60,
    phrases: [
      'put the carrot on the plate',
      'place the carrot on the plate',
      'move the carrot onto the plate',
      'pick up the carrot and put it on the plate',
      'set the carrot down on the plate',
      'put the orange vegetable on the dish',
    ],
  }),
  putOn({
    id: 'widowx/stack-green-on-yellow',
    kind: 'stack',
    subject: OBJECTS.greenCube,
    target: OBJECTS.yellowCube,
    yaw: [0.78, 0.78],
    margin: 0.05,
    within: [0.022, 0.022],
    round: false,
    above: [0.03, 0.05],
    drop: 0.044,
    clearance: 0.035,
    maxSteps: 60,
    phrases: [
      'stack the green block on the yellow block',
      'put the green block on the yellow block',
      'place the green cube on top of the yellow cube',
      'pick up the green block and stack it on the yellow one',
      'move the green block onto the yellow block',
      'set the green cube on the yellow cube',
    ],
  }),
  putOn({
    id: 'widowx/put-eggplant-in-basket',
    kind: 'put-in',
    subject: OBJECTS.eggplant,
    target: OBJECTS.basket,
    yaw: [1.0, 0.4],
    margin: 0.035,
    within: [0.066, 0.051],
    round: false,
    above: [-0.03, 0.03],
    drop: 0.045,
    clearance: 0.045,
    maxSteps: 120,
    phrases: [
      'put the eggplant in the basket',
      'place the eggplant in the basket',
      'put the eggplant into the yellow basket',
      'pick up the eggplant and drop it in the basket',
      'move the eggplant into the basket',
      'drop the purple vegetable in the basket',
    ],
  }),
];
