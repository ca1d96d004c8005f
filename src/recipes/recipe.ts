/**
 * What a recipe is: plain data for a whole small run: which demonstrations, how to train, how to evaluate. Recipes are
 * functions without arguments that return it; flags and files are laid over the `train` group.
 *
 * Knows nothing about how any of it is carried out.
 */
import type { TrainConfigInput } from '../train/config.js';

/** Demonstrations of the scripted expert on training seeds. */
export interface DemonstrationsRecipe {
  /** Task ids of the embedded benchmark, e.g. `widowx/put-carrot-on-plate`. */
  tasks: string[];
  episodes_per_task: number;
  /** Looks to record: `vm` (fixed look), `va` (all factors varied) or one factor, with the share of episodes of each. */
  variants: Record<string, number>;
  /** Picture side, pixels. */
  image_size: number;
  cameras: ('third' | 'wrist')[];
  /** Probability that the expert's action is disturbed at a step, and that it fails a grasp on purpose. */
  perturb_probability: number;
  failed_grasp_probability: number;
}

/** Closed-loop evaluation on test seeds. */
export interface EvaluationRecipe {
  tasks: string[];
  variants: string[];
  trials: number;
}

export interface Recipe {
  name: string;
  /** One line for `dualvla train --help`. */
  summary: string;
  demonstrations: DemonstrationsRecipe;
  train: TrainConfigInput;
  evaluation: EvaluationRecipe;
}
