/**
 * Our Python semantics against Python itself, on thousands of random texts that are made to be awkward. Skips without a Python; 3.11 has the Unicode
 * version that the official values were computed with, another one may know more characters. DUALVLA_TEST_SEED asks other texts.
 */
import { describe, expect, test } from 'vitest';
import { formatFloatAsPython, parseFloatAsPython, roundToSixteenDigits } from './python-float.js';
import { PythonLiteralError, type PythonValue, parsePythonLiteral } from './python-literal.js';
import { askPython, PYTHON_VERSION } from './python-oracle.test-support.js';
import { digitValue, isSpace, length, lower, prefix, split, strip, upper } from './python-text.js';

const skip = PYTHON_VERSION === undefined;
const name = skip ? 'Python semantics (skipped: no python3 here)' : `Python ${PYTHON_VERSION} semantics`;

/** Always the same texts. */
class Source {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * bound);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  times<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }
}

const SPACES = [' ', '\t', '\n', '\r', '\f', '\v', '\x1c', '\x1f', '\x85', '\xa0', '\u2003', '\u2028', '\u3000'];
const NEARLY_SPACES = ['\ufeff', '\u200b', '\u180e', '\x00', '\x7f', '\u2060'];
const LETTERS = [...'aAzZ09_-+.,eE', 'é', 'ß', 'İ', 'ı', 'Σ', 'ς', 'ŉ', 'ﬁ', 'ǅ', 'ſ', 'K', '\u0307', '😀', '𝟗', '中'];
const DIGITS = [...'0123456789', '٣', '９', '𝟗', '߄', '²', '½', '五', '𑓑', '᧚'];

const words = (source: Source): string =>
  source.times(12, () => source.pick([...SPACES, ...NEARLY_SPACES, ...LETTERS, ...LETTERS])).join('');

function anyCharacters(source: Source): string {
  const codePoint = (): number => {
    const point = source.below(source.pick([0x80, 0x800, 0x3000, 0x10000, 0x1f000, 0x110000]));
    return point >= 0xd800 && point < 0xe000 ? 0x41 : point;
  };
  return source.times(8, () => String.fromCodePoint(codePoint())).join('');
}

function numeral(source: Source): string {
  const digits = (): string =>
    source.times(5, () => source.pick([...DIGITS.slice(0, 10), ...DIGITS.slice(0, 10), ...DIGITS, '_'])).join('');
  const parts = [
    source.pick(['', '', '+', '-', '--']),
    digits(),
    source.pick(['', '.', '..', ',']),
    digits(),
    source.pick(['', 'e', 'E', 'e+', 'e-', 'j', '__']),
    digits(),
  ];
  const word = source.pick(['nan', 'NaN', 'inf', '-Infinity', '+nan', 'infinit', 'in_f', '1e400', '1e-400', '5e-324']);
  const body = source.below(8) === 0 ? word : parts.join('');
  const space = (): string => source.times(2, () => source.pick([...SPACES, ...NEARLY_SPACES.slice(0, 2)])).join('');
  return source.below(3) === 0 ? space() + body + space() : body;
}

/** A literal, or nearly one. */
function literal(source: Source, depth = 0): string {
  const gap = (): string => source.pick(['', '', '', ' ', '\t', '\n', '\r\n', ' # so\n', '\\\n', '\f', '\r']);
  const kind = source.below(depth > 3 ? 6 : 10);
  if (kind < 5) return text(source) + (source.below(6) === 0 ? gap() + text(source) : '');
  if (kind === 5) {
    return source.pick([
      ...[
        'True',
        'False',
        'None',
        'true',
        'Nonesuch',
        '...',
        'x',
        '0x1f',
        '0b12',
        '0o17',
        '007',
        '00',
        '1_000',
        '1__0',
        '1_',
      ],
      ...[
        '- 1',
        '+1',
        '--1',
        '-+1',
        '-0.0',
        '1.',
        '.5',
        '1e5',
        '1_0.0_1e1_0',
        '1e',
        '1j',
        '1+2j',
        '1 2',
        '12345678901234567890',
      ],
      ...['-True', '(-1)', '-(1)', '{}', 'set()', '1if', "1'a'", '0_7', '0_0', '1e+05', '00.5', '09.5', '0xF_f', '١'],
      numeral(source),
    ]);
  }
  const items = source.times(4, () => literal(source, depth + 1));
  const [open, close] = source.pick([
    ['[', ']'],
    ['[', ']'],
    ['(', ')'],
    ['{', '}'],
    ['[', ')'],
  ] as const);
  const comma = (): string => gap() + source.pick([',', ',', ',', ',', '', ',,', ':']) + gap();
  const inner = items.map((item, i) => (i === 0 ? item : comma() + item)).join('');
  return `${open}${gap()}${inner}${source.pick(['', '', ',', ', '])}${gap()}${close}`;
}

