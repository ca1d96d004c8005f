/** Values of options, checked as they are read; a wrong one is wrong usage. */
import { UsageError } from './errors.js';

/** A whole number of at least `low`. */
export function wholeNumber(low = 0): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || text.trim() === '') {
      throw new UsageError(`'${text}' is no whole number of ${low} or more`);
    }
    return value;
  };
}

/** One of some names; the nearest is proposed. */
export function oneOf<T extends string>(what: string, names: readonly T[]): (text: string) => T {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found === undefined) throw new UsageError(`there is no ${what} '${text}'; there are ${names.join(', ')}`);
    return found;
  };
}

/** Words with commas between them. */
export function list(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

/** The value of an option that has to be given. (Commander's own check would come before that for unknown options.) */
export function required<T>(value: T | undefined, option: string): T {
  if (value === undefined) throw new UsageError(`option ${option} is needed`);
  return value;
}
