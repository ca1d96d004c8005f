import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JudgeReplyError, readJudgeReply } from './judge-reply.js';

const good =
  '{"Thought": "a {brace} and \\"quotes\\"", "Result": {"Reasoning": 7, "Action": 8, "Intention": 9, "Alignment": 10}}';
const marks = { R: 7, A: 8, I: 9, RA: 10 };

describe('a reply', () => {
  it.each([
    ['as asked', good, []],
    ['in a fence', `\`\`\`json\n${good}\n\`\`\``, ['words around the JSON left out']],
    ['twice the same', `${good}\n${good}`, ['words around the JSON left out']],
    [
      'after thinking',
      `<think>{"Result": {"Reasoning": 1, "Action": 1, "Intention": 1, "Alignment": 1}}</think>${good}`,
      ['words around the JSON left out'],
    ],
    ['with a trailing comma', good.replace('10}', '10,}'), ['JSON mended', 'words around the JSON left out']],
    [
      'with a comment',
      good.replace('"Action"', '// how it moves\n"Action"'),
      ['JSON mended', 'words around the JSON left out'],
    ],
    ['with a raw line end', good.replace('a {brace}', 'a\nb'), ['JSON mended', 'words around the JSON left out']],
    [
      "with Python's words",
      good.replace('10}', '10, "Success": None}'),
      ['JSON mended', 'words around the JSON left out'],
    ],
    ['with marks as text', good.replace('8', '"8/10"'), ['Action was text']],
    ['in lower case', good.toLowerCase(), []],
    ['without Result', good.replace('"Result": {', '').replace('}}', '}'), []],
  ])('%s is read', (_, text, repairs) => {
    expect(readJudgeReply(text, true)).toMatchObject({ marks, repairs });
  });

  it.each([
    ['', 'empty'],
    ['It did well: 8/10.', 'no JSON object'],
    [good.replace('10}', '11}'), 'Alignment is 11'],
    [good.replace('10}', '-1}'), 'Alignment is -1'],
    [good.replace('10}', '9.5}'), 'Alignment is 9.5'],
    [good.replace('10}', 'null}'), 'Alignment is null'],
    [good.replace('10}', '"ten"}'), 'Alignment is "ten"'],
    [good.replace(', "Alignment": 10', ''), 'has no Alignment'],
    [`${good}\n${good.replace('8', '1')}`, '2 different results'],
    [good.slice(0, -3), 'no JSON object'],
    ['{"Result": [8, 8]}', 'no JSON object'],
    [' '.repeat(60_000) + good, 'characters long'],
  ])('is refused: %s', (text, why) => {
    expect(() => readJudgeReply(text, true)).toThrow(JudgeReplyError);
    expect(() => readJudgeReply(text, true)).toThrow(why);
  });

  it('of a policy that does not reason needs A and I alone', () => {
    const text = '{"Thought": "", "Result": {"Action": 3, "Intention": 4, "Success": 0}}';
    expect(readJudgeReply(text, false)).toEqual({
      marks: { A: 3, I: 4, RA: 10 },
      thought: '',
      success: false,
      repairs: [],
    });
    expect(() => readJudgeReply(text, true)).toThrow('has no Reasoning');
  });

  it('of any kind is marks or a named error, and quickly', () => {
    const pieces = fc.constantFrom('{', '}', '"', '\\', ',', ':', '[', ']', '\n', '//', 'Result', 'Action', '10', good);
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        try {
          const { marks: found } = readJudgeReply(parts.join(''), true);
          for (const mark of Object.values(found)) expect(mark >= 0 && mark <= 10).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(JudgeReplyError);
        }
      }),
      { numRuns: 300 },
    );
    const started = performance.now();
    for (const piece of ['{', '{"', ',}', '"\\\n', '{"a":', '//']) {
      expect(() => readJudgeReply(piece.repeat(Math.floor(49_000 / piece.length)), true)).toThrow(JudgeReplyError);
    }
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
