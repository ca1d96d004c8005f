/**
 * Statistics of a whole data set, computed from its data files: exact, also after merges and edits, in bounded memory: a column at a time, and
 * by several passes where that does not fit.
 */
import { readNumeric } from './episode-columns.js';
import { type Feature, type Features, featureSize, isNumeric, type NumericArray } from './features.js';
import { ParquetFiles } from './parquet-read.js';
import { type FeatureStats, numericStats } from './statistics.js';
import { streamedStats } from './streamed-statistics.js';

/** Values of one column that are held at once: 32 MB. */
const MAX_VALUES = 2 ** 22;
/** Numbers decoded at a time; as JavaScript values they take some ten times their bytes. */
const BLOCK_VALUES = 2 ** 19;

/**
 * Statistics of every numeric feature over the given data files. Pictures are counted where they are encoded or decoded.
 * @param maxValues columns of more values are read several times instead of being held
 */
export async function numericDatasetStats(
  paths: readonly string[],
  features: Features,
  maxValues = MAX_VALUES,
): Promise<Record<string, FeatureStats>> {
  const files = new ParquetFiles();
  let rows = 0;
  for (const path of paths) rows += (await files.open(path)).numRows;
  const stats: Record<string, FeatureStats> = {};
  for (const [name, feature] of Object.entries(features)) {
    if (!isNumeric(feature)) continue;
    const size = featureSize(feature);
    const blocks = (): AsyncGenerator<NumericArray> => columnBlocks(files, paths, name, feature);
    if (rows * size > maxValues) stats[name] = await streamedStats(blocks, size);
    else stats[name] = numericStats(await inOne(blocks(), rows * size), size);
  }
  return stats;
}

async function* columnBlocks(
  files: ParquetFiles,
  paths: readonly string[],
  name: string,
  feature: Feature,
): AsyncGenerator<NumericArray> {
  for (const path of paths) {
    const file = await files.open(path);
    for (const block of file.rowBlocks(Math.ceil(BLOCK_VALUES / featureSize(feature))))
      yield await readNumeric(file, name, feature, block, { file: path });
  }
}

async function inOne(blocks: AsyncIterable<NumericArray>, total: number): Promise<Float64Array> {
  const values = new Float64Array(total);
  let at = 0;
  for await (const block of blocks) for (let i = 0; i < block.length; i++) values[at++] = Number(block[i]);
  return values;
}
