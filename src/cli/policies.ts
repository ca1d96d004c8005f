/** What --policy, --task and --variant name, for the verbs that run policies. */
import { existsSync } from 'node:fs';
import type { RolloutPolicy } from '../eval/rollout.js';
import type { TaskId, Variant } from '../sim/index.js';
import { UsageError } from './errors.js';

/** expert, random, or a checkpoint; only a checkpoint loads the engine. */
export async function findPolicy(name: string, device = 'cpu'): Promise<RolloutPolicy> {
  if (name === 'expert' || name === 'random') return { kind: name };
  if (!existsSync(name))
    throw new UsageError(`--policy: there is no checkpoint ${name}; scripts are expert and random`);
  const { loadCheckpointPolicy } = await import('../eval/checkpoint-policy.js');
  return loadCheckpointPolicy(name, { device });
}

/** Task ids; `all` for every one. @throws SimOptionError with the nearest */
export async function findTasks(names: readonly string[]): Promise<TaskId[]> {
  const { TASK_IDS, taskOf } = await import('../sim/index.js');
  return names.length === 1 && names[0] === 'all' ? [...TASK_IDS] : names.map((name) => taskOf(name).id);
}

/** Variants. @throws SimOptionError with the nearest */
export async function findVariants(names: readonly string[]): Promise<Variant[]> {
  const { parseVariant } = await import('../sim/variation.js');
  return names.map(parseVariant);
}
