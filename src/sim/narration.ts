/**
 * The expert's true reasoning in words (the paper's plan, subtask with reason, move with reason, gripper and object grounding), from the
 * simulator's state. Wording varies by seed and phase; what is said is always true of the scene. Knows nothing of files or tokens.
 */
import type { Env } from './env.js';
import { clamp, distance, distanceXY, quatToMat, rotate, sub, type Vec3 } from './pose.js';
import { Random } from './random.js';
import { project } from './renderer.js';
import { type Decision, type Goal, type Phase, type TaskKind, toolGrasp } from './tasks/task.js';

/** A box in the third-person image: [u0, v0, u1, v1], 0..1, u right and v down. */
export type ImageBox = readonly [number, number, number, number];

export interface Reasoning {
  /** All subtasks of the task, in order. */
  readonly plan: string;
  readonly subtask: string;
  readonly subtaskReason: string;
  /** The motion of this step in words. */
  readonly move: string;
  readonly moveReason: string;
  /** Tool point in the third-person image, 0..1, clipped to it. */
  readonly gripper: readonly [number, number];
  /** The task's objects in the third-person image; those outside it are left out. */
  readonly objects: readonly { readonly name: string; readonly box: ImageBox }[];
  /** From the tool to where it works on the subject, and to what the subject is brought to; metres, base frame. */
  readonly toSubject: Vec3;
  readonly toReference: Vec3 | null;
}

interface Words {
  /** What is acted on, and what it is brought to. */
  readonly it: string;
  readonly place: string;
  /** "on the plate", "near the apple". */
  readonly there: string;
}

function wordsOf(kind: TaskKind, goal: Goal): Words {
  const it = kind === 'open' || kind === 'close' ? `the handle of the ${goal.subjectNoun}` : `the ${goal.subjectNoun}`;
  const place = `the ${goal.referenceNoun ?? goal.subjectNoun}`;
  const preposition = kind === 'put-in' ? 'in' : kind === 'move-near' ? 'near' : 'on';
  return { it, place, there: `${preposition} ${place}` };
}

function planOf(kind: TaskKind, w: Words, goal: Goal): readonly string[] {
  switch (kind) {
    case 'pick':
      return [
        `reach ${w.it}; grasp ${w.it}; lift ${w.it}`,
        `move above ${w.it}, close the gripper on it and raise it`,
        `go to ${w.it}; take hold of it; lift it off the table`,
      ];
    case 'open':
      return [
        `reach ${w.it}; grasp it; pull the ${goal.subjectNoun} open`,
        `move in front of ${w.it}, close the gripper on it and pull back`,
        `go to ${w.it}; take hold of it; pull the drawer out`,
      ];
    case 'close':
      return [
        `reach ${w.it}; push the ${goal.subjectNoun} shut`,
        `close the gripper, move in front of ${w.it} and push forward`,
        `go to ${w.it} with closed jaws; push until the drawer is shut`,
      ];
    default:
      return [
        `reach ${w.it}; grasp ${w.it}; carry it to ${w.place}; release it ${w.there}`,
        `move above ${w.it}, close the gripper on it, bring it to ${w.place} and let go`,
        `go to ${w.it}; take hold of it; lift it; move it to ${w.place}; put it down ${w.there}`,
      ];
  }
}

const cm = (metres: number): string => `${Math.max(1, Math.round(metres * 100))} cm`;

