/**
 * Writes the arguments of a call into the buffer shared with the addon and reads the results from it. Writing is also how
 * an overload is chosen: the first one whose parameters take all the arguments.
 */
import { growBuffer, io } from './addon.js';
import { parseDevice } from './device.js';
import { dtypeCode, isDType } from './dtype.js';
import { DisposedTensorError } from './errors.js';
import { Generator } from './random.js';
import { Kind, type Overload, type Parameter, Tag } from './schema.js';
import { Tensor } from './tensor.js';

/** Named arguments of a call, after the positional ones. */
export type Options = Readonly<Record<string, unknown>>;

const MEMORY_FORMATS = ['contiguous', 'preserve', 'channels_last', 'channels_last_3d'];
const LAYOUTS = ['strided', 'sparse_coo', 'sparse_csr', 'mkldnn'];

let at = 0;

/**
 * Writes a call of `overload`; false where an argument does not fit. `self`, if given, stands before `args`, of which the
 * first `count` are positional. With `numbers`, a number may stand for a tensor, as Python allows for arithmetic.
 */
export function encodeCall(
  overload: Overload,
  self: Tensor | undefined,
  args: readonly unknown[],
  count: number,
  options: Options | undefined,
  numbers: boolean,
): boolean {
  const { parameters } = overload;
  const shift = self === undefined ? 0 : 1;
  const given = count + shift;
  if (given > overload.positional) return false;
  if (options === undefined && given < overload.required) return false;
  at = 2;
  if (shift === 1 && !writeSingle(parameters[0]!, self, false)) return false;
  for (let i = shift; i < given; i++) {
    if (!writeArgument(parameters[i]!, args[i - shift], numbers)) return false;
  }
  let last = given;
  if (options !== undefined) {
    let unused = 0;
    for (const name in options) if (options[name] !== undefined) unused++;
    for (let i = given; i < parameters.length; i++) {
      const parameter = parameters[i]!;
      const value = options[parameter.name];
      if (value === undefined) {
        if (!parameter.hasDefault) return false;
        io[at++] = Tag.Default;
      } else {
        if (!writeArgument(parameter, value, numbers)) return false;
        unused--;
        last = i + 1;
      }
    }
    if (unused !== 0) return false;
  }
  io[0] = overload.id;
  io[1] = last;
  return true;
}

function writeArgument(parameter: Parameter, value: unknown, numbers: boolean): boolean {
  if (value === undefined) {
    if (!parameter.hasDefault) return false;
    io[at++] = Tag.Default;
    return true;
  }
  if (value === null) {
    if (!parameter.optional) return false;
    io[at++] = Tag.None;
    return true;
  }
  return parameter.list ? writeList(parameter, value) : writeSingle(parameter, value, numbers);
}

function writeSingle(parameter: Parameter, value: unknown, numbers: boolean): boolean {
  switch (parameter.kind) {
    case Kind.Tensor:
      if (value instanceof Tensor) {
        writeTensor(value);
        return true;
      }
      return numbers && writeScalar(value);
    case Kind.Int:
      return writeInteger(value);
    case Kind.Float:
      if (typeof value !== 'number') return false;
      io[at++] = Tag.Double;
      io[at++] = value;
      return true;
    case Kind.Scalar:
      return writeScalar(value);
    case Kind.Bool:
      if (typeof value !== 'boolean') return false;
      io[at++] = Tag.Bool;
      io[at++] = value ? 1 : 0;
      return true;
    case Kind.String:
      return typeof value === 'string' && writeString(value);
    case Kind.DType:
      return isDType(value) && writeCode(dtypeCode(value));
    case Kind.Device: {
      if (typeof value !== 'string') return false;
      const [type, index] = parseDevice(value);
      io[at++] = Tag.Device;
      io[at++] = type;
      io[at++] = index;
      return true;
    }
    case Kind.Layout:
      return writeCode(LAYOUTS.indexOf(String(value)));
    case Kind.MemoryFormat:
      return writeCode(MEMORY_FORMATS.indexOf(String(value)));
    case Kind.Generator:
      if (!(value instanceof Generator)) return false;
      io[at++] = Tag.Generator;
      io[at++] = value.handle;
      return true;
    default:
      return false;
  }
}

function writeTensor(tensor: Tensor): void {
  const { handle } = tensor;
  if (handle === 0) throw new DisposedTensorError();
  io[at++] = Tag.Tensor;
  io[at++] = handle;
}

