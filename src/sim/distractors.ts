/** Where variant aggregation puts its distractors: beside a task's own objects and off the way that they and the gripper take. */
import { DISTRACTORS } from './objects.js';
import { distanceToSegment, distanceXY, type Pose, type Vec3, yawQuat } from './pose.js';
import type { Random } from './random.js';
import { type Goal, type Task, WORKSPACE } from './tasks/task.js';
import type { World } from './world.js';

/** Half width of the way from subject to target, metres. */
const WAY_WIDTH = 0.07;
/** Free space around the task's own objects, room for open jaws, metres. */
const ELBOW_ROOM = 0.05;
const MAX_DRAWS = 50;

/** Puts two or three small things on the table; one that finds no place in {@link MAX_DRAWS} draws is left out. */
export function placeDistractors(world: World, task: Task, goal: Goal, random: Random): void {
  const taken: { position: Vec3; radius: number }[] = [...world.objects.values()]
    .filter((spec) => world.present(spec.name))
    .map((spec) => ({ position: world.placedPose(spec.name).position, radius: spec.radius + ELBOW_ROOM }));
  const way = task.way?.(goal) ?? {
    from: goal.start,
    to: goal.reference ? world.placedPose(goal.reference).position : goal.start,
    halfWidth: WAY_WIDTH,
  };
  const { x, y } = WORKSPACE[task.robot];
  const count = 2 + random.int(2);
  for (const spec of random.shuffle(DISTRACTORS).slice(0, count)) {
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const pose: Pose = {
        position: [
          random.range(x[0] - 0.06, x[1] + 0.05),
          random.range(y[0] - 0.1, y[1] + 0.1),
          spec.restHeight + 0.0005,
        ],
        quaternion: yawQuat(random.range(-1.5, 1.5)),
      };
      if (taken.some((other) => distanceXY(other.position, pose.position) < other.radius + spec.radius)) continue;
      if (distanceToSegment(pose.position, way.from, way.to) < way.halfWidth + spec.radius) continue;
      world.place(spec.name, pose);
      taken.push({ position: pose.position, radius: spec.radius + 0.02 });
      break;
    }
  }
}