/** Subtask and reason for a phase, several wordings. */
function subtaskOf(phase: Phase, w: Words, env: Env): readonly (readonly [string, string])[] {
  const { world, goal } = env;
  const tool = world.tool().position;
  const drawer = `the ${goal.subjectNoun}`;
  const target = subjectPoint(env);
  const far = cm(distance(tool, target));
  const left = goal.reference
    ? cm(distanceXY(world.objectPose(goal.subject).position, world.objectPose(goal.reference).position))
    : '';
  switch (phase) {
    case 'approach':
      return [
        [`reach ${w.it}`, `the gripper is still ${far} from ${w.it}`],
        [`move to ${w.it}`, `${w.it} is ${far} away and has to be reached first`],
        [`go to ${w.it}`, `${far} remain between the gripper and ${w.it}`],
      ];
    case 'descend':
      return [
        [`lower the gripper onto ${w.it}`, `the gripper is nearly above ${w.it} and still too high to close`],
        [`go down to ${w.it}`, `${w.it} is close and lies lower than the open jaws`],
      ];
    case 'reach':
      return [
        [`bring the jaws around ${w.it}`, `the gripper is nearly level with ${w.it}, which is still ahead`],
        [`move forward to ${w.it}`, `${w.it} is ahead of the open jaws`],
      ];
    case 'grasp':
      return [
        [`grasp ${w.it}`, `${w.it} is between the open jaws`],
        [`take hold of ${w.it}`, `the jaws are around ${w.it}`],
      ];
    case 'recover':
      return [
        [`open the gripper and try again`, `the gripper is not open and does not hold ${w.it}`],
        [`reopen the gripper for another try`, `${w.it} is not in the gripper`],
      ];
    case 'lift':
      return [
        [`lift ${w.it}`, `${w.it} is held and has to come off the table`],
        [`raise ${w.it}`, `the gripper holds ${w.it}, which is still low`],
      ];
    case 'carry':
      return [
        [`carry ${w.it} to ${w.place}`, `${w.it} is held and ${left} from ${w.place}`],
        [`move ${w.it} to ${w.place}`, `the gripper holds ${w.it}; ${w.place} is ${left} away`],
      ];
    case 'lower':
      return [
        [`put ${w.it} down ${w.there}`, `${w.it} is held close to where it belongs and still too high`],
        [`lower ${w.it}`, `${w.it} has nearly arrived and is still in the air`],
      ];
    case 'release':
      return [
        [`release ${w.it}`, `${w.it} is where it belongs`],
        [`let go of ${w.it}`, `${w.it} has been lowered to its place`],
      ];
    case 'pull':
      return [
        [`pull ${drawer} open`, `the handle is held and ${drawer} is not open yet`],
        [`pull back`, `the gripper holds the handle of ${drawer}`],
      ];
    case 'push':
      return [
        [`push ${drawer} shut`, `the closed jaws are in front of the handle and ${drawer} is still open`],
        [`push forward`, `${drawer} is still open and the jaws are in front of its handle`],
      ];
    case 'done':
      return [['stop', 'the task is done']];
  }
}

/** The point of the subject that the hand works on. */
function subjectPoint(env: Env): Vec3 {
  const { world, goal } = env;
  return world.objects.has(goal.subject) ? toolGrasp(world, goal.subject).point : grounded(env, goal.subject).centre;
}

const WORD_THRESHOLD = 0.006;

/** Direction words for a motion: base x is forward, y left, z up. Small components are not named. */
function directions(delta: Vec3): string {
  const largest = Math.max(...delta.map(Math.abs));
  const named = (value: number, plus: string, minus: string): string =>
    Math.abs(value) < Math.max(WORD_THRESHOLD, 0.3 * largest) ? '' : value > 0 ? plus : minus;
  return [named(delta[0], 'forward', 'backward'), named(delta[1], 'left', 'right'), named(delta[2], 'up', 'down')]
    .filter((word) => word !== '')
    .join(' ');
}

function moveOf(env: Env, action: Float32Array): string {
  const delta: Vec3 = [action[0] as number, action[1] as number, action[2] as number];
  const yaw = action[5] as number;
  const turns = Math.abs(yaw) < 0.05 ? '' : yaw > 0 ? 'rotate counterclockwise' : 'rotate clockwise';
  const where = directions(delta);
  const open = (action[6] as number) >= 0.5;
  const isOpen = env.world.opening() >= 0.9;
  const holdsSomething = !isOpen && env.world.opening() > 0.03;
  const jaws =
    open === isOpen
      ? ''
      : open
        ? 'open the gripper'
        : isOpen
          ? 'close the gripper'
          : holdsSomething
            ? 'keep the gripper closed'
            : '';
  const parts = [where && `move ${where}`, turns, jaws].filter((part) => part !== '');
  return parts.length > 0 ? parts.join(', ') : 'hold still';
}

