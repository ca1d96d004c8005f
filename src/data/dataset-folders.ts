/**
 * Which LeRobot data sets a path means: itself, or, for the folder of a set of sets (one a robot, as `data generate` writes
 * them for tasks of two robots), every direct subfolder that is one.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const isDataset = (folder: string): boolean => existsSync(join(folder, 'meta', 'info.json'));

/** Data set folders at `root`, sorted; `[root]` if there are none, so that opening it names what is missing. */
export function datasetFolders(root: string): string[] {
  if (isDataset(root) || !existsSync(root)) return [root];
  const inside = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isDataset(join(root, entry.name)))
    .map((entry) => join(root, entry.name))
    .sort();
  return inside.length > 0 ? inside : [root];
}
