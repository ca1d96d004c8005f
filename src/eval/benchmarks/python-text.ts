/**
 * Strings as Python sees them, where JavaScript differs: white space (U+001C to U+001F and U+0085 are, U+FEFF is not), Unicode decimal
 * digits, lengths in code points, capitals of Unicode 14.
 *
 * Knows nothing of benchmarks.
 */

/** The characters of Python's `str.isspace` that `str.split`, `str.strip` and `\s` go by, as the inside of a character class. */
export const SPACE_CLASS =
  '\\t-\\r\\u001c-\\u001f \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const LEADING = new RegExp(`^[${SPACE_CLASS}]+`);
const SPACES = new RegExp(`[${SPACE_CLASS}]+`);
const ONE_SPACE = new RegExp(`^[${SPACE_CLASS}]$`);

/** `character.isspace()` of one character. */
export const isSpace = (character: string): boolean => ONE_SPACE.test(character);

/** `text.strip()` */
export function strip(text: string): string {
  const from = LEADING.exec(text)?.[0].length ?? 0;
  if (from === text.length) return '';
  // Only the end is looked at: a backtracking search over inner white space would take quadratic time.
  let to = text.length;
  while (to > from && isSpace(text[to - 1] as string)) to--;
  return text.slice(from, to);
}

/** `text.split()` */
export function split(text: string): string[] {
  const words = text.split(SPACES);
  if (words[0] === '') words.shift();
  if (words.at(-1) === '') words.pop();
  return words;
}

/** Letters that got a lower-case or upper-case form after Unicode 14: node maps them, Python 3.11 leaves them. */
const LATER_CAPITALS = /([\u1c89\ua7cb\ua7cc\ua7ce\ua7d2\ua7d4\ua7da\ua7dc\u{10d50}-\u{10d65}\u{16ea0}-\u{16eb8}])/u;
const LATER_SMALL = /([\u019b\u0264\u1c8a\ua7cd\ua7cf\ua7d3\ua7d5\ua7db\u{10d70}-\u{10d85}\u{16ebb}-\u{16ed3}])/u;

/** `text.lower()` */
export function lower(text: string): string {
  return LATER_CAPITALS.test(text)
    ? mapBetween(text, LATER_CAPITALS, (part) => part.toLowerCase())
    : text.toLowerCase();
}

/** `text.upper()` */
export function upper(text: string): string {
  return LATER_SMALL.test(text) ? mapBetween(text, LATER_SMALL, (part) => part.toUpperCase()) : text.toUpperCase();
}

/** Splitting by a group leaves what was matched at the odd places. */
const mapBetween = (text: string, kept: RegExp, map: (part: string) => string): string =>
  text
    .split(kept)
    .map((part, i) => (i % 2 === 0 ? map(part) : part))
    .join('');

/** `len(text)` */
export function length(text: string): number {
  let surrogatePairs = 0;
  for (let i = 0; i + 1 < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      surrogatePairs++;
      i++;
    }
  }
  return text.length - surrogatePairs;
}

/** `text[:count]` */
export function prefix(text: string, count: number): string {
  return text.length <= count ? text : [...text].slice(0, count).join('');
}

/** First code points of the runs of ten decimal digits (general category Nd) of Unicode 14, which Python 3.11 has. */
const ZEROS: readonly number[] = [
  0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
  0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
  0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
  0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/** The value of a decimal digit of any script, 0 to 9; undefined for what `\d` does not match. */
export function digitValue(codePoint: number): number | undefined {
  if (codePoint < 0x660) return codePoint >= 0x30 && codePoint <= 0x39 ? codePoint - 0x30 : undefined;
  const zero = ZEROS.findLast((first) => first <= codePoint) as number;
  return codePoint - zero < 10 ? codePoint - zero : undefined;
}

/** What `\d` matches, as the inside of a character class for the flag u. */
export const DIGIT_CLASS = ZEROS.map((zero) => `\\u{${zero.toString(16)}}-\\u{${(zero + 9).toString(16)}}`).join('');
