/**
 * Demonstrations: the scripted expert's successful attempts as LeRobot v3.0 data sets, generated in parallel by workers.
 *
 * The result depends on the options alone, not on the number of workers or on interruptions: task k's n-th attempt has a fixed seed, and
 * the first successes are kept in order. A killed run continues with `resume`. Robots have different control rates, so every robot gets
 * its own data set.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Worker } from 'node:worker_threads';
import {
  DatasetConflictError,
  datasetState,
  type JsonValue,
  LeRobotDataset,
  LeRobotWriter,
  PROVENANCE_FILE,
  robotFeatures,
  type VideoCodecOptions,
} from '../data/index.js';
import type { AttemptReply, AttemptRequest, DemonstrationWorkerData } from './demonstrations-worker.js';
import { CAMERAS, type CameraName } from './env.js';
import { SimError, SimOptionError } from './errors.js';
import { Random, type Split, seedOf } from './random.js';
import { ROBOTS, type RobotName } from './robots.js';
import { TASK_IDS, type TaskId, taskOf } from './tasks/index.js';
import type { Variant } from './variation.js';

export interface DemonstrationOptions {
  /** Folder of the data set; with tasks of two robots, of their data sets `<out>/<robot>`. */
  readonly out: string;
  readonly tasks: readonly TaskId[];
  /** Successful episodes a task. */
  readonly episodesPerTask: number;
  /** First attempt's index within the split. */
  readonly seedStart?: number;
  readonly split?: Split;
  readonly imageSize?: number;
  readonly cameras?: readonly CameraName[];
  readonly shadows?: boolean;
  readonly workers?: number;
  /** Probability that a step's executed motion is disturbed; its label stays clean. */
  readonly perturbProbability?: number;
  /** Probability that a grasp is deliberately missed, so that recoveries are in the data. */
  readonly failedGraspProbability?: number;
  /** Variant -> weight; each attempt draws one. */
  readonly variants?: Readonly<Partial<Record<Variant, number>>>;
  /** Encode pictures as video with this codec instead of lossless PNG. */
  readonly video?: VideoCodecOptions;
  /** Continue an interrupted run; a finished data set of the same options is left as it is. */
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
}

export type DemonstrationEvent =
  | {
      readonly kind: 'start';
      readonly folder: string;
      readonly robot: RobotName;
      readonly total: number;
      readonly done: number;
    }
  | {
      readonly kind: 'episode';
      readonly folder: string;
      readonly task: TaskId;
      readonly variant: Variant;
      readonly seed: number;
      readonly frames: number;
      /** Episodes of this data set so far, of how many. */
      readonly done: number;
      readonly total: number;
      readonly rejected: number;
      readonly elapsedSeconds: number;
    }
  | {
      readonly kind: 'rejected';
      readonly folder: string;
      readonly task: TaskId;
      readonly variant: Variant;
      readonly seed: number;
      readonly reason: string;
    }
  | ({ readonly kind: 'finished' } & DemonstrationSummary);

export interface DemonstrationSummary {
  readonly folder: string;
  readonly robot: RobotName;
  readonly episodes: number;
  readonly frames: number;
  /** Attempts that failed and were left out. */
  readonly rejected: number;
  readonly seconds: number;
}

/** A task this often unsolved in a row means that something is broken. */
const MAX_REJECTED_IN_A_ROW = 50;
/** Attempts of different tasks use different seeds of the split. */
const SEEDS_PER_TASK: Readonly<Record<Split, number>> = { train: 10_000_000, validation: 100_000, test: 100_000 };

