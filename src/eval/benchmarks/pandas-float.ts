/**
 * How pandas reads a decimal number: its own parser (`precise_xstrtod`), which keeps the first 17 digits (zeros before them too) and scales by a power of ten, so
 * that the last digit of long numbers may differ from the nearest double.
 */

const PARTS = /^[\t-\r ]*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?)(\d+))?[\t-\r ]*$/;
const INFINITE = /^[+-]?inf(?:inity)?$/i;
const MOST_DIGITS = 17;
const HIGHEST = 308;

const power = (exponent: number): number => Number(`1e${exponent}`);

/** @returns the number; undefined for what pandas takes for none, numbers that overflow too */
export function parseFloatAsPandas(text: string): number | undefined {
  if (INFINITE.test(text)) return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const parts = PARTS.exec(text);
  if (!parts) return undefined;
  const [, sign = '', whole = '', decimals = '', exponentSign = '', exponentDigits = ''] = parts;
  if (whole === '' && decimals === '') return undefined;
  const kept = (whole + decimals).slice(0, MOST_DIGITS);
  let number = 0;
  for (const digit of kept) number = number * 10 + Number(digit);
  // Digits before the point that were left out, less those after it that were not.
  let exponent = whole.length > MOST_DIGITS ? whole.length - MOST_DIGITS : whole.length - kept.length;
  const stated = Number(exponentDigits.slice(0, MOST_DIGITS));
  exponent += exponentSign === '-' ? -stated : stated;
  const value = scaled(number, exponent);
  if (value === Number.POSITIVE_INFINITY) return undefined;
  return sign === '-' ? -value : value;
}

function scaled(number: number, exponent: number): number {
  if (exponent > HIGHEST) return Number.POSITIVE_INFINITY;
  if (exponent > 0) return number * power(exponent);
  if (exponent >= -HIGHEST) return number / power(-exponent);
  return exponent < -2 * HIGHEST ? 0 : number / power(-HIGHEST - exponent) / power(HIGHEST);
}
