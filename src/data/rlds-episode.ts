/**
 * One RLDS episode: the columns of its steps and its metadata, from a tf.train.Example and the features it was declared with.
 *
 * Layouts: flattened (one list a leaf over all steps, key `steps/observation/state`; what TFDS writes) and nested (`steps` is a list of
 * serialised Examples, one a step). The number of steps is what all columns agree on. Pictures stay encoded.
 */
import { inflateSync } from 'node:zlib';
import { CorruptDatasetError, type DataErrorLocation } from './errors.js';
import { allocateNumeric, NUMERIC_DTYPES, type NumericArray, type NumericDType } from './features.js';
import type { RldsLeaf } from './rlds-features.js';
import { decodeExample, type Example, type ExampleValue } from './tfrecord-example.js';

/** A column over T steps. */
export type RldsColumn =
  | {
      readonly kind: 'numeric';
      readonly dtype: NumericDType;
      readonly shape: readonly number[];
      readonly values: NumericArray;
    }
  | { readonly kind: 'image'; readonly shape: readonly number[]; readonly encoded: readonly Uint8Array[] }
  | { readonly kind: 'text'; readonly values: readonly string[] };

export interface RldsEpisode {
  /** Position in its split. */
  readonly index: number;
  readonly file: string;
  /** Position in its file. */
  readonly record: number;
  /** T, raw steps. */
  readonly length: number;
  /** By path below `steps/`, e.g. `observation/state`. */
  readonly steps: Readonly<Record<string, RldsColumn>>;
  /** By path, e.g. `episode_metadata/file_path`. */
  readonly metadata: Readonly<Record<string, string | number | boolean>>;
  /** Declared leaves that were left out, each with the reason. */
  readonly leftOut: Readonly<Record<string, string>>;
}

const STEPS = 'steps/';
const DTYPES: ReadonlySet<string> = new Set(NUMERIC_DTYPES);

export interface RldsRecordPlace {
  readonly index: number;
  readonly file: string;
  readonly record: number;
}

/** Decodes one record. Throws CorruptDatasetError naming file, episode and field. */
export function decodeRldsEpisode(
  payload: Uint8Array,
  leaves: readonly RldsLeaf[],
  place: RldsRecordPlace,
): RldsEpisode {
  const origin: DataErrorLocation = { file: place.file, episode: place.index };
  const example = flattenNested(decodeExample(payload, origin), leaves, origin);
  const steps: Record<string, RldsColumn> = {};
  const metadata: Record<string, string | number | boolean> = {};
  const leftOut: Record<string, string> = {};
  let length: number | undefined;
  let lengthFrom = '';
  for (const leaf of leaves) {
    const location = { ...origin, field: leaf.path };
    if (leaf.kind === 'unknown') leftOut[leaf.path] = 'a class of feature that is not known';
    else if (leaf.sequences > 1) leftOut[leaf.path] = 'a sequence within a step';
    else if (leaf.kind === 'numeric' && !DTYPES.has(leaf.dtype)) leftOut[leaf.path] = `dtype ${leaf.dtype}`;
    else if (leaf.shape.includes(-1) && leaf.kind !== 'image') leftOut[leaf.path] = 'its shape is open';
    else {
      const value = example.get(leaf.path);
      if (!value) {
        leftOut[leaf.path] = 'absent from a record';
        continue;
      }
      if (leaf.sequences === 0 && !leaf.path.startsWith(STEPS)) {
        const single = metadataValue(leaf, value, location);
        if (single !== undefined) metadata[leaf.path] = single;
        continue;
      }
      const size = leaf.kind === 'numeric' && leaf.encoding === 'none' ? product(leaf.shape) : 1;
      if (size === 0) continue;
      const count = value.values.length / size;
      if (!Number.isInteger(count))
        throw new CorruptDatasetError(`${value.values.length} values for steps of ${size}`, location);
      if (length === undefined) [length, lengthFrom] = [count, leaf.path];
      else if (count !== length) throw new CorruptDatasetError(`${count} steps, ${lengthFrom} has ${length}`, location);
      steps[leaf.path.slice(STEPS.length)] = column(leaf, value, count, location);
    }
  }
  if (length === undefined || length === 0) throw new CorruptDatasetError('The episode has no steps', origin);
  return { ...place, length, steps, metadata, leftOut };
}

const product = (shape: readonly number[]): number => shape.reduce((size, dimension) => size * dimension, 1);

/** Brings the nested layout into the flattened one. */
function flattenNested(example: Example, leaves: readonly RldsLeaf[], origin: DataErrorLocation): Example {
  const nested = example.get('steps');
  if (nested?.kind !== 'bytes') return example;
  const flat = new Map(example);
  flat.delete('steps');
  const steps = nested.values.map((bytes, frame) => decodeExample(bytes, { ...origin, frame }));
  for (const { path } of leaves) {
    if (!path.startsWith(STEPS)) continue;
    const found = steps.map((step) => step.get(path.slice(STEPS.length)) ?? step.get(path));
    if (found.every((value) => value === undefined)) continue;
    const parts = found.map((value, frame) => {
      if (!value) throw new CorruptDatasetError('The step lacks this feature', { ...origin, frame, field: path });
      return value;
    });
    const [first] = parts;
    if (first) flat.set(path, concatenate(first, parts, { ...origin, field: path }));
  }
  return flat;
}