/** The data sets that `options` give, by robot. */
export function demonstrationFolders(
  options: Pick<DemonstrationOptions, 'out' | 'tasks'>,
): { robot: RobotName; folder: string; tasks: TaskId[] }[] {
  const robots = [...new Set(options.tasks.map((task) => taskOf(task).robot))];
  return robots.map((robot) => ({
    robot,
    folder: robots.length > 1 ? join(options.out, robot) : options.out,
    tasks: options.tasks.filter((task) => taskOf(task).robot === robot),
  }));
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

/**
 * Generates the data sets, yielding progress. Throws SimOptionError for wrong options, DatasetConflictError when output exists,
 * SimError when the expert fails without end, and the signal's reason when aborted (the partial data set stays and can be resumed).
 */
export async function* generateDemonstrations(
  options: DemonstrationOptions,
): AsyncGenerator<DemonstrationEvent, DemonstrationSummary[]> {
  const settings = checkOptions(options);
  const summaries: DemonstrationSummary[] = [];
  for (const part of demonstrationFolders(options)) {
    const summary = yield* generateForRobot(part, settings, options);
    summaries.push(summary);
    yield { kind: 'finished', ...summary };
  }
  return summaries;
}

/** Everything that decides what is generated: kept with the data set and compared on resume. */
interface Settings extends DemonstrationWorkerData {
  readonly episodesPerTask: number;
  readonly seedStart: number;
  readonly split: Split;
  readonly variants: Readonly<Partial<Record<Variant, number>>>;
}

function checkOptions(options: DemonstrationOptions): Settings {
  const { tasks, episodesPerTask, seedStart = 0, imageSize = 64, cameras = CAMERAS, workers = 2 } = options;
  const {
    perturbProbability = 0.12,
    failedGraspProbability = 0.15,
    variants = { vm: 1 },
    split = 'train',
    shadows = true,
  } = options;
  if (tasks.length === 0) throw new SimOptionError(`no task given; valid: ${TASK_IDS.join(', ')}`);
  if (new Set(tasks).size !== tasks.length) throw new SimOptionError('a task is given twice');
  for (const task of tasks) taskOf(task);
  const natural = (name: string, value: number, least: number): void => {
    if (!Number.isInteger(value) || value < least)
      throw new SimOptionError(`${name} ${value} must be an integer of at least ${least}`);
  };
  natural('episodesPerTask', episodesPerTask, 1);
  natural('seedStart', seedStart, 0);
  natural('workers', workers, 1);
  for (const [name, value] of Object.entries({ perturbProbability, failedGraspProbability }))
    if (!(value >= 0 && value <= 1)) throw new SimOptionError(`${name} ${value} must be from 0 to 1`);
  const weights = Object.values(variants);
  if (weights.length === 0 || weights.some((weight) => !(weight > 0)))
    throw new SimOptionError('variants must give each variant a positive weight');
  return {
    episodesPerTask,
    seedStart,
    split,
    imageSize,
    cameras,
    shadows,
    perturbProbability,
    failedGraspProbability,
    variants,
  };
}

interface Part {
  readonly robot: RobotName;
  readonly folder: string;
  readonly tasks: readonly TaskId[];
}

/** What a kept episode remembers about where it came from. */
interface EpisodeNote {
  readonly task: TaskId;
  readonly attempt: number;
  readonly seed: number;
  readonly variant: Variant;
  readonly disturbed: number;
}

async function* generateForRobot(
  part: Part,
  settings: Settings,
  options: DemonstrationOptions,
): AsyncGenerator<DemonstrationEvent, DemonstrationSummary> {
  const { robot, folder, tasks } = part;
  const started = performance.now();
  const total = tasks.length * settings.episodesPerTask;
  const provenance = { generator: 'demonstrations', tasks, ...settings } as unknown as JsonValue;
  if (options.resume && datasetState(folder) === 'finished') {
    const found = await finishedSummary(part, provenance);
    yield { kind: 'start', folder, robot, total, done: total };
    return { ...found, seconds: 0 };
  }
  const { cameras, imageSize } = settings;
  const writer = await LeRobotWriter.create(folder, {
    fps: ROBOTS[robot].controlHz,
    robotType: robot,
    features: robotFeatures({
      state: STATE_NAMES,
      action: ACTION_NAMES,
      cameras: cameras.map((name) => ({ name, width: imageSize, height: imageSize })),
      imageStorage: options.video ? 'video' : 'image',
      reasoning: true,
    }),
    provenance,
    ...(options.video ? { video: options.video } : {}),
    ...(options.resume ? { resume: true } : {}),
    ...(options.overwrite ? { overwrite: true } : {}),
  });
  try {
    const notes = writer.episodeNotes as unknown as readonly EpisodeNote[];
    yield { kind: 'start', folder, robot, total, done: notes.length };
    const queues = tasks.map(
      (task) =>
        new AttemptQueue(
          task,
          notes.filter((note) => note.task === task),
          settings,
        ),
    );
    const crew = new Crew(options.workers ?? 2, settings);
    try {
      for (let slot = notes.length; slot < total; slot++) {
        const queue = queues[slot % tasks.length] as AttemptQueue;
        for (;;) {
          options.signal?.throwIfAborted();
          issue(queues, crew, slot % tasks.length);
          const { request, reply } = await queue.take();
          const { task, variant, seed } = request;
          const attempt = 'attempt' in reply ? reply.attempt : undefined;
          if (!attempt?.episode) {
            const reason = 'rejected' in reply ? reply.rejected : `not solved in ${attempt?.steps} steps`;
            yield { kind: 'rejected', folder, task, variant, seed, reason };
            continue;
          }
          const note: EpisodeNote = { task, attempt: queue.lastTaken, seed, variant, disturbed: attempt.disturbed };
          await writer.addEpisode(attempt.episode, {
            ...(attempt.pngs ? { pngs: attempt.pngs } : {}),
            note: note as unknown as JsonValue,
          });
          const rejected = queues.reduce((sum, other) => sum + other.rejected, 0);
          const elapsedSeconds = (performance.now() - started) / 1000;
          yield {
            kind: 'episode',
            folder,
            task,
            variant,
            seed,
            frames: attempt.steps,
            done: slot + 1,
            total,
            rejected,
            elapsedSeconds,
          };
          break;
        }
      }
    } finally {
      await crew.close();
    }
    const info = await writer.finish();
    const rejected = queues.reduce((sum, queue) => sum + queue.rejected, 0);
    return {
      folder,
      robot,
      episodes: info.totalEpisodes,
      frames: info.totalFrames,
      rejected,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    writer.close();
  }
}

const STATE_NAMES = ['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'];
const ACTION_NAMES = ['dx', 'dy', 'dz', 'droll', 'dpitch', 'dyaw', 'gripper'];

/** Summary of a data set that an earlier run finished; throws DatasetConflictError if it was made with other options. */
async function finishedSummary(
  { folder, robot, tasks }: Part,
  provenance: JsonValue,
): Promise<Omit<DemonstrationSummary, 'seconds'>> {
  const file = join(folder, PROVENANCE_FILE);
  const made = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as { provenance: unknown; episodes: EpisodeNote[] })
    : undefined;
  if (!made || !isDeepStrictEqual(made.provenance, JSON.parse(JSON.stringify(provenance))))
    throw new DatasetConflictError('A data set made with other options lies here', {
      file: folder,
      hint: 'Give another --out, or --overwrite',
    });
  await using dataset = await LeRobotDataset.open(folder);
  const rejected = tasks.reduce(
    (sum, task) => sum + rejectedBefore(made.episodes.filter((note) => note.task === task)),
    0,
  );
  return { folder, robot, episodes: dataset.numEpisodes, frames: dataset.numFrames, rejected };
}

/** Attempts up to the last kept one that were not kept. */
function rejectedBefore(notes: readonly EpisodeNote[]): number {
  return (notes.at(-1)?.attempt ?? -1) + 1 - notes.length;
}

interface Taken {
  readonly request: AttemptRequest;
  readonly reply: AttemptReply;
}

/** A task's attempts: issued ahead of time, taken in order. */
class AttemptQueue {
  readonly task: TaskId;
  readonly #settings: Settings;
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

  constructor(task: TaskId, notes: readonly EpisodeNote[], settings: Settings) {
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
function issue(queues: readonly AttemptQueue[], crew: Crew, current: number): void {
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
class Crew {
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
  #id = 0;
  #failure: Error | undefined;

  constructor(size: number, data: DemonstrationWorkerData) {
    this.size = size;
    this.#workers = Array.from({ length: size }, () => {
      const worker = new Worker(new URL('./demonstrations-worker.js', import.meta.url), {
        workerData: data,
        name: 'demonstrations',
      });
      worker.on('message', (reply: AttemptReply) => this.#settle(reply));
      worker.on('error', (error) => this.#fail(error));
      worker.on('exit', (code) => this.#fail(new SimError(`a demonstration worker ended with status ${code}`)));
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

  async close(): Promise<void> {
    this.#pending.clear();
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
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
