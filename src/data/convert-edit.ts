/**
 * Editing LeRobot v3.0 data sets: merge several into one, split one into several. Every result is a new data set; videos are cut and joined
 * by stream copy.
 */
import { type ConvertOptions, type ConvertSummary, convertDataset } from './convert.js';
import { leRobotSource } from './convert-source.js';
import { DatasetConflictError } from './errors.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { datasetState } from './writer-folder.js';

type Passed = Pick<ConvertOptions, 'resume' | 'overwrite' | 'signal' | 'onProgress' | 'video'>;

/** One data set of all episodes of `folders`, in their order; equal instructions become one task. Throws what `convertDataset` throws. */
export async function mergeDatasets(
  folders: readonly string[],
  target: string,
  options: Passed = {},
): Promise<ConvertSummary> {
  const sources = [];
  for (const folder of folders) sources.push(leRobotSource(await LeRobotDataset.open(folder)));
  return convertDataset({ ...options, sources, target });
}

/** Part of a data set: its name and its episodes, in order. */
export interface DatasetPart {
  readonly name: string;
  readonly episodes: readonly number[];
}

/**
 * Parts of a data set of `numEpisodes` by shares, e.g. `{train: 0.9, val: 0.1}`, consecutive episodes each. Rounded so that every episode
 * is in one part and no part is empty. Throws RangeError where that cannot be.
 */
export function partsByShare(numEpisodes: number, shares: Readonly<Record<string, number>>): DatasetPart[] {
  const names = Object.keys(shares);
  const total = Object.values(shares).reduce((sum, share) => sum + share, 0);
  if (
    names.length === 0 ||
    names.length > numEpisodes ||
    !Object.values(shares).every((share) => share > 0) ||
    total > 1 + 1e-9
  )
    throw new RangeError(`${numEpisodes} episodes cannot be split by ${JSON.stringify(shares)}`);
  let from = 0;
  let sum = 0;
  return names.map((name, i) => {
    sum += shares[name] as number;
    const left = names.length - 1 - i;
    const to = Math.min(numEpisodes - left, Math.max(from + 1, Math.round(sum * numEpisodes)));
    const episodes = Array.from({ length: to - from }, (_, k) => from + k);
    from = to;
    return { name, episodes };
  });
}

/**
 * Writes each part to `<target>/<name>`; with `resume`, parts that are finished stay. Throws what `convertDataset` throws, RangeError for an
 * episode that is not there.
 */
export async function splitDataset(
  folder: string,
  parts: readonly DatasetPart[],
  target: string,
  options: Passed = {},
): Promise<ConvertSummary[]> {
  const dataset = await LeRobotDataset.open(folder);
  for (const { name, episodes } of parts) {
    if (!/^[\w.-]+$/.test(name) || name.startsWith('.'))
      throw new DatasetConflictError(`"${name}" is no name for a folder`, { file: target });
    const stray = episodes.find((index) => !(index >= 0 && index < dataset.numEpisodes));
    if (stray !== undefined) throw new RangeError(`There is no episode ${stray}: ${folder} has ${dataset.numEpisodes}`);
  }
  const summaries = [];
  for (const { name, episodes } of parts) {
    const part = `${target}/${name}`;
    const done = options.resume ? await finishedPart(part, episodes.length) : undefined;
    const sources = [leRobotSource(dataset, { episodes })];
    summaries.push(done ?? (await convertDataset({ ...options, sources, target: part })));
  }
  return summaries;
}

/** What an earlier run finished; undefined where it did not get so far. */
async function finishedPart(folder: string, numEpisodes: number): Promise<ConvertSummary | undefined> {
  if (datasetState(folder) !== 'finished') return undefined;
  const { info } = await LeRobotDataset.open(folder);
  if (info.totalEpisodes !== numEpisodes)
    throw new DatasetConflictError(
      `Another part lies here, of ${info.totalEpisodes} episodes instead of ${numEpisodes}`,
      {
        file: folder,
        hint: 'Give another name, or replace it with --overwrite',
      },
    );
  return { folder, episodes: info.totalEpisodes, frames: info.totalFrames, leftOut: [], ignored: {} };
}
