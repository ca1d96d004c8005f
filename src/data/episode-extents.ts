/**
 * Where episodes lie by the rows themselves, for an episode table that contradicts itself: a length that is not to - from, gaps, overlaps, or
 * other rows in all than the data files have.
 *
 * A table that is whole in itself is believed, so that wrong numbers in the rows are found as what they are.
 */
import type { DataError } from './errors.js';
import type { EpisodeRecord } from './lerobot-metadata-files.js';
import { ParquetFile } from './parquet-read.js';

interface Run {
  readonly path: string;
  readonly from: number;
  to: number;
}

const ROWS = 65_536;

/**
 * @param paths the data files in order; all must be readable, otherwise nobody knows where rows lie
 * @param pathOf the file that the table names
 * @returns the records; where the table is wrong, those whose rows lie together with the extents of these rows
 */
export async function extentsOfRows(
  episodes: readonly EpisodeRecord[],
  paths: readonly string[],
  pathOf: (record: EpisodeRecord) => string,
): Promise<readonly EpisodeRecord[]> {
  let runs: Map<number, Run | null>;
  let rows: number;
  try {
    ({ runs, rows } = await readRuns(paths));
  } catch (error) {
    if ((error as DataError).name === 'CorruptDatasetError') return episodes;
    throw error;
  }
  let end = 0;
  const isWhole = episodes.every(({ fromIndex, toIndex, length }) => {
    const fits = fromIndex === end && toIndex - fromIndex === length && length > 0;
    end = toIndex;
    return fits;
  });
  if (isWhole && end === rows) return episodes;
  return episodes.map((record) => {
    const run = runs.get(record.index);
    if (!run || run.path !== pathOf(record)) return record;
    return { ...record, fromIndex: run.from, toIndex: run.to, length: run.to - run.from };
  });
}

/** The rows of each episode, counted over all files; null for one whose rows lie in several places. */
async function readRuns(paths: readonly string[]): Promise<{ runs: Map<number, Run | null>; rows: number }> {
  const runs = new Map<number, Run | null>();
  let rows = 0;
  let last = -1;
  for (const path of paths) {
    const file = await ParquetFile.open(path);
    for (const [from, to] of file.rowBlocks(ROWS)) {
      for (const value of (await file.read(['episode_index'], from, to)).get('episode_index') ?? []) {
        const episode = Number(value);
        const run = runs.get(episode);
        if (run && episode === last && run.path === path) run.to++;
        else runs.set(episode, run === undefined ? { path, from: rows, to: rows + 1 } : null);
        last = episode;
        rows++;
      }
    }
  }
  return { runs, rows };
}
