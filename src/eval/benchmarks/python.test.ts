/** Python and numpy semantics; expected values are what Python 3.11 and numpy printed. */
import { describe, expect, it } from 'vitest';
import { editDistance } from './anls.js';
import { mean } from './numpy-mean.js';
import { infer } from './option-inference.js';
import { formatFloatAsPython, parseFloatAsPython, roundToSixteenDigits } from './python-float.js';
import { PythonLiteralError, parsePythonLiteral, parseStringList } from './python-literal.js';
import { length, lower, split, strip, upper } from './python-text.js';
import { processAnswer } from './vqa-answer.js';

describe('text', () => {
  it('has its own white space', () => {
    expect(split(' a\u001cb\u0085c\ufeffd\u200b\u3000e\u2028')).toEqual(['a', 'b', 'c\ufeffd\u200b', 'e']);
    expect(split(' \u001f')).toEqual([]);
    expect(strip('\u0085\u001c x \u00a0')).toBe('x');
    expect(strip('\ufeffx\u200b')).toBe('\ufeffx\u200b');
    expect(strip(' \t')).toBe('');
  });

  it('has the capitals of Unicode 14', () => {
    expect(lower('ÀΣ\ua7cbΣ')).toBe('àς\ua7cbσ');
    expect(upper('ß\u0264\u019b')).toBe('SS\u0264\u019b');
  });

  it('is as long as its code points', () => {
    expect(length('😀é\ud83d')).toBe(3);
    expect(editDistance('😀b', '😁b')).toBe(1);
  });
});

describe('literals', () => {
  it.each([
    ['- 1', -1],
    ['-(1)', -1],
    ['0x1F', 31],
    ['1_000.5e1_0', 10005e9],
    ["'a', 'b'", ['a', 'b']],
    ['\n# so\n[1]\n', [1]],
    ["'\\N{LF}\\N{vs17}'", '\n\u{e0100}'],
  ])('%j', (text, value) => expect(parsePythonLiteral(text)).toEqual(value));

  it.each(['007', '1_', '1__0', '--1', '-(-1)', "'a'\n'b'", '\n [1]', "['\0']", '1if', "'\\N{hangul syllable gag}'"])(
    '%j is none',
    (text) => expect(() => parsePythonLiteral(text)).toThrow(PythonLiteralError),
  );

  it('nest no deeper than Python allows', () => {
    const nested = (depth: number) => parsePythonLiteral('['.repeat(depth) + ']'.repeat(depth));
    expect(nested(200)).toHaveLength(1);
    expect(() => nested(201)).toThrow(PythonLiteralError);
    expect(() => nested(100_000)).toThrow(PythonLiteralError);
  });
});

describe('numbers', () => {
  it.each([
    [' 0.5\n', 0.5],
    ['\u00a0０.５', 0.5],
    ['\u001c0.5', undefined],
    ['0_1', 1],
    ['1__0', undefined],
    ['_1', undefined],
    ['1_', undefined],
    ['+Infinity', Number.POSITIVE_INFINITY],
    ['-nan', Number.NaN],
    ['0x1', undefined],
    ['1e400', Number.POSITIVE_INFINITY],
    ['', undefined],
    ['²', undefined],
  ])('float(%j)', (text, value) => expect(parseFloatAsPython(text)).toBe(value));

  it.each([
    [1e16, '1e+16'],
    [1e15, '1000000000000000.0'],
    [0.0001, '0.0001'],
    [0.00001234, '1.234e-05'],
    [-0, '-0.0'],
    [3, '3.0'],
    [1e22, '1e+22'],
    [123456789012345680, '1.2345678901234568e+17'],
  ])('str(%d)', (value, text) => expect(formatFloatAsPython(value)).toBe(text));

  it('keep sixteen digits in a spreadsheet, halves to even', () => {
    expect(roundToSixteenDigits(0.30000000000000004)).toBe(0.3);
    expect(roundToSixteenDigits(2 ** -24)).toBe(5.960464477539062e-8);
    expect(roundToSixteenDigits(-0.1)).toBe(-0.1);
  });

  it('are added as numpy adds', () => {
    const values = Array.from({ length: 1000 }, (_, i) => ((i * 7919) % 1009) / 1009);
    expect(mean(values)).toBe(0.5001764122893955);
    expect(mean(values.slice(0, 10))).toBe(0.5176412289395442);
    expect(mean([])).toBeNaN();
  });
});

describe('list literals', () => {
  it('are parsed', () => {
    expect(parseStringList(`["x",'y',]`)).toEqual(['x', 'y']);
    expect(parseStringList(`[ 'a' "b", r'\\d', u'''c\n''', '\\x41\\u00e9\\101\\N{bullet}\\q\\\n' ]`)).toEqual([
      'ab',
      '\\d',
      'c\n',
      'AéA•\\q',
    ]);
    expect(
      parseStringList("['\\N{HANGUL SYLLABLE GGAGG}\\N{CJK UNIFIED IDEOGRAPH-4E00}\\N{GREEK SMALL LETTER ALPHA}']"),
    ).toEqual(['깎一α']);
    expect(parsePythonLiteral("[1, -2.5, True, None, ('a',), ['b']]")).toEqual([1, -2.5, true, null, ['a'], ['b']]);
  });

  it.each([
    "['a'",
    "['a' 1]",
    "__import__('os')",
    "['a'].pop()",
    "['\n']",
    "['\\x4']",
    "['\\N{NO SUCH THING}']",
    '[a]',
  ])('and nothing is evaluated: %j', (text) => {
    expect(() => parsePythonLiteral(text)).toThrow(PythonLiteralError);
    expect(parseStringList(text)).toBeUndefined();
  });
});

describe('answers', () => {
  it('are evened out', () => {
    expect(processAnswer('The  1,000 dont-walk, two\u001cMEN', 'upstream')).toBe('1000 dontwalk 2 men');
    expect(processAnswer('v1.5. e.g.', 'instructvla')).toBe('v1.5 eg');
    expect(processAnswer('3. constructor', 'upstream')).toBe('3. constructor');
    expect(processAnswer('3. constructor', 'instructvla')).toBe('3 constructor');
    expect(processAnswer(`x${'.'.repeat(40)}`, 'upstream')).toBe(`x${'.'.repeat(8)}`);
  });

  const choices = (...all: string[]) => new Map(all.map((text, i) => [String.fromCharCode(65 + i), text]));
  it.each([
    ['The answer is clearly D', 'D', 'D'],
    ['answer is clearly', false, 'C'],
    ['Option A is right because of what it shows', 'A', false],
    ['A or B', false, false],
    ['the red mug, of course', 'A', 'A'],
    [`${'well '.repeat(30)}the red mug`, 'A', false],
    ["I can't process this file.", 'Z', 'Z'],
    ['Z', 'Z', 'Z'],
    ['Failed to obtain answer via API.', false, false],
  ])('are understood: %j', (answer, instructvla, upstream) => {
    const options = () => choices('red mug', 'spoon', 'İzmir', '30');
    expect(infer(answer, options(), 'instructvla').option).toBe(instructvla);
    expect(infer(answer, options(), 'upstream').option).toBe(upstream);
  });
});
