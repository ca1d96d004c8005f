/** Recipe `demo`: a specialist that acts, in a quarter of an hour on two cores, data and evaluation included. */
import type { Recipe } from './recipe.js';

export function demo(): Recipe {
  const tasks = ['widowx/put-carrot-on-plate', 'google/pick-coke-can', 'google/open-drawer', 'google/close-drawer'];
  return {
    name: 'demo',
    summary: 'a specialist for four tasks of two robots, trained and evaluated in a quarter of an hour on two cores',
    demonstrations: {
      tasks,
      episodes_per_task: 400,
      variants: { vm: 1 },
      image_size: 64,
      cameras: ['third', 'wrist'],
      perturb_probability: 0.1,
      failed_grasp_probability: 0.1,
    },
    train: {
      job_name: 'demo',
      steps: 100_000,
      time_budget_s: 540,
      precision: 'bf16',
      batch_size: 64,
      log_every: 50,
      save_every: 0,
      save_every_s: 60,
      optimizer: { lr: 1e-3 },
      // No shifts: the fixed look has fixed cameras.
      dataset: { shift_pixels: 0 },
    },
    evaluation: { tasks, variants: ['vm'], trials: 100 },
  };
}
