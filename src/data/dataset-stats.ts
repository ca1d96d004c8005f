/**
 * Statistics of a whole data set, computed from its data files: exact, also after merges and edits.
 */
import { decodeNumeric } from './episode-columns.js';
import { type Features, featureSize, isNumeric, type NumericArray } from './features.js';
import { ParquetFile } from './parquet-read.js';
import { type FeatureStats, numericStats } from './statistics.js';

/** Statistics of every numeric feature over the given data files. Pictures are counted where they are encoded or decoded. */
export async function numericDatasetStats(
  paths: readonly string[],
  features: Features,
): Promise<Record<string, FeatureStats>> {
  const names = Object.keys(features).filter((name) => isNumeric(features[name] as Features[string]));
  const parts = new Map<string, NumericArray[]>(names.map((name) => [name, []]));
  for (const path of paths) {
    const file = await ParquetFile.open(path);
    const columns = await file.read(names);
    for (const name of names)
      parts
        .get(name)
        ?.push(decodeNumeric(columns.get(name) ?? [], name, features[name] as Features[string], { file: path }));
  }
  const stats: Record<string, FeatureStats> = {};
  for (const name of names) {
    const arrays = parts.get(name) ?? [];
    const total = arrays.reduce((sum, array) => sum + array.length, 0);
    const values = new Float64Array(total);
    let at = 0;
    for (const array of arrays) {
      for (let i = 0; i < array.length; i++) values[at + i] = Number(array[i]);
      at += array.length;
    }
    stats[name] = numericStats(values, featureSize(features[name] as Features[string]));
  }
  return stats;
}
