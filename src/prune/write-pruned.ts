/**
 * A pruned copy of data sets, in LeRobot v3.0: `reasoning.text` is "" where the reasoning was pruned (mode `drop`; whole with `label-mask`),
 * `reasoning.keep` says so, and `reasoning.scene_score` and `reasoning.motion_score` say why. Frames, actions, pictures (their bytes) and
 * videos (their stream) stay as they are, and so do language rows: were persistent ones deleted, an older one would carry over onto pruned
 * frames.
 *
 * A copy is complete, or unfinished under another name (LeRobotWriter) and continued with `resume`; the input is only read.
 */
import { join } from 'node:path';
import {
  type Column,
  convertDataset,
  type Episode,
  type EpisodeSource,
  type Features,
  type JsonValue,
  REASONING_KEEP_KEY,
  REASONING_MOTION_SCORE_KEY,
  REASONING_SCENE_SCORE_KEY,
  REASONING_TEXT_KEY,
} from '../data/index.js';
import { PruneError } from './errors.js';
import type { PrunedEpisode, PruneMode, PruneResult } from './prune-dataset.js';
import type { PruneInput } from './prune-input.js';

export interface WritePrunedOptions {
  readonly inputs: readonly PruneInput[];
  /** The copy; a folder of data sets where the input is one. */
  readonly target: string;
  readonly result: PruneResult;
  /** Default 'drop'. */
  readonly mode?: PruneMode;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Episodes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/** Writes the copies. Throws PruneError where there is no reasoning text to prune, DatasetConflictError where the target exists. */
export async function writePrunedDatasets(options: WritePrunedOptions): Promise<void> {
  const { inputs, target, result, mode = 'drop', resume = false, overwrite = false, signal } = options;
  for (const input of inputs) checkReasoning(input);
  const total = result.episodes.length;
  let before = 0;
  for (const input of inputs) {
    const own = result.episodes.filter(({ folder }) => folder === input.name);
    await convertDataset({
      sources: [prunedSource(input, own, mode, result.labels.method)],
      target: join(target, input.name),
      signal,
      ...(resume ? { resume } : {}),
      ...(overwrite ? { overwrite } : {}),
      onProgress: ({ done }) => options.onProgress?.({ done: before + done, total }),
    });
    before += own.length;
  }
}

/** Throws PruneError where a data set has no reasoning to prune. */
export function checkReasoning({ hasReasoning, label }: PruneInput): void {
  if (hasReasoning) return;
  throw new PruneError('The data set has no reasoning text to prune', {
    file: label,
    field: REASONING_TEXT_KEY,
    hint: 'Keep labels need none: give --out a file that ends in .json. RLDS data sets take reasoning from --ecot or --vla-it FILE',
  });
}

/** The input's episodes with their reasoning pruned. */
function prunedSource(
  input: PruneInput,
  episodes: readonly PrunedEpisode[],
  mode: PruneMode,
  method: Readonly<Record<string, unknown>>,
): EpisodeSource {
  const source = input.source();
  const facts = { format: 'pruned', from: source.label, of: source.provenance, method };
  return {
    ...source,
    features: prunedFeatures(source.features),
    provenance: JSON.parse(JSON.stringify(facts)) as JsonValue,
    async *episodes(from) {
      for await (const one of source.episodes(from)) {
        if ('leftOut' in one) throw one.leftOut;
        const pruned = episodes[one.index] as PrunedEpisode;
        const { origin } = pruned;
        const note: Readonly<Record<string, JsonValue>> = origin
          ? { file_path: origin.filePath, episode_id: origin.episodeId, first_step: origin.firstStep }
          : {};
        yield { ...one, note: { ...one.note, ...note }, episode: prunedEpisode(one.episode, pruned, mode) };
      }
    },
  };
}

function prunedFeatures(features: Features): Features {
  const score = { dtype: 'float32', shape: [1], names: null } as const;
  return {
    ...features,
    [REASONING_KEEP_KEY]: { dtype: 'bool', shape: [1], names: null },
    [REASONING_SCENE_SCORE_KEY]: score,
    [REASONING_MOTION_SCORE_KEY]: score,
  };
}

/** The episode with its reasoning pruned; scores of a layer that was not computed are 0. */
export function prunedEpisode(episode: Episode, pruned: PrunedEpisode, mode: PruneMode = 'drop'): Episode {
  const { keep, sceneScore, motionScore } = pruned;
  const texts = episode.columns[REASONING_TEXT_KEY]?.values as readonly string[];
  const zeros = new Float32Array(episode.length);
  const left = mode === 'label-mask' ? texts : texts.map((text, t) => (keep[t] === 1 ? text : ''));
  const columns: Record<string, Column> = {
    ...episode.columns,
    [REASONING_TEXT_KEY]: { dtype: 'string', values: left },
    [REASONING_KEEP_KEY]: { dtype: 'bool', shape: [1], values: keep },
    [REASONING_SCENE_SCORE_KEY]: { dtype: 'float32', shape: [1], values: sceneScore ?? zeros },
    [REASONING_MOTION_SCORE_KEY]: { dtype: 'float32', shape: [1], values: motionScore ?? zeros },
  };
  return { ...episode, columns };
}
