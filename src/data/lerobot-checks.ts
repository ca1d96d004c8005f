/** Whether a data set's metadata agree with each other, and its statistics file. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DatasetInfo, STATS_FILE } from './dataset-info.js';
import { CorruptDatasetError } from './errors.js';
import type { EpisodeRecord } from './lerobot-metadata-files.js';
import { type FeatureStats, statsFromJson } from './statistics.js';

const HINT = 'Mend it into a new data set: dualvla data validate DIR --fix OUT';

/** Throws CorruptDatasetError at the first contradiction between meta/info.json, the tasks and the episode table. */
export function checkTotals(
  folder: string,
  info: DatasetInfo,
  tasks: readonly string[],
  episodes: readonly EpisodeRecord[],
): void {
  const file = join(folder, 'meta/info.json');
  if (episodes.length !== info.totalEpisodes)
    throw new CorruptDatasetError(
      `meta/info.json says ${info.totalEpisodes} episodes, the episode table has ${episodes.length}`,
      { file, field: 'total_episodes', hint: HINT },
    );
  if (tasks.length !== info.totalTasks)
    throw new CorruptDatasetError(
      `meta/info.json says ${info.totalTasks} tasks, meta/tasks.parquet has ${tasks.length}`,
      { file, field: 'total_tasks', hint: HINT },
    );
  let from = 0;
  for (const episode of episodes) {
    if (episode.fromIndex !== from || episode.toIndex !== from + episode.length || episode.length < 1)
      throw new CorruptDatasetError(
        `Frames [${episode.fromIndex}, ${episode.toIndex}) for ${episode.length} frames, expected to begin at ${from}`,
        {
          file: join(folder, 'meta/episodes'),
          episode: episode.index,
          field: 'dataset_from_index',
          hint: HINT,
        },
      );
    from = episode.toIndex;
  }
  if (from !== info.totalFrames)
    throw new CorruptDatasetError(`meta/info.json says ${info.totalFrames} frames, the episode table has ${from}`, {
      file,
      field: 'total_frames',
      hint: HINT,
    });
}

/** Statistics by feature; empty without a file. Throws CorruptDatasetError when it is damaged. */
export async function readStats(folder: string): Promise<Record<string, FeatureStats>> {
  const file = join(folder, STATS_FILE);
  if (!existsSync(file)) return {};
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (cause) {
    throw new CorruptDatasetError('meta/stats.json is not JSON', { file, cause });
  }
  const stats: Record<string, FeatureStats> = {};
  for (const [name, value] of Object.entries(json)) {
    const parsed = statsFromJson(value);
    if (!parsed) throw new CorruptDatasetError('No table of statistics', { file, field: name });
    stats[name] = parsed;
  }
  return stats;
}
