/** MMStar: 1,500 questions that need the picture, A to D, six abilities. Mean hit; the paper's number is "none" Overall x 100. */
import { type Benchmark, tableText } from './benchmark.js';
import { askChoice, choiceRow, choicesOf, scoreChoices } from './multiple-choice.js';

export const mmstar: Benchmark = {
  id: 'mmstar',
  name: 'MMStar',
  tables: ['MMStar'],
  needs: ['question', 'answer', 'A', 'B'],
  maxTokens: 512,
  judge: 'may',
  ask: askChoice,
  score: (answers, options) => {
    const rows = answers.rows.map((row, i) =>
      choiceRow(answers, i, choicesOf(answers, i), tableText(answers.set, 'answer', row), options.profile),
    );
    return scoreChoices(answers, rows, 'none', options);
  },
};
