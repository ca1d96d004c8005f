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
      episodes_per_task: 1000,
      variants: { vm: 0.5, va: 0.5 },
      image_size: 64,
      cameras: ['third', 'wrist'],
      perturb_probability: 0.1,
      failed_grasp_probability: 0.1,
    },
    train: {
      job_name: 'full',
      steps: 60_000,
      precision: 'bf16',
      batch_size: 64,
      log_every: 100,
      save_every: 2000,
      optimizer: { lr: 1e-3 },
    },
    evaluation: { tasks, variants: ['vm', 'va'], trials: 200 },
  };
}
