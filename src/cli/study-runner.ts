/**
 * Runs the steps of a study as processes of this program, several at a time, and continues where it was stopped: finished steps are
 * left out, half-done ones resumed, changed ones begun anew.
 *
 * Processes, because an engine has one thread pool and one generator for all that runs in it.
 *
 * Knows nothing about what the steps do.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commitOf } from '../eval/provenance.js';
import type { StageRecords } from '../eval/stage-record.js';
import type { StudyStep } from './study-plan.js';
import { endLeftBehind, logEnd, type StepFiles, startStep } from './study-process.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A step ended with an error. */
export class StudyStepError extends Error {
  override readonly name = 'StudyStepError';
  constructor(
    readonly step: StudyStep,
    how: string,
    log: string,
    resumed: boolean,
  ) {
    const words = resumed && step.resume !== null ? step.resume.words : step.words;
    const end = logEnd(log, 8).map((line) => `  ${line}`);
    super(
      [
        `step ${step.name} ${how}; the end of its log, ${log}:`,
        ...end,
        `by itself: npx dualvla ${words.join(' ')}`,
        'next: the same command again continues with this step',
      ].join('\n'),
    );
  }
}

export type StudyEvent =
  | { type: 'skip'; step: StudyStep; seconds: number }
  | { type: 'left behind'; step: StudyStep }
  | { type: 'start'; step: StudyStep; how: 'new' | 'resumed' | 'changed' }
  | { type: 'progress'; step: StudyStep; text: string; seconds: number }
  | { type: 'done'; step: StudyStep; seconds: number }
  /** It failed; those that run are waited for. */
  | { type: 'failed'; step: StudyStep; running: number };

export interface RunStudyOptions {
  steps: readonly StudyStep[];
  records: StageRecords;
  /** Steps at a time. */
  jobs: number;
  files: (step: string) => StepFiles;
  signal: AbortSignal;
  onEvent: (event: StudyEvent) => void;
  /** Seconds between 'progress' events of a running step; default none. */
  progressEvery?: number;
}

/** Whether a step is done with its present settings. */
export function isFinished(step: StudyStep, records: StageRecords): boolean {
  return records.state(step.name, step.hash) === 'finished' && existsSync(step.output);
}

/**
 * Steps that are done, and those that something unfinished needs: what a given model was made from is not made for nothing. What nothing
 * needs was asked for itself.
 */
export function stepsLeft(steps: readonly StudyStep[], records: StageRecords): StudyStep[] {
  const byName = new Map(steps.map((step) => [step.name, step]));
  const needed = new Set(steps.flatMap((step) => step.needs));
  const chosen = new Set<string>();
  const choose = (step: StudyStep | undefined): void => {
    if (step === undefined || chosen.has(step.name)) return;
    chosen.add(step.name);
    if (!isFinished(step, records)) for (const name of step.needs) choose(byName.get(name));
  };
  for (const step of steps) if (isFinished(step, records) || !needed.has(step.name)) choose(step);
  return steps.filter(({ name }) => chosen.has(name));
}

/**
 * @throws StudyStepError with the end of the failed step's log, after the others that run have ended; AbortError when stopped, after
 *   all have ended in order
 */
export async function runStudy(options: RunStudyOptions): Promise<void> {
  const { steps, records, files, signal, onEvent } = options;
  for (const step of steps) {
    await endLeftBehind(files(step.name).running, () => onEvent({ type: 'left behind', step }));
    if (isFinished(step, records)) onEvent({ type: 'skip', step, seconds: records.get(step.name)?.seconds ?? 0 });
  }
  signal.throwIfAborted();
  const run = new StudyRun(options);
  await run.toEnd();
}

class StudyRun {
  readonly #finished: Set<string>;
  readonly #waiting: Map<string, StudyStep>;
  readonly #running = new Map<string, ChildProcess>();
  #failure: Error | undefined;
  #ended: () => void = () => undefined;

