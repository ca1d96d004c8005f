import { afterAll, describe, expect, it } from 'vitest';
import { Env } from '../env.js';
import { Expert } from '../expert.js';
import { trainSeed, validationSeed } from '../random.js';
import { TASK_IDS, type TaskId, taskOf } from './index.js';

const cache = new Map<TaskId, Env>();
async function envOf(task: TaskId): Promise<Env> {
  const env = cache.get(task) ?? (await Env.create({ task, cameras: [] }));
  cache.set(task, env);
  return env;
}
afterAll(() => {
  for (const env of cache.values()) env.dispose();
});

const STILL = [0, 0, 0, 0, 0, 0, 1];
const yaw0 = [1, 0, 0, 0] as const;

function episode(env: Env, seed: number, options = {}): { success: boolean; steps: number; phases: Set<string> } {
  env.reset(seed);
  const expert = new Expert(env, options);
  const phases = new Set<string>();
  for (;;) {
    const { action, phase } = expert.act();
    phases.add(phase);
    const result = env.step(action);
    if (result.done) return { success: result.success, steps: result.step, phases };
  }
}

describe.each(TASK_IDS)('%s', (id) => {
  it('is solved by the expert, quickly, from three validation seeds', async () => {
    const env = await envOf(id);
    for (let i = 0; i < 3; i++) {
      const { success, steps } = episode(env, validationSeed(i));
      expect(success).toBe(true);
      expect(steps).toBeGreaterThanOrEqual(5);
      expect(steps).toBeLessThanOrEqual(24);
      expect(env.privileged()).toMatchObject({ success: true, phase: 'done', progress: 1 });
    }
  });

  it('is recovered after deliberate misses and noise', async () => {
    const env = await envOf(id);
    let recovered = 0;
    for (let i = 0; i < 3; i++) {
      const { success, phases } = episode(env, validationSeed(i), {
        perturbProbability: 0.1,
        failedGraspProbability: 1,
      });
      expect(success).toBe(true);
      if (phases.has('recover')) recovered++;
    }
    expect(recovered).toBeGreaterThanOrEqual(taskOf(id).missBy ? 2 : 0);
  });

  it('is not solved at the start nor by standing still', async () => {
    const env = await envOf(id);
    env.reset(trainSeed(3));
    expect(env.privileged()).toMatchObject({ success: false });
    for (let i = 0; i < 4; i++) expect(env.step(STILL).success).toBe(false);
    expect(env.privileged().progress).toBeLessThan(0.6);
  });

  it('has paraphrases that name what it is about', async () => {
    const env = await envOf(id);
    env.reset(trainSeed(4));
    const phrases = env.task.instructions(env.goal);
    expect(new Set(phrases).size).toBeGreaterThanOrEqual(5);
    expect(phrases[0]).toContain(env.goal.subjectNoun);
    const used = new Set(Array.from({ length: 12 }, (_, i) => env.reset(trainSeed(i)).instruction));
    expect(used.size).toBeGreaterThan(2);
  });
});

