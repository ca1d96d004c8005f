/**
 * MMMU, development and validation: college questions in 30 subjects, up to nine options and several pictures, some without options. Those become
 * "A: the answer, B: other answers". The paper's number is "validation" Overall x 100.
 */
import { type Benchmark, type MessagePart, tableText } from './benchmark.js';
import { BenchmarkError } from './errors.js';
import { choiceRow, choicesOf, choiceText, scoreChoices } from './multiple-choice.js';

export const mmmu: Benchmark = {
  id: 'mmmu',
  name: 'MMMU',
  tables: ['MMMU_DEV_VAL'],
  needs: ['question', 'answer', 'A', 'B', 'split'],
  maxTokens: 512,
  judge: 'may',
  ask: (set, row, pictures, profile, wording) => {
    const text = choiceText(set, row, profile, wording);
    return profile === 'upstream' ? atTheirPlaces(text, pictures) : numberedFirst(text, pictures);
  },
  score: (answers, options) => {
    const rows = answers.rows.map((row, i) => {
      const choices = choicesOf(answers, i);
      if (!choices.has('A')) {
        // Before the others, as columns are in order.
        const others = [...choices].filter(([letter]) => letter !== 'B');
        choices.clear();
        choices.set('A', answers.shown('answer', i)).set('B', 'Other Answers');
        for (const [letter, text] of others) choices.set(letter, text);
      }
      const answer = tableText(answers.set, 'answer', row);
      return choiceRow(answers, i, choices, /^[A-Z]$/.test(answer) ? answer : 'A', options.profile);
    });
    return scoreChoices(answers, rows, 'validation', options);
  },
};

/** Pictures where the words say `<image N>`; all of them first if they never do. */
function atTheirPlaces(text: string, pictures: number): MessagePart[] {
  const [first, ...segments] = text.split('<image ');
  if (segments.length === 0) return [...Array.from({ length: pictures }, (_, picture) => ({ picture })), { text }];
  const parts: MessagePart[] = [{ text: first as string }];
  for (const segment of segments) {
    const picture = /^\d>/.test(segment) ? Number(segment[0]) - 1 : -1;
    if (picture < 0 || picture >= pictures) {
      throw new BenchmarkError(`The question names a picture that is not there: <image ${segment.slice(0, 20)}`);
    }
    parts.push({ picture }, { text: segment.slice(2) });
  }
  return parts;
}

/** One picture before the words; several with their numbers. */
function numberedFirst(text: string, pictures: number): MessagePart[] {
  if (pictures < 2) return [...(pictures === 1 ? [{ picture: 0 }] : []), { text }];
  const parts: MessagePart[] = [];
  for (let picture = 0; picture < pictures; picture++) {
    parts.push({ text: `${picture === 0 ? '' : '\n'}<image ${picture + 1}>` }, { picture });
  }
  return [...parts, { text: `\n${text}` }];
}