function writeInteger(value: unknown): boolean {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (!Number.isSafeInteger(number)) return false;
  io[at++] = Tag.Int;
  io[at++] = number as number;
  return true;
}

/** JavaScript has one type of number: a whole one counts as an integer, so that integer tensors keep their dtype. */
function writeScalar(value: unknown): boolean {
  if (typeof value === 'number') {
    io[at++] = Number.isSafeInteger(value) ? Tag.Int : Tag.Double;
    io[at++] = value;
    return true;
  }
  if (typeof value === 'boolean') {
    io[at++] = Tag.Bool;
    io[at++] = value ? 1 : 0;
    return true;
  }
  return typeof value === 'bigint' && writeInteger(value);
}

function writeCode(code: number): boolean {
  if (code < 0) return false;
  io[at++] = Tag.Int;
  io[at++] = code;
  return true;
}

function writeString(text: string): boolean {
  growBuffer(at + text.length + 1024);
  io[at++] = Tag.String;
  io[at++] = text.length;
  for (let i = 0; i < text.length; i++) io[at++] = text.charCodeAt(i);
  return true;
}

function writeList(parameter: Parameter, value: unknown): boolean {
  if (!Array.isArray(value)) {
    // int[2] takes a lone int for both.
    if (parameter.size < 1 || typeof value !== 'number') return false;
    return writeList(parameter, new Array<number>(parameter.size).fill(value));
  }
  const list: readonly unknown[] = value;
  growBuffer(at + 2 * list.length + 1024);
  switch (parameter.kind) {
    case Kind.Tensor:
      io[at++] = Tag.Tensors;
      io[at++] = list.length;
      for (const element of list) {
        if (element instanceof Tensor) {
          if (element.handle === 0) throw new DisposedTensorError();
          io[at++] = element.handle;
        } else if (parameter.optionalElements && (element === null || element === undefined)) {
          io[at++] = 0;
        } else {
          return false;
        }
      }
      return true;
    case Kind.Int:
      io[at++] = Tag.Ints;
      io[at++] = list.length;
      for (const element of list) {
        if (!Number.isSafeInteger(element)) return false;
        io[at++] = element as number;
      }
      return true;
    case Kind.Float:
      return writePlainList(Tag.Doubles, list, 'number');
    case Kind.Bool:
      return writePlainList(Tag.Bools, list, 'boolean');
    case Kind.Scalar:
      io[at++] = Tag.Scalars;
      io[at++] = list.length;
      for (const element of list) if (!writeScalar(element)) return false;
      return true;
    default:
      return false;
  }
}

function writePlainList(tag: number, list: readonly unknown[], type: 'number' | 'boolean'): boolean {
  io[at++] = tag;
  io[at++] = list.length;
  for (const element of list) {
    if (typeof element !== type) return false;
    io[at++] = Number(element);
  }
  return true;
}

/** A result as it stands in the buffer; handles are turned into tensors by the caller. */
export type Decoded =
  | { readonly tag: 'tensor'; readonly handle: number }
  | { readonly tag: 'tensors'; readonly handles: readonly number[] }
  | { readonly tag: 'alias'; readonly position: number }
  | { readonly tag: 'value'; readonly value: number | boolean | null | readonly number[] };

/** Reads all results of a call that does not return a single new tensor. */
export function decodeResults(): Decoded[] {
  const count = io[0]!;
  const results: Decoded[] = [];
  let from = 1;
  for (let i = 0; i < count; i++) {
    const tag = io[from++]!;
    switch (tag) {
      case Tag.Tensor:
        results.push({ tag: 'tensor', handle: io[from++]! });
        break;
      case Tag.Alias:
        results.push({ tag: 'alias', position: io[from++]! });
        break;
      case Tag.None:
        results.push({ tag: 'value', value: null });
        break;
      case Tag.Bool:
        results.push({ tag: 'value', value: io[from++]! !== 0 });
        break;
      case Tag.Int:
      case Tag.Double:
        results.push({ tag: 'value', value: io[from++]! });
        break;
      default: {
        const length = io[from++]!;
        const list = Array.from(io.subarray(from, from + length));
        from += length;
        results.push(tag === Tag.Tensors ? { tag: 'tensors', handles: list } : { tag: 'value', value: list });
      }
    }
  }
  return results;
}
