/** TextVQA, validation: text in photographs, ten annotators a question. */
import type { Benchmark } from './benchmark.js';
import { askShort, scoreShort } from './short-answer.js';
import { vqaScore } from './vqa-answer.js';

export const textvqa: Benchmark = {
  id: 'textvqa',
  name: 'TextVQA',
  tables: ['TextVQA_VAL'],
  needs: ['question', 'answer'],
  maxTokens: 128,
  judge: 'never',
  ask: askShort,
  score: (answers, { profile }) =>
    scoreShort(answers, 'vqa', (references, prediction) => {
      const { score, prediction: extracted } = vqaScore(references, prediction, profile);
      return { score, extracted };
    }),
};
