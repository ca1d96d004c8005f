/**
 * Calls operators by name: splits named from positional arguments, chooses the overload, runs it in libtorch and wraps
 * the results. Every operator of the loaded libtorch can be called, whether or not the generated types know it.
 */
import { addon, hot, io } from './addon.js';
import { isTypedArray } from './dtype.js';
import { type Decoded, decodeResults, encodeCall, type Options } from './encode.js';
import { ArgumentError } from './errors.js';
import { Generator } from './random.js';
import { findOperator, Kind, type Operator, type Overload } from './schema.js';
import { adoptHandle } from './scope.js';
import { Tensor } from './tensor.js';

/** What an operator returns. */
export type Result = Tensor | Tensor[] | number | boolean | null | readonly number[] | undefined | Result[];

// Operators whose tensor arguments may be numbers in Python too.
const TAKES_NUMBERS = new Set(
  ['add', 'sub', 'subtract', 'mul', 'multiply', 'div', 'divide', 'true_divide', 'floor_divide', 'remainder', 'fmod']
    .flatMap((name) => [name, `${name}_`])
    .concat(['maximum', 'minimum', 'atan2', 'where', 'logical_and', 'logical_or', 'logical_xor', 'copy_'])
    .map((name) => `aten::${name}`),
);

/** The operator of a name. Throws ArgumentError where this libtorch has none. */
export function operatorOf(name: string): Operator {
  const operator = findOperator(name);
  if (operator === undefined) {
    throw new ArgumentError(
      `libtorch ${addon.version()} has no operator ${name}; torch.has('${name}') tests for one`,
      name,
    );
  }
  return operator;
}

/** Calls an operator; `self` is the tensor of a method call and stands before `args`. */
export function invoke(operator: Operator, self: Tensor | undefined, args: readonly unknown[]): Result {
  const overloads = self === undefined ? operator.overloads : operator.methods;
  let count = args.length;
  let options: Options | undefined;
  if (count > 0) {
    const last = args[count - 1];
    if (isOptions(last)) {
      options = last;
      count--;
      if (options.requires_grad !== undefined) return invokeWithGrad(operator, self, args.slice(0, count), options);
    }
  }
  for (let i = 0; i < overloads.length; i++) {
    if (encodeCall(overloads[i]!, self, args, count, options, false)) return run(overloads[i]!, self, args, options);
  }
  return invokeLeniently(operator, overloads, self, args.slice(0, count), options);
}

function run(
  overload: Overload,
  self: Tensor | undefined,
  args: readonly unknown[],
  options: Options | undefined,
): Result {
  hot.call();
  if (overload.single) return adoptHandle(new Tensor(io[0]!));
  if (overload.returned >= 0) return argumentAt(overload.returned, overload, self, args, options);
  const results = decodeResults().map((result) => wrap(result, overload, self, args, options));
  return results.length === 1 ? results[0] : results.length === 0 ? undefined : results;
}

function wrap(
  result: Decoded,
  overload: Overload,
  self: Tensor | undefined,
  args: readonly unknown[],
  options: Options | undefined,
): Result {
  switch (result.tag) {
    case 'tensor':
      return result.handle === 0 ? null : adoptHandle(new Tensor(result.handle));
    case 'tensors':
      return result.handles.map((handle) => adoptHandle(new Tensor(handle)));
    case 'alias':
      return argumentAt(result.position, overload, self, args, options);
    case 'value':
      return result.value;
  }
}

/** The tensor that stands for the parameter at a position, for operators that return what they were given. */
function argumentAt(
  position: number,
  overload: Overload,
  self: Tensor | undefined,
  args: readonly unknown[],
  options: Options | undefined,
): Tensor {
  if (self !== undefined && position === 0) return self;
  const index = self === undefined ? position : position - 1;
  const positional = index < args.length ? args[index] : undefined;
  return (positional instanceof Tensor ? positional : options?.[overload.parameters[position]!.name]) as Tensor;
}

/** Sizes as separate arguments (`x.view(2, 3)`), then numbers in place of tensors; else the error. */
function invokeLeniently(
  operator: Operator,
  overloads: readonly Overload[],
  self: Tensor | undefined,
  args: readonly unknown[],
  options: Options | undefined,
): Result {
  if (args.length > 0 && args.every((value) => typeof value === 'number')) {
    const gathered = [args];
    for (const overload of overloads) {
      const first = overload.parameters[self === undefined ? 0 : 1];
      if (first?.kind !== Kind.Int || !first.list) continue;
      if (encodeCall(overload, self, gathered, 1, options, false)) return run(overload, self, gathered, options);
    }
  }
  if (TAKES_NUMBERS.has(operator.name)) {
    for (const overload of overloads) {
      if (encodeCall(overload, self, args, args.length, options, true)) return run(overload, self, args, options);
    }
  }
  throw noOverload(operator, overloads, self, args, options);
}

function invokeWithGrad(
  operator: Operator,
  self: Tensor | undefined,
  args: readonly unknown[],
  { requires_grad, ...options }: Options,
): Result {
  if (typeof requires_grad !== 'boolean') throw new ArgumentError(`requires_grad must be a boolean`, operator.name);
  const result = invoke(operator, self, [...args, options]);
  if (!(result instanceof Tensor)) throw new ArgumentError(`${operator.name} takes no requires_grad`, operator.name);
  return result.requires_grad_(requires_grad);
}

function isOptions(value: unknown): value is Options {
  if (typeof value !== 'object' || value === null || value instanceof Tensor || Array.isArray(value)) return false;
  return !(value instanceof Generator) && !isTypedArray(value);
}

function noOverload(
  operator: Operator,
  overloads: readonly Overload[],
  self: Tensor | undefined,
  args: readonly unknown[],
  options: Options | undefined,
): ArgumentError {
  const given = [...(self === undefined ? [] : [self]), ...args].map(describe);
  for (const [name, value] of Object.entries(options ?? {})) given.push(`${name}: ${describe(value)}`);
  const known = overloads.map(({ schema }) => `  ${schema}`).join('\n');
  return new ArgumentError(
    `${operator.name} does not take (${given.join(', ')}); it takes\n${known || '  nothing as a method'}`,
    operator.name,
  );
}

/** One argument for an error message: what it is, not what it holds. */
function describe(value: unknown): string {
  if (value instanceof Tensor)
    return value.handle === 0 ? 'disposed tensor' : `${value.dtype}[${value.shape.join(', ')}]`;
  if (value instanceof Generator) return 'Generator';
  if (Array.isArray(value)) {
    const shown = value.slice(0, 6).map(describe);
    return `[${shown.join(', ')}${value.length > 6 ? `, ... ${value.length} in all` : ''}]`;
  }
  if (typeof value === 'string') return `'${value.slice(0, 40)}'`;
  if (isTypedArray(value)) return value.constructor.name;
  if (typeof value === 'function') return 'function';
  if (typeof value === 'object' && value !== null) return `{${Object.keys(value).slice(0, 6).join(', ')}}`;
  return String(value);
}
