/**
 * Recipe `demo`: the paper's story in a quarter of an hour on two cores: a specialist that acts, a VLA that reasons on every frame, and
 * DualVLA made from both (arXiv 2511.22134, Section 3), each measured. Seconds of training are `time_budget_s` of each model.
 */
import { PRUNINGS, paperModels } from './paper.js';
import type { Study, StudyModel } from './study.js';

/** The models of the overview, without pretraining on questions. */
const STORY = ['specialist', 'base', 'dualvla'] as const;

/** The three models of the paper's overview, with what each one's `train` group has beside the paper's. */
export function storyModels(own: Record<(typeof STORY)[number], StudyModel['train']>): StudyModel[] {
  const models = paperModels('flow', { vlm: 1, specialist: 1, reasoning: 1, final: 1 });
  return STORY.map((name) => {
    const model = models.find((one) => one.name === name);
    if (model === undefined) throw new RangeError(`the paper has no model ${name}`);
    const from = name === 'specialist' ? null : model.from;
    return { ...model, from, once: false, train: { ...model.train, ...own[name] } };
  });
}

export function demo(): Study {
  // One robot: its three tasks are learned in the five minutes that the specialist has.
  const tasks = ['google/pick-coke-can', 'google/open-drawer', 'google/close-drawer'];
  // The clock ends a stage, not the number of steps.
  const seconds = (time_budget_s: number): StudyModel['train'] => ({ steps: 100_000, time_budget_s });
  return {
    name: 'demo',
    summary: 'specialist, reasoning VLA and DualVLA for three tasks, in a quarter of an hour on two cores',
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
      job_name: 'demo',
      precision: 'bf16',
      log_every: 50,
      save_every: 0,
      save_every_s: 60,
      optimizer: { lr: 1e-3 },
      loss: { normalization: 'group' },
      // No shifts: the fixed look has fixed cameras.
      dataset: { shift_pixels: 0 },
    },
    models: storyModels({ specialist: seconds(270), base: seconds(110), dualvla: seconds(80) }),
    evaluation: { tasks, variants: ['vm'], trials: 100 },
  };
}
