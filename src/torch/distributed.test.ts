import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { cuda, distributed, torch } from './index.js';

const fixture = fileURLToPath(new URL('./data-parallel.fixture.js', import.meta.url));

interface Trained {
  losses: number[];
  weights: Record<string, [number, number]>;
  overlapped: number[];
  buckets: number;
  unusedGrad: boolean;
}

/** Runs the fixture in `nproc` processes; the JSON line that each printed, by rank. */
async function run<T>(
  scenario: string,
  env: NodeJS.ProcessEnv = {},
  nproc = 2,
): Promise<{ out: Map<number, T>; exitCode: number }> {
  const out = new Map<number, T>();
  const other: string[] = [];
  const launched = await distributed.launch({
    nproc,
    command: [process.execPath, fixture, scenario],
    env: { ...process.env, ...env },
    graceSeconds: 8,
    onLine: (rank, stream, line) => {
      if (stream === 'stdout' && line.startsWith('{')) out.set(rank, JSON.parse(line) as T);
      else other.push(`[${rank}] ${line}`);
    },
  });
  const { exitCode } = await launched.finished;
  if (out.size === 0) throw new Error(`no output: ${other.join('\n')}`);
  return { out, exitCode };
}

interface Output {
  runs: Record<'plain' | 'buckets' | 'accumulated', Trained>;
  collectives: Record<string, unknown>;
}

function alone(): Output {
  const env = { ...process.env, WORLD_SIZE: '1', RANK: '0' };
  const { stdout, stderr } = spawnSync(process.execPath, [fixture, 'train'], { encoding: 'utf8', env });
  if (!stdout.startsWith('{')) throw new Error(stdout + stderr);
  return JSON.parse(stdout) as Output;
}

describe('two processes on loopback', { timeout: 120_000 }, () => {
  let out: Map<number, Output>;
  beforeAll(async () => {
    const finished = await run<Output>('train');
    expect(finished.exitCode).toBe(0);
    out = finished.out;
  }, 120_000);

  it('train to the same weights as one with the whole batch: in one bucket, in many, with accumulation', () => {
    const one = alone().runs;
    expect(one.plain.losses[4]).toBeLessThan(one.plain.losses[0] as number);
    for (const name of ['plain', 'buckets', 'accumulated'] as const) {
      const [a, b] = [0, 1].map((rank) => (out.get(rank) as Output).runs[name]) as [Trained, Trained];
      expect(a.weights).toEqual(b.weights);
      for (const [i, loss] of one[name].losses.entries())
        expect(a.losses[i], `${name}, step ${i}`).toBeCloseTo(loss, 5);
      for (const [key, [sum, squares]] of Object.entries(one[name].weights)) {
        const [ownSum, ownSquares] = a.weights[key] as [number, number];
        expect(Math.abs(ownSum - sum), key).toBeLessThan(1e-3);
        expect(Math.abs(ownSquares - squares), key).toBeLessThan(1e-4 * squares + 1e-6);
      }
    }
  });

  it('what no process uses gets no gradient, and holds up no bucket once the order of the gradients is known', () => {
    const { buckets, overlapped, unusedGrad } = (out.get(1) as Output).runs.buckets;
    expect(unusedGrad).toBe(false);
    expect(buckets).toBeGreaterThan(4);
    expect(overlapped[0]).toBe(0);
    // All but the last one, which holds `unused`, were under way before backward ended.
    expect(overlapped.slice(1)).toEqual([1, 2, 3, 4].map(() => buckets - 1));
  });

  it('reduce, broadcast and gather', () => {
    for (const rank of [0, 1]) {
      expect(out.get(rank)?.collectives).toEqual({
        sum: [3, 30],
        mean: [1.5, 15],
        max: [2, 20],
        min: [1, 10],
        product: [2, 200],
        low: [1.5, 15],
        integers: [3, 30],
        spread: [
          [1, 2],
          [1, 3],
        ],
        rows: [
          [3, 0],
          [3, 0],
        ],
        gathered: [[0], [1]],
        rank: [rank, 2],
      });
    }
  });

  it('a killed peer gives a named error at once', async () => {
    const { out } = await run<{ name: string; message: string; seconds: number }>('killed');
    expect(out.get(0)).toMatchObject({ name: 'DistributedError' });
    expect(out.get(0)?.message).toMatch(/all_reduce failed on rank 0: .*another process has died/);
    expect(out.get(0)?.seconds).toBeLessThan(5);
  });

  it('a peer that hangs gives a named error after the timeout', async () => {
    const { out } = await run<{ name: string; message: string; seconds: number }>('stopped', {
      DUALVLA_DIST_TIMEOUT: '3',
    });
    expect(out.get(0)).toMatchObject({ name: 'DistributedError' });
    expect(out.get(0)?.message).toMatch(/all_reduce failed on rank 0: .*hangs/);
    expect(out.get(0)?.seconds).toBeLessThan(8);
  });

  it('a process that never comes is named within the timeout', async () => {
    const env = {
      ...process.env,
      RANK: '0',
      WORLD_SIZE: '2',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: '0',
      DUALVLA_DIST_TIMEOUT: '2',
    };
    const { stdout, status } = spawnSync(process.execPath, [fixture], { encoding: 'utf8', env, timeout: 30_000 });
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'DistributedError',
      message: expect.stringMatching(/init failed on rank 0: .*are all processes started/),
    });
  });
});