function text(source: Source): string {
  const quote = source.pick(["'", "'", '"', '"', "'''", '"""']);
  const piece = (): string =>
    source.pick([
      ...[
        'a',
        'B',
        ' ',
        'é',
        '😀',
        '#',
        ',',
        ']',
        '\t',
        "\\'",
        '\\"',
        '\\\\',
        '\\n',
        '\\r',
        '\\t',
        '\\a',
        '\\0',
        '\\12',
      ],
      ...['\\777', '\\8', '\\x41', '\\x4', '\\xg1', '\\u00e9', '\\u12', '\\U0001F600', '\\U00110000', '\\ud800', '\\q'],
      ...[
        '\\\n',
        '\\N{BULLET}',
        '\\N{latin small letter a}',
        '\\N{NO SUCH}',
        '\\N',
        '\\ ',
        '\\é',
        '{x}',
        "'",
        '"',
        '\n',
      ],
      ...[
        '\r\n',
        '\\\r\n',
        '\x00',
        '\u2028',
        '\x85',
        '\f',
        '\\N{CJK UNIFIED IDEOGRAPH-4E00}',
        '\\N{HANGUL SYLLABLE GAG}',
      ],
    ]);
  const body = source.times(6, piece).join('');
  const start = source.pick(['', '', '', '', '', 'u', 'r', 'R', 'U', 'b', 'f', 'rb', 'ur', 'Rb']);
  return `${start}${quote}${body}${source.below(15) === 0 ? '' : quote}`;
}

/** In the shape in which the oracle shows values. */
function shown(value: PythonValue): unknown {
  if (Array.isArray(value)) return { items: value.map(shown) };
  if (typeof value !== 'number') return value;
  return ['number', formatFloatAsPython(value)];
}

/** Whole numbers are numbers here. */
function asNumbers(value: unknown): unknown {
  if (Array.isArray(value)) {
    const [kind, digits] = value as [string, string];
    return ['number', kind === 'int' ? formatFloatAsPython(Number(digits)) : digits];
  }
  if (typeof value !== 'object' || value === null) return value;
  return { items: (value as { items: unknown[] }).items.map(asNumbers) };
}

function differences<T>(texts: readonly string[], ours: (text: string) => T, theirs: readonly unknown[]) {
  return texts.flatMap((one, i) => {
    const [own, wanted] = [JSON.stringify(ours(one)), JSON.stringify(theirs[i])];
    return own === wanted ? [] : [{ text: one, ours: own, python: wanted }];
  });
}

