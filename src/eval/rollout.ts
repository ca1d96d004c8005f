/**
 * Episodes of one task and variant in closed loop, many at a time: environments step in Workers, the policy answers all
 * observations that have arrived in one batch, so that simulation and inference overlap. Scenes come from
 * the episode's number in its split; a policy whose answer does not depend on the rest of its batch gives the same outcome
 * whatever runs beside it.
 *
 * Knows nothing about tables, files or videos.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { endWorker } from '../data/end-worker.js';
import type { CameraName, EnvOptions, Observation, Split, TaskId, Variant } from '../sim/index.js';
import type { EpisodeRecord } from './episode-log.js';
import type { Ended, EpisodeOrder, EpisodeWorkerData, FilmOptions, FromWorker, ToWorker } from './episode-protocol.js';
import type { EpisodeTrace } from './trace.js';

/** What a rollout asks of a policy; sessions are episode numbers. */
export interface ActingPolicy {
  reset(session: number): void;
  act(requests: readonly { session: number; observation: Observation }[]): Float32Array[];
  /** What it thought before the action that it has just given; null if it did not think. */
  thought?(session: number): string | null;
}

/** Who acts, and what it looks at. */
export type RolloutPolicy =
  | { kind: 'expert' | 'random' }
  | {
      kind: 'policy';
      policy: ActingPolicy;
      /** Side of the images it sees, pixels. */
      imageSize: number;
      cameras: readonly CameraName[];
      /**
       * Steps between its predictions, default 1. Episodes then begin in step with those that run, so that all of a thread's
       * episodes are predicted in one batch: generating text for four takes nearly as long as for thirty.
       */
      executes?: number;
      /** Whether it is one that reasons, for its traces; default whether it has `thought`. */
      reasons?: boolean;
    };

export interface RolloutOptions {
  task: TaskId;
  variant: Variant;
  split: Split;
  /** Numbers of the episodes within the split. */
  episodes: readonly number[];
  policy: RolloutPolicy;
  /** Episodes to film, and how; default none. */
  film?: FilmOptions & { episodes: ReadonlySet<number> };
  /** Record what happens at every step; default false. */
  trace?: boolean;
  /** Threads that simulate; default one a core. */
  workers?: number;
  /** Episodes at a time over all threads, for a policy that answers in batches; default 64. */
  parallel?: number;
  /** Stops between two steps; the rollout then ends without the unfinished episodes. */
  signal?: AbortSignal;
}

/** A finished episode with its pictures (empty unless filmed). */
export interface RolloutEpisode {
  record: EpisodeRecord;
  /** RGB, size * size * 3 each. */
  frames: Uint8Array[];
  controlHz: number;
  /** What happened at every step, if it was to be recorded. */
  trace?: EpisodeTrace;
}

/**
 * Yields episodes as they finish, in no particular order.
 * @throws what the simulator throws (SimOptionError ...) and AbortError when the signal is aborted
 */
