/**
 * Films of several models on the same scenes, with what each of them thinks. Runs the scenes once more, because an evaluation keeps no
 * pictures.
 *
 * Knows nothing about stages, resuming or terminals.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Split, TaskId, Variant } from '../sim/index.js';
import { writeFilm } from './film.js';
import type { ReportVideo } from './report.js';
import { type RolloutPolicy, rollout } from './rollout.js';
import type { EpisodeTrace } from './trace.js';

/** Side of the films' pictures, pixels. */
const FILM_SIZE = 256;

/** A scene of the evaluation. */
export interface FilmedScene {
  task: TaskId;
  variant: Variant;
  split: Split;
  index: number;
}

export interface FilmOptions {
  scenes: readonly FilmedScene[];
  policies: readonly { name: string; policy: RolloutPolicy }[];
  /** Folder for the mp4 files. */
  folder: string;
  signal?: AbortSignal;
}

/** The same scene by each policy. */
export interface FilmedPair {
  scene: FilmedScene;
  films: { name: string; video: ReportVideo }[];
}

/** Films scenes one after the other; each film says what became of it this time. */
export async function filmScenes({ scenes, policies, folder, signal }: FilmOptions): Promise<FilmedPair[]> {
  mkdirSync(folder, { recursive: true });
  const pairs: FilmedPair[] = [];
  for (const scene of scenes) {
    const films: FilmedPair['films'] = [];
    for (const { name, policy } of policies) {
      const path = join(
        folder,
        `${name}-${scene.task.replace('/', '-')}-${scene.variant.replace(':', '-')}-${scene.index}.mp4`,
      );
      films.push({ name, video: await filmScene(scene, policy, path, signal) });
    }
    pairs.push({ scene, films });
  }
  return pairs;
}

async function filmScene(
  { index, ...cell }: FilmedScene,
  policy: RolloutPolicy,
  path: string,
  signal: AbortSignal | undefined,
): Promise<ReportVideo> {
  const film = { camera: 'third', size: FILM_SIZE, episodes: new Set([index]) } as const;
  const options = {
    ...cell,
    episodes: [index],
    policy,
    film,
    trace: true,
    ...(signal === undefined ? {} : { signal }),
  };
  for await (const { record, frames, controlHz, trace } of rollout(options)) {
    await writeFilm(path, [{ frames, success: record.success, controlHz }], FILM_SIZE);
    const { task, variant, instruction, success, steps } = record;
    const video = {
      task,
      variant,
      instruction,
      seed: index,
      success,
      steps,
      mime: 'video/mp4',
      bytes: readFileSync(path),
    } as const;
    return trace?.reasons ? { ...video, thoughts: thoughtsOf(trace) } : video;
  }
  throw new Error(`scene ${cell.task} ${index} gave no episode`);
}

/** What was thought from when on; steps with the same text are one thought. */
export function thoughtsOf({
  trace,
  controlHz,
}: Pick<EpisodeTrace, 'trace' | 'controlHz'>): { at: number; text: string | null }[] {
  return trace.flatMap(({ reasoning }, step) =>
    step > 0 && trace[step - 1]?.reasoning === reasoning ? [] : [{ at: step / controlHz, text: reasoning }],
  );
}
