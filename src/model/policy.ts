/**
 * A trained model as a robot policy: observations of many sessions in, one 7-dim action for each out. A chunk is predicted in
 * one batch for all sessions that need one and carried out step by step (`num_execute` of C), or, with temporal ensembling
 * (ACT, arXiv 2304.13705), predicted anew every step and averaged with the earlier predictions of the same moment.
 *
 * State is kept per session and only until `reset`: nothing leaks from one episode into the next.
 *
 * Knows nothing about environments or how the model was trained.
 */
import type { ChunkStats } from '../data/action-chunk.js';
import { decodeChunk } from '../data/action-chunk.js';
import { Generator, scope, torch } from '../torch/index.js';
import type { Vla } from './vla.js';
import { PromptBuilder, type PromptTokenizer } from './vla-batch.js';

export interface PolicyObservation {
  /** Camera -> RGB bytes, H * W * 3, at the model's image size. */
  images: Readonly<Record<string, Uint8Array>>;
  /** Proprioceptive state, robot units. */
  state: ArrayLike<number>;
  instruction: string;
}

export interface PolicyRequest {
  /** Any number that names one running episode. */
  session: number;
  observation: PolicyObservation;
}

/** What an evaluation or a server asks of a policy. */
export interface Policy {
  /** Forgets everything of a session; to be called before its first observation. */
  reset(session: number): void;
  /** One action (dx dy dz droll dpitch dyaw gripper, metres and radians) for each request. */
  act(requests: readonly PolicyRequest[]): Float32Array[];
}

/** Statistics a policy travels with (dataset_statistics.json of a checkpoint). */
export interface PolicyStatistics {
  chunk: ChunkStats;
  normaliseState(state: ArrayLike<number>): Float32Array;
}

export interface VlaPolicyOptions {
  /** Actions of a chunk carried out before the next prediction; default `num_execute` of the model. */
  numExecute?: number;
  /** Predict every step and average; weight exp(-rate * age) on older predictions. Default off. */
  temporalEnsembling?: { rate: number };
  /** Seed of the flow head's starting noise. Noise and sampled decisions to think depend on (seed, session, prediction) alone, not on the batch. */
  seed?: number;
  device?: string;
  /**
   * A reasoning VLA draws whether to think, with the probability it gives to it, instead of doing the likelier of the two.
   * For models trained on reasoning kept at random: they would never think otherwise.
   */
  sampleSkipping?: boolean;
  /** Rows predicted at once; default 64. */
  maxBatch?: number;
}

interface Session {
  /** Steps since reset. */
  step: number;
  /** Chunks still in use, the newest last, each with the step it began at. */
  chunks: { start: number; actions_CA: Float32Array }[];
  predictions: number;
  /** What was thought before the chunk in use; null if it was predicted at once. */
  thought: string | null;
}

export class VlaPolicy implements Policy {
  readonly #sessions = new Map<number, Session>();
  readonly #prompts: PromptBuilder;
  readonly #execute: number;
  /** Over all sessions: predictions made, those with reasoning, and its tokens. */
  readonly thinking = { predictions: 0, reasoned: 0, tokens: 0 };

  constructor(
    readonly model: Vla,
    tokenizer: PromptTokenizer,
    readonly statistics: PolicyStatistics,
    readonly options: VlaPolicyOptions = {},
  ) {
    const { chunk_size, num_execute } = model.config;
    this.#execute = options.temporalEnsembling ? 1 : (options.numExecute ?? num_execute);
    if (this.#execute < 1 || this.#execute > chunk_size) {
      throw new RangeError(`numExecute is ${this.#execute}; a chunk of this model has ${chunk_size} actions`);
    }
    this.#prompts = new PromptBuilder(model.config, tokenizer);
    model.eval();
  }

  reset(session: number): void {
    this.#sessions.delete(session);
  }

  /** What the model thought before the chunk that a session carries out; null if it acted at once. */
  thought(session: number): string | null {
    return this.#sessions.get(session)?.thought ?? null;
  }

