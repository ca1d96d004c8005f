/** Recipe `debug`: every part of the pipeline once, in seconds. The model is far too small and short-trained to act well. */
import type { Recipe } from './recipe.js';

export function debug(): Recipe {
  const tasks = ['widowx/put-carrot-on-plate'];
  return {
    name: 'debug',
    summary: 'every part once, in seconds; the model learns next to nothing',
    demonstrations: {
      tasks,
      episodes_per_task: 4,
      variants: { vm: 1 },
      image_size: 32,
      cameras: ['third'],
      perturb_probability: 0,
      failed_grasp_probability: 0,
    },
    train: {
      job_name: 'debug',
      steps: 20,
      batch_size: 8,
      log_every: 5,
      save_every: 10,
      tokenizer: { vocab_size: 300 },
      policy: {
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
      },
    },
    evaluation: { tasks, variants: ['vm'], trials: 2 },
  };
}
