/**
 * Recipe `demo-discrete`: the demo's data and time with the second action head, OpenVLA-style action tokens that the language
 * model generates one after another. Chunks of four steps keep the sequence at 28 tokens.
 */
import { demo } from './demo.js';
import type { Study } from './study.js';

export function demoDiscrete(): Study {
  const base = demo();
  return {
    ...base,
    name: 'demo-discrete',
    summary: 'the demo with discrete action tokens in place of flow matching',
    train: {
      ...base.train,
      job_name: 'demo-discrete',
      policy: {
        action_head: 'discrete',
        state_token: 'language',
        chunk_size: 4,
        num_execute: 4,
        // 256 bins leave most without examples at this size of data (LOG.md).
        num_action_bins: 64,
      },
    },
  };
}
