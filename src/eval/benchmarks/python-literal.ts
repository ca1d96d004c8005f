/**
 * Python list literals, as VLMEvalKit's tables hold them: `['a', "it's", 'line\nbreak']`. Parsed, never evaluated.
 *
 * Lists and tuples of strings and numbers, nested; strings with every prefix but f, single or triple quotes, all escapes (\N{NAME} too),
 * and strings side by side. What else Python would evaluate is no literal here.
 */
import { findUnicodeName } from './unicode-names.js';

export type PythonValue = string | number | boolean | null | readonly PythonValue[];

/** The text is no literal; says at which character. */
export class PythonLiteralError extends Error {
  override readonly name = 'PythonLiteralError';
}

const ESCAPES = new Map([
  ['\n', ''],
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);
const HEX_ESCAPES = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);
/** Digits in groups. A whole number begins with 0 only if it is nothing else. */
const DIGITS = '\\d(?:_?\\d)*';
const EXPONENT = `[eE][+-]?${DIGITS}`;
const NUMBER = new RegExp(
  [
    '0[xX](?:_?[\\da-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+',
    `(?:(?:${DIGITS})?\\.${DIGITS}|${DIGITS}\\.)(?:${EXPONENT})?|${DIGITS}${EXPONENT}`,
    '0(?:_?0)*|[1-9](?:_?\\d)*',
  ].join('|'),
  'y',
);
/** What may not follow a number at once: it would be another number, or a name. */
const GLUED = /[\w.]/;
/** Deeper nesting is an error to Python's tokenizer. */
const MOST_NESTED = 200;
const STRING_START = /([uU]|[rR])?('''|"""|'|")/y;
const KEYWORDS = new Map<string, PythonValue>([
  ['None', null],
  ['True', true],
  ['False', false],
]);

/** @returns the literal's value. Throws PythonLiteralError. */
export function parsePythonLiteral(text: string): PythonValue {
  // Source lines end with \n, whatever they were written with; leading spaces and tabs are allowed by eval and literal_eval.
  return new Parser(text.replace(/\r\n?/g, '\n').replace(/^[ \t]+/, '')).whole();
}

/** @returns the strings of a list literal, or undefined if the text is none. */
export function parseStringList(text: string): string[] | undefined {
  if (!/^[ \t]*\[/.test(text)) return undefined;
  try {
    const value = parsePythonLiteral(text);
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) return undefined;
    return value as string[];
  } catch (error) {
    if (error instanceof PythonLiteralError) return undefined;
    throw error;
  }
}

class Parser {
  #at = 0;
  #depth = 0;

  constructor(readonly text: string) {}

  /** One value, empty lines around it. The first line that is not empty must not be indented; a form feed takes indentation back. */
  whole(): PythonValue {
    if (this.text.includes('\0')) this.fail('source code holds no null character');
    this.#skip(/(?:[ \t\f]*(?:#[^\n]*)?\n)*/y);
    this.#skip(/[ \t\f]*\f/y);
    if (/[ \t]/.test(this.text[this.#at] ?? '')) this.fail('a line is indented');
    const value = this.#oneOrTuple();
    this.#skip(/(?:#[^\n]*)?(?:\n[ \t\f]*(?:#[^\n]*)?)*/y);
    if (this.#at < this.text.length) this.fail('nothing should follow');
    return value;
  }

  /** Commas alone make a tuple: `'a', 'b'`. */
  #oneOrTuple(): PythonValue {
    const items: PythonValue[] = [];
    for (;;) {
      items.push(this.value());
      this.skipSpace();
      if (this.text[this.#at] !== ',') return items.length === 1 ? (items[0] as PythonValue) : items;
      this.#at++;
      this.skipSpace();
      if (/^(?:#|\n|$)/.test(this.text.slice(this.#at, this.#at + 1))) return items;
    }
  }

  #skip(space: RegExp): void {
    space.lastIndex = this.#at;
    if (space.test(this.text)) this.#at = space.lastIndex;
  }

  fail(why: string): never {
    throw new PythonLiteralError(`No Python literal: ${why} at character ${this.#at} of ${this.text.slice(0, 80)}`);
  }

  /** White space of source code: space, tab, form feed, continued lines; between brackets also line ends and comments. */
  skipSpace(): void {
    this.#skip(this.#depth > 0 ? /(?:[ \t\f\n]|#[^\n]*|\\\n)*/y : /(?:[ \t\f]|\\\n(?!$))*/y);
  }

  value(): PythonValue {
    this.skipSpace();
    const first = this.text[this.#at];
    if (first === '[') return this.#items(']').items;
    if (first === '(') {
      const { items, commas } = this.#items(')');
      return items.length === 1 && commas === 0 ? (items[0] as PythonValue) : items;
    }
    STRING_START.lastIndex = this.#at;
    if (STRING_START.test(this.text)) return this.#strings();
    if (first === '+' || first === '-') {
      this.#at++;
      this.skipSpace();
      const value = this.#number(true);
      if (value === undefined) this.fail('a sign wants a number');
      return first === '-' ? -(value as number) : (value as number);
    }
    const number = this.#number();
    if (number !== undefined) return number;
    for (const [word, value] of KEYWORDS) {
      if (!this.text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.fail(first === undefined ? 'it ends too early' : `no value begins with ${JSON.stringify(first)}`);
  }

  /** @param inBrackets whether "(1)" is one too, which a sign may stand before */
  #number(inBrackets = false): number | undefined {
    if (inBrackets && this.text[this.#at] === '(') {
      const { items, commas } = this.#items(')');
      const [value] = items;
      // A number with a sign of its own is none here.
      if (typeof value !== 'number' || commas > 0 || value < 0 || Object.is(value, -0))
        this.fail('a sign wants a number');
      return value as number;
    }
    NUMBER.lastIndex = this.#at;
    const number = NUMBER.exec(this.text)?.[0];
    if (number === undefined) return undefined;
    this.#at += number.length;
    if (GLUED.test(this.text[this.#at] ?? '')) this.fail('a number does not end here');
    return Number(number.replaceAll('_', ''));
  }

  #items(close: string): { items: PythonValue[]; commas: number } {
    this.#at++;
    if (++this.#depth > MOST_NESTED) this.fail('brackets are nested too deeply');
    const items: PythonValue[] = [];
    let commas = 0;
    for (;;) {
      this.skipSpace();
      if (this.text[this.#at] === close) break;
      if (items.length > commas) this.fail('a comma is missing');
      items.push(this.value());
      this.skipSpace();
      if (this.text[this.#at] !== ',') continue;
      this.#at++;
      commas++;
    }
    this.#at++;
    this.#depth--;
    return { items, commas };
  }

  /** Strings side by side are one. */
  #strings(): string {
    let whole = '';
    for (;;) {
      STRING_START.lastIndex = this.#at;
      const start = STRING_START.exec(this.text);
      if (!start) return whole;
      this.#at = STRING_START.lastIndex;
      whole += this.#string(start[2] as string, (start[1] ?? '').toLowerCase() === 'r');
      this.skipSpace();
    }
  }

  #string(quote: string, raw: boolean): string {
    let value = '';
    while (!this.text.startsWith(quote, this.#at)) {
      const character = this.text[this.#at];
      if (character === undefined || (character === '\n' && quote.length === 1)) this.fail('a string does not end');
      this.#at++;
      if (character !== '\\') value += character;
      else if (raw) value += `\\${this.text[this.#at++] ?? ''}`;
      else value += this.#escape();
    }
    this.#at += quote.length;
    return value;
  }

  #escape(): string {
    const kind = this.text[this.#at++];
    if (kind === undefined) this.fail('a string does not end');
    const plain = ESCAPES.get(kind);
    if (plain !== undefined) return plain;
    const digits = HEX_ESCAPES.get(kind);
    if (digits !== undefined) {
      const hex = this.text.slice(this.#at, this.#at + digits);
      const codePoint = /^[\da-fA-F]+$/.test(hex) && hex.length === digits ? Number.parseInt(hex, 16) : -1;
      if (codePoint < 0 || codePoint > 0x10ffff) this.fail(`\\${kind} wants ${digits} hexadecimal digits`);
      this.#at += digits;
      return String.fromCodePoint(codePoint);
    }
    if (kind === 'N') {
      const name = /\{([^}]+)\}/y;
      name.lastIndex = this.#at;
      const found = name.exec(this.text);
      const character = found ? findUnicodeName(found[1] as string) : undefined;
      if (character === undefined) this.fail('\\N wants the name of a character');
      this.#at = name.lastIndex;
      return character as string;
    }
    if (kind >= '0' && kind <= '7') {
      const octal = /[0-7]{1,3}/y;
      octal.lastIndex = this.#at - 1;
      const value = octal.exec(this.text)?.[0] as string;
      this.#at = octal.lastIndex;
      return String.fromCodePoint(Number.parseInt(value, 8));
    }
    return `\\${kind}`;
  }
}
