/** The thread side of `env-pool.ts`: holds environments, carries out one command at a time, writes observations to shared memory. */
import { parentPort } from 'node:worker_threads';
import {
  type CameraName,
  Env,
  type EnvOptions,
  type Observation,
  type PrivilegedState,
  type StepResult,
} from './env.js';
import { type EnvInfo, STATE_BYTES } from './env-pool.js';
import { SimStateError } from './errors.js';
import { Expert, type ExpertOptions, type ExpertStep } from './expert.js';

export type WorkerCommand =
  | {
      readonly kind: 'create';
      readonly index: number;
      readonly options: EnvOptions;
      readonly memory: SharedArrayBuffer;
    }
  | { readonly kind: 'reset'; readonly index: number; readonly seed: number }
  | { readonly kind: 'step'; readonly index: number; readonly action: Float32Array }
  | { readonly kind: 'expert'; readonly index: number; readonly options: ExpertOptions }
  | { readonly kind: 'act'; readonly index: number }
  | { readonly kind: 'privileged'; readonly index: number }
  | { readonly kind: 'render'; readonly index: number; readonly camera: CameraName; readonly size: number };

export interface WorkerReply {
  readonly id: number;
  readonly error?: { readonly name: string; readonly message: string };
  readonly info?: EnvInfo;
  readonly instruction?: string;
  readonly step?: Omit<StepResult, 'observation'>;
  readonly act?: ExpertStep;
  readonly privileged?: PrivilegedState;
  readonly image?: Uint8Array;
}

interface Place {
  readonly env: Env;
  readonly memory: SharedArrayBuffer;
  expert: Expert | null;
}

const places = new Map<number, Place>();

function place(index: number): Place {
  const found = places.get(index);
  if (!found) throw new SimStateError(`environment ${index} was not created in this worker`);
  return found;
}

function publish({ env, memory }: Place, observation: Observation): void {
  new Float32Array(memory, 0, 7).set(observation.state);
  let offset = STATE_BYTES;
  for (const camera of env.cameras) {
    const image = observation.images[camera] as Uint8Array;
    new Uint8Array(memory, offset, image.length).set(image);
    offset += image.length;
  }
}

async function carryOut(command: WorkerCommand): Promise<Omit<WorkerReply, 'id'>> {
  if (command.kind === 'create') {
    const env = await Env.create(command.options);
    places.set(command.index, { env, memory: command.memory, expert: null });
    return { info: { maxSteps: env.maxSteps, controlHz: env.controlHz, robot: env.robot } };
  }
  const here = place(command.index);
  switch (command.kind) {
    case 'reset':
      here.expert = null;
      publish(here, here.env.reset(command.seed));
      return { instruction: here.env.instruction };
    case 'step': {
      const { observation, ...rest } = here.env.step(command.action);
      publish(here, observation);
      return { step: rest };
    }
    case 'expert':
      here.expert = new Expert(here.env, command.options);
      return {};
    case 'act':
      here.expert ??= new Expert(here.env);
      return { act: here.expert.act() };
    case 'privileged':
      return { privileged: here.env.privileged() };
    case 'render':
      return { image: here.env.render(command.camera, command.size) };
  }
}

parentPort?.on('message', async (message: { id: number; command: WorkerCommand } | 'stop') => {
  if (message === 'stop') {
    parentPort?.close();
    return;
  }
  const { id, command } = message;
  try {
    parentPort?.postMessage({ id, ...(await carryOut(command)) } satisfies WorkerReply);
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
    parentPort?.postMessage({ id, error: { name, message } } satisfies WorkerReply);
  }
});