function moveReasonOf(decision: Decision, w: Words, kind: TaskKind, env: Env): readonly string[] {
  const tool = env.world.tool().position;
  const delta: Vec3 = [decision.position[0] - tool[0], decision.position[1] - tool[1], decision.position[2] - tool[2]];
  const where = directions(delta);
  const side = where === '' ? 'right here' : `${where} from here`;
  switch (decision.phase) {
    case 'approach':
      return [`the way to ${w.it} leads ${where || 'nowhere else'}`, `the next point on the way to ${w.it} is ${side}`];
    case 'descend':
    case 'reach':
      return [`the grasp point of ${w.it} is ${side}`, `the jaws have to get around ${w.it}`];
    case 'grasp':
      return [`closing now takes hold of ${w.it}`, `${w.it} can be gripped from here`];
    case 'recover':
      return ['closed jaws cannot grasp anything', `${w.it} has to be approached again with open jaws`];
    case 'lift':
      return [`going up takes ${w.it} off the table`, 'height is needed first'];
    case 'carry':
      return [`${w.place} is ${side}`, `${w.it} has to get to ${w.place}`];
    case 'lower':
      return [
        `${w.it} has to come down ${kind === 'move-near' ? 'beside' : 'onto'} ${w.place}`,
        `the place for ${w.it} is ${side}`,
      ];
    case 'release':
      return [`opening leaves ${w.it} ${w.there}`, 'nothing more has to be moved'];
    case 'pull':
      return ['pulling back opens the drawer', 'the drawer slides towards the robot'];
    case 'push':
      return ['pushing forward shuts the drawer', 'the drawer slides away from the robot'];
    case 'done':
      return ['nothing is left to do'];
  }
}

/** Centre and half sizes of a named thing, in its frame. */
function grounded(env: Env, name: string): { centre: Vec3; corners: Vec3[] } {
  const { world, task } = env;
  const { position, quaternion } = world.bodyPose(name);
  const box = world.objects.get(name) ?? task.parts?.[name];
  const half: Vec3 = box?.halfSize ?? [0.01, 0.01, 0.01];
  const offset: Vec3 = task.parts?.[name]?.centre ?? [0, 0, 0];
  const m = quatToMat(quaternion);
  const at = (local: Vec3): Vec3 => {
    const r = rotate(m, local);
    return [position[0] + r[0], position[1] + r[1], position[2] + r[2]];
  };
  const corners: Vec3[] = [];
  for (const x of [-1, 1]) {
    for (const y of [-1, 1]) {
      for (const z of [-1, 1])
        corners.push(at([offset[0] + x * half[0], offset[1] + y * half[1], offset[2] + z * half[2]]));
    }
  }
  return { centre: at(offset), corners };
}

/** The box of a named thing in the third-person image, clipped to it; null if nothing of it is inside. */
function imageBox(env: Env, name: string): ImageBox | null {
  const camera = env.camera('third');
  const points = grounded(env, name).corners.map((corner) => project(camera, corner));
  if (points.some((p) => p.depth < 0.01)) return null;
  const us = points.map((p) => clamp(p.u, 0, 1));
  const vs = points.map((p) => clamp(p.v, 0, 1));
  const box: ImageBox = [Math.min(...us), Math.min(...vs), Math.max(...us), Math.max(...vs)];
  return box[2] > box[0] && box[3] > box[1] ? box : null;
}

/** The task's objects where the third-person camera sees them, in the words of the instruction; those outside the image are left out. */
export function visibleObjects(env: Env): Reasoning['objects'] {
  return env.goal.objects.flatMap((name) => {
    const box = imageBox(env, name);
    const noun = env.world.objects.get(name)?.noun ?? `${env.goal.subjectNoun} handle`;
    return box ? [{ name: noun, box }] : [];
  });
}

/** Where the tool is in the third-person image, 0..1, clipped to it. */
export function gripperInImage(env: Env): readonly [number, number] {
  const { u, v } = project(env.camera('third'), env.world.tool().position);
  return [clamp(u, 0, 1), clamp(v, 0, 1)];
}

/** From the tool to the point where it works on the subject, and to what the subject is brought to; metres, base frame. */
export function offsets(env: Env): Pick<Reasoning, 'toSubject' | 'toReference'> {
  const { world, goal } = env;
  const tool = world.tool().position;
  const reference = goal.reference ? world.objectPose(goal.reference).position : null;
  return { toSubject: sub(subjectPoint(env), tool), toReference: reference ? sub(reference, tool) : null };
}

/** The reasoning behind one decision. The wording of a phase stays the same through an episode. */
export function narrate(env: Env, decision: Decision, action: Float32Array): Reasoning {
  const { task, goal, seed } = env;
  const w = wordsOf(task.kind, goal);
  const [subtask, subtaskReason] = new Random(seed, `subtask:${decision.phase}`).pick(
    subtaskOf(decision.phase, w, env),
  );
  return {
    plan: new Random(seed, 'plan').pick(planOf(task.kind, w, goal)),
    subtask,
    subtaskReason,
    move: moveOf(env, action),
    moveReason: new Random(seed, `move:${decision.phase}`).pick(moveReasonOf(decision, w, task.kind, env)),
    gripper: gripperInImage(env),
    objects: visibleObjects(env),
    ...offsets(env),
  };
}
