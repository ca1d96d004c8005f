/**
 * Starts the N processes of a data-parallel run on this machine, as torchrun does: sets RANK, LOCAL_RANK, WORLD_SIZE,
 * LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT, shares the cores between them, hands their output on line by line with
 * the rank, and ends all of them when one fails.
 *
 * Knows nothing about what the processes do, and prints nothing: the caller gets lines and shows them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { usableCores } from './cpu.js';

export interface LaunchOptions {
  /** Processes on this machine. */
  nproc: number;
  /** Program and arguments, the same for every process. */
  command: readonly [string, ...string[]];
  /** Machines of the run, and which one this is. More than one machine needs `masterAddr` and `masterPort`. */
  nnodes?: number;
  nodeRank?: number;
  masterAddr?: string;
  masterPort?: number;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Called for every line of output, without its line end. */
  onLine: (rank: number, stream: 'stdout' | 'stderr', line: string) => void;
  /** Seconds between the polite signal and SIGKILL when a process must end. */
  graceSeconds?: number;
}

export interface LaunchResult {
  /** 0 if every process returned 0; else that of the first one to fail (128 + signal number if a signal ended it). */
  exitCode: number;
  /** The first process to fail and how, e.g. `rank 1 ended with SIGKILL`. */
  failure: { rank: number; exitCode: number; signal: NodeJS.Signals | null; message: string } | null;
}

export interface Launched {
  readonly pids: readonly number[];
  /** Resolves when every process has ended. Never rejects. */
  readonly finished: Promise<LaunchResult>;
  /** Sends a signal to all processes (and those they started). SIGKILL follows if they do not end in `graceSeconds`. */
  signal(signal: NodeJS.Signals): void;
}

/** The launch options make no sense, or a process could not be started. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
}

const signalNumbers: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** Threads for each of `nproc` processes on this machine: an equal share of the cores, at least one. */
export function threadsPerProcess(nproc: number): number {
  return Math.max(1, Math.floor(usableCores() / nproc));
}

/** Environment of one process of a run. Explicit OMP_NUM_THREADS of the caller is respected. */
export function processEnvironment(
  options: Pick<LaunchOptions, 'nproc' | 'nnodes' | 'nodeRank' | 'env'> & { masterAddr: string; masterPort: number },
  localRank: number,
): NodeJS.ProcessEnv {
  const base = options.env ?? process.env;
  return {
    OMP_NUM_THREADS: String(threadsPerProcess(options.nproc)),
    ...base,
    RANK: String((options.nodeRank ?? 0) * options.nproc + localRank),
    LOCAL_RANK: String(localRank),
    WORLD_SIZE: String((options.nnodes ?? 1) * options.nproc),
    LOCAL_WORLD_SIZE: String(options.nproc),
    GROUP_RANK: String(options.nodeRank ?? 0),
    MASTER_ADDR: options.masterAddr,
    MASTER_PORT: String(options.masterPort),
  };
}

/** Starts the processes. Throws `LaunchError` for options that cannot work. */
export async function launch(options: LaunchOptions): Promise<Launched> {
  checkOptions(options);
  const masterAddr = options.masterAddr ?? '127.0.0.1';
  const masterPort = options.masterPort ?? (await freePort());
  const graceMs = (options.graceSeconds ?? 10) * 1000;
  const [program, ...args] = options.command;

  const children: ChildProcess[] = [];
  let failure: LaunchResult['failure'] = null;
  let killTimer: NodeJS.Timeout | undefined;
  const alive = new Set<ChildProcess>();

  const send = (signal: NodeJS.Signals): void => {
    for (const child of alive) {
      try {
        // Each child leads a process group of its own, so that the processes it started end with it.
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // It ended in this moment.
      }
    }
  };
  const end = (signal: NodeJS.Signals): void => {
    send(signal);
    // A stopped process handles no signal before it continues.
    send('SIGCONT');
    killTimer ??= setTimeout(() => send('SIGKILL'), graceMs);
  };
  const killOnExit = (): void => send('SIGKILL');
  process.once('exit', killOnExit);

  const ended = Array.from({ length: options.nproc }, (_, localRank) => {
    const env = processEnvironment({ ...options, masterAddr, masterPort }, localRank);
    const rank = Number(env.RANK);
    const child = spawn(program, args, {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    children.push(child);
    alive.add(child);
    const lines = [
      forwardLines(child.stdout as Readable, (line) => options.onLine(rank, 'stdout', line)),
      forwardLines(child.stderr as Readable, (line) => options.onLine(rank, 'stderr', line)),
    ];
    return new Promise<void>((resolve) => {
      const done = (exitCode: number, signal: NodeJS.Signals | null, message: string): void => {
        alive.delete(child);
        if (exitCode !== 0 && failure === null) {
          failure = { rank, exitCode, signal, message };
          end('SIGTERM');
        }
        // A process that the child left behind may hold the pipe open: do not wait for it for ever.
        void Promise.race([Promise.all(lines), new Promise((r) => setTimeout(r, 1000).unref())]).then(() => resolve());
      };
      child.once('error', (error) => done(127, null, `rank ${rank} could not be started: ${error.message}`));
      child.once('exit', (code, signal) => {
        const exitCode = code ?? 128 + (signalNumbers[signal as NodeJS.Signals] ?? 0);
        done(exitCode, signal, `rank ${rank} ${signal === null ? `exited with code ${code}` : `ended with ${signal}`}`);
      });
    });
  });

  const finished = Promise.all(ended).then((): LaunchResult => {
    clearTimeout(killTimer);
    process.removeListener('exit', killOnExit);
    return { exitCode: failure?.exitCode ?? 0, failure };
  });
  return { pids: children.flatMap((child) => child.pid ?? []), finished, signal: end };
}

function checkOptions(options: LaunchOptions): void {
  const { nproc, nnodes = 1, nodeRank = 0 } = options;
  if (!Number.isInteger(nproc) || nproc < 1) throw new LaunchError(`nproc is ${nproc}; it must be 1 or more`);
  if (!Number.isInteger(nnodes) || nnodes < 1) throw new LaunchError(`nnodes is ${nnodes}; it must be 1 or more`);
  if (!Number.isInteger(nodeRank) || nodeRank < 0 || nodeRank >= nnodes) {
    throw new LaunchError(`node rank is ${nodeRank}; with ${nnodes} machines it must be 0 to ${nnodes - 1}`);
  }
  if (nnodes > 1 && (options.masterAddr === undefined || options.masterPort === undefined)) {
    throw new LaunchError('a run on several machines needs the address and port of machine 0 on all of them');
  }
}

function forwardLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on('line', onLine);
  return new Promise((resolve) => lines.once('close', resolve));
}

/** A TCP port of this machine that nobody uses now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new LaunchError('no free TCP port on 127.0.0.1'));
        else resolve(address.port);
      });
    });
  });
}