  act(requests: readonly PolicyRequest[]): Float32Array[] {
    const states = requests.map(({ session }) => this.#session(session));
    const due = requests.flatMap((request, i) => {
      const state = states[i] as Session;
      const newest = state.chunks.at(-1);
      return newest === undefined || state.step - newest.start >= this.#execute ? [{ request, state }] : [];
    });
    this.#predict(due);
    return states.map((state) => this.#nextAction(state));
  }

  #session(id: number): Session {
    let session = this.#sessions.get(id);
    if (session === undefined) {
      session = { step: 0, chunks: [], predictions: 0, thought: null };
      this.#sessions.set(id, session);
    }
    return session;
  }

  /** Predicts a chunk for each entry, whatever the lengths of their prompts. */
  #predict(due: readonly { request: PolicyRequest; state: Session }[]): void {
    const maxBatch = this.options.maxBatch ?? 64;
    for (let start = 0; start < due.length; start += maxBatch) this.#predictBatch(due.slice(start, start + maxBatch));
  }

  #predictBatch(rows: readonly { request: PolicyRequest; state: Session }[]): void {
    const { chunk_size: C, action_dim: A, cameras, state_dim } = this.model.config;
    const device = this.options.device ?? 'cpu';
    const observations = rows.map(({ request }) => request.observation);
    const state = new Float32Array(rows.length * state_dim);
    for (const [i, observation] of observations.entries())
      state.set(this.statistics.normaliseState(observation.state), i * state_dim);
    const { chunks, reasoning } = scope(() => {
      const images = Object.fromEntries(cameras.map((camera) => [camera, concatenate(observations, camera)]));
      const batch = this.#prompts.build(
        { images, state, instruction: observations.map(({ instruction }) => instruction) },
        device,
      );
      const draws = rows.map(({ request, state: { predictions } }) => this.#generator(request.session, predictions));
      const skipAbove = this.options.sampleSkipping && draws.map((generator) => torch.rand([1], { generator }).item());
      const { actions, reasoning } = this.model.predict(batch, {
        ...(this.model.action_model && {
          noise: torch.stack(draws.map((generator) => torch.randn([C, A], { generator }))).to(device),
        }),
        ...(skipAbove && { skipAbove }),
      });
      return { chunks: actions.to('float32').to('cpu').data<Float32Array>(), reasoning };
    });
    for (const [i, { state: session }] of rows.entries()) {
      const actions_CA = decodeChunk(chunks.subarray(i * C * A, (i + 1) * C * A), this.statistics.chunk, 'raw');
      session.chunks.push({ start: session.step, actions_CA });
      session.predictions++;
      session.chunks = session.chunks.filter(({ start }) => session.step - start < C);
      const ids = reasoning[i] ?? [];
      session.thought = ids.length === 0 ? null : this.#prompts.tokenizer.decode(ids);
      this.thinking.predictions++;
      if (ids.length > 0) this.thinking.reasoned++;
      this.thinking.tokens += ids.length;
    }
  }

  #generator(session: number, prediction: number): Generator {
    const seed = ((this.options.seed ?? 0) * 1_000_003 + session) * 4096 + prediction;
    return new Generator(seed % Number.MAX_SAFE_INTEGER);
  }

  /** The action of the session's present step, averaged over its chunks when ensembling; the gripper becomes 0 or 1. */
  #nextAction(session: Session): Float32Array {
    const A = this.model.config.action_dim;
    const { temporalEnsembling } = this.options;
    const used = temporalEnsembling ? session.chunks : session.chunks.slice(-1);
    const action = new Float32Array(A);
    let total = 0;
    for (const { start, actions_CA } of used) {
      const age = session.step - start;
      const weight = temporalEnsembling ? Math.exp(-temporalEnsembling.rate * age) : 1;
      for (let a = 0; a < A; a++) action[a] = (action[a] as number) + weight * (actions_CA[age * A + a] as number);
      total += weight;
    }
    for (let a = 0; a < A; a++) action[a] = (action[a] as number) / total;
    action[A - 1] = (action[A - 1] as number) >= 0.5 ? 1 : 0;
    session.step++;
    return action;
  }
}

function concatenate(observations: readonly PolicyObservation[], camera: string): Uint8Array {
  const parts = observations.map(({ images }) => {
    const bytes = images[camera];
    if (bytes === undefined) {
      throw new RangeError(
        `the model sees camera ${camera}; the observation has ${Object.keys(images).join(', ') || 'none'}`,
      );
    }
    return bytes;
  });
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
