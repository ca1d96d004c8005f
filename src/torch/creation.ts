/** Tensors from JavaScript values, and the few makers whose PyTorch semantics need knowledge of the value's type. */
import { loadAddon } from './addon.js';
import type { Device } from './device.js';
import { type DType, dtypeCode, dtypeOfArray, isTypedArray, type TypedArray } from './dtype.js';
import { ArgumentError } from './errors.js';
import { fromNested } from './nested.js';
import { adoptHandle } from './scope.js';
import { from_bytes, type Nested, Tensor } from './tensor.js';

export interface TensorOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
  readonly requires_grad?: boolean | undefined;
}

/** Numbers that a tensor can be made of. */
export type TensorData = Nested<number | bigint | boolean> | TypedArray;

/**
 * A tensor with a copy of the given numbers.
 *
 * Numbers become float32 (JavaScript does not tell 1 from 1.0), booleans bool, bigints int64; a typed array keeps its type
 * and takes a `shape`. `dtype` converts.
 */
export function tensor(
  data: TensorData,
  options: TensorOptions & { readonly shape?: readonly number[] | undefined } = {},
): Tensor {
  const { dtype, device, requires_grad, shape } = options;
  let made: Tensor;
  if (isTypedArray(data)) {
    made = from_bytes(data, shape ?? [data.length], dtypeOfArray(data));
  } else {
    const flat = fromNested(data);
    if (shape !== undefined && product(shape) !== flat.values.length) {
      throw new ArgumentError(`shape [${shape.join(', ')}] does not hold ${flat.values.length} values`);
    }
    made = pack(flat.values, shape ?? flat.shape, dtype);
  }
  if ((dtype !== undefined && made.dtype !== dtype) || (device !== undefined && device !== 'cpu')) {
    const first = made;
    made = first.to({ dtype, device });
    first.dispose();
  }
  return requires_grad ? made.requires_grad_() : made;
}

function pack(values: (number | bigint | boolean)[], shape: readonly number[], dtype: DType | undefined): Tensor {
  const [first] = values;
  if (values.some((value) => typeof value !== typeof first)) {
    throw new ArgumentError('torch.tensor() was given a mixture of numbers, bigints and booleans');
  }
  if (typeof first === 'boolean') return from_bytes(Uint8Array.from(values, Number), shape, 'bool');
  if (typeof first === 'bigint') return from_bytes(BigInt64Array.from(values as bigint[]), shape, 'int64');
  const numbers = values as number[];
  if (dtype === 'int64') {
    // 2^53 and more would be rounded on the way through float64.
    const wrong = numbers.find((value) => !Number.isInteger(value));
    if (wrong !== undefined) throw new ArgumentError(`${wrong} is no whole number, and the dtype is int64`);
    return from_bytes(BigInt64Array.from(numbers, BigInt), shape, 'int64');
  }
  const exact = dtype !== undefined && dtype !== 'float32' && dtype !== 'bfloat16' && dtype !== 'float16';
  return exact
    ? from_bytes(Float64Array.from(numbers), shape, 'float64')
    : from_bytes(Float32Array.from(numbers), shape, 'float32');
}

/** A tensor filled with a value: float32 for a number and bool for a boolean, unless `dtype` says otherwise. */
export function full(size: readonly number[], value: number | boolean, options: TensorOptions = {}): Tensor {
  const { requires_grad, device = 'cpu', dtype = typeof value === 'boolean' ? 'bool' : 'float32' } = options;
  const made = tensor([], { dtype, device }).new_full(size, value);
  return requires_grad ? made.requires_grad_() : made;
}

/** Whether a value is a tensor. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** Whether this libtorch knows a dtype (`float8_e4m3fn` since 2.1, `uint16` since 2.3). */
export function has_dtype(dtype: DType): boolean {
  try {
    adoptHandle(new Tensor(loadAddon().fromBytes(new Uint8Array(0), [0], dtypeCode(dtype)))).dispose();
    return true;
  } catch {
    return false;
  }
}

function product(shape: readonly number[]): number {
  return shape.reduce((elements, size) => elements * size, 1);
}
