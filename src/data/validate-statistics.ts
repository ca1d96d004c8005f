/**
 * Statistics against the data: those of the whole data set (meta/stats.json), and those of each episode (the episode table), from which official
 * tools compute the former anew when data sets are cut or joined.
 *
 * Knows nothing about how problems are shown.
 */
import { join } from 'node:path';
import { STATS_FILE } from './dataset-info.js';
import { numericDatasetStats } from './dataset-stats.js';
import type { Episode } from './episode.js';
import { isNumeric } from './features.js';
import { type LeRobotDataset, parquetPaths } from './lerobot-dataset.js';
import type { EpisodeRecord } from './lerobot-metadata-files.js';
import { ParquetFile } from './parquet-read.js';
import { type FeatureStats, statsFromJson } from './statistics.js';
import { episodeStats } from './writer-statistics.js';

export interface StatisticsProblem {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly file: string;
  /** False where the data themselves have no statistics: they hold values that are not finite. */
  readonly finite: boolean;
}

const MOMENTS = ['min', 'max', 'mean', 'std'] as const;

/** What `stored` says otherwise than `exact`, a text each. Tolerances are those of sums in single precision. */
function differences(key: string, stored: FeatureStats, exact: FeatureStats): string[] {
  return MOMENTS.flatMap((name) =>
    exact[name].flatMap((value, d) => {
      const spread = (exact.max[d] as number) - (exact.min[d] as number);
      const off = Math.abs((stored[name][d] ?? Number.NaN) - value);
      if (!isSound(exact, d) || off <= 1e-3 * spread + 1e-6 * Math.abs(value) + 1e-9) return [];
      return [`${key}: ${name}[${d}] is ${stored[name][d]}, the data say ${value}`];
    }),
  );
}

/** meta/stats.json against all rows. */
export async function checkDatasetStatistics(dataset: LeRobotDataset): Promise<StatisticsProblem[]> {
  const file = join(dataset.folder, STATS_FILE);
  const data = join(dataset.folder, 'data');
  const exactly = await numericDatasetStats(await parquetPaths(data), dataset.features);
  return Object.entries(exactly).flatMap(([key, exact]): StatisticsProblem[] => {
    const stored = dataset.stats[key];
    if (!stored) return [];
    const endless = exact.mean.flatMap((_, d): StatisticsProblem[] => {
      if (isSound(exact, d)) return [];
      const message = `${key}: dimension ${d} holds values that are not finite, so it has no statistics`;
      return [{ severity: 'error', message, file: data, finite: false }];
    });
    const wrong = differences(key, stored, exact).map(
      (message): StatisticsProblem => ({ severity: 'error', message, file, finite: true }),
    );
    if (stored.count === exact.count) return [...endless, ...wrong];
    const message = `${key}: count is ${stored.count}, the data have ${exact.count} frames`;
    return [...endless, ...wrong, { severity: 'warning', message, file, finite: true }];
  });
}

const isSound = (stats: FeatureStats, d: number): boolean => MOMENTS.every((name) => Number.isFinite(stats[name][d]));

/** Rows of the episode table that are held at a time, if its row groups are no larger. */
const TABLE_ROWS = 1000;

interface TableBlock {
  readonly file: ParquetFile;
  readonly from: number;
  readonly to: number;
}

/** The statistics of the episode table against episodes that are given one after the other. */
export class EpisodeStatisticsCheck {
  readonly #dataset: LeRobotDataset;
  readonly #keys: readonly string[];
  readonly #tasks: ReadonlyMap<string, number>;
  #blocks: readonly TableBlock[] | undefined;
  #at = 0;
  /** Statistics of the block that was read last, by episode, and the file it is from. */
  #held = new Map<number, Map<string, FeatureStats>>();
  #file = '';

  constructor(dataset: LeRobotDataset) {
    this.#dataset = dataset;
    this.#keys = Object.entries(dataset.features).flatMap(([key, feature]) => (isNumeric(feature) ? key : []));
    this.#tasks = new Map(dataset.tasks.map((task, index) => [task, index]));
  }

  /** What the table says wrong of an episode. A table without statistics says nothing wrong. */
  async problems(episode: Episode, record: EpisodeRecord): Promise<StatisticsProblem[]> {
    const stored = await this.#storedOf(record.index);
    if (stored === undefined) return [];
    const exact = episodeStats(episode, {
      features: this.#dataset.features,
      episodeIndex: record.index,
      firstIndex: record.fromIndex,
      taskIndex: (task) => this.#tasks.get(task) ?? Number.NaN,
      histograms: {},
    });
    return [...stored].flatMap(([key, stats]) => {
      const own = statsFromJson(exact[key]);
      if (own === undefined) return [];
      return differences(key, stats, own).map(
        (message) =>
          ({ severity: 'error', message: `episode table, ${message}`, file: this.#file, finite: true }) as const,
      );
    });
  }

  /** Episodes are asked for in order, and so they lie: the search goes on where it was, once around. */
  async #storedOf(index: number): Promise<Map<string, FeatureStats> | undefined> {
    if (this.#held.has(index)) return this.#held.get(index);
    this.#blocks ??= await this.#tableBlocks();
    for (let tried = 0; tried < this.#blocks.length; tried++) {
      const { file, from, to } = this.#blocks[this.#at] as TableBlock;
      this.#at = (this.#at + 1) % this.#blocks.length;
      const indices = (await file.read(['episode_index'], from, to)).get('episode_index')?.map(Number) ?? [];
      if (!indices.includes(index)) continue;
      this.#file = file.path;
      this.#held = await this.#read(file, from, to, indices);
      return this.#held.get(index);
    }
    return undefined;
  }

  async #tableBlocks(): Promise<TableBlock[]> {
    const paths = await parquetPaths(join(this.#dataset.folder, 'meta/episodes'));
    const files = await Promise.all(paths.map((path) => ParquetFile.open(path)));
    return files.flatMap((file) => file.rowBlocks(TABLE_ROWS).map(([from, to]) => ({ file, from, to })));
  }

  async #read(
    file: ParquetFile,
    from: number,
    to: number,
    indices: readonly number[],
  ): Promise<Map<number, Map<string, FeatureStats>>> {
    const held = new Map(indices.map((index) => [index, new Map<string, FeatureStats>()]));
    for (const key of this.#keys) {
      const prefix = `stats/${key}/`;
      const names = file.columns.filter((column) => column.startsWith(prefix));
      if (names.length === 0) continue;
      const columns = await file.read(names, from, to);
      for (const [row, index] of indices.entries()) {
        const json = Object.fromEntries(
          names.map((name) => [name.slice(prefix.length), numbersOf(columns.get(name)?.[row])]),
        );
        const stats = statsFromJson(json);
        if (stats) held.get(index)?.set(key, stats);
      }
    }
    return held;
  }
}

const numbersOf = (value: unknown): unknown => (Array.isArray(value) ? value.map(Number) : value);
