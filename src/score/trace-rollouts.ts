/**
 * Rollouts of traces (`dualvla measure`, `dualvla eval --traces`). Traces hold no pictures: an episode's actions are carried out again in its scene, which
 * gives the same pictures, and every state is compared with the recorded one, so that a trace of another version of the simulator is noticed.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EpisodeLog } from '../eval/episode-log.js';
import { type EpisodeTrace, readTraces } from '../eval/trace.js';
import { Env, type Variant } from '../sim/index.js';
import { type Picture, type Rollout, RolloutError } from './rollout.js';

/** Metres by which an episode that is run again may differ from its trace (traces of before 2026-11-23 round actions to 1e-6). */
export const REPLAY_TOLERANCE = 0.005;

/** Name of an episode within its benchmark. */
export const traceId = ({ task, variant, split, index }: EpisodeTrace): string =>
  `${task}/${variant}/${split}/${index}`;

/**
 * Reads a file of traces. @throws TraceFileError for a damaged file; RolloutError for none in it, two of the same episode, or traces that do not fit the
 * episodes.jsonl beside them
 */
export function readTraceRollouts(path: string): Rollout[] {
  const traces = readTraces(path);
  if (traces.length === 0) throw new RolloutError(`${path} holds no trace; next: dualvla eval --traces ${path}`);
  const ids = traces.map(traceId);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new RolloutError(`${path} holds episode ${twice} twice; record it into a new file`);
  checkEpisodes(path, traces);
  const theatre = new Theatre();
  return traces.map((trace) => traceRollout(trace, theatre));
}

/** Every episode that is listed beside the traces has one, with the same outcome: else the score would be of a part of them. */
function checkEpisodes(path: string, traces: readonly EpisodeTrace[]): void {
  const list = join(dirname(path), 'episodes.jsonl');
  if (!existsSync(list)) return;
  const success = new Map(traces.map((trace) => [traceId(trace), trace.success]));
  for (const { task, variant, split, index, success: listed } of new EpisodeLog(list).records) {
    const id = `${task}/${variant}/${split}/${index}`;
    const traced = success.get(id);
    if (traced === listed) continue;
    const what = traced === undefined ? 'has no trace' : 'has another outcome in its trace';
    throw new RolloutError(
      `${list}: episode ${id} ${what} in ${path}; next: record both anew (--overwrite), or name the traces without that list`,
    );
  }
}

/** A trace as a rollout. @param theatre where it is run again; the same one for many */
export function traceRollout(trace: EpisodeTrace, theatre: Theatre = new Theatre()): Rollout {
  return {
    id: traceId(trace),
    task: trace.task,
    instruction: trace.instruction,
    success: trace.success,
    reasons: trace.reasons,
    fps: trace.controlHz,
    thoughts: [...trace.trace.map(({ reasoning }) => reasoning), null],
    trace,
    pictures: (moments, side) => theatre.pictures(trace, moments, side),
  };
}

/** Runs episodes again, one after the other, and keeps the environment of the last one's task. */
export class Theatre {
  #env: { readonly cell: string; readonly env: Env } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws RolloutError where the episode goes another way than its trace says */
  pictures(trace: EpisodeTrace, moments: readonly number[], side: number): Promise<Picture[]> {
    const turn = this.#turn.then(async () => replay(await this.#envOf(trace), trace, moments, side));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #envOf({ task, variant }: EpisodeTrace): Promise<Env> {
    const cell = `${task} ${variant}`;
    if (this.#env?.cell !== cell) {
      this.#env?.env.dispose();
      this.#env = undefined;
      this.#env = { cell, env: await Env.create({ task, variant: variant as Variant, cameras: [] }) };
    }
    return this.#env.env;
  }
}

function replay(env: Env, episode: EpisodeTrace, moments: readonly number[], side: number): Picture[] {
  const { trace, end, seed } = episode;
  const wanted = new Set(moments);
  const seen = new Map<number, Picture>();
  const size = Math.max(16, Math.min(512, side));
  const look = (t: number): void => {
    compare(episode, t, (trace[t]?.state ?? end.state) as number[], env.world.proprioception());
    if (wanted.has(t)) seen.set(t, { width: size, height: size, data: env.render('third', size).slice() });
  };
  env.reset(seed);
  for (const [t, { action }] of trace.entries()) {
    look(t);
    env.step(Float32Array.from(action));
  }
  look(trace.length);
  return moments.map((moment) => {
    const picture = seen.get(moment);
    if (!picture) throw new RangeError(`moment ${moment} of ${traceId(episode)}, which has ${trace.length + 1}`);
    return picture;
  });
}

function compare(episode: EpisodeTrace, t: number, recorded: readonly number[], now: ArrayLike<number>): void {
  const off = Math.max(...[0, 1, 2].map((d) => Math.abs((recorded[d] as number) - (now[d] as number))));
  if (off <= REPLAY_TOLERANCE) return;
  throw new RolloutError(
    `${traceId(episode)} goes another way when it is run again: ${(1000 * off).toFixed(1)} mm off at step ${t}; ` +
      'the trace is of another version of the simulator; next: record it anew with dualvla eval --traces',
  );
}
