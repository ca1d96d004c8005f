import { describe, expect, it } from 'vitest';
import { LaunchError, type LaunchOptions, launch, processEnvironment, threadsPerProcess } from './launch.js';

type Line = [rank: number, stream: string, line: string];

async function start(script: string, options: Partial<LaunchOptions> = {}) {
  const lines: Line[] = [];
  const run = await launch({
    nproc: 2,
    command: [process.execPath, '-e', script],
    onLine: (rank, stream, line) => lines.push([rank, stream, line]),
    ...options,
  });
  return { lines, run };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('launch', () => {
  it('sets the variables of torchrun and hands on every line with its rank and stream', async () => {
    const { lines, run } = await start(
      `const e = process.env;
       console.log([e.RANK, e.LOCAL_RANK, e.WORLD_SIZE, e.LOCAL_WORLD_SIZE, e.MASTER_ADDR, e.MASTER_PORT > 0].join(' '));
       console.error('warn'); process.stdout.write('no line end');`,
    );
    expect(await run.finished).toEqual({ exitCode: 0, failure: null });
    for (const rank of [0, 1]) {
      expect(lines.filter((l) => l[0] === rank && l[1] === 'stdout').map((l) => l[2])).toEqual([
        `${rank} ${rank} 2 2 127.0.0.1 true`,
        'no line end',
      ]);
      expect(lines).toContainEqual([rank, 'stderr', 'warn']);
    }
  });

  it('shares the cores, and numbers the ranks over several machines', () => {
    const env = processEnvironment(
      { nproc: 4, nnodes: 2, nodeRank: 1, env: {}, masterAddr: '10.0.0.1', masterPort: 29500 },
      2,
    );
    expect(env).toEqual({
      OMP_NUM_THREADS: String(threadsPerProcess(4)),
      RANK: '6',
      LOCAL_RANK: '2',
      WORLD_SIZE: '8',
      LOCAL_WORLD_SIZE: '4',
      GROUP_RANK: '1',
      MASTER_ADDR: '10.0.0.1',
      MASTER_PORT: '29500',
    });
    const explicit = processEnvironment(
      { nproc: 2, env: { OMP_NUM_THREADS: '7' }, masterAddr: 'localhost', masterPort: 1 },
      0,
    );
    expect(explicit.OMP_NUM_THREADS).toBe('7');
    expect(threadsPerProcess(1_000_000)).toBe(1);
  });

  it('ends the others when one fails and returns its exit code', async () => {
    const { run } = await start(
      `if (process.env.RANK === '1') setTimeout(() => process.exit(3), 100); else setInterval(() => {}, 1000);`,
    );
    const result = await run.finished;
    expect(result).toEqual({
      exitCode: 3,
      failure: { rank: 1, exitCode: 3, signal: null, message: 'rank 1 exited with code 3' },
    });
    expect(run.pids.filter(isRunning)).toEqual([]);
  });

  it('kills a process that ignores SIGTERM, and the processes it started', async () => {
    const { lines, run } = await start(
      `if (process.env.RANK === '1') setTimeout(() => process.kill(process.pid, 'SIGSEGV'), 400);
       else {
         process.on('SIGTERM', () => {});
         const c = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {stdio: 'ignore'});
         console.log(c.pid);
         setInterval(() => {}, 1000);
       }`,
      { graceSeconds: 0.2 },
    );
    const result = await run.finished;
    expect(result).toMatchObject({ exitCode: 139, failure: { rank: 1, signal: 'SIGSEGV' } });
    const grandchild = Number(lines.find((l) => l[0] === 0)?.[2]);
    expect(grandchild).toBeGreaterThan(0);
    await expect.poll(() => [...run.pids, grandchild].filter(isRunning)).toEqual([]);
  });

  it('forwards signals; a process may end itself cleanly on them', async () => {
    const ready: number[] = [];
    const { run } = await start(
      `process.on('SIGINT', () => { console.log('stopping'); process.exit(0); });
       console.log('ready'); setInterval(() => {}, 1000);`,
      {
        onLine: (rank, _stream, line) => {
          if (line === 'ready' && ready.push(rank) === 2) run.signal('SIGINT');
        },
      },
    );
    expect(await run.finished).toEqual({ exitCode: 0, failure: null });
  });

  it('names a program that cannot be started, and options that cannot work', async () => {
    const { run } = await start('', { command: ['/no/such/program'] });
    const result = await run.finished;
    expect(result.exitCode).toBe(127);
    expect(result.failure?.message).toMatch(/could not be started: .*no\/such\/program/);
    await expect(start('', { nproc: 0 })).rejects.toThrow(LaunchError);
    await expect(start('', { nnodes: 2 })).rejects.toThrow(/address and port of machine 0/);
    await expect(start('', { nnodes: 2, nodeRank: 2 })).rejects.toThrow(/must be 0 to 1/);
  });
});
