/** InfoVQA, validation: questions about infographics, by kind of reasoning. */
import { anlsScore } from './anls.js';
import type { Benchmark } from './benchmark.js';
import { askShort, scoreShort } from './short-answer.js';

export const infovqa: Benchmark = {
  id: 'infovqa',
  name: 'InfoVQA',
  tables: ['InfoVQA_VAL'],
  needs: ['question', 'answer'],
  maxTokens: 128,
  judge: 'never',
  ask: askShort,
  score: (answers) =>
    scoreShort(answers, 'anls', (references, prediction) => ({
      score: anlsScore(references, prediction).score,
      extracted: prediction,
    })),
};
