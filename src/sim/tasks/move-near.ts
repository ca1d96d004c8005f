/**
 * Google robot: move X near Y, with a third object that is neither. Success as in SimplerEnv: X has moved more than 3 cm, its nearest neighbour
 * is Y, and they are within their radii plus 10 cm; besides, X stands on the table again and has been let go.
 */
import { OBJECTS, type ObjectSpec } from '../objects.js';
import { distanceToSegment, distanceXY, type Pose, type Vec3 } from '../pose.js';
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
  toolGrasp,
} from './task.js';

const POOL: readonly ObjectSpec[] = [
  OBJECTS.coke,
  OBJECTS.blueCan,
  OBJECTS.greenCan,
  OBJECTS.apple,
  OBJECTS.orange,
  OBJECTS.sponge,
  OBJECTS.bottle,
];
/** Open jaws reach this far to either side: the place beside Y must leave room for them. */
const JAW_REACH = 0.085;
/** Tool height from which the jaws pass over everything. */
const OVER = 0.15;
const MIN_SEPARATION = 0.12;

/** Largest distance between centres that counts as near. */
const nearLimit = (a: ObjectSpec, b: ObjectSpec): number => a.radius + b.radius + 0.1;
const spec = (world: World, name: string): ObjectSpec => world.objects.get(name) as ObjectSpec;

/** Beside Y on the line from Y to where X is, at resting height. */
function placeBeside(world: World, goal: Goal, from: Vec3): Vec3 {
  const reference = goal.reference as string;
  const [rx, ry] = world.objectPose(reference).position;
  return beside(from, [rx, ry, 0], spec(world, reference).radius, spec(world, goal.subject).restHeight);
}

function beside(from: Vec3, reference: Vec3, radius: number, height: number): Vec3 {
  const away = distanceXY(from, reference) || 1;
  const d = Math.min(away, radius + JAW_REACH);
  return [
    reference[0] + ((from[0] - reference[0]) / away) * d,
    reference[1] + ((from[1] - reference[1]) / away) * d,
    height + 0.005,
  ];
}

export const MOVE_NEAR: Task = {
  id: 'google/move-near',
  robot: 'google',
  kind: 'move-near',
  maxSteps: 80,
  objects: POOL,
  fixtures: [],
  start: { position: [0.37, 0, 0.22], rotation: pointingDown(0) },
  holdSteps: 1,
  sample(world, random) {
    const chosen = random.shuffle(POOL).slice(0, 3);
    const placed = chosen.map((object) => ({ spec: object, pose: randomPose(object, 'google', random, 0.9) }));
    const [x, y, other] = placed as [Placed, Placed, Placed];
    const apart = placed.every((a, i) =>
      placed.slice(i + 1).every((b) => distanceXY(a.pose.position, b.pose.position) >= MIN_SEPARATION),
    );
    if (!apart || !separated(placed, 0.05)) return null;
    const place = beside(x.pose.position, y.pose.position, y.spec.radius, x.spec.restHeight);
    const toY = distanceXY(place, y.pose.position);
    const clear = other.spec.radius + x.spec.radius + 0.05;
    // Not near at the start.
    if (distanceXY(x.pose.position, y.pose.position) < nearLimit(x.spec, y.spec) + 0.01) return null;
    if (distanceToSegment(other.pose.position, x.pose.position, place) < clear) return null;
    if (distanceXY(place, other.pose.position) < toY + 0.02) return null;
    for (const point of [x.pose.position, place]) {
      for (const z of [0.02, OVER]) {
        if (!reachable(world, { position: [point[0], point[1], z], rotation: pointingDown(0) })) return null;
      }
    }
    for (const { spec: object, pose } of placed) world.place(object.name, pose);
    return {
      subject: x.spec.name,
      reference: y.spec.name,
      subjectNoun: x.spec.noun,
      referenceNoun: y.spec.noun,
      start: x.pose.position,
      objects: [x.spec.name, y.spec.name, other.spec.name],
    };
  },
  instructions: ({ subjectNoun: a, referenceNoun: b }) => [
    `move ${a} near ${b}`,
    `move the ${a} near the ${b}`,
    `bring the ${a} close to the ${b}`,
    `place the ${a} next to the ${b}`,
    `put the ${a} by the ${b}`,
    `pick up the ${a} and set it near the ${b}`,
  ],
  success(world, goal) {
    const { subject, start } = goal;
    const reference = goal.reference as string;
    const position = world.objectPose(subject).position;
    const gap = (name: string): number => distanceXY(position, world.objectPose(name).position);
    const nearest = goal.objects.every((name) => name === subject || gap(reference) <= gap(name));
    const limit = nearLimit(spec(world, subject), spec(world, reference));
    const standing = Math.abs(position[2] - start[2]) < 0.02 && world.speed(subject) < 0.1;
    const there = standing && nearest && distanceXY(position, start) > 0.03 && gap(reference) <= limit;
    return there && !world.touchesRobot(subject);
  },
  missBy: (world, goal, random) => missFromAbove(world, goal.subject, random),
  decide(world, goal, bias): Decision {
    const { subject } = goal;
    if (world.holds(subject)) {
      return decidePlace(world, subject, placeBeside(world, goal, world.objectPose(subject).position), 0.03);
    }
    const grasp = toolGrasp(world, subject, bias);
    return decideGrasp(world, grasp, OVER - grasp.point[2]);
  },
  progress(world, goal) {
    return fetchProgress(world, goal.subject, goal.start, placeBeside(world, goal, goal.start), 0.1);
  },
};

interface Placed {
  readonly spec: ObjectSpec;
  readonly pose: Pose;
}
