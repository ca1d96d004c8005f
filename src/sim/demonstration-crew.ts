/**
 * Attempts of demonstrations spread over workers: each task's attempts have fixed seeds, are issued ahead of time and taken in order, so that
 * what is kept does not depend on which worker is faster.
 */
import { Worker } from 'node:worker_threads';
import { endWorker } from '../data/end-worker.js';
import type { AttemptReply, AttemptRequest, DemonstrationWorkerData } from './demonstrations-worker.js';
import { SimError } from './errors.js';
import { Random, type Split, seedOf } from './random.js';
import { TASK_IDS, type TaskId } from './tasks/index.js';
import type { Variant } from './variation.js';

/** A task this often unsolved in a row means that something is broken. */
const MAX_REJECTED_IN_A_ROW = 50;
/** Attempts of different tasks use different seeds of the split. */
const SEEDS_PER_TASK: Readonly<Record<Split, number>> = { train: 10_000_000, validation: 100_000, test: 100_000 };

/** Everything that decides what is generated: kept with the data set and compared on resume. */
export interface DemonstrationSettings extends DemonstrationWorkerData {
  readonly episodesPerTask: number;
  readonly seedStart: number;
  readonly split: Split;
  readonly variants: Readonly<Partial<Record<Variant, number>>>;
}

/** What a kept episode remembers about where it came from. */
export interface EpisodeNote {
  readonly task: TaskId;
  readonly attempt: number;
  readonly seed: number;
  readonly variant: Variant;
  readonly disturbed: number;
  /** What is acted on, and what that is brought to, in words. */
  readonly nouns: readonly string[];
}

/** The seed of a task's n-th attempt. */
export function attemptSeed(task: TaskId, attempt: number, split: Split = 'train', seedStart = 0): number {
  return seedOf(split, TASK_IDS.indexOf(task) * SEEDS_PER_TASK[split] + seedStart + attempt);
}

/** The variant of a seed, drawn by weight. */
export function attemptVariant(seed: number, variants: Readonly<Partial<Record<Variant, number>>>): Variant {
  const entries = Object.entries(variants) as [Variant, number][];
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  let at = new Random(seed, 'variant').float() * total;
  for (const [variant, weight] of entries) {
    at -= weight;
    if (at < 0) return variant;
  }
  return (entries.at(-1) as [Variant, number])[0];
}

/** Attempts up to the last kept one that were not kept. */
export function rejectedBefore(notes: readonly EpisodeNote[]): number {
  return (notes.at(-1)?.attempt ?? -1) + 1 - notes.length;
}

interface Taken {
  readonly request: AttemptRequest;
  readonly reply: AttemptReply;
}

/** A task's attempts: issued ahead of time, taken in order. */
export class AttemptQueue {
  readonly task: TaskId;
  readonly #settings: DemonstrationSettings;
  readonly #waiting: {
    readonly attempt: number;
    readonly request: AttemptRequest;
    readonly reply: Promise<AttemptReply>;
  }[] = [];
  #next: number;
  #kept: number;
  #inARow = 0;
  rejected: number;
  lastTaken = -1;

  constructor(task: TaskId, notes: readonly EpisodeNote[], settings: DemonstrationSettings) {
    this.task = task;
    this.#settings = settings;
    this.#next = (notes.at(-1)?.attempt ?? -1) + 1;
    this.#kept = notes.length;
    this.rejected = rejectedBefore(notes);
  }

  /** Attempts issued and not taken. */
  get ahead(): number {
    return this.#waiting.length;
  }

  /** Whether another attempt issued ahead would be needed if all of them succeeded. */
  get wantsMore(): boolean {
    return this.#kept + this.ahead < this.#settings.episodesPerTask;
  }

  issue(crew: Crew): void {
    const { split, seedStart, variants } = this.#settings;
    const attempt = this.#next++;
    const seed = attemptSeed(this.task, attempt, split, seedStart);
    const request = { id: crew.nextId(), task: this.task, seed, variant: attemptVariant(seed, variants) };
    const reply = crew.send(request);
    // It is awaited when its turn comes.
    reply.catch(() => undefined);
    this.#waiting.push({ attempt, request, reply });
  }

  async take(): Promise<Taken> {
    const first = this.#waiting.shift();
    if (!first) throw new SimError(`no attempt of ${this.task} was issued`);
    const reply = await first.reply;
    this.lastTaken = first.attempt;
    if ('attempt' in reply && reply.attempt.episode) {
      this.#kept++;
      this.#inARow = 0;
    } else {
      this.rejected++;
      if (++this.#inARow >= MAX_REJECTED_IN_A_ROW)
        throw new SimError(
          `the expert failed ${this.#inARow} attempts of ${this.task} in a row, the last at seed ${first.request.seed}; lower the disturbances`,
        );
    }
    return { request: first.request, reply };
  }
}

