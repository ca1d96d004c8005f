/**
 * The tensor: a number that stands for a libtorch tensor, with PyTorch's methods. Operators (`add`, `matmul`, ...) are added
 * from libtorch's own list (operators.ts) and typed in operators.generated.ts; here is what is no operator.
 */
import { addon, hot, io, loadAddon } from './addon.js';
import { type Device, deviceName, isDevice, parseDevice } from './device.js';
import { type DType, dtypeCode, dtypeName, isDType, isTypedArray, type TypedArray, viewAs } from './dtype.js';
import { ArgumentError, DisposedTensorError } from './errors.js';
import { toNested } from './nested.js';
import type { TensorOperators } from './operators.generated.js';
import { findOverload, Tag } from './schema.js';
import { adoptHandle, keepTensor, type Scope } from './scope.js';

/** Nested numbers, as `tolist()` gives and `torch.tensor()` takes. */
export type Nested<T> = T | readonly Nested<T>[];

/** What `to()` changes. */
export interface ToOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
  readonly non_blocking?: boolean | undefined;
  readonly copy?: boolean | undefined;
}

export interface Tensor extends TensorOperators {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the operators are added to the prototype from libtorch's list
export class Tensor {
  /** Number in the addon's table; 0 once disposed. Not for use outside of src/torch. */
  handle: number;
  /** The scope that frees it, or null where the garbage collector does. */
  scope: Scope | null = null;

  /** Wraps a handle. Use `torch.tensor`, `torch.zeros`, ... to make tensors. */
  constructor(handle: number) {
    this.handle = handle;
  }

  /** Sizes of all dimensions. */
  get shape(): readonly number[] {
    const dims = readMeta(this);
    const shape = new Array<number>(dims);
    for (let i = 0; i < dims; i++) shape[i] = io[5 + i]!;
    return shape;
  }

  get dtype(): DType {
    readMeta(this);
    return dtypeName(io[0]!);
  }

  get device(): Device {
    readMeta(this);
    return deviceName(io[1]!, io[2]!);
  }

  get requires_grad(): boolean {
    readMeta(this);
    return (io[3]! & 1) !== 0;
  }

  set requires_grad(requires: boolean) {
    addon.setRequiresGrad(this.alive(), requires);
  }

  /** Whether it is not the result of a recorded operation; only such tensors collect `.grad` by themselves. */
  get is_leaf(): boolean {
    readMeta(this);
    return (io[3]! & 2) !== 0;
  }

  /** The gradient that `backward()` collected, or null. */
  get grad(): Tensor | null {
    const handle = addon.getGrad(this.alive());
    return handle === 0 ? null : adoptHandle(new Tensor(handle));
  }

  set grad(gradient: Tensor | null) {
    addon.setGrad(this.alive(), gradient === null ? 0 : gradient.alive());
  }

  /** The transpose of a matrix. */
  get T(): Tensor {
    return this.t();
  }

  /** Bytes of the memory it lies in, which views share. */
  get storage_bytes(): number {
    return addon.storageBytes(this.alive());
  }

  /** Equal for tensors that share memory. */
  get storage_id(): number {
    return addon.storageId(this.alive());
  }

  dim(): number {
    return readMeta(this);
  }

  /** Size of one dimension (negative ones count from the end), or all. */
  size(): readonly number[];
  size(dim: number): number;
  size(dim?: number): number | readonly number[] {
    const { shape } = this;
    if (dim === undefined) return shape;
    const size = shape.at(dim);
    if (size === undefined) throw new ArgumentError(`dimension ${dim} of a tensor with ${shape.length}`);
    return size;
  }

  /** Steps between neighbours in each dimension, in elements. */
  stride(): readonly number[] {
    const dims = readMeta(this);
    return Array.from(io.subarray(5 + dims, 5 + 2 * dims));
  }

  numel(): number {
    const dims = readMeta(this);
    let elements = 1;
    for (let i = 0; i < dims; i++) elements *= io[5 + i]!;
    return elements;
  }

  is_contiguous(): boolean {
    readMeta(this);
    return (io[3]! & 4) !== 0;
  }

  requires_grad_(requires = true): this {
    addon.setRequiresGrad(this.alive(), requires);
    return this;
  }

  /**
   * Adds the gradients of this tensor to `.grad` of the leaves it was computed from.
   *
   * @param gradient of the loss by this tensor; 1 where it has a single element
   */
  backward(gradient?: Tensor | null, options: { retain_graph?: boolean; create_graph?: boolean } = {}): void {
    const create = options.create_graph ?? false;
    const gradients = gradient ? [gradient.alive()] : [];
    addon.backward([this.alive()], gradients, options.retain_graph ?? create, create, []);
  }

  /**
   * Another dtype or device: `x.to('bfloat16')`, `x.to('cuda')`, `x.to({ dtype, device })`, `x.to(other)`.
   * A new tensor of the same memory where nothing changes.
   */
  to(target: DType | Device | ToOptions | Tensor, options: ToOptions = {}): Tensor {
    if (target instanceof Tensor) return this.to({ dtype: target.dtype, device: target.device, ...options });
    if (typeof target !== 'string') return convert(this, { ...options, ...target });
    if (isDType(target)) return convert(this, { ...options, dtype: target });
    if (isDevice(target)) return convert(this, { ...options, device: target });
    throw new ArgumentError(`to() takes a dtype or a device, not '${target}'`);
  }

  cpu(): Tensor {
    return this.to('cpu');
  }

  cuda(index?: number): Tensor {
    return this.to(index === undefined ? 'cuda' : `cuda:${index}`);
  }

  float(): Tensor {
    return this.to('float32');
  }

  double(): Tensor {
    return this.to('float64');
  }

