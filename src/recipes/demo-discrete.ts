/**
 * Recipe `demo-discrete`: a specialist with the second action head, OpenVLA-style action tokens that the language model generates one
 * after another, on the demo's three tasks and one more, put carrot on plate. Chunks of four steps keep the sequence at 28 tokens.
 */
import type { Recipe } from './recipe.js';

export function demoDiscrete(): Recipe {
  const tasks = ['widowx/put-carrot-on-plate', 'google/pick-coke-can', 'google/open-drawer', 'google/close-drawer'];
  return {
    name: 'demo-discrete',
    summary: 'a specialist with discrete action tokens in place of flow matching, four tasks; 10 minutes on one core',
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
      job_name: 'demo-discrete',
      // 189,000 samples: as many as the flow head was given on these tasks.
      steps: 2953,
      precision: 'bf16',
      batch_size: 64,
      log_every: 50,
      save_every: 500,
      optimizer: { lr: 1e-3 },
      // No shifts: the fixed look has fixed cameras.
      dataset: { shift_pixels: 0 },
      policy: {
        action_head: 'discrete',
        state_token: 'language',
        chunk_size: 4,
        num_execute: 4,
        // 256 bins leave most without examples at this size of data (LOG.md).
        num_action_bins: 64,
      },
    },
    evaluation: { tasks, variants: ['vm'], trials: 100 },
  };
}
