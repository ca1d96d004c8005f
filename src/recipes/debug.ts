/** Recipe `debug`: every part of the pipeline once, in seconds. The models are far too small and short-trained to act well. */
import { storyModels } from './demo.js';
import { PRUNINGS } from './paper.js';
import type { Study } from './study.js';

/** A model of a few thousand parameters. */
export const TINY_POLICY = {
  chunk_size: 4,
  num_latent_queries: 2,
  num_execute: 2,
  vision: { image_size: 32, hidden_size: 24, intermediate_size: 48, num_attention_heads: 2 },
  language: {
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  },
  action: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2 },
};

export function debug(): Study {
  const tasks = ['widowx/put-carrot-on-plate'];
  const short = { steps: 10, batch_size: 8, policy: { max_reasoning_tokens: 24 } };
  return {
    name: 'debug',
    summary: 'every part once, in seconds; the models learn next to nothing',
    demonstrations: {
      tasks,
      episodes_per_task: 4,
      variants: { vm: 1 },
      image_size: 32,
      cameras: ['third'],
      perturb_probability: 0,
      failed_grasp_probability: 0,
    },
    reasoning: 'ecot',
    held_out_per_task: 2,
    multimodal: { samples: 64, test: 2 },
    scene_episodes: 3,
    scene_steps: 2,
    prunings: { 'dual-layer': PRUNINGS['dual-layer'] as NonNullable<(typeof PRUNINGS)[string]> },
    train: {
      job_name: 'debug',
      steps: 20,
      batch_size: 8,
      log_every: 5,
      save_every: 10,
      tokenizer: { vocab_size: 300 },
      policy: TINY_POLICY,
    },
    models: storyModels('flow', { specialist: { steps: 20, batch_size: 8 }, base: short, dualvla: short }),
    evaluation: { tasks, variants: ['vm'], trials: 2 },
  };
}