describe.skipIf(skip)(name, () => {
  const source = new Source(Number(process.env.DUALVLA_TEST_SEED ?? 20260816));
  const mixed = Array.from({ length: 6000 }, (_, i) => (i % 2 ? words(source) : anyCharacters(source)));

  test.each([
    ['split', split],
    ['strip', strip],
    ['length', length],
    ['prefix', (one: string) => prefix(one, 7)],
    ['lower', lower],
    ['upper', upper],
    ['space', (one: string) => [...one].map(isSpace)],
    ['digit', (one: string) => [...one].map((c) => digitValue(c.codePointAt(0) as number) ?? null)],
  ] as const)('%s', (of, ours) => {
    expect(differences<unknown>(mixed, ours, askPython(of, mixed)).slice(0, 5)).toEqual([]);
  });

  test('white space, digits and capitals of every character of the first two planes, which have them all', () => {
    const all = Array.from({ length: 0x20000 }, (_, i) => i).filter((i) => i < 0xd800 || i > 0xdfff);
    const texts = Array.from({ length: Math.ceil(all.length / 4096) }, (_, i) =>
      String.fromCodePoint(...all.slice(4096 * i, 4096 * (i + 1))),
    );
    const each = (map: (c: string) => unknown) => (one: string) => [...one].map(map);
    const digit = each((c) => digitValue(c.codePointAt(0) as number) ?? null);
    expect(differences<unknown>(texts, each(isSpace), askPython('space', texts))).toEqual([]);
    expect(differences<unknown>(texts, digit, askPython('digit', texts))).toEqual([]);
    // One by one: a letter's place in a word plays no part.
    const apart = texts.map((one) => [...one].join(' '));
    expect(differences(apart, lower, askPython('lower', apart)).map(({ text: one }) => one.slice(0, 9))).toEqual([]);
    expect(differences(apart, upper, askPython('upper', apart)).map(({ text: one }) => one.slice(0, 9))).toEqual([]);
  });

  test('float', () => {
    const texts = Array.from({ length: 12_000 }, () => numeral(source));
    const ours = (one: string): string | null => {
      const value = parseFloatAsPython(one);
      return value === undefined ? null : formatFloatAsPython(value);
    };
    const theirs = askPython('float', texts);
    expect(theirs.filter((one) => one !== null).length).toBeGreaterThan(1000);
    expect(differences(texts, ours, theirs).slice(0, 5)).toEqual([]);
  });

  test('str and %.16G of a float', () => {
    const bits = new DataView(new ArrayBuffer(8));
    const values = Array.from({ length: 12_000 }, (_, i) => {
      if (i % 3 === 0) return Number((source.below(1e9) / 10 ** source.below(14)).toPrecision(1 + source.below(17)));
      if (i % 3 === 1) return source.below(2 ** 32) * 2 ** (source.below(60) - 30) + source.below(8) / 8;
      bits.setUint32(0, source.below(2 ** 32));
      bits.setUint32(4, source.below(2 ** 32));
      return bits.getFloat64(0);
    }).filter((value) => !Number.isNaN(value));
    const texts = values.map(String);
    const read = (one: string): number => Number(one);
    expect(differences(texts, (one) => formatFloatAsPython(read(one)), askPython('repr', texts)).slice(0, 5)).toEqual(
      [],
    );
    const sixteen = (one: string): string => formatFloatAsPython(roundToSixteenDigits(read(one)));
    expect(differences(texts, sixteen, askPython('sixteen', texts)).slice(0, 5)).toEqual([]);
  });

  test('literals', () => {
    const texts = Array.from({ length: 25_000 }, () => {
      const space = source.pick(['', '', '', ' ', '\t ', '\n', ' \n', '\f']);
      const body =
        source.below(10) === 0 ? `${literal(source)},${source.pick(['', ' '])}${literal(source)}` : literal(source);
      return (
        space +
        body +
        source.pick(['', '', '', '', ',', ' , ']) +
        source.pick(['', '', '', ' ', '\n', '\n\n', ' # end', '\n x', ';'])
      );
    });
    const theirs = askPython('literal', texts).map((one) =>
      one === null ? null : asNumbers((one as { value: unknown }).value),
    );
    const ours = (one: string): unknown => {
      try {
        return shown(parsePythonLiteral(one));
      } catch (error) {
        if (error instanceof PythonLiteralError) return null;
        throw error;
      }
    };
    expect(theirs.filter((one) => one !== null).length).toBeGreaterThan(2000);
    expect(differences(texts, ours, theirs).slice(0, 8)).toEqual([]);
  });

  test('names of characters, in any case, with aliases', () => {
    const points = Array.from({ length: 20_000 }, () =>
      source.below(source.pick([0x250, 0x3000, 0xd7b0, 0x20000, 0x110000])),
    );
    const characters = points
      .filter((point) => point < 0xd800 || point > 0xdfff)
      .map((point) => String.fromCodePoint(point));
    const names = (askPython('names', characters) as string[][])
      .map(([one]) => one as string)
      .filter((one) => one !== '');
    const more = [
      'LINE FEED',
      'NULL',
      'BACKSPACE',
      'NBSP',
      'LATIN SMALL LETTER GHA',
      'LF',
      'ZWJ',
      'VS17',
      'BELL',
      'ALERT',
    ];
    const texts = [...names, ...names.slice(0, 500).map((one) => one.toLowerCase()), ...more, 'keycap digit one', ''];
    const ours = (one: string): unknown => {
      try {
        return { value: parsePythonLiteral(`'\\N{${one}}'`) };
      } catch {
        return null;
      }
    };
    expect(names.length).toBeGreaterThan(3000);
    expect(differences(texts, ours, askPython('lookup', texts)).slice(0, 8)).toEqual([]);
  });
});
