/** What the thread that asks a policy and the threads that run episodes say to each other. */
import type { CameraName, EnvOptions, Observation, Split } from '../sim/index.js';
import type { EpisodeTrace } from './trace.js';

/** Who acts: a script inside the Worker, or whoever answers the observations. */
export type Actor = 'expert' | 'random' | 'policy';

/** What a Worker is started with: one kind of environment. */
export interface EpisodeWorkerData {
  env: EnvOptions;
  actor: Actor;
  /** Number of the Worker, to be put into its answers. */
  worker: number;
  /** One Int32; 1: end at the next step. */
  stop: SharedArrayBuffer;
}

/** An episode to run, and whether to keep pictures of it. */
export interface EpisodeOrder {
  index: number;
  split: Split;
  film: FilmOptions | null;
  /** Record what happens at every step. */
  trace: boolean;
}

/** How an episode is filmed: every control step once, at a size of its own. */
export interface FilmOptions {
  camera: CameraName;
  /** Side of the square pictures, pixels. */
  size: number;
}

/** One round: episodes to begin and actions to take. It is answered by one `FromWorker` that speaks of all of them. */
export interface ToWorker {
  begin: { slot: number; order: EpisodeOrder }[];
  act: { slot: number; action: Float32Array; thought: string | null }[];
}

/** An episode that waits for an action. */
export interface Pending {
  slot: number;
  observation: Observation;
}

/** An episode that has ended. */
export interface Ended {
  slot: number;
  order: EpisodeOrder;
  seed: number;
  success: boolean;
  steps: number;
  maxSteps: number;
  instruction: string;
  controlHz: number;
  /** RGB pictures if it was filmed, the one before the first step included. */
  frames: Uint8Array[];
  /** What happened, if it was to be recorded; the rest of the trace is known outside. */
  trace?: Pick<EpisodeTrace, 'subject' | 'reference' | 'nouns' | 'end' | 'trace'>;
}

export interface FromWorker {
  worker: number;
  pending: Pending[];
  ended: Ended[];
  /** The Worker cannot go on. */
  error?: { name: string; message: string; stack?: string };
}
