/**
 * One step of a study as a process of this program. It writes its log by itself and notes who it is, so that it lives on when the
 * runner is killed; the next runner finds it and ends it in order before it continues the step.
 *
 * Knows nothing about which steps there are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive, startTime } from '../data/process-lock.js';
import type { StudyStep } from './study-plan.js';

const PROGRAM = fileURLToPath(new URL('../../bin/dualvla.js', import.meta.url));

/** Files that a step's process has beside its output. */
export interface StepFiles {
  log: string;
  /** Who runs it; gone when it has ended. */
  running: string;
}

/** How long a process that was asked to end may take before it is killed. */
const GRACE_SECONDS = 60;

export function startStep(step: StudyStep, resumed: boolean, { log, running }: StepFiles): ChildProcess {
  for (const path of [log, running]) mkdirSync(dirname(path), { recursive: true });
  const words = resumed && step.resume !== null ? step.resume.words : step.words;
  const file = openSync(log, resumed ? 'a' : 'w');
  try {
    writeSync(file, `$ dualvla ${words.join(' ')}\n`);
    const threads = step.threads > 0 ? { OMP_NUM_THREADS: String(step.threads) } : {};
    // A group of its own: Ctrl-C reaches it through the runner, once.
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      env: { ...process.env, ...threads, NO_COLOR: '1' },
      stdio: ['ignore', file, file],
      detached: true,
    });
    const { pid } = child;
    if (pid !== undefined) writeFileSync(running, JSON.stringify({ pid, start: startTime(pid) }));
    child.on('close', () => rmSync(running, { force: true }));
    return child;
  } finally {
    closeSync(file);
  }
}

/** The process of a step; null if it has ended. */
function processOf(running: string): number | null {
  if (!existsSync(running)) return null;
  try {
    const { pid, start } = JSON.parse(readFileSync(running, 'utf8')) as { pid: number; start: string };
    return isAlive(pid) && startTime(pid) === start && start !== '' ? pid : null;
  } catch {
    return null; // written by halves: its runner was killed while the process began
  }
}

/** Whether a step's process is at work. */
export function isStepRunning(running: string): boolean {
  return processOf(running) !== null;
}

/** Ends what an earlier runner left behind; a training saves a checkpoint first. @returns whether there was something */
export async function endLeftBehind(running: string, onWait: () => void): Promise<boolean> {
  const pid = processOf(running);
  if (pid !== null) {
    onWait();
    const send = (signal: 'SIGINT' | 'SIGKILL'): void => {
      try {
        process.kill(pid, signal);
      } catch {
        // It has just ended.
      }
    };
    send('SIGINT');
    const until = performance.now() + GRACE_SECONDS * 1000;
    while (processOf(running) !== null && performance.now() < until) await wait(100);
    if (processOf(running) !== null) send('SIGKILL');
    while (processOf(running) !== null) await wait(100);
  }
  rmSync(running, { force: true });
  return pid !== null;
}

/** The last lines of a log that say something; [] without one. */
export function logEnd(path: string, count: number): string[] {
  if (!existsSync(path)) return [];
  const size = statSync(path).size;
  const from = Math.max(0, size - 16_384);
  return readFileSync(path)
    .subarray(from)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-count);
}
