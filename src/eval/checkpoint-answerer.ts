/**
 * A trained checkpoint as an answerer of questions about images: what the multimodal families are scored with. Answers are greedy
 * and end where the model ends them.
 */
import { PromptBuilder } from '../model/vla-batch.js';
import { scope } from '../torch/index.js';
import { loadPretrained } from '../train/pretrained.js';
import type { Answerer } from './multimodal/answerer.js';

export interface AnswererOptions {
  device?: string;
  /** Longest answer in tokens; default 32. */
  maxTokens?: number;
  /** Questions answered at once; default 64. */
  maxBatch?: number;
}

/**
 * @param path a run directory, a checkpoint in it, or its `pretrained_model`
 * @throws NoPretrainedModelError without a checkpoint
 */
export function loadCheckpointAnswerer(path: string, options: AnswererOptions = {}): Answerer {
  const { device = 'cpu', maxTokens = 32, maxBatch = 64 } = options;
  const { model, config, tokenizer } = loadPretrained(path, device);
  const prompts = new PromptBuilder(config, tokenizer);
  const size = config.vision.image_size ** 2 * 3;
  const answerSome = (images: readonly Uint8Array[], question: readonly string[]): string[] =>
    scope(() => {
      const bytes = new Uint8Array(images.length * size);
      for (const [i, image] of images.entries()) bytes.set(image, i * size);
      const batch = prompts.buildMultimodal({ images: bytes, question }, device);
      return model.answer(batch, { maxTokens, endId: prompts.endId }).map((ids) => decode(ids));
    });
  /** Special tokens and action tokens are no words. */
  const decode = (ids: readonly number[]): string =>
    tokenizer.decode(
      ids.filter((id) => id < tokenizer.vocabularySize),
      { skipSpecialTokens: true },
    );
  return {
    imageSize: config.vision.image_size,
    answer: (images, questions) => {
      const answers: string[] = [];
      for (let start = 0; start < questions.length; start += maxBatch)
        answers.push(...answerSome(images.slice(start, start + maxBatch), questions.slice(start, start + maxBatch)));
      return answers;
    },
  };
}
