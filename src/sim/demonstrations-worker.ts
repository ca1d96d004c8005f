/**
 * Worker of the demonstration generator: makes attempts on request and sends back episodes with their pictures encoded.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ReasoningStyle } from './annotation.js';
import { type Attempt, attemptDemonstration } from './demonstration-episode.js';
import { type CameraName, Env } from './env.js';
import { SimStateError } from './errors.js';
import type { TaskId } from './tasks/index.js';
import type { Variant } from './variation.js';

/** What every worker is given once. */
export interface DemonstrationWorkerData {
  readonly imageSize: number;
  readonly cameras: readonly CameraName[];
  readonly shadows: boolean;
  readonly perturbProbability: number;
  readonly failedGraspProbability: number;
  readonly reasoning: ReasoningStyle;
}

/** What a worker is given besides: [0] (int32) is set when it is to end after the attempt that it is at. */
export interface StopFlag {
  readonly stop: SharedArrayBuffer;
}

export interface AttemptRequest {
  readonly id: number;
  readonly task: TaskId;
  readonly variant: Variant;
  readonly seed: number;
}

export type AttemptReply =
  | { readonly id: number; readonly attempt: Attempt }
  /** An attempt that could not be made at this seed (no scene, unstable physics). */
  | { readonly id: number; readonly rejected: string }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

const REJECTING = new Set(['SceneSamplingError', 'SimUnstableError']);

const port = parentPort;
if (!port) throw new SimStateError('this file is a worker; generateDemonstrations starts it');
const data = workerData as DemonstrationWorkerData & StopFlag;
const stopped = new Int32Array(data.stop);
const environments = new Map<string, Promise<Env>>();

async function reply({ id, task, variant, seed }: AttemptRequest): Promise<AttemptReply> {
  try {
    const key = `${task} ${variant}`;
    let env = environments.get(key);
    if (!env) {
      env = Env.create({ task, variant, imageSize: data.imageSize, cameras: data.cameras, shadows: data.shadows });
      environments.set(key, env);
    }
    const { perturbProbability, failedGraspProbability, reasoning } = data;
    return {
      id,
      attempt: attemptDemonstration(await env, { seed, perturbProbability, failedGraspProbability, reasoning }),
    };
  } catch (error) {
    const { name, message } = error as Error;
    return REJECTING.has(name) ? { id, rejected: `${name}: ${message}` } : { id, error: { name, message } };
  }
}

port.on('message', (request: AttemptRequest | 'stop') => {
  if (request === 'stop') return port.close();
  if (Atomics.load(stopped, 0) === 1) return;
  void reply(request).then((answer) => {
    const buffers: ArrayBuffer[] = [];
    if ('attempt' in answer && answer.attempt.episode) {
      for (const { data: pixels } of Object.values(answer.attempt.episode.images))
        buffers.push(pixels.buffer as ArrayBuffer);
    }
    port.postMessage(answer, buffers);
  });
});
