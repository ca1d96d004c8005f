import { afterEach, describe, expect, it } from 'vitest';
import { Env, type EnvOptions } from './env.js';
import { EnvPool } from './env-pool.js';
import { SimActionError, SimOptionError } from './errors.js';
import { Expert } from './expert.js';
import { expertTable } from './expert-table.js';
import { validationSeed } from './random.js';

let pool: EnvPool | undefined;
afterEach(async () => {
  await pool?.dispose();
  pool = undefined;
});

const CARROT: EnvOptions = { task: 'widowx/put-carrot-on-plate', imageSize: 24 };
const CAN: EnvOptions = { task: 'google/pick-coke-can', imageSize: 16, cameras: ['wrist'] };

describe('EnvPool', () => {
  it('gives what single environments give, whatever the number of workers', async () => {
    pool = await EnvPool.create({ envs: [CARROT, CAN, CARROT], workers: 2 });
    expect(pool.info.map((i) => i.controlHz)).toEqual([5, 3, 5]);
    const seeds = [0, 1, 2].map(validationSeed);
    const observations = await pool.resetAll(seeds);
    for (const [i, options] of [CARROT, CAN, CARROT].entries()) {
      const env = await Env.create(options);
      expect(observations[i]).toEqual(env.reset(seeds[i] as number));
      const { action } = new Expert(env).act();
      expect((await pool.act(i)).action).toEqual(action);
      expect(await pool.step(i, action)).toEqual(env.step(action));
      expect(await pool.render(i, 'third', 32)).toEqual(env.render('third', 32));
      expect(await pool.privileged(i)).toEqual(env.privileged());
      env.dispose();
    }
  });

  it('leaves out environments without an action and keeps old observations intact', async () => {
    pool = await EnvPool.create({ envs: [CARROT, CARROT], workers: 2 });
    const [before] = await pool.resetAll([validationSeed(0), validationSeed(1)]);
    const copy = Uint8Array.from(before?.images.third as Uint8Array);
    const results = await pool.stepAll([[0.03, 0.03, 0, 0, 0, 0, 1], null]);
    expect(results[0]?.step).toBe(1);
    expect(results[1]).toBeNull();
    expect(before?.images.third).toEqual(copy);
    expect(results[0]?.observation.images.third).not.toEqual(copy);
  });

  it('passes named errors on and goes on working', async () => {
    await expect(EnvPool.create({ envs: [] })).rejects.toThrow(SimOptionError);
    await expect(EnvPool.create({ envs: [{ task: 'widowx/nothing' as never }] })).rejects.toThrow(SimOptionError);
    pool = await EnvPool.create({ envs: [CARROT], workers: 1 });
    await pool.reset(0, validationSeed(0));
    await expect(pool.step(0, [1, 2])).rejects.toThrow(SimActionError);
    await expect(pool.reset(3, 1)).rejects.toThrow(/environment 3/);
    expect((await pool.step(0, [0, 0, 0, 0, 0, 0, 1])).step).toBe(1);
  });

  it('rejects what was asked of it after disposal', async () => {
    pool = await EnvPool.create({ envs: [CARROT], workers: 1 });
    await pool.dispose();
    await expect(pool.reset(0, validationSeed(0))).rejects.toThrow(/worker ended/);
  });
});

describe('expertTable', () => {
  it('counts successes by task and variant', async () => {
    const rows = [];
    for await (const row of expertTable({ tasks: ['google/close-drawer'], variants: ['vm', 'va'], episodes: 4 }))
      rows.push(row);
    expect(rows.map((r) => [r.variant, r.successes, r.trials])).toEqual([
      ['vm', 4, 4],
      ['va', 4, 4],
    ]);
    expect(rows[0]?.failedSeeds).toEqual([]);
    expect(rows[0]?.medianSteps).toBeGreaterThan(4);
  });
});
