/**
 * Google robot: pick a coke can that stands, or lies along or across the table (SimplerEnv's three orientations). Success: held, off
 * everything else and 4 cm up, for two steps.
 */
import { OBJECTS } from '../objects.js';
import { clamp, quatAxisAngle, quatMultiply, yawQuat } from '../pose.js';
import type { World } from '../world.js';
import {
  type Decision,
  decideGrasp,
  type Goal,
  missFromAbove,
  pointingDown,
  reachable,
  type Task,
  toolGrasp,
  WORKSPACE,
} from './task.js';

const CAN = OBJECTS.coke;
const LIFT = 0.04;
const HOVER = 0.08;
export const CAN_ORIENTATIONS = ['standing', 'lying along', 'lying across'] as const;

export const PICK_CAN: Task = {
  id: 'google/pick-coke-can',
  robot: 'google',
  kind: 'pick',
  maxSteps: 80,
  objects: [CAN],
  fixtures: [],
  start: { position: [0.37, 0, 0.22], rotation: pointingDown(0) },
  holdSteps: 2,
  sample(world, random) {
    const orientation = random.pick(CAN_ORIENTATIONS);
    const { x, y } = WORKSPACE.google;
    const [px, py] = [random.range(...x), random.range(...y)];
    const jitter = random.range(-0.35, 0.35);
    const standing = orientation === 'standing';
    const height = standing ? CAN.restHeight : CAN.radius;
    // Lying along: axis towards x; across: towards y.
    const lying = quatMultiply(
      yawQuat(jitter + (orientation === 'lying across' ? Math.PI / 2 : 0)),
      quatAxisAngle([0, 1, 0], Math.PI / 2),
    );
    const position = [px, py, height + 0.0005] as const;
    for (const z of [0.02, 0.05 + HOVER]) {
      if (!reachable(world, { position: [px, py, z], rotation: pointingDown(0) })) return null;
    }
    world.place(CAN.name, { position, quaternion: standing ? yawQuat(jitter * 4) : lying });
    return { subject: CAN.name, subjectNoun: CAN.noun, start: position, objects: [CAN.name] };
  },
  instructions: () => [
    'pick coke can',
    'pick up the coke can',
    'grab the coke can',
    'lift the coke can',
    'take the red can',
    'pick up the red coke can from the table',
  ],
  success(world, goal) {
    return world.holds(CAN.name) && !world.touching(CAN.name, 'table') && lifted(world, goal) > LIFT;
  },
  decide(world, _goal, bias): Decision {
    if (!world.holds(CAN.name)) return decideGrasp(world, toolGrasp(world, CAN.name, bias), HOVER);
    const tool = world.tool();
    const [x, y, z] = tool.position;
    return { phase: 'lift', position: [x, y, z + 0.05], rotation: tool.rotation, gripper: 0 };
  },
  missBy: (world, _goal, random) => missFromAbove(world, CAN.name, random),
  progress(world, goal) {
    if (world.holds(CAN.name)) return 0.6 + 0.35 * clamp(lifted(world, goal) / LIFT, 0, 1);
    const grasp = toolGrasp(world, CAN.name).point;
    const tool = world.tool().position;
    const away = Math.hypot(tool[0] - grasp[0], tool[1] - grasp[1], 0.5 * (tool[2] - grasp[2]));
    return 0.5 * clamp(1 - away / 0.3, 0, 1);
  },
};

const lifted = (world: World, goal: Goal): number => world.objectPose(CAN.name).position[2] - goal.start[2];
