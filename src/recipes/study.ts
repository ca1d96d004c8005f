/**
 * What a study is: a recipe whose training is a family of models made from one another, each a few keys away from the common
 * configuration, with the data, prunings and measurements they share. The demo is a study of three models, the paper's tables one of
 * a dozen.
 *
 * Knows nothing about where anything lies or how it is run.
 */
import type { TrainConfigInput } from '../train/config.js';
import type { Recipe } from './recipe.js';

/** Which frames keep their reasoning (paper Section 3.2.1), as options of `dualvla prune`. */
export interface PruningRecipe {
  scene: 'ddm-net' | 'motion-energy' | 'none';
  motion: 'eq4' | 'none';
  combine: 'and' | 'or' | 'random';
}

/** One model of a study. */
export interface StudyModel {
  name: string;
  /** What it is, for tables. */
  role: string;
  /** The model it starts from; null: random weights. */
  from: string | null;
  /** Not trained: a folder of this package that holds it already, `models/...`. `from` and `train` then say how it was made. */
  checkpoint?: string;
  /** What differs from the study's `train` group; null: not trained, `from` measured with other settings. */
  train: TrainConfigInput | null;
  /** Name of the pruning whose labels it learns from. */
  pruning?: string;
  actionTeacher?: string;
  reasoningTeacher?: string;
  /** Draws whether to think from its own probability, in place of doing the likelier (models of pruned data). */
  sampleSkipping?: boolean;
  /** Trained and measured once, with seed 0, for all training seeds: what stands for a pretrained model. */
  once?: boolean;
  /** Not measured: a step on the way. */
  unmeasured?: boolean;
}

export interface Study extends Recipe {
  /** Style of the reasoning text (`dualvla data generate --reasoning`). */
  reasoning: 'ecot' | 'vla-it' | 'privileged';
  /** Episodes a task of a second data set, never trained on, on which action error is measured. */
  held_out_per_task: number;
  /** Questions to train on, and to test on in each family. */
  multimodal: { samples: number; test: number };
  /** Episodes that the scene layer learns from. */
  scene_episodes: number;
  /** Its training steps; default those of `dualvla prune train-scene`. */
  scene_steps?: number;
  prunings: Record<string, PruningRecipe>;
  models: StudyModel[];
}

export function isStudy(recipe: Recipe): recipe is Study {
  return 'models' in recipe;
}
