/**
 * How long the steps of a study will take: by those of their kind that are done (the same model of another seed before others), by
 * their own settings where these are a time, otherwise by what such steps took when the study was designed.
 */
import type { StageRecords } from '../eval/stage-record.js';
import type { StepKind, StudyStep } from './study-plan.js';
import { isFinished } from './study-runner.js';

/**
 * Seconds a unit of work on one core of an AMD EPYC, beside a second such step: an episode, a question, a training step of the scene
 * layer, an episode to prune, a training sample of the paper's models, an evaluated scene. A first guess, until a step of the kind is done on this machine.
 */
const FIRST_GUESS: Record<StepKind, number> = {
  demonstrations: 0.07,
  questions: 0.004,
  scene: 0.2,
  labels: 0.02,
  train: 0.0065,
  measure: 0.2,
};

/** Time that a step takes beside what its settings say. */
const OVERHEAD_SECONDS = 5;

/** The name without the seed: `train/base`. */
const withoutSeed = (name: string): string => name.replace(/^seed-\d+\//, '');

/** @returns seconds that an unfinished step takes from its start to its end */
export function estimateOf(step: StudyStep, steps: readonly StudyStep[], records: StageRecords): number {
  if (step.seconds !== null) return step.seconds + OVERHEAD_SECONDS;
  // A given model took no time here.
  const timed = ({ name }: StudyStep): boolean => (records.get(name)?.seconds ?? 0) > 0;
  const done = steps.filter((other) => other.kind === step.kind && timed(other) && isFinished(other, records));
  const alike = done.filter((other) => withoutSeed(other.name) === withoutSeed(step.name));
  const basis = alike.length > 0 ? alike : done;
  const work = basis.reduce((sum, other) => sum + other.work, 0);
  const seconds = basis.reduce((sum, { name }) => sum + (records.get(name)?.seconds ?? 0), 0);
  return work > 0 ? (seconds / work) * step.work : FIRST_GUESS[step.kind] * step.work + OVERHEAD_SECONDS;
}

/**
 * @param running seconds that each running step has taken, by name
 * @returns seconds until everything is done with so many steps at a time; never less than what the longest chain needs
 */
export function estimateLeft(
  steps: readonly StudyStep[],
  records: StageRecords,
  jobs: number,
  running: ReadonlyMap<string, number> = new Map(),
): number {
  /** When each step ends at the earliest, counting what it needs. */
  const ends = new Map<string, number>();
  let parallel = 0;
  let alone = 0;
  for (const step of steps) {
    const done = isFinished(step, records);
    const left = done ? 0 : Math.max(0, estimateOf(step, steps, records) - (running.get(step.name) ?? 0));
    if (step.threads === 0) alone += left;
    else parallel += left;
    const before = Math.max(0, ...step.needs.map((name) => ends.get(name) ?? 0));
    ends.set(step.name, before + left);
  }
  return Math.max(alone + parallel / jobs, ...ends.values());
}
