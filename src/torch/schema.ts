/**
 * Operators as libtorch describes them: overloads with their parameters, in the order in which a call tries them.
 */
import { loadAddon } from './addon.js';
import { TorchError } from './errors.js';

/** What a parameter takes; the numbers are those of native/dispatch.h. */
export const Kind = {
  Tensor: 0,
  Int: 1,
  Float: 2,
  Scalar: 3,
  Bool: 4,
  String: 5,
  DType: 6,
  Device: 7,
  Layout: 8,
  MemoryFormat: 9,
  Generator: 10,
  Unsupported: 11,
} as const;

/** How a value stands in the call buffer; the numbers are those of native/dispatch.h. */
export const Tag = {
  Default: 0,
  None: 1,
  Tensor: 2,
  Int: 3,
  Double: 4,
  Bool: 5,
  String: 6,
  Device: 7,
  Generator: 8,
  Ints: 9,
  Doubles: 10,
  Bools: 11,
  Tensors: 12,
  Scalars: 13,
  Alias: 14,
} as const;

export interface Parameter {
  readonly name: string;
  readonly kind: number;
  readonly optional: boolean;
  readonly list: boolean;
  readonly optionalElements: boolean;
  /** Fixed length of a list that also takes a lone value, or -1. */
  readonly size: number;
  readonly keywordOnly: boolean;
  /** Written by the operator: `out` and the tensor of an in-place operator. */
  readonly written: boolean;
  readonly hasDefault: boolean;
}

export interface Return {
  readonly kind: number;
  readonly list: boolean;
  readonly optional: boolean;
  /** Position of the argument that is returned, or -1 for a new value. */
  readonly alias: number;
}

export interface Overload {
  readonly id: number;
  readonly overload: string;
  /** As libtorch prints it, for error messages. */
  readonly schema: string;
  readonly parameters: readonly Parameter[];
  readonly returns: readonly Return[];
  /** Parameters that may be given by position. */
  readonly positional: number;
  /** Parameters up to and including the last one without default. */
  readonly required: number;
  /** Returns one new tensor, the case that is made fast. */
  readonly single: boolean;
  /** Position of the argument that is all it returns, or -1. */
  readonly returned: number;
}

/** A name with its overloads. Overloads with types that JavaScript cannot pass (dimension names, storages) are left out. */
export interface Operator {
  readonly name: string;
  readonly overloads: readonly Overload[];
  /** The overloads whose first parameter is `self`: those a method can call. */
  readonly methods: readonly Overload[];
}

type Described = Omit<Overload, 'positional' | 'required' | 'single' | 'returned'>;

const operators = new Map<string, Operator>();

/** An operator by its name without overload (`aten::add`); undefined where this libtorch has none. */
export function findOperator(name: string): Operator | undefined {
  const known = operators.get(name);
  if (known !== undefined) return known;
  const described = JSON.parse(loadAddon().describeOperator(name)) as Described[];
  const overloads = described.filter(isSupported).map(complete).sort(byPrecedence);
  if (overloads.length === 0) return undefined;
  const methods = overloads.filter(({ parameters: [first] }) => isSelf(first));
  const operator = { name, overloads, methods };
  operators.set(name, operator);
  return operator;
}

/** One overload of an operator that every libtorch has. */
export function findOverload(name: string, overload: string): Overload {
  const found = findOperator(name)?.overloads.find((each) => each.overload === overload);
  if (found === undefined) throw new TorchError(`this libtorch has no ${name}.${overload}`, name);
  return found;
}

/** Whether an overload can be called as a method of its first argument. */
export function isSelf(parameter: Parameter | undefined): boolean {
  return parameter?.name === 'self' && parameter.kind === Kind.Tensor && !parameter.list;
}

/** Names of all operators without overloads, as `namespace::name`. */
export function operatorNames(): string[] {
  return loadAddon().operatorNames().split('\n');
}

/** Whether this libtorch has an operator (`aten::_fused_adamw_`) or an overload of it (`aten::add.Tensor`). */
export function hasOperator(name: string): boolean {
  return loadAddon().hasOperator(name.includes('::') ? name : `aten::${name}`);
}

function isSupported({ parameters, returns }: Described): boolean {
  const passable = parameters.every(({ kind, hasDefault, keywordOnly }) => {
    return kind !== Kind.Unsupported || (hasDefault && keywordOnly);
  });
  return passable && returns.every(({ kind }) => kind !== Kind.Unsupported);
}

function complete(described: Described): Overload {
  const { parameters, returns } = described;
  const firstKeyword = parameters.findIndex(({ keywordOnly }) => keywordOnly);
  const required = parameters.findLastIndex(({ hasDefault }) => !hasDefault) + 1;
  const [only] = returns;
  const single = returns.length === 1 && only?.kind === Kind.Tensor && !only.list && only.alias < 0;
  const returned = returns.length === 1 ? only!.alias : -1;
  return { ...described, positional: firstKeyword < 0 ? parameters.length : firstKeyword, required, single, returned };
}

/**
 * The unnamed overload first, then those with tensors, then fewer parameters. Overloads differ in the types of their
 * arguments, so the order matters only where defaults make two of them fit.
 */
function byPrecedence(a: Overload, b: Overload): number {
  return rank(a) - rank(b) || a.parameters.length - b.parameters.length || (a.overload < b.overload ? -1 : 1);
}

function rank({ overload, parameters }: Overload): number {
  if (parameters.some(({ written, keywordOnly }) => written && keywordOnly)) return 4;
  if (overload === '') return 0;
  if (overload.startsWith('Tensor') || overload.startsWith('self')) return 1;
  if (overload.startsWith('Scalar')) return 3;
  return 2;
}