/** Keeps the workers busy: the current task first, then whichever is least ahead. */
export function issue(queues: readonly AttemptQueue[], crew: Crew, current: number): void {
  const now = queues[current] as AttemptQueue;
  if (now.ahead === 0) now.issue(crew);
  const order = queues.map((_, i) => queues[(current + i) % queues.length] as AttemptQueue);
  while (
    crew.inFlight < crew.size + 1 &&
    queues.reduce((sum, queue) => sum + queue.ahead, 0) < 4 * crew.size + queues.length
  ) {
    const candidates = order.filter((queue) => queue.wantsMore);
    const least = candidates.reduce<AttemptQueue | undefined>(
      (best, queue) => (best && best.ahead <= queue.ahead ? best : queue),
      undefined,
    );
    if (!least) return;
    least.issue(crew);
  }
}

/** The workers and the attempts they are at. */
export class Crew {
  readonly size: number;
  readonly #workers: { readonly worker: Worker; load: number }[];
  readonly #pending = new Map<
    number,
    {
      readonly resolve: (reply: AttemptReply) => void;
      readonly reject: (error: Error) => void;
      readonly worker: number;
    }
  >();
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  #id = 0;
  #closed = false;
  #failure: Error | undefined;

  constructor(size: number, data: DemonstrationWorkerData) {
    this.size = size;
    this.#workers = Array.from({ length: size }, () => {
      const worker = new Worker(new URL('./demonstrations-worker.js', import.meta.url), {
        workerData: { ...data, stop: this.#stop.buffer },
        name: 'demonstrations',
      });
      worker.on('message', (reply: AttemptReply) => this.#settle(reply));
      worker.on('error', (error) => this.#fail(error));
      worker.on('exit', (code) => {
        if (!this.#closed) this.#fail(new SimError(`a demonstration worker ended with status ${code}`));
      });
      return { worker, load: 0 };
    });
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  nextId(): number {
    return this.#id++;
  }

  send(request: AttemptRequest): Promise<AttemptReply> {
    if (this.#failure) return Promise.reject(this.#failure);
    const worker = this.#workers.reduce((best, { load }, i) => (load < (this.#workers[best]?.load ?? 0) ? i : best), 0);
    return new Promise((resolve, reject) => {
      this.#pending.set(request.id, { resolve, reject, worker });
      const chosen = this.#workers[worker] as { worker: Worker; load: number };
      chosen.load++;
      chosen.worker.postMessage(request);
    });
  }

  /** Ends the workers after the attempt that each is at: ending one by force inside zlib aborts the whole process (Node 20). */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pending.clear();
    Atomics.store(this.#stop, 0, 1);
    await Promise.all(this.#workers.map(({ worker }) => endWorker(worker, () => worker.postMessage('stop'))));
  }

  #settle(reply: AttemptReply): void {
    const waiting = this.#pending.get(reply.id);
    if (!waiting) return;
    this.#pending.delete(reply.id);
    (this.#workers[waiting.worker] as { load: number }).load--;
    if ('error' in reply) {
      const error = new SimError(reply.error.message);
      waiting.reject(error);
    } else waiting.resolve(reply);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
