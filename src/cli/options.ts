/** Values of options, checked as they are read; a wrong one is wrong usage. */
import type { Command } from 'commander';
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

/**
 * The options of a verb within a verb, where both have some of the same name: those written after its own name, else those written before
 * it, else its own defaults. (Commander's optsWithGlobals lets the outer verb's defaults win.)
 */
export function ownOptions<T>(command: Command): T {
  const outer = command.parent;
  const merged: Record<string, unknown> = { ...command.opts() };
  for (const option of command.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'cli' && outer?.getOptionValueSource(name) === 'cli')
      merged[name] = outer.getOptionValue(name);
  }
  return merged as T;
}
