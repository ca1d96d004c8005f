/**
 * tf.train.Example, the payload of RLDS records: a map from names to lists of bytes, 32-bit floats or 64-bit integers.
 *
 * Messages: Example{1: Features}, Features{1: map entry{1: key, 2: Feature}}, Feature{1: BytesList | 2: FloatList | 3: Int64List}, each
 * list{1: values, packed or one by one}. As protocol buffers want it, the last entry of a key counts and unknown fields are passed over.
 * Knows nothing about episodes.
 */
import { CorruptDatasetError, type DataErrorLocation } from './errors.js';
import { ProtobufReader, ProtobufWriter, WIRE } from './protobuf.js';

export type ExampleValue =
  | { readonly kind: 'bytes'; readonly values: readonly Uint8Array[] }
  | { readonly kind: 'float'; readonly values: Float32Array }
  | { readonly kind: 'int64'; readonly values: BigInt64Array };
export type Example = ReadonlyMap<string, ExampleValue>;

/** Lists of bytes cost memory beyond their payload: more entries than this are no episode. */
const MAX_BYTE_ENTRIES = 1 << 20;
const MAX_FEATURES = 1 << 16;

// ignoreBOM: a leading U+FEFF is part of the string, not a mark to drop.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes an Example; byte lists are views of `payload`. Throws CorruptDatasetError at `origin`. */
export function decodeExample(payload: Uint8Array, origin: DataErrorLocation = {}): Map<string, ExampleValue> {
  const features = new Map<string, ExampleValue>();
  let key = '';
  try {
    for (const message of submessages(payload, 1)) {
      for (const entry of submessages(message, 1)) {
        key = '';
        let feature: Uint8Array | undefined;
        const reader = new ProtobufReader(entry);
        while (!reader.done) {
          const { field, wire } = reader.tag();
          if (field === 1) key = utf8.decode(reader.bytes(wire));
          else if (field === 2) feature = reader.bytes(wire);
          else reader.skip(wire);
        }
        const value = feature && decodeFeature(feature);
        // A feature without a list is one that was not given.
        if (value) features.set(key, value);
        if (features.size > MAX_FEATURES) throw new Error(`more than ${MAX_FEATURES} features`);
      }
    }
  } catch (cause) {
    throw new CorruptDatasetError(
      `The record is no tf.train.Example: ${cause instanceof Error ? cause.message : String(cause)}`,
      { field: key === '' ? undefined : key, ...origin, cause },
    );
  }
  return features;
}

/** The length-delimited fields of one number. */
function* submessages(bytes: Uint8Array, wanted: number): Generator<Uint8Array> {
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { field, wire } = reader.tag();
    if (field === wanted) yield reader.bytes(wire);
    else reader.skip(wire);
  }
}

function decodeFeature(bytes: Uint8Array): ExampleValue | undefined {
  const reader = new ProtobufReader(bytes);
  let value: ExampleValue | undefined;
  while (!reader.done) {
    const { field, wire } = reader.tag();
    if (field === 1) value = { kind: 'bytes', values: decodeBytesList(reader.bytes(wire)) };
    else if (field === 2) value = { kind: 'float', values: decodeFloatList(reader.bytes(wire)) };
    else if (field === 3) value = { kind: 'int64', values: decodeIntList(reader.bytes(wire)) };
    else reader.skip(wire);
  }
  return value;
}

function decodeBytesList(bytes: Uint8Array): Uint8Array[] {
  const values: Uint8Array[] = [];
  for (const value of submessages(bytes, 1)) {
    values.push(value);
    if (values.length > MAX_BYTE_ENTRIES) throw new Error(`more than ${MAX_BYTE_ENTRIES} entries of bytes`);
  }
  return values;
}

function decodeFloatList(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(Math.floor(bytes.length / 4));
  let count = 0;
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { field, wire } = reader.tag();
    if (field === 1 && wire === WIRE.bytes) {
      const packed = reader.bytes(wire);
      if (packed.length % 4 !== 0) throw new Error(`${packed.length} bytes of packed floats`);
      const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
      for (let i = 0; i < packed.length; i += 4) values[count++] = view.getFloat32(i, true);
    } else if (field === 1 && wire === WIRE.fixed32) values[count++] = reader.float32();
    else reader.skip(wire);
  }
  return values.subarray(0, count);
}

function decodeIntList(bytes: Uint8Array): BigInt64Array {
  const values = new BigInt64Array(bytes.length);
  let count = 0;
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { field, wire } = reader.tag();
    if (field === 1 && wire === WIRE.bytes) {
      const packed = new ProtobufReader(reader.bytes(wire));
      while (!packed.done) values[count++] = packed.int64();
    } else if (field === 1 && wire === WIRE.varint) values[count++] = reader.int64();
    else reader.skip(wire);
  }
  return values.slice(0, count);
}

/** An Example with packed numbers, as TensorFlow writes it. */
export function encodeExample(features: Iterable<readonly [string, ExampleValue]>): Uint8Array {
  const map = new ProtobufWriter();
  for (const [key, value] of features) {
    const list = new ProtobufWriter();
    if (value.kind === 'bytes') for (const bytes of value.values) list.bytes(1, bytes);
    else if (value.kind === 'float') list.packedFloat(1, value.values);
    else list.packedInt64(1, value.values);
    const field = value.kind === 'bytes' ? 1 : value.kind === 'float' ? 2 : 3;
    const feature = new ProtobufWriter().bytes(field, list.finish()).finish();
    map.bytes(1, new ProtobufWriter().bytes(1, new TextEncoder().encode(key)).bytes(2, feature).finish());
  }
  return new ProtobufWriter().bytes(1, map.finish()).finish();
}
