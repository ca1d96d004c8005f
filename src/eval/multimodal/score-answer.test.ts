import { describe, expect, it } from 'vitest';
import { chosenLetter, normaliseWords, scoreAnswer } from './score-answer.js';

describe('scoreAnswer', () => {
  it('compares words, not case, marks, articles or number words', () => {
    for (const given of ['red', 'Red.', ' the RED! ', '"red"'])
      expect(scoreAnswer(given, { answer: 'red' }).correct).toBe(true);
    for (const given of ['', ' ', 'red ball', 'reddish', 'blue', 'the'])
      expect(scoreAnswer(given, { answer: 'red' }).correct).toBe(false);
    expect(scoreAnswer('Three', { answer: '3' })).toEqual({ correct: true, extracted: '3' });
    expect(scoreAnswer('a3.', { answer: 'A3' }).correct).toBe(true);
    expect(scoreAnswer('A', { answer: 'A' }).correct).toBe(true);
    expect(scoreAnswer('the A', { answer: 'A' }).correct).toBe(true);
    expect(scoreAnswer('13', { answer: '3' }).correct).toBe(false);
    expect(normaliseWords('Ｔhe  ｒed—ball, two')).toEqual(['the', 'red', 'ball', '2']);
  });

  it('takes the one option letter, or the option in words', () => {
    const options = ['red', 'a blue', 'green', 'yellow'];
    for (const given of ['B', 'B.', '(B)', 'B. a blue', 'The answer is B', 'a blue', 'Blue'])
      expect(chosenLetter(given, options)).toBe('B');
    for (const given of ['', 'A or B', 'b', 'E', 'purple', 'red green']) expect(chosenLetter(given, options)).toBe('');
    expect(chosenLetter('C', ['x', 'y'])).toBe('');
    expect(chosenLetter('x', ['x', 'x'])).toBe('');
    expect(scoreAnswer('B', { answer: 'B', options })).toEqual({ correct: true, extracted: 'B' });
    expect(scoreAnswer('A', { answer: 'B', options }).correct).toBe(false);
  });

  it('wants every fact in an open answer that is no longer than twice the reference', () => {
    const expected = { answer: 'a red block and a blue ball', facts: ['red block', 'blue ball'] };
    for (const given of [
      'A red block and a blue ball.',
      'blue ball, red block',
      'There is a red block beside a blue ball here',
    ])
      expect(scoreAnswer(given, expected).correct).toBe(true);
    for (const given of ['a red block', 'a blue block and a red ball', 'a red blocks and a blue ball', ''])
      expect(scoreAnswer(given, expected).correct).toBe(false);
    const everything = ['red', 'green', 'blue'].flatMap((color) =>
      ['block', 'ball', 'can'].map((noun) => `${color} ${noun}`),
    );
    expect(scoreAnswer(everything.join(', '), expected).correct).toBe(false);
  });
});
