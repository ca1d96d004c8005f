/**
 * Mending a LeRobot v3.0 data set into a new one: everything that can be read is written again by the one writer. Statistics, indices,
 * timestamps (frame / fps), tasks and metadata come out right; episodes that cannot be read, or whose numbers, pictures or videos are
 * damaged, are left out and named. The input is only read.
 */
import { type ConvertOptions, type ConvertSummary, convertDataset } from './convert.js';
import { leRobotSource } from './convert-source.js';
import { LeRobotDataset } from './lerobot-dataset.js';

/**
 * Mends. Throws MissingDatasetError or CorruptDatasetError where not even the metadata (meta/info.json, the tasks, the episode table) can be
 * read, InvalidEpisodeError where no episode is sound.
 */
export async function repairDataset(
  folder: string,
  target: string,
  options: Pick<ConvertOptions, 'resume' | 'overwrite' | 'signal' | 'onProgress'> = {},
): Promise<ConvertSummary> {
  const dataset = await LeRobotDataset.openDamaged(folder);
  const sources = [leRobotSource(dataset, { skipDamaged: true })];
  return convertDataset({ ...options, sources, target, skipDamaged: true });
}
