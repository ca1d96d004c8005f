/** Nested arrays of numbers: flat values with a shape to nested arrays, and back. */
import type { TypedArray } from './dtype.js';
import { ArgumentError } from './errors.js';
import type { Nested } from './tensor.js';

/** Flat row-major values as nested arrays of a shape. */
export function toNested(values: TypedArray, shape: readonly number[], booleans: boolean): Nested<number | boolean> {
  let at = 0;
  const build = (dim: number): Nested<number | boolean> => {
    if (dim === shape.length) {
      const value = Number(values[at++]);
      return booleans ? value !== 0 : value;
    }
    return Array.from({ length: shape[dim]! }, () => build(dim + 1));
  };
  return build(0);
}

/** Values and shape of nested arrays. Throws ArgumentError where they are ragged or hold something else. */
export function fromNested<T extends number | bigint | boolean>(nested: Nested<T>): { values: T[]; shape: number[] } {
  const shape: number[] = [];
  for (let level: Nested<T> | undefined = nested; Array.isArray(level); level = level[0]) shape.push(level.length);
  const values: T[] = [];
  const collect = (level: Nested<T>, dim: number): void => {
    if (!Array.isArray(level)) {
      const type = typeof level;
      if (type !== 'number' && type !== 'bigint' && type !== 'boolean') {
        throw new ArgumentError(
          `torch.tensor() takes numbers, bigints and booleans, not ${level === null ? 'null' : type}`,
        );
      }
      if (dim !== shape.length) throw ragged(shape, dim);
      values.push(level as T);
      return;
    }
    if (dim >= shape.length || level.length !== shape[dim]) throw ragged(shape, dim);
    for (const element of level as readonly Nested<T>[]) collect(element, dim + 1);
  };
  collect(nested, 0);
  return { values, shape };
}

function ragged(shape: readonly number[], dim: number): ArgumentError {
  return new ArgumentError(
    `the nested arrays have no shape: dimension ${dim} of [${shape.join(', ')}] differs in length`,
  );
}