  bfloat16(): Tensor {
    return this.to('bfloat16');
  }

  half(): Tensor {
    return this.to('float16');
  }

  long(): Tensor {
    return this.to('int64');
  }

  int(): Tensor {
    return this.to('int32');
  }

  bool(): Tensor {
    return this.to('bool');
  }

  /** The only element, a boolean as 0 or 1; integers beyond 2^53 are rounded (`data()` has them exactly). */
  item(): number {
    return Number(addon.item(this.alive()));
  }

  /** Elements as nested arrays: booleans for bool, else numbers; a lone value without dimensions. */
  tolist(): Nested<number | boolean> {
    const { dtype, shape } = this;
    if (dtype === 'complex64' || dtype === 'complex128')
      throw new ArgumentError('tolist() of complex numbers: use data()');
    const narrow = dtype === 'bfloat16' || dtype.startsWith('float8') || dtype === 'float16';
    const values = viewAs(narrow ? 'float32' : dtype, bytesAs(this, narrow ? 'float32' : dtype));
    return toNested(values, shape, dtype === 'bool');
  }

  /**
   * A copy of the elements in row-major order in the array type of the dtype: int64 as BigInt64Array, bool as Uint8Array,
   * 16 and 8 bit floats as their bits in Uint16Array and Uint8Array, complex numbers as pairs.
   */
  data<T extends TypedArray = TypedArray>(): T {
    return viewAs(this.dtype, addon.toBytes(this.alive())) as T;
  }

  /** Copies the elements into a typed array of exactly their size in bytes. */
  copy_to(target: TypedArray): void {
    addon.copyBytes(this.alive(), target);
  }

  /** Takes over memory, dtype and device of `other`, keeping identity and recorded use; PyTorch's `x.data = other`. */
  set_data(other: Tensor): this {
    addon.setData(this.alive(), other.alive());
    return this;
  }

  /**
   * A token with which another Worker of this process obtains this tensor without a copy: `torch.adopt(token)`, once.
   * Both then see the same memory. The tensor stays in memory until the token is used.
   */
  share(): SharedTensor {
    return { dualvlaTensor: addon.share(this.alive()) };
  }

  /** Takes the tensor out of its scope: the garbage collector or `dispose()` frees it. */
  keep(): this {
    keepTensor(this);
    return this;
  }

  /** Frees the tensor now. It must not be used afterwards; disposing twice does nothing. */
  dispose(): void {
    if (this.handle === 0) return;
    io[0] = 1;
    io[1] = this.handle;
    this.handle = 0;
    this.scope = null;
    hot.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get is_disposed(): boolean {
    return this.handle === 0;
  }

  toString(): string {
    if (this.handle === 0) return 'Tensor(disposed)';
    const { dtype, shape, device } = this;
    const where = device === 'cpu' ? '' : `, ${device}`;
    const grad = this.requires_grad ? ', requires_grad' : '';
    const small = device !== 'meta' && !dtype.startsWith('complex') && this.numel() <= 64;
    return `Tensor(${small ? `${JSON.stringify(this.tolist())}, ` : ''}${dtype}[${shape.join(', ')}]${where}${grad})`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** The handle. Throws DisposedTensorError. */
  alive(): number {
    if (this.handle === 0) throw new DisposedTensorError();
    return this.handle;
  }
}

// Functions and not private methods: those would cost every new tensor a mark of its class.

/** Fills the buffer with dtype, device type and index, flags, number of dimensions (returned), sizes, strides. */
function readMeta(tensor: Tensor): number {
  io[0] = tensor.alive();
  hot.meta();
  return io[4]!;
}

function bytesAs(tensor: Tensor, dtype: DType): ArrayBuffer {
  if (tensor.dtype === dtype) return addon.toBytes(tensor.alive());
  const converted = convert(tensor, { dtype });
  const bytes = addon.toBytes(converted.handle);
  converted.dispose();
  return bytes;
}

/** A tensor on its way to another Worker: `postMessage` it and `torch.adopt` it there. */
export interface SharedTensor {
  readonly dualvlaTensor: number;
}

/** Obtains a tensor that another Worker shared. A token can be used once. */
export function adopt(shared: SharedTensor): Tensor {
  return adoptHandle(new Tensor(loadAddon().adopt(shared.dualvlaTensor)));
}

let convertOperator: number | undefined;

/** aten::to.dtype_layout, written by hand: the dispatcher imports this module, and `to()` is called often. */
function convert(tensor: Tensor, { dtype, device, non_blocking = false, copy = false }: ToOptions): Tensor {
  convertOperator ??= findOverload('aten::to', 'dtype_layout').id;
  let at = 0;
  const put = (...values: number[]): void => {
    for (const value of values) io[at++] = value;
  };
  put(convertOperator, 7, Tag.Tensor, tensor.alive());
  if (dtype === undefined) put(Tag.None);
  else put(Tag.Int, dtypeCode(dtype));
  put(Tag.None); // layout
  if (device === undefined) put(Tag.None);
  else put(Tag.Device, ...parseDevice(device));
  put(Tag.None, Tag.Bool, Number(non_blocking), Tag.Bool, Number(copy)); // pin_memory, non_blocking, copy
  hot.call();
  return adoptHandle(new Tensor(io[0]!));
}

/** A tensor of raw row-major bytes. @throws TorchError where bytes and shape differ */
export function from_bytes(bytes: TypedArray, shape: readonly number[], dtype: DType): Tensor {
  if (!isTypedArray(bytes)) throw new ArgumentError('from_bytes() takes a typed array');
  return adoptHandle(new Tensor(loadAddon().fromBytes(bytes, shape, dtypeCode(dtype))));
}
