/** Demonstrations for the verbs `data generate` and `demo`: from a recipe's keys to data sets, with progress. */
import type { DemonstrationsRecipe } from '../recipes/index.js';
import type { DemonstrationOptions, DemonstrationSummary } from '../sim/demonstrations.js';
import { taskOf } from '../sim/tasks/index.js';
import { parseVariant } from '../sim/variation.js';
import { UsageError } from './errors.js';
import { Progress } from './terminal.js';

/** The generator's options for a recipe's demonstrations. `seed` moves to other scenes of the training split. */
export function demonstrationOptions(recipe: DemonstrationsRecipe, out: string, seed: number): DemonstrationOptions {
  const weights = Object.entries(recipe.variants).map(([name, weight]) => [parseVariant(name), weight] as const);
  return {
    out,
    tasks: recipe.tasks.map((task) => taskOf(task).id),
    episodesPerTask: recipe.episodes_per_task,
    // Runs of different seeds share no scene: each task has ten million training seeds.
    seedStart: firstAttempt(seed),
    split: 'train',
    imageSize: recipe.image_size,
    cameras: recipe.cameras,
    perturbProbability: recipe.perturb_probability,
    failedGraspProbability: recipe.failed_grasp_probability,
    variants: Object.fromEntries(weights),
  };
}

function firstAttempt(seed: number): number {
  if (seed > 99) throw new UsageError(`--seed ${seed}: demonstrations have seeds 0 to 99`);
  return seed * 100_000;
}

/** Generates with a progress line; @returns a summary a robot, those finished earlier included. */
export async function runDemonstrations(options: DemonstrationOptions): Promise<DemonstrationSummary[]> {
  const { generateDemonstrations } = await import('../sim/demonstrations.js');
  const events = generateDemonstrations(options);
  let progress: Progress | undefined;
  for (;;) {
    const { value, done } = await events.next();
    if (done) return value;
    if (value.kind === 'start') {
      progress = new Progress(`demonstrations ${value.robot}`, value.total);
      progress.update(value.done);
    } else if (value.kind === 'episode') {
      progress?.update(value.done, value.task);
    } else if (value.kind === 'finished') {
      progress?.finish(`${value.episodes} episodes, ${value.frames} frames`);
    }
  }
}
