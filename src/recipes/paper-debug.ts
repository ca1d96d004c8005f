/**
 * Recipe `paper-debug`: every step of the discrete study (data, prunings, all models, measurements) with tiny models, in about two
 * minutes, for tests of the machinery. Its numbers mean nothing.
 */
import { debug, TINY_POLICY } from './debug.js';
import { paper, paperModels, regimeConfig } from './paper.js';
import type { Study } from './study.js';

export function paperDebug(): Study {
  const { demonstrations, held_out_per_task, multimodal, scene_episodes, train, evaluation } = debug();
  const { policy, ...head } = regimeConfig('discrete');
  const batch = 8;
  const models = paperModels('discrete', { vlm: 4, specialist: 8, reasoning: 4, final: 4 }).map((model) => ({
    ...model,
    train: model.train && {
      ...model.train,
      batch_size: batch,
      ...(model.train.policy === undefined ? {} : { policy: { max_reasoning_tokens: 16 } }),
    },
  }));
  return {
    ...paper('discrete'),
    name: 'paper-debug',
    summary: 'every step of the discrete study once, in minutes; the models learn next to nothing',
    demonstrations,
    held_out_per_task,
    multimodal,
    scene_episodes,
    scene_steps: 2,
    train: { ...train, ...head, job_name: 'paper-debug', save_every: 2, policy: { ...TINY_POLICY, ...policy } },
    models,
    evaluation,
  };
}
