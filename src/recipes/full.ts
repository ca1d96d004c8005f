/** Recipe `full`: all tasks of both robots, visual matching and variant aggregation; hours on two cores. */
import type { Recipe } from './recipe.js';

export function full(): Recipe {
  const tasks = [
    'widowx/put-spoon-on-towel',
    'widowx/put-carrot-on-plate',
    'widowx/stack-green-on-yellow',
    'widowx/put-eggplant-in-basket',
    'google/pick-coke-can',
    'google/move-near',
    'google/open-drawer',
    'google/close-drawer',
  ];
  return {
    name: 'full',
    summary: 'all eight tasks, visual matching and variant aggregation; hours on two cores',
    demonstrations: {
      tasks,
      episodes_per_task: 500,
      variants: { vm: 0.7, va: 0.3 },
      image_size: 64,
      cameras: ['third', 'wrist'],
      perturb_probability: 0.1,
      failed_grasp_probability: 0.1,
    },
    train: {
      job_name: 'full',
      steps: 7000,
      precision: 'bf16',
      batch_size: 64,
      log_every: 100,
      save_every: 500,
      optimizer: { lr: 1e-3 },
      // No shifts: variant aggregation already moves the camera.
      dataset: { shift_pixels: 0, cache_mb: 2500 },
    },
    evaluation: { tasks, variants: ['vm', 'va'], trials: 100 },
  };
}