describe('NCCL', () => {
  const env = { RANK: '0', WORLD_SIZE: '1', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '0' };

  it.skipIf(cuda.is_available())('without it or without a GPU is refused with the reason', () => {
    const reason = distributed.backends().includes('nccl')
      ? /init failed on rank 0: .*no GPUs/
      : /built without nccl \(it has gloo\); next: .*(npm run setup|node native\/build.mjs --force)$/;
    expect(() => distributed.init({ backend: 'nccl', env, timeoutSeconds: 5 })).toThrow(reason);
    expect(distributed.is_initialized()).toBe(false);
  });

  it.skipIf(!cuda.is_available() || !distributed.backends().includes('nccl'))(
    'takes the tensors of a GPU, and Gloo those of the CPU',
    () => {
      expect(distributed.init({ env, timeoutSeconds: 60 }).backend).toBe('nccl');
      try {
        for (const device of ['cpu', 'cuda'] as const) {
          const sum = distributed.all_reduce(torch.ones([3], { device }), 'sum');
          expect([sum.device.startsWith(device), sum.tolist()]).toEqual([true, [1, 1, 1]]);
        }
        distributed.barrier();
      } finally {
        distributed.destroy();
      }
    },
  );
});

describe('environment', () => {
  it('is read as torchrun sets it, and what is wrong is named', () => {
    const env = { RANK: '3', WORLD_SIZE: '8', LOCAL_RANK: '1', MASTER_ADDR: 'node0', MASTER_PORT: '1234' };
    expect(distributed.environment(env)).toEqual({
      rank: 3,
      world_size: 8,
      local_rank: 1,
      master_addr: 'node0',
      master_port: 1234,
    });
    expect(() => distributed.environment({ RANK: '0' })).toThrow(
      /WORLD_SIZE is not set; start the processes with 'dualvla launch'/,
    );
    expect(() => distributed.environment({ ...env, RANK: 'x' })).toThrow(/RANK is 'x', not a whole number/);
    expect(() => distributed.environment({ ...env, RANK: '8' })).toThrow(/RANK is 8 and WORLD_SIZE 8/);
    expect([distributed.is_launched(env), distributed.is_launched({})]).toEqual([true, false]);
    expect([distributed.get_rank(), distributed.get_world_size(), distributed.is_initialized()]).toEqual([0, 1, false]);
    expect(() => distributed.barrier()).toThrow(/is in no process group; call distributed.init\(\)/);
  });
});
