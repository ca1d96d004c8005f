import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { countPhysicalCores, engineEnvironment, usableCores } from './cpu.js';
import { torch } from './index.js';

const library = new URL('./index.js', import.meta.url).href;

/** Runs a module in a process of its own, with the library as `lib`; gives what it prints. */
function inProcess(body: string, env: Record<string, string | undefined> = {}): string {
  const code = `const lib = await import(${JSON.stringify(library)}); ${body}`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  expect(stderr).toBe('');
  return stdout.trim();
}

describe('the engine', () => {
  it('is not loaded by importing the library', () => {
    const body = `console.log(process.memoryUsage().rss < 150e6, typeof lib.torch.tensor, lib.Tensor.name);`;
    expect(inProcess(body, { DUALVLA_NATIVE: '/nonexistent' })).toBe('true function Tensor');
  });

  it('that is missing is one sentence with the next command', () => {
    const body = 'try { lib.torch.zeros([1]); } catch (error) { console.log(error.name + ": " + error.message); }';
    expect(inProcess(body, { DUALVLA_NATIVE: '/nonexistent' })).toBe(
      'EngineMissingError: the engine addon is not built (/nonexistent/dualvla.node does not exist); next: npm run setup',
    );
  });

  it('uses OMP_NUM_THREADS threads, else the physical cores, in Workers too', () => {
    const body = `
      const { Worker } = await import('node:worker_threads');
      const code = 'import { parentPort } from "node:worker_threads"; const lib = await import(${JSON.stringify(library)}); parentPort.postMessage(lib.torch.get_num_threads());';
      new Worker(new URL('data:text/javascript,' + encodeURIComponent(code))).once('message', (inWorker) => {
        console.log(lib.torch.get_num_threads(), inWorker, process.env.GOMP_SPINCOUNT ?? 'unset');
      });`;
    expect(inProcess(body, { OMP_NUM_THREADS: '3', GOMP_SPINCOUNT: '77' })).toBe('3 3 77');
    expect(inProcess(body, { OMP_NUM_THREADS: undefined })).toMatch(new RegExp(`^${usableCores()} ${usableCores()} `));
  });

  it('tells its version and how it was built', () => {
    expect(torch.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(torch.description()).toContain('OpenMP');
    expect(torch.cuda.is_available()).toBe(torch.cuda.device_count() > 0);
  });

  it('keeps warnings to itself until asked', () => {
    torch.take_warnings();
    expect(torch.ones([1], { requires_grad: true }).mul(2).grad).toBeNull();
    expect(torch.take_warnings().join()).toContain('not a leaf');
    expect(torch.take_warnings()).toEqual([]);
  });
});

describe('engineEnvironment', () => {
  it('leaves what the user set', () => {
    expect(engineEnvironment({})).toEqual({ GOMP_SPINCOUNT: '10000' });
    expect(engineEnvironment({ GOMP_SPINCOUNT: '5' })).toEqual({});
    expect(engineEnvironment({ OMP_WAIT_POLICY: 'active' })).toEqual({});
  });
});

describe('countPhysicalCores', () => {
  it('counts hyper-threads of a core once', () => {
    const thread = (socket: number, core: number): string =>
      `processor\t: 0\nphysical id\t: ${socket}\ncore id\t\t: ${core}\n`;
    expect(countPhysicalCores([thread(0, 0), thread(0, 0), thread(0, 1), thread(1, 0)].join('\n'))).toBe(3);
    expect(countPhysicalCores('model name: something else')).toBeUndefined();
    expect(countPhysicalCores(undefined)).toBeUndefined();
  });
});
