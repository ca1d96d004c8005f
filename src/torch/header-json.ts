/**
 * A strict JSON reader for untrusted file headers (safetensors).
 *
 * `JSON.parse` cannot serve: it merges duplicate keys silently, does not tell `4` from `4.0` and rounds integers beyond
 * 2^53. This one returns objects as ordered entry lists (duplicates kept), integers as bigint, other numbers as
 * `{ float }`, and limits the nesting, as the reference library (serde_json) does.
 *
 * Knows nothing about tensors.
 */

/** A JSON object as its members in order, duplicates included. */
export class JsonObject {
  constructor(readonly entries: readonly (readonly [string, JsonValue])[]) {}
}

/** A number with a fraction or exponent, or a negative zero. */
export class JsonFloat {
  constructor(readonly text: string) {}
}

export type JsonValue = null | boolean | string | bigint | JsonFloat | JsonObject | JsonValue[];

/** The nesting that serde_json accepts. */
const maxDepth = 127;

const numberPattern = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids raw control characters inside strings
const plainStringPattern = /[^"\\\u0000-\u001f]*/y;
const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Parses one JSON document. Throws an `Error` that says what was wrong and at which character. */
export function parseStrictJson(text: string): JsonValue {
  let at = 0;

  const fail = (what: string): never => {
    throw new Error(`invalid JSON: ${what} at character ${at}`);
  };

  const skipSpace = (): void => {
    for (;;) {
      const c = text.charCodeAt(at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      at++;
    }
  };

  const parseString = (): string => {
    at++;
    let out = '';
    for (;;) {
      plainStringPattern.lastIndex = at;
      const run = plainStringPattern.exec(text)?.[0] ?? '';
      out += run;
      at += run.length;
      const c = text[at];
      if (c === '"') {
        at++;
        return out;
      }
      if (c === undefined) fail('the text ends inside a string');
      if (c !== '\\') fail('a control character inside a string');
      const e = text[at + 1] ?? '';
      if (e === 'u') {
        const hex = text.slice(at + 2, at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) fail('a malformed \\u escape');
        const unit = Number.parseInt(hex, 16);
        if (unit >= 0xdc00 && unit <= 0xdfff) fail('a lone surrogate');
        at += 6;
        if (unit >= 0xd800 && unit <= 0xdbff) {
          const low = /^\\u([dD][c-fC-F][0-9a-fA-F]{2})/.exec(text.slice(at, at + 6));
          if (low === null) fail('a lone surrogate');
          out += String.fromCharCode(unit, Number.parseInt((low as RegExpExecArray)[1] as string, 16));
          at += 6;
        } else {
          out += String.fromCharCode(unit);
        }
      } else {
        const plain = escapes[e];
        if (plain === undefined) fail('an unknown escape');
        out += plain;
        at += 2;
      }
    }
  };

  const parseNumber = (): bigint | JsonFloat => {
    numberPattern.lastIndex = at;
    const match = numberPattern.exec(text);
    if (match === null) return fail('expected a value');
    at += match[0].length;
    if (/[0-9]/.test(text[at] ?? '')) fail('a number with a leading zero');
    if (match[1] !== undefined || match[2] !== undefined || match[0] === '-0') return new JsonFloat(match[0]);
    return BigInt(match[0]);
  };

  const parseLiteral = <T>(word: string, value: T): T => {
    if (!text.startsWith(word, at)) fail('expected a value');
    at += word.length;
    return value;
  };

  const parseObject = (depth: number): JsonObject => {
    at++;
    const entries: [string, JsonValue][] = [];
    skipSpace();
    if (text[at] === '}') {
      at++;
      return new JsonObject(entries);
    }
    for (;;) {
      skipSpace();
      if (text[at] !== '"') fail(at >= text.length ? 'the text ends inside an object' : 'expected a key');
      const key = parseString();
      skipSpace();
      if (text[at] !== ':') fail("expected ':'");
      at++;
      entries.push([key, parseValue(depth)]);
      skipSpace();
      const c = text[at];
      if (c !== ',' && c !== '}') fail(c === undefined ? 'the text ends inside an object' : "expected ',' or '}'");
      at++;
      if (c === '}') return new JsonObject(entries);
    }
  };

  const parseArray = (depth: number): JsonValue[] => {
    at++;
    const items: JsonValue[] = [];
    skipSpace();
    if (text[at] === ']') {
      at++;
      return items;
    }
    for (;;) {
      items.push(parseValue(depth));
      skipSpace();
      const c = text[at];
      if (c !== ',' && c !== ']') fail(c === undefined ? 'the text ends inside an array' : "expected ',' or ']'");
      at++;
      if (c === ']') return items;
    }
  };

  const parseValue = (depth: number): JsonValue => {
    skipSpace();
    const c = text[at];
    if (c === '{' || c === '[') {
      if (depth >= maxDepth) fail(`nested deeper than ${maxDepth} levels`);
      return c === '{' ? parseObject(depth + 1) : parseArray(depth + 1);
    }
    if (c === '"') return parseString();
    if (c === 't') return parseLiteral('true', true);
    if (c === 'f') return parseLiteral('false', false);
    if (c === 'n') return parseLiteral('null', null);
    if (c === undefined) fail('the text ends where a value should be');
    return parseNumber();
  };

  const value = parseValue(0);
  skipSpace();
  if (at < text.length) fail('trailing characters');
  return value;
}
