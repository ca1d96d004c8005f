/**
 * A pruned copy of data sets, in LeRobot v3.0: `reasoning.text` is "" where the reasoning was pruned, `reasoning.keep` says so, and
 * `reasoning.scene_score` and `reasoning.motion_score` say why. Frames, actions, pictures and language rows stay as they are (persistent
 * rows are not deleted: an older one would then carry over onto pruned frames).
 *
 * A copy is complete or unfinished under another name (LeRobotWriter); the input is only read.
 */
import { join } from 'node:path';
import {
  AUTOMATIC_FEATURES,
  type Column,
  type Episode,
  type Features,
  LeRobotDataset,
  LeRobotWriter,
  REASONING_KEEP_KEY,
  REASONING_MOTION_SCORE_KEY,
  REASONING_SCENE_SCORE_KEY,
  REASONING_TEXT_KEY,
} from '../data/index.js';
import { folderName } from './boundary-labels.js';
import { PruneError } from './errors.js';
import type { PrunedEpisode, PruneResult } from './prune-dataset.js';

export interface WritePrunedOptions {
  readonly root: string;
  readonly folders: readonly string[];
  /** The copy; a folder of data sets where the input is one. */
  readonly target: string;
  readonly result: PruneResult;
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/** Writes the copies. Throws PruneError where there is no reasoning text to prune, DatasetConflictError where the target exists. */
export async function writePrunedDatasets(options: WritePrunedOptions): Promise<void> {
  const { root, folders, target, result, overwrite = false } = options;
  const byEpisode = new Map(result.episodes.map((one) => [`${one.folder}\n${one.episode}`, one]));
  let done = 0;
  for (const folder of folders) {
    const dataset = await LeRobotDataset.open(folder);
    if (dataset.features[REASONING_TEXT_KEY]?.dtype !== 'string')
      throw new PruneError('The data set has no reasoning text to prune', { file: folder, field: REASONING_TEXT_KEY });
    const name = folderName(root, folder);
    const writer = await LeRobotWriter.create(join(target, name), {
      fps: dataset.fps,
      robotType: dataset.info.robotType ?? '',
      features: prunedFeatures(dataset.features),
      overwrite,
      provenance: { prunedFrom: folder, method: JSON.parse(JSON.stringify(result.labels.method)) },
    });
    try {
      for (const { index } of dataset.episodes) {
        options.signal?.throwIfAborted();
        const episode = await dataset.episode(index, { images: true });
        await writer.addEpisode(prunedEpisode(episode, byEpisode.get(`${name}\n${index}`) as PrunedEpisode));
        done += episode.length;
        options.onProgress?.({ done, total: result.report.frames });
      }
      await writer.finish();
    } catch (error) {
      writer.close();
      throw error;
    }
  }
}

function prunedFeatures(features: Features): Features {
  const own = Object.fromEntries(Object.entries(features).filter(([key]) => !(key in AUTOMATIC_FEATURES)));
  const score = { dtype: 'float32', shape: [1], names: null } as const;
  return {
    ...own,
    [REASONING_KEEP_KEY]: { dtype: 'bool', shape: [1], names: null },
    [REASONING_SCENE_SCORE_KEY]: score,
    [REASONING_MOTION_SCORE_KEY]: score,
  };
}

/** The episode with its reasoning pruned; scores of a layer that was not computed are 0. */
export function prunedEpisode(episode: Episode, pruned: PrunedEpisode): Episode {
  const { keep, sceneScore, motionScore } = pruned;
  const texts = episode.columns[REASONING_TEXT_KEY]?.values as readonly string[];
  const zeros = new Float32Array(episode.length);
  const columns: Record<string, Column> = {
    ...episode.columns,
    [REASONING_TEXT_KEY]: { dtype: 'string', values: texts.map((text, t) => (keep[t] === 1 ? text : '')) },
    [REASONING_KEEP_KEY]: { dtype: 'bool', shape: [1], values: keep },
    [REASONING_SCENE_SCORE_KEY]: { dtype: 'float32', shape: [1], values: sceneScore ?? zeros },
    [REASONING_MOTION_SCORE_KEY]: { dtype: 'float32', shape: [1], values: motionScore ?? zeros },
  };
  return { ...episode, columns };
}
