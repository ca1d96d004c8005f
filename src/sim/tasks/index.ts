/** All tasks by id. */
import { requireOneOf } from '../errors.js';
import { CLOSE_DRAWER, OPEN_DRAWER } from './drawer.js';
import { MOVE_NEAR } from './move-near.js';
import { PICK_CAN } from './pick-can.js';
import { PUT_ON_TASKS } from './put-on.js';
import { TASK_IDS, type Task, type TaskId } from './task.js';

const ALL: readonly Task[] = [...PUT_ON_TASKS, PICK_CAN, MOVE_NEAR, OPEN_DRAWER, CLOSE_DRAWER];

/** The task of an id; throws a `SimOptionError` with the nearest id for a wrong one. */
export function taskOf(id: string): Task {
  const valid = requireOneOf('task', id, TASK_IDS);
  const task = ALL.find((t) => t.id === valid);
  if (!task) throw new Error(`task ${valid} is not built`);
  return task;
}

export { TASK_IDS, type Task, type TaskId };
