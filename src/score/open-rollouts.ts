/** Rollouts from whatever a path holds: traces, a LeRobot data set, or folders of pictures. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EPISODE_FILE, episodeFolders, readFrameRollout } from './frame-rollouts.js';
import { type LeRobotRolloutOptions, readLeRobotRollouts } from './lerobot-rollouts.js';
import { type Rollout, RolloutError } from './rollout.js';
import { readTraceRollouts } from './trace-rollouts.js';

const TRACES = ['traces.jsonl.gz', 'traces.jsonl'] as const;

/**
 * Reads the rollouts of a path; their pictures only when asked for.
 * @throws RolloutError where it holds none; the readers' errors
 */
export async function openRollouts(path: string, options: LeRobotRolloutOptions = {}): Promise<Rollout[]> {
  if (!existsSync(path)) throw new RolloutError(`there is no ${path}`);
  if (statSync(path).isFile()) return readTraceRollouts(path);
  const traces = TRACES.map((name) => join(path, name)).find((file) => existsSync(file));
  if (traces !== undefined) return readTraceRollouts(traces);
  if (existsSync(join(path, 'meta', 'info.json'))) return readLeRobotRollouts(path, options);
  const folders = episodeFolders(path);
  if (folders.length === 0) {
    throw new RolloutError(
      `${path} holds no rollouts: none of ${TRACES.join(', ')}, meta/info.json (LeRobot), ${EPISODE_FILE}; docs/vla-score.md has the forms`,
    );
  }
  const rollouts: Rollout[] = [];
  for (const folder of folders) rollouts.push(await readFrameRollout(folder));
  return rollouts;
}