function concatenate(first: ExampleValue, parts: readonly ExampleValue[], origin: DataErrorLocation): ExampleValue {
  const { kind } = first;
  if (parts.some((part) => part.kind !== kind))
    throw new CorruptDatasetError('The steps hold different kinds of values', origin);
  if (kind === 'bytes') return { kind, values: parts.flatMap((part) => (part.kind === kind ? [...part.values] : [])) };
  const total = parts.reduce((sum, part) => sum + part.values.length, 0);
  const values = kind === 'float' ? new Float32Array(total) : new BigInt64Array(total);
  let at = 0;
  for (const part of parts) {
    if (part.kind === 'float' && values instanceof Float32Array) values.set(part.values, at);
    else if (part.kind === 'int64' && values instanceof BigInt64Array) values.set(part.values, at);
    at += part.values.length;
  }
  return values instanceof Float32Array ? { kind: 'float', values } : { kind: 'int64', values };
}

function column(leaf: RldsLeaf, value: ExampleValue, length: number, origin: DataErrorLocation): RldsColumn {
  if (leaf.kind === 'image') {
    if (value.kind !== 'bytes') throw wrongKind('pictures', value, origin);
    return { kind: 'image', shape: leaf.shape, encoded: value.values };
  }
  if (leaf.kind === 'text') {
    if (value.kind !== 'bytes') throw wrongKind('text', value, origin);
    return { kind: 'text', values: value.values.map((bytes, frame) => decodeText(bytes, { ...origin, frame })) };
  }
  return {
    kind: 'numeric',
    dtype: leaf.dtype as NumericDType,
    shape: leaf.shape,
    values: numbers(leaf, value, length, origin),
  };
}

function metadataValue(
  leaf: RldsLeaf,
  value: ExampleValue,
  origin: DataErrorLocation,
): string | number | boolean | undefined {
  if (leaf.kind === 'image' || value.values.length !== 1) return undefined;
  if (value.kind === 'bytes')
    return leaf.kind === 'text' ? decodeText(value.values[0] as Uint8Array, origin) : undefined;
  const number = Number(value.values[0]);
  return leaf.dtype === 'bool' ? number !== 0 : number;
}

const wrongKind = (what: string, value: ExampleValue, origin: DataErrorLocation): CorruptDatasetError =>
  new CorruptDatasetError(`Expected ${what}, the record holds ${value.kind}`, origin);

// ignoreBOM: a leading U+FEFF is part of the string, not a mark to drop.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeText(bytes: Uint8Array, origin: DataErrorLocation): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new CorruptDatasetError('The text is no UTF-8', { ...origin, cause });
  }
}

/** Numbers [length, ...shape] in the declared dtype. */
function numbers(leaf: RldsLeaf, value: ExampleValue, length: number, origin: DataErrorLocation): NumericArray {
  const dtype = leaf.dtype as NumericDType;
  const size = product(leaf.shape);
  if (leaf.encoding !== 'none') {
    if (value.kind !== 'bytes') throw wrongKind('raw memory', value, origin);
    return rawNumbers(value.values, dtype, size, leaf.encoding, origin);
  }
  if (value.kind === 'bytes') throw wrongKind('numbers', value, origin);
  const result = allocateNumeric(dtype, length * size);
  const source = value.values;
  if (result instanceof BigInt64Array) {
    if (source instanceof Float32Array) throw wrongKind('whole numbers', value, origin);
    result.set(source);
  } else if (source instanceof Float32Array) result.set(source);
  else for (let i = 0; i < source.length; i++) result[i] = Number(source[i]);
  return result;
}

const RAW: Readonly<Partial<Record<NumericDType, (view: DataView, at: number) => number | bigint>>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  int8: (view, at) => view.getInt8(at),
  int16: (view, at) => view.getInt16(at, true),
  int32: (view, at) => view.getInt32(at, true),
  int64: (view, at) => view.getBigInt64(at, true),
  uint8: (view, at) => view.getUint8(at),
  uint16: (view, at) => view.getUint16(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  bool: (view, at) => view.getUint8(at),
};
const RAW_BYTES: Readonly<Partial<Record<NumericDType, number>>> = {
  float32: 4,
  float64: 8,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  uint16: 2,
  uint32: 4,
  bool: 1,
};

/** Tensors stored as little-endian memory, one a step, possibly deflated. */
function rawNumbers(
  steps: readonly Uint8Array[],
  dtype: NumericDType,
  size: number,
  encoding: 'bytes' | 'zlib',
  origin: DataErrorLocation,
): NumericArray {
  const get = RAW[dtype];
  const bytes = RAW_BYTES[dtype];
  if (!get || !bytes) throw new CorruptDatasetError(`dtype ${dtype} cannot be stored as raw memory`, origin);
  const wanted = size * bytes;
  if (wanted > 1 << 28) throw new CorruptDatasetError(`A tensor of ${wanted} bytes a step`, origin);
  const memories = steps.map((step, frame) => {
    let memory = step;
    if (encoding === 'zlib') {
      try {
        memory = inflateSync(step, { maxOutputLength: Math.max(wanted, 1) });
      } catch (cause) {
        throw new CorruptDatasetError('The tensor does not decompress to its size', { ...origin, frame, cause });
      }
    }
    if (memory.length !== wanted)
      throw new CorruptDatasetError(`${memory.length} bytes, expected ${wanted}`, { ...origin, frame });
    return memory;
  });
  const result = allocateNumeric(dtype, steps.length * size);
  let at = 0;
  for (const memory of memories) {
    const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    for (let i = 0; i < size; i++, at++) result[at] = get(view, i * bytes) as never;
  }
  return result;
}