describe('success', () => {
  /** Puts the subject at an offset from the target, lets it settle, and asks the detector. */
  async function judged(task: TaskId, offset: readonly [number, number, number]): Promise<boolean> {
    const env = await envOf(task);
    env.reset(validationSeed(1));
    const { world, goal } = env;
    const target = world.objectPose(goal.reference as string).position;
    world.place(goal.subject, {
      position: [target[0] + offset[0], target[1] + offset[1], target[2] + offset[2]],
      quaternion: yaw0,
    });
    world.settle(120);
    return env.task.success(world, goal);
  }

  it('of putting on: lying on the target, not beside it, not in the air', async () => {
    expect(await judged('widowx/put-carrot-on-plate', [0, 0, 0.022])).toBe(true);
    expect(await judged('widowx/put-carrot-on-plate', [0.13, 0, 0.013])).toBe(false);
    expect(await judged('widowx/put-spoon-on-towel', [0, 0, 0.011])).toBe(true);
    expect(await judged('widowx/put-spoon-on-towel', [0, 0.13, 0.006])).toBe(false);
    expect(await judged('widowx/put-eggplant-in-basket', [0, 0, 0.01])).toBe(true);
    expect(await judged('widowx/put-eggplant-in-basket', [0.16, 0, 0])).toBe(false);
  });

  it('of stacking: on top, not beside nor under', async () => {
    expect(await judged('widowx/stack-green-on-yellow', [0.003, 0, 0.0405])).toBe(true);
    expect(await judged('widowx/stack-green-on-yellow', [0.042, 0, 0])).toBe(false);
    expect(await judged('widowx/stack-green-on-yellow', [0, 0.1, 0.0])).toBe(false);
  });

  it('of putting on needs the gripper to let go', async () => {
    const env = await envOf('widowx/put-carrot-on-plate');
    env.reset(validationSeed(2));
    const expert = new Expert(env);
    let step = expert.act();
    while (step.phase !== 'release') {
      env.step(step.action);
      step = expert.act();
    }
    // Presses the carrot onto the plate without opening.
    for (let i = 0; i < 3; i++) expect(env.step([0, 0, -0.005, 0, 0, 0, 0]).success).toBe(false);
    expect(env.world.touching('carrot', 'plate')).toBe(true);
    let released = false;
    for (let i = 0; i < 3 && !released; i++) released = env.step(STILL).success;
    expect(released).toBe(true);
  });

  it('of moving near: near the right thing, moved, standing and free', async () => {
    const env = await envOf('google/move-near');
    env.reset(validationSeed(1));
    const { world, goal } = env;
    const reference = world.objectPose(goal.reference as string).position;
    const other = world.objectPose(goal.objects[2] as string).position;
    const height = goal.start[2];
    const away = Math.hypot(reference[0] - other[0], reference[1] - other[1]);
    const beside = (from: readonly number[], to: readonly number[], d: number) =>
      [
        (from[0] as number) + (((from[0] as number) - (to[0] as number)) / away) * d,
        (from[1] as number) + (((from[1] as number) - (to[1] as number)) / away) * d,
        height,
      ] as const;
    const judge = (position: readonly [number, number, number]): boolean => {
      world.place(goal.subject, { position, quaternion: yaw0 });
      world.settle(100);
      return env.task.success(world, goal);
    };
    expect(judge(beside(reference, other, 0.1))).toBe(true);
    expect(judge(beside(other, reference, 0.1))).toBe(false);
    expect(judge(goal.start)).toBe(false);
    expect(judge(beside(reference, other, 0.3))).toBe(false);
  });

  it('of drawers: 15 cm open, 5 cm closed', async () => {
    for (const [task, value, expected] of [
      ['google/open-drawer', 0.14, false],
      ['google/open-drawer', 0.16, true],
      ['google/close-drawer', 0.07, false],
      ['google/close-drawer', 0.04, true],
    ] as const) {
      const env = await envOf(task);
      env.reset(validationSeed(0));
      const drawer = env.goal.subject.replace('handle_', 'drawer_');
      env.world.setSlide(drawer, value);
      env.world.settle(1);
      expect(env.task.success(env.world, env.goal)).toBe(expected);
    }
  });

  it('of picking: lifted and held, not lying in the air', async () => {
    const env = await envOf('google/pick-coke-can');
    env.reset(validationSeed(0));
    const { world, goal } = env;
    const [x, y, z] = goal.start;
    world.place(goal.subject, { position: [x, y, z + 0.2], quaternion: yaw0 });
    world.settle(2);
    expect(env.task.success(world, goal)).toBe(false);
  });
});

describe('scenes', () => {
  it('show the can standing and lying both ways', async () => {
    const env = await envOf('google/pick-coke-can');
    const kinds = new Set<string>();
    for (let i = 0; i < 12; i++) {
      env.reset(trainSeed(i));
      const [w, x, y, z] = env.world.objectPose('coke_can').quaternion;
      const up = 1 - 2 * (x * x + y * y);
      const along = Math.abs(2 * (x * z + w * y));
      kinds.add(Math.abs(up) > 0.9 ? 'standing' : along > 0.8 ? 'along' : 'across');
    }
    expect(kinds).toEqual(new Set(['standing', 'along', 'across']));
  });

  it('ask for every drawer and for different objects', async () => {
    const drawers = await envOf('google/open-drawer');
    const near = await envOf('google/move-near');
    const asked = new Set<string>();
    const subjects = new Set<string>();
    for (let i = 0; i < 14; i++) {
      drawers.reset(trainSeed(i));
      asked.add(drawers.goal.subjectNoun);
      near.reset(trainSeed(i));
      subjects.add(near.goal.subjectNoun);
    }
    expect(asked).toEqual(new Set(['top drawer', 'middle drawer', 'bottom drawer']));
    expect(subjects.size).toBeGreaterThanOrEqual(4);
  });
});
