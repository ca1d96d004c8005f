/**
 * Element types: names as in PyTorch, their numbers in libtorch (c10::ScalarType), and the JavaScript arrays that hold them.
 */
import { ArgumentError } from './errors.js';

/** Element type of a tensor. Those from `float8_e4m3fn` on exist in newer engines only (feature test: `torch.has_dtype`). */
export type DType =
  | 'float32'
  | 'float64'
  | 'bfloat16'
  | 'float16'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8'
  | 'bool'
  | 'complex64'
  | 'complex128'
  | 'float8_e4m3fn'
  | 'float8_e5m2'
  | 'uint16'
  | 'uint32'
  | 'uint64';

/** Arrays that numbers of a tensor are copied to and from. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array;

interface DTypeFacts {
  readonly code: number;
  readonly bytes: number;
  readonly array: new (buffer: ArrayBuffer) => TypedArray;
}

const FACTS: Record<DType, DTypeFacts> = {
  uint8: { code: 0, bytes: 1, array: Uint8Array },
  int8: { code: 1, bytes: 1, array: Int8Array },
  int16: { code: 2, bytes: 2, array: Int16Array },
  int32: { code: 3, bytes: 4, array: Int32Array },
  int64: { code: 4, bytes: 8, array: BigInt64Array },
  float16: { code: 5, bytes: 2, array: Uint16Array },
  float32: { code: 6, bytes: 4, array: Float32Array },
  float64: { code: 7, bytes: 8, array: Float64Array },
  complex64: { code: 9, bytes: 8, array: Float32Array },
  complex128: { code: 10, bytes: 16, array: Float64Array },
  bool: { code: 11, bytes: 1, array: Uint8Array },
  bfloat16: { code: 15, bytes: 2, array: Uint16Array },
  float8_e5m2: { code: 23, bytes: 1, array: Uint8Array },
  float8_e4m3fn: { code: 24, bytes: 1, array: Uint8Array },
  uint16: { code: 27, bytes: 2, array: Uint16Array },
  uint32: { code: 28, bytes: 4, array: Uint32Array },
  uint64: { code: 29, bytes: 8, array: BigUint64Array },
};

const NAMES = new Map(Object.entries(FACTS).map(([name, facts]) => [facts.code, name as DType]));

/** Whether `value` is the name of an element type. */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(FACTS, value);
}

/** Number of a dtype in libtorch. Throws ArgumentError for an unknown name. */
export function dtypeCode(dtype: DType): number {
  if (!isDType(dtype))
    throw new ArgumentError(`'${String(dtype)}' is no dtype; there are ${Object.keys(FACTS).join(', ')}`);
  return FACTS[dtype].code;
}

/** Name of libtorch's dtype number. */
export function dtypeName(code: number): DType {
  const name = NAMES.get(code);
  if (name === undefined) throw new ArgumentError(`libtorch's dtype ${code} (a quantised one?) has no name here`);
  return name;
}

/** Bytes of one element. */
export function dtypeBytes(dtype: DType): number {
  return FACTS[dtype].bytes;
}

/** Views a buffer of row-major elements as the array type of a dtype; 16 and 8 bit floats as their bits. */
export function viewAs(dtype: DType, buffer: ArrayBuffer): TypedArray {
  return new FACTS[dtype].array(buffer);
}

/** The dtype that a typed array's numbers have without conversion. */
export function dtypeOfArray(array: TypedArray): DType {
  if (array instanceof Float32Array) return 'float32';
  if (array instanceof Float64Array) return 'float64';
  if (array instanceof BigInt64Array) return 'int64';
  if (array instanceof BigUint64Array) return 'uint64';
  if (array instanceof Int32Array) return 'int32';
  if (array instanceof Int16Array) return 'int16';
  if (array instanceof Int8Array) return 'int8';
  if (array instanceof Uint16Array) return 'uint16';
  if (array instanceof Uint32Array) return 'uint32';
  return 'uint8';
}

/** Whether `value` is a typed array (not a DataView). */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}