export async function* rollout(options: RolloutOptions): AsyncGenerator<RolloutEpisode, void> {
  const { policy, episodes, signal } = options;
  if (episodes.length === 0) return;
  const numWorkers = Math.min(options.workers ?? availableParallelism(), episodes.length);
  const parallel = policy.kind === 'policy' ? Math.min(options.parallel ?? 64, episodes.length) : numWorkers;
  const inbox = new Inbox();
  const stop = new SharedArrayBuffer(4);
  const workers = Array.from({ length: numWorkers }, (_, worker) =>
    startWorker({ env: envOptions(options), actor: policy.kind, worker, stop }, inbox),
  );
  const abort = (): void => inbox.fail(abortError());
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();

  const queue = [...episodes];
  const running = new Map<number, number>(); // slot -> episode
  /** The next episode for each of these slots, as long as there are any. */
  const beginIn = (slots: readonly number[]): ToWorker['begin'] =>
    slots.flatMap((slot) => {
      const index = queue.shift();
      if (index === undefined) return [];
      running.set(slot, index);
      if (policy.kind === 'policy') policy.policy.reset(index);
      return [{ slot, order: orderOf(options, index) }];
    });
  const executes = policy.kind === 'policy' ? (policy.executes ?? 1) : 1;
  const rounds = new Array<number>(numWorkers).fill(0);
  /** Slots of each Worker that wait for the next prediction of the others to begin. */
  const free: number[][] = Array.from({ length: numWorkers }, () => []);
  const beginAfter = ({ worker, ended, pending }: FromWorker): ToWorker['begin'] => {
    const waiting = free[worker] as number[];
    for (const { slot } of ended) {
      running.delete(slot);
      waiting.push(slot);
    }
    const round = (rounds[worker] ?? 0) + 1;
    rounds[worker] = pending.length === 0 ? 0 : round;
    return pending.length === 0 || round % executes === 0 ? beginIn(waiting.splice(0)) : [];
  };
  /** A round with a Worker: each is answered once, so that its episodes stay in step and their observations in a batch. */
  const send = (worker: number, message: ToWorker): void => {
    if (message.begin.length + message.act.length > 0) workers[worker]?.postMessage(message);
  };
  try {
    const slots = Array.from({ length: parallel }, (_, slot) => slot);
    for (let worker = 0; worker < numWorkers; worker++) {
      send(worker, { begin: beginIn(slots.filter((slot) => slot % numWorkers === worker)), act: [] });
    }
    while (running.size > 0) {
      const messages = await inbox.take();
      const pending = messages.flatMap((message) => message.pending);
      const requests = pending.map(({ slot, observation }) => ({ session: running.get(slot) as number, observation }));
      const actions = policy.kind === 'policy' && requests.length > 0 ? policy.policy.act(requests) : [];
      const answers = pending.map(({ slot }, i) => ({
        slot,
        action: actions[i] as Float32Array,
        thought: policy.kind === 'policy' ? (policy.policy.thought?.(running.get(slot) as number) ?? null) : null,
      }));
      for (const message of messages) {
        const begin = beginAfter(message);
        send(message.worker, { begin, act: answers.filter(({ slot }) => slot % numWorkers === message.worker) });
      }
      for (const ended of messages.flatMap((message) => message.ended)) {
        yield episodeOf(options, ended);
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    Atomics.store(new Int32Array(stop), 0, 1);
    await Promise.all(workers.map((worker) => endWorker(worker, () => worker.postMessage('stop'))));
  }
}

function envOptions({ task, variant, policy }: RolloutOptions): EnvOptions {
  // Scripts look at the state, not at pictures: render none.
  if (policy.kind !== 'policy') return { task, variant, cameras: [] };
  return { task, variant, imageSize: policy.imageSize, cameras: policy.cameras };
}

function orderOf({ split, film, trace = false }: RolloutOptions, index: number): EpisodeOrder {
  return { index, split, film: film?.episodes.has(index) ? { camera: film.camera, size: film.size } : null, trace };
}

function episodeOf(options: RolloutOptions, ended: Ended): RolloutEpisode {
  const { policy } = options;
  const { frames, controlHz, trace } = ended;
  const record = recordOf(options, ended);
  const reasons = policy.kind === 'policy' && (policy.reasons ?? policy.policy.thought !== undefined);
  return {
    record,
    frames,
    controlHz,
    ...(trace === undefined ? {} : { trace: { ...record, controlHz, reasons, ...trace } }),
  };
}

function recordOf(options: RolloutOptions, ended: Ended): EpisodeRecord {
  const { task, variant, split } = options;
  const { seed, success, steps, maxSteps, instruction } = ended;
  return { task, variant, split, index: ended.order.index, seed, success, steps, maxSteps, instruction };
}

function startWorker(data: EpisodeWorkerData, inbox: Inbox): Worker {
  const worker = new Worker(new URL('./episode-worker.js', import.meta.url), { workerData: data });
  worker.on('message', (message: FromWorker) => {
    if (message.error === undefined) return inbox.put(message);
    const error = new Error(message.error.message);
    error.name = message.error.name;
    if (message.error.stack !== undefined) error.stack = message.error.stack;
    inbox.fail(error);
  });
  worker.on('error', (error) => inbox.fail(error));
  worker.on('exit', (code) => {
    if (code !== 0) inbox.fail(new Error(`simulation thread ${data.worker} ended with code ${code}`));
  });
  return worker;
}

function abortError(): Error {
  return new DOMException('the rollout was stopped', 'AbortError');
}

/** Messages of all Workers; taken all at once, so that one batch answers whatever has arrived. */
class Inbox {
  #messages: FromWorker[] = [];
  #error: Error | undefined;
  #wake: () => void = () => undefined;

  put(message: FromWorker): void {
    this.#messages.push(message);
    this.#wake();
  }

  fail(error: Error): void {
    this.#error ??= error;
    this.#wake();
  }

  async take(): Promise<FromWorker[]> {
    while (this.#messages.length === 0 && this.#error === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }
}
