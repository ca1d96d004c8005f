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
import {
  DatasetConflictError,
  datasetState,
  type JsonValue,
  LeRobotDataset,
  LeRobotWriter,
  PHASE_KEY,
  PROVENANCE_FILE,
  REASONING_TEXT_KEY,
  robotFeatures,
  type VideoCodecOptions,
} from '../data/index.js';
import { REASONING_STYLES, type ReasoningStyle } from './annotation.js';
import {
  AttemptQueue,
  Crew,
  type DemonstrationSettings,
  type EpisodeNote,
  issue,
  rejectedBefore,
} from './demonstration-crew.js';
import { CAMERAS, type CameraName } from './env.js';
import { SimOptionError } from './errors.js';
import type { Split } from './random.js';
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
  /** Whose reasoning is written beside the actions; default `ecot`. */
  readonly reasoning?: ReasoningStyle;
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

function checkOptions(options: DemonstrationOptions): DemonstrationSettings {
  const { tasks, episodesPerTask, seedStart = 0, imageSize = 64, cameras = CAMERAS, workers = 2 } = options;
  const {
    perturbProbability = 0.12,
    failedGraspProbability = 0.15,
    variants = { vm: 1 },
    split = 'train',
    shadows = true,
    reasoning = 'ecot',
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
  if (!REASONING_STYLES.includes(reasoning))
    throw new SimOptionError(`unknown reasoning '${reasoning}'; valid: ${REASONING_STYLES.join(', ')}`);
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
    reasoning,
    variants,
  };
}

interface Part {
  readonly robot: RobotName;
  readonly folder: string;
  readonly tasks: readonly TaskId[];
}

async function* generateForRobot(
  part: Part,
  settings: DemonstrationSettings,
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
    features: {
      ...robotFeatures({
        state: STATE_NAMES,
        action: ACTION_NAMES,
        cameras: cameras.map((name) => ({ name, width: imageSize, height: imageSize })),
        imageStorage: options.video ? 'video' : 'image',
        reasoning: true,
        disturbed: true,
      }),
      [REASONING_TEXT_KEY]: { dtype: 'string', shape: [1], names: null, info: { style: settings.reasoning } },
      [PHASE_KEY]: { dtype: 'string', shape: [1], names: null },
    },
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
          const { disturbed, nouns } = attempt;
          const note: EpisodeNote = { task, attempt: queue.lastTaken, seed, variant, disturbed, nouns };
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
  const dataset = await LeRobotDataset.open(folder);
  const rejected = tasks.reduce(
    (sum, task) => sum + rejectedBefore(made.episodes.filter((note) => note.task === task)),
    0,
  );
  return { folder, robot, episodes: dataset.numEpisodes, frames: dataset.numFrames, rejected };
}
