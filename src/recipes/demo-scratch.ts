/**
 * Recipe `demo-scratch`: the three models of `demo` from random weights, with the flow head, in a quarter of an hour on two cores. Everything
 * happens and is measured, but a specialist of five minutes is too imprecise to have much to lose (LOG.md): the effect is in `demo`.
 */
import { storyModels } from './demo.js';
import { PRUNINGS } from './paper.js';
import type { Study, StudyModel } from './study.js';

export function demoScratch(): Study {
  // One robot: its three tasks are learned in the five minutes that the specialist has.
  const tasks = ['google/pick-coke-can', 'google/open-drawer', 'google/close-drawer'];
  // The clock ends a stage, not the number of steps.
  const seconds = (time_budget_s: number): StudyModel['train'] => ({ steps: 100_000, time_budget_s });
  return {
    name: 'demo-scratch',
    summary:
      'specialist, reasoning VLA and DualVLA for three tasks from random weights, in a quarter of an hour on two cores',
    demonstrations: {
      tasks,
      episodes_per_task: 300,
      variants: { vm: 1 },
      image_size: 64,
      cameras: ['third', 'wrist'],
      perturb_probability: 0.1,
      failed_grasp_probability: 0.1,
    },
    reasoning: 'ecot',
    held_out_per_task: 5,
    multimodal: { samples: 4000, test: 50 },
    scene_episodes: 32,
    scene_steps: 150,
    prunings: { 'dual-layer': PRUNINGS['dual-layer'] as NonNullable<(typeof PRUNINGS)[string]> },
    train: {
      job_name: 'demo-scratch',
      precision: 'bf16',
      log_every: 50,
      save_every: 0,
      save_every_s: 60,
      optimizer: { lr: 1e-3 },
      loss: { normalization: 'group' },
      // No shifts: the fixed look has fixed cameras.
      dataset: { shift_pixels: 0 },
    },
    models: storyModels('flow', { specialist: seconds(270), base: seconds(110), dualvla: seconds(80) }),
    evaluation: { tasks, variants: ['vm'], trials: 100 },
  };
}
