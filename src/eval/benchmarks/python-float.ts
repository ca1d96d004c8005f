/**
 * Numbers as Python reads and writes them: `float(text)`, `str(number)` of a float, and the `%.16G` that spreadsheets are written with.
 *
 * Knows nothing of benchmarks.
 */
import { digitValue, isSpace } from './python-text.js';

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
const WORD = /^([+-]?)(?:(inf|infinity)|nan)$/i;
/** Digits in groups: an underscore only between two digits. */
const LONE_UNDERSCORE = /(?:^|[^\d])_|_(?:$|[^\d])/;

/** @returns the value of `float(text)`; undefined where Python raises ValueError */
export function parseFloatAsPython(text: string): number | undefined {
  const ascii = toAscii(text);
  if (ascii === undefined) return undefined;
  let plain = ascii.replace(/^[\t-\r ]+|[\t-\r ]+$/g, '');
  if (plain.includes('_')) {
    if (LONE_UNDERSCORE.test(plain)) return undefined;
    plain = plain.replaceAll('_', '');
  }
  if (NUMBER.test(plain)) return Number(plain);
  const word = WORD.exec(plain);
  if (!word) return undefined;
  if (!word[2]) return Number.NaN;
  return word[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Digits of every script become ASCII, white space beyond ASCII a space; anything else beyond ASCII makes it no number. */
function toAscii(text: string): string | undefined {
  let ascii = '';
  for (const character of text) {
    const codePoint = character.codePointAt(0) as number;
    if (codePoint < 0x7f) ascii += character;
    else if (isSpace(character)) ascii += ' ';
    else {
      const digit = digitValue(codePoint);
      if (digit === undefined) return undefined;
      ascii += digit;
    }
  }
  return ascii;
}

/** `str(value)` of a Python float: shortest digits that read back, exponent from 1e16 on and below 1e-4. */
export function formatFloatAsPython(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa, exponentText] = value.toExponential().split('e') as [string, string];
  const exponent = Number(exponentText);
  if (exponent >= 16 || exponent < -4) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const plain = exponent < 0 ? value.toFixed(Math.max(0, digitsOf(mantissa) - 1 - exponent)) : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

const digitsOf = (mantissa: string): number => mantissa.replace(/[-.]/g, '').length;

/** The value after `'%.16G' % value`: sixteen significant digits, halves to even. */
export function roundToSixteenDigits(value: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const rounded = value.toPrecision(16);
  // JavaScript rounds an exact half away from zero, C to the even digit.
  const exact = value.toExponential(60);
  const [digits, exponent] = exact.replace(/^-/, '').split('e') as [string, string];
  const all = digits.replace('.', '');
  const half = /^50*$/.test(all.slice(16)) && Number(all[15]) % 2 === 0;
  if (!half) return Number(rounded);
  return Math.sign(value) * Number(`${all[0]}.${all.slice(1, 16)}e${exponent}`);
}
