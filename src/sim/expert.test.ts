import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Env } from './env.js';
import { Expert, type ExpertStep } from './expert.js';
import { trainSeed } from './random.js';

let env: Env;
beforeAll(async () => {
  env = await Env.create({ task: 'widowx/put-carrot-on-plate', cameras: [] });
});
afterAll(() => env.dispose());

function steps(
  seed: number,
  options: ConstructorParameters<typeof Expert>[1],
): { steps: ExpertStep[]; success: boolean } {
  env.reset(seed);
  const expert = new Expert(env, options);
  const list: ExpertStep[] = [];
  for (;;) {
    const step = expert.act();
    list.push(step);
    const { done, success } = env.step(step.action);
    if (done) return { steps: list, success };
  }
}

describe('expert', () => {
  it('is memoryless: a new one gives the same clean action anywhere in an episode', () => {
    env.reset(trainSeed(1));
    const expert = new Expert(env, { perturbProbability: 0.5, failedGraspProbability: 1 });
    for (let i = 0; i < 12; i++) {
      const step = expert.act();
      expect(new Expert(env).act().action).toEqual(step.cleanAction);
      if (env.step(step.action).done) break;
    }
  });

  it('marks exactly the steps whose action differs from the clean one', () => {
    const { steps: list } = steps(trainSeed(2), { perturbProbability: 0.4 });
    for (const { action, cleanAction, disturbed } of list) {
      expect(disturbed).toBe([...action].some((v, i) => v !== cleanAction[i]));
    }
    expect(list.some((s) => s.disturbed)).toBe(true);
    expect(list.every((s) => s.phase !== 'recover')).toBe(true);
    expect(steps(trainSeed(2), {}).steps.some((s) => s.disturbed)).toBe(false);
  });

  it('keeps its steps small', () => {
    for (const { cleanAction: a } of steps(trainSeed(3), {}).steps) {
      expect(Math.hypot(a[0] as number, a[1] as number)).toBeLessThanOrEqual(0.0351);
      expect(Math.abs(a[2] as number)).toBeLessThanOrEqual(0.0351);
    }
  });

  it('never idles: every clean step moves or works the jaws', () => {
    const { steps: list } = steps(trainSeed(4), {});
    for (const [i, { cleanAction: a }] of list.entries()) {
      const moves = Math.hypot(...Array.from(a.slice(0, 6))) > 0.002;
      expect(moves || a[6] !== (list[i - 1]?.cleanAction[6] ?? 1)).toBe(true);
    }
  });

  it('reopens and tries again after closing on nothing', () => {
    const { steps: list, success } = steps(trainSeed(5), { failedGraspProbability: 1 });
    expect(success).toBe(true);
    const recovering = list.filter((s) => s.phase === 'recover');
    expect(recovering.length).toBeGreaterThan(0);
    for (const { cleanAction } of recovering) {
      expect(cleanAction[6]).toBe(1);
      expect(cleanAction[2] as number).toBeGreaterThanOrEqual(-1e-6);
    }
  });

  it('refuses impossible probabilities', () => {
    expect(() => new Expert(env, { perturbProbability: 1.5 })).toThrow(/perturbProbability is 1.5/);
  });
});

describe('reasoning', () => {
  it('is complete, inside the image, and true of the gripper', () => {
    const { steps: list } = steps(trainSeed(6), {});
    expect(new Set(list.map((s) => s.reasoning.plan)).size).toBe(1);
    for (const { reasoning, cleanAction, phase } of list) {
      for (const text of [
        reasoning.plan,
        reasoning.subtask,
        reasoning.subtaskReason,
        reasoning.move,
        reasoning.moveReason,
      ]) {
        expect(text.length).toBeGreaterThan(3);
        expect(text).not.toMatch(/undefined|NaN/);
      }
      expect(reasoning.objects.map((o) => o.name)).toEqual(['carrot', 'plate']);
      for (const value of [...reasoning.gripper, ...reasoning.objects.flatMap((o) => [...o.box])]) {
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
      }
      if ((cleanAction[2] as number) < -0.03) expect(reasoning.move).toContain('down');
      if (phase === 'grasp') expect(reasoning.move).toBe('close the gripper');
    }
  });

  it('boxes lie where the renderer draws the object', () => {
    env.reset(trainSeed(7));
    const { objects } = new Expert(env).act().reasoning;
    const box = objects.find((o) => o.name === 'carrot')?.box as readonly [number, number, number, number];
    const size = 128;
    const image = env.render('third', size);
    let [inside, outside] = [0, 0];
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const k = 3 * (y * size + x);
        const [r, g, b] = [image[k] as number, image[k + 1] as number, image[k + 2] as number];
        if (!(r > 150 && g < 0.62 * r && b < 0.3 * r)) continue;
        const [u, v] = [(x + 0.5) / size, (y + 0.5) / size];
        if (u >= box[0] - 0.01 && u <= box[2] + 0.01 && v >= box[1] - 0.01 && v <= box[3] + 0.01) inside++;
        else outside++;
      }
    }
    expect(inside).toBeGreaterThan(40);
    expect(outside).toBe(0);
  });
});