  constructor(readonly options: RunStudyOptions) {
    const { steps, records } = options;
    this.#finished = new Set(steps.filter((step) => isFinished(step, records)).map(({ name }) => name));
    this.#waiting = new Map(steps.filter(({ name }) => !this.#finished.has(name)).map((step) => [step.name, step]));
  }

  async toEnd(): Promise<void> {
    const { signal } = this.options;
    const stop = (): void => {
      for (const child of this.#running.values()) child.kill('SIGINT');
    };
    signal.addEventListener('abort', stop);
    try {
      await new Promise<void>((resolve) => {
        this.#ended = resolve;
        this.#launch();
      });
    } finally {
      signal.removeEventListener('abort', stop);
    }
    if (this.#failure !== undefined) throw this.#failure;
    signal.throwIfAborted();
  }

  /** Starts what can run now; ends the run when nothing runs and nothing more will. */
  #launch(): void {
    const closing = this.#failure !== undefined || this.options.signal.aborted;
    if (!closing) for (const step of this.#ready()) this.#start(step);
    if (this.#running.size === 0) this.#ended();
  }

  /** Steps for the free places, in order; one that keeps all cores busy has them for itself. */
  #ready(): StudyStep[] {
    const chosen: StudyStep[] = [];
    if ([...this.#running.keys()].some((name) => this.#stepOf(name)?.threads === 0)) return chosen;
    for (const step of this.#waiting.values()) {
      const busy = this.#running.size + chosen.length;
      if (busy >= this.options.jobs) break;
      if (!step.needs.every((name) => this.#finished.has(name))) continue;
      if (step.threads === 0 && busy > 0) continue;
      chosen.push(step);
      if (step.threads === 0) break;
    }
    return chosen;
  }

  #stepOf(name: string): StudyStep | undefined {
    return this.options.steps.find((step) => step.name === name);
  }

  #start(step: StudyStep): void {
    const { records, files, onEvent, signal, progressEvery } = this.options;
    this.#waiting.delete(step.name);
    const state = records.state(step.name, step.hash);
    const resumed = state === 'begun' && step.resume !== null && step.resume.marks.some((mark) => existsSync(mark));
    if (!resumed) for (const path of step.leftovers) rmSync(path, { recursive: true, force: true });
    mkdirSync(dirname(step.output), { recursive: true });
    if (step.config !== undefined) {
      mkdirSync(dirname(step.config.path), { recursive: true });
      writeFileSync(step.config.path, `${JSON.stringify(step.config.data, null, 2)}\n`);
    }
    // 'changed' begins a new record.
    records.begin(step.name, step.hash, commitOf(ROOT));
    const began = performance.now();
    const elapsed = (): number => (performance.now() - began) / 1000;
    const { log } = files(step.name);
    const child = startStep(step, resumed, files(step.name));
    this.#running.set(step.name, child);
    onEvent({ type: 'start', step, how: resumed ? 'resumed' : state === 'changed' ? 'changed' : 'new' });
    const report = (): void => {
      const [text] = logEnd(log, 1);
      if (text !== undefined) onEvent({ type: 'progress', step, text, seconds: elapsed() });
    };
    const timer = progressEvery === undefined ? undefined : setInterval(report, progressEvery * 1000);
    child.on('close', (code, killedBy) => {
      clearInterval(timer);
      this.#running.delete(step.name);
      const seconds = elapsed();
      records.addSeconds(step.name, seconds);
      if (code === 0 && existsSync(step.output)) {
        this.#finished.add(step.name);
        records.finish(step.name, logEnd(log, 1)[0] ?? '');
        onEvent({ type: 'done', step, seconds: records.get(step.name)?.seconds ?? seconds });
      } else if (!signal.aborted) {
        const how =
          code === 0
            ? `made no ${step.output}`
            : killedBy === null
              ? `ended with code ${code}`
              : `was ended by ${killedBy}`;
        this.#failure ??= new StudyStepError(step, how, log, resumed);
        onEvent({ type: 'failed', step, running: this.#running.size });
      }
      this.#launch();
    });
  }
}
