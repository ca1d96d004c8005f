/**
 * Runs the steps of a study as processes of this program, several at a time, each with a log of its own, and continues where it was
 * stopped: finished steps are left out, half-done ones resumed, changed ones begun anew.
 *
 * Processes, because an engine has one thread pool and one generator for all that runs in it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commitOf } from '../eval/provenance.js';
import type { StageRecords } from '../eval/stage-record.js';
import type { StudyStep } from './study-plan.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../bin/dualvla.js', import.meta.url));

/** A step ended with an error. */
export class StudyStepError extends Error {
  override readonly name = 'StudyStepError';
}

export type StudyEvent =
  | { type: 'skip'; step: StudyStep; seconds: number }
  | { type: 'start'; step: StudyStep; resumed: boolean; left: number }
  | { type: 'line'; step: StudyStep; text: string }
  | { type: 'done'; step: StudyStep; seconds: number; left: number };

export interface RunStudyOptions {
  steps: readonly StudyStep[];
  records: StageRecords;
  /** Steps at a time. */
  jobs: number;
  log: (step: string) => string;
  signal: AbortSignal;
  onEvent: (event: StudyEvent) => void;
}

/**
 * @throws StudyStepError with the end of the failed step's log, after the others that run have ended in order; AbortError when
 *   stopped
 */
export async function runStudy({ steps, records, jobs, log, signal, onEvent }: RunStudyOptions): Promise<void> {
  const finished = new Set<string>();
  const waiting = new Map(steps.map((step) => [step.name, step]));
  const running = new Map<string, ChildProcess>();
  let failure: Error | undefined;
  for (const step of steps) {
    if (records.state(step.name, step.hash) !== 'finished' || !existsSync(step.output)) continue;
    finished.add(step.name);
    waiting.delete(step.name);
    onEvent({ type: 'skip', step, seconds: records.get(step.name)?.seconds ?? 0 });
  }
  const stop = (): void => {
    for (const child of running.values()) child.kill('SIGINT');
  };
  signal.addEventListener('abort', stop);
  try {
    await new Promise<void>((resolve) => {
      const launch = (): void => {
        if (running.size === 0 && (waiting.size === 0 || failure || signal.aborted)) {
          resolve();
          return;
        }
        if (failure || signal.aborted) return;
        for (const step of waiting.values()) {
          if (running.size >= jobs) return;
          // A step that takes all cores (simulation) has them for itself.
          const alone = step.threads === 0;
          if (alone && running.size > 0) continue;
          if (!step.needs.every((name) => finished.has(name) || !steps.some((other) => other.name === name))) continue;
          waiting.delete(step.name);
          start(step);
          if (alone) return;
        }
      };
      const start = (step: StudyStep): void => {
        const state = records.state(step.name, step.hash);
        const resumed = state === 'begun' && step.resume !== null && existsSync(step.output);
        if (!resumed) rmSync(step.output, { recursive: true, force: true });
        if (step.config !== undefined) {
          mkdirSync(dirname(step.config.path), { recursive: true });
          writeFileSync(step.config.path, `${JSON.stringify(step.config.data, null, 1)}\n`);
        }
        records.begin(step.name, step.hash, commitOf(ROOT));
        onEvent({ type: 'start', step, resumed, left: waiting.size + running.size + 1 });
        const started = performance.now();
        const child = spawnStep(step, resumed, log(step.name), (text) => onEvent({ type: 'line', step, text }));
        running.set(step.name, child);
        child.on('close', (code) => {
          running.delete(step.name);
          const seconds = (performance.now() - started) / 1000;
          records.addSeconds(step.name, seconds);
          if (code === 0) {
            finished.add(step.name);
            records.finish(step.name, step.what);
            onEvent({ type: 'done', step, seconds, left: waiting.size + running.size });
          } else if (!signal.aborted) {
            failure ??= new StudyStepError(failureText(step, code, log(step.name)));
          }
          launch();
        });
      };
      launch();
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
  if (failure !== undefined) throw failure;
  signal.throwIfAborted();
}

function spawnStep(step: StudyStep, resumed: boolean, log: string, onLine: (text: string) => void): ChildProcess {
  mkdirSync(dirname(log), { recursive: true });
  const file = createWriteStream(log, { flags: resumed ? 'a' : 'w' });
  const words = resumed && step.resume !== null ? step.resume : step.words;
  file.write(`$ dualvla ${words.join(' ')}\n`);
  const threads = step.threads > 0 ? { OMP_NUM_THREADS: String(step.threads) } : {};
  // A group of its own: Ctrl-C reaches the steps through the runner, once.
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    env: { ...process.env, ...threads },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      file.write(text);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.trim() !== '') onLine(line);
    });
  }
  child.on('close', () => file.end());
  return child;
}

function failureText(step: StudyStep, code: number | null, log: string): string {
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
  const end = lines.slice(-5).map((line) => `  ${line}`);
  return `step ${step.name} ended with code ${code}; its log, ${log}, ends:\n${end.join('\n')}`;
}
