/**
 * The thread that runs episodes: a few environments of one task and variant. With a scripted actor it runs whole
 * episodes by itself; otherwise it hands out observations and steps on with the answers.
 *
 * Knows nothing about policies; loads no engine. See rollout.ts for the other side.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Env, Expert, Random, seedOf } from '../sim/index.js';
import type { Ended, EpisodeOrder, EpisodeWorkerData, FromWorker, Pending, ToWorker } from './episode-protocol.js';
import { type StepTrace, traceScene, traceStep } from './trace.js';

interface Slot {
  env: Env;
  order: EpisodeOrder;
  frames: Uint8Array[];
  trace: StepTrace[];
}

const port = parentPort;
if (port === null) throw new Error('episode-worker.js is started by rollout, not by itself');
const { env: envOptions, actor, worker, stop } = workerData as EpisodeWorkerData;
const stopFlag = new Int32Array(stop);
const stopped = (): boolean => Atomics.load(stopFlag, 0) === 1;
const slots = new Map<number, Slot>();

port.on('message', (message: ToWorker | 'stop') => {
  if (message === 'stop') return port.close();
  answer(message).then(post, (error: Error) => {
    const { name, message, stack } = error;
    post({ worker, pending: [], ended: [], error: { name, message, ...(stack === undefined ? {} : { stack }) } });
  });
});

/** Once the rollout has ended nobody reads the answer: what is missing from it does not matter. */
async function answer({ begin, act }: ToWorker): Promise<FromWorker> {
  const outcomes = act.flatMap(({ slot, action, thought }) => (stopped() ? [] : [step(slot, action, thought)]));
  for (const { slot, order } of begin) if (!stopped()) outcomes.push(await beginEpisode(slot, order));
  return {
    worker,
    pending: outcomes.filter((outcome) => 'observation' in outcome),
    ended: outcomes.filter((outcome) => 'order' in outcome),
  };
}

async function beginEpisode(slot: number, order: EpisodeOrder): Promise<Pending | Ended> {
  const env = slots.get(slot)?.env ?? (await Env.create(envOptions));
  const state: Slot = { env, order, frames: [], trace: [] };
  slots.set(slot, state);
  const observation = env.reset(seedOf(order.split, order.index));
  film(state);
  return actor === 'policy' ? { slot, observation } : runScripted(slot, state);
}

function runScripted(slot: number, { env }: Slot): Pending | Ended {
  const act = actor === 'expert' ? expertActor(env) : randomActor(env);
  for (;;) {
    const outcome = step(slot, act(), null);
    if ('steps' in outcome || stopped()) return outcome;
  }
}

function step(slot: number, action: Float32Array, thought: string | null): Pending | Ended {
  const state = slots.get(slot);
  if (state === undefined) throw new Error(`no episode was begun in slot ${slot}`);
  const { env, order, frames, trace } = state;
  if (order.trace) trace.push(traceStep(env, action, thought));
  const { observation, success, done, step } = env.step(action);
  film(state);
  if (!done) return { slot, observation };
  const { seed, maxSteps, instruction, controlHz } = env;
  const traced = order.trace ? { trace: { ...traceScene(env), trace } } : {};
  return { slot, order, seed, success, steps: step, maxSteps, instruction, controlHz, frames, ...traced };
}

function film({ env, order, frames }: Slot): void {
  if (order.film !== null) frames.push(env.render(order.film.camera, order.film.size));
}

function expertActor(env: Env): () => Float32Array {
  const expert = new Expert(env);
  return () => expert.act().action;
}

/** Every action uniform inside the robot's limits: the floor that a success rate has to be above. */
function randomActor(env: Env): () => Float32Array {
  const random = new Random(env.seed, 'random policy');
  const { maxTranslation, maxRotation } = env.world.robot;
  return () =>
    Float32Array.from({ length: 7 }, (_, i) => {
      if (i === 6) return random.int(2);
      const limit = i < 3 ? maxTranslation : maxRotation;
      return random.range(-limit, limit);
    });
}

function post(message: FromWorker): void {
  const buffers = [...message.ended.flatMap(({ frames }) => frames), ...message.pending.flatMap(imagesOf)];
  port?.postMessage(message, [...new Set(buffers.map(({ buffer }) => buffer as ArrayBuffer))]);
}

function imagesOf({ observation }: Pending): Uint8Array[] {
  return Object.values(observation.images);
}
