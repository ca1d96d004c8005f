/** DocVQA, validation: questions about scanned documents. */
import { anlsScore } from './anls.js';
import type { Benchmark } from './benchmark.js';
import { askShort, scoreShort } from './short-answer.js';

export const docvqa: Benchmark = {
  id: 'docvqa',
  name: 'DocVQA',
  tables: ['DocVQA_VAL'],
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
