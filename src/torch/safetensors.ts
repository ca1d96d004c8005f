/**
 * safetensors files: reading by mapping the file into memory, and atomic writing.
 *
 * ```ts
 * const file = safetensors.open('model.safetensors');
 * model.load_state_dict(file.tensors());
 * safetensors.save('copy.safetensors', model.state_dict(), { format: 'pt' });
 * ```
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { replaceFileAtomically } from './atomic-file.js';
import type { DType } from './dtype.js';
import { MappedFile } from './mapped-file.js';
import {
  buildHeader,
  parseHeader,
  readHeaderLength,
  type SafetensorsDType,
  SafetensorsError,
  type SafetensorsHeader,
  safetensorsBits,
  type TensorEntry,
  tensorBytes,
} from './safetensors-header.js';
import { Tensor } from './tensor.js';
import { torch } from './torch.js';

export { type SafetensorsDType, SafetensorsError, type TensorEntry } from './safetensors-header.js';

/** Types of the format that an engine may have, by its names. F4, F6 and F8_E8M0 are in none. */
const engineTypes: Partial<Record<SafetensorsDType, DType>> = {
  BOOL: 'bool',
  U8: 'uint8',
  I8: 'int8',
  I16: 'int16',
  I32: 'int32',
  I64: 'int64',
  F16: 'float16',
  BF16: 'bfloat16',
  F32: 'float32',
  F64: 'float64',
  C64: 'complex64',
  U16: 'uint16',
  U32: 'uint32',
  U64: 'uint64',
  F8_E4M3: 'float8_e4m3fn',
  F8_E5M2: 'float8_e5m2',
};
const fileTypes = new Map(Object.entries(engineTypes).map(([file, engine]) => [engine, file as SafetensorsDType]));

/** A tensor as plain bytes, for types that the engine lacks. */
export interface RawTensor {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Row-major, little endian. */
  readonly bytes: Uint8Array;
}

/** An open file. The header is checked when it is opened; data is read (mapped) when it is asked for. */
export class SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly #entries: ReadonlyMap<string, TensorEntry>;
  /** Length field and JSON, to notice a file that was replaced. */
  readonly #head: Uint8Array;
  #mapped: MappedFile | null = null;

  /** @throws SafetensorsError naming the file and what is wrong with it */
  constructor(readonly path: string) {
    const { head, header } = readHeader(path);
    this.#head = head;
    this.metadata = header.metadata;
    this.#entries = header.entries;
  }

  /** Names in the order of the data. */
  get keys(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  dtype(name: string): SafetensorsDType {
    return this.#entry(name).dtype;
  }

  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /**
   * A tensor in the mapped file: nothing is read before it is used, and writing to it does not change the file. Tensors
   * that are not aligned to their element's size are copied.
   * @throws SafetensorsError for a type that this engine lacks; `bytes()` gives its data
   */
  get(name: string): Tensor {
    const { dtype, shape, begin } = this.#entry(name);
    const type = engineTypes[dtype];
    if (type === undefined || !torch.has_dtype(type)) {
      throw new SafetensorsError(
        this.path,
        `tensor '${name}' is ${dtype}, a type that libtorch ${torch.version} does not have; bytes('${name}') gives its data`,
      );
    }
    this.#mapped ??= this.#map();
    return this.#mapped.tensor(begin, shape, type);
  }

  /** A copy of a tensor's bytes, row-major and little endian. Needs no engine. */
  bytes(name: string): Uint8Array {
    const { begin, end } = this.#entry(name);
    return readRange(this.path, begin, end - begin);
  }

  /** All tensors by name. */
  tensors(): Record<string, Tensor> {
    return Object.fromEntries(this.keys.map((name) => [name, this.get(name)]));
  }

  /** Gives up the mapping; tensors in it stay valid. */
  close(): void {
    this.#mapped?.close();
    this.#mapped = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #map(): MappedFile {
    const mapped = new MappedFile(this.path);
    const length = this.#head.length;
    if (mapped.size < length || Buffer.compare(mapped.bytes(0, length), this.#head) !== 0) {
      mapped.close();
      throw new SafetensorsError(this.path, 'the file was replaced since it was opened; open it again');
    }
    return mapped;
  }

  #entry(name: string): TensorEntry {
    const entry = this.#entries.get(name);
    if (entry === undefined)
      throw new SafetensorsError(this.path, `there is no tensor '${name}' (${this.#entries.size} others)`);
    return entry;
  }
}

/** Opens a file and checks its header. @throws SafetensorsError */
export function open(path: string): SafetensorsFile {
  return new SafetensorsFile(path);
}

/** All tensors of a file by name, mapped. @throws SafetensorsError */
export function load(path: string): Record<string, Tensor> {
  using file = new SafetensorsFile(path);
  return file.tensors();
}

/**
 * Writes tensors to a file, all or nothing: at every moment, also after a crash, `path` holds the whole old or the whole
 * new file. Larger element types come first, then by name, so that all tensors are aligned.
 * @throws SafetensorsError for names or types that the format does not have; system errors (ENOSPC) as they are
 */
export function save(
  path: string,
  tensors: Readonly<Record<string, Tensor | RawTensor>>,
  metadata?: Readonly<Record<string, string>>,
): void {
  const list = Object.entries(tensors).map(([name, value]) => describe(path, name, value));
  list.sort((a, b) => safetensorsBits[b.dtype] - safetensorsBits[a.dtype] || (a.name < b.name ? -1 : 1));
  replaceFileAtomically(path, (append) => {
    append(buildHeader(list, metadata));
    for (const { value, bytes } of list) if (bytes > 0) append(bytesOf(value));
  });
}

function describe(path: string, name: string, value: Tensor | RawTensor) {
  if (name === '__metadata__') throw new SafetensorsError(path, `a tensor cannot be called '${name}'`);
  const shape = value.shape;
  if (value instanceof Tensor) {
    const dtype = fileTypes.get(value.dtype);
    if (dtype === undefined)
      throw new SafetensorsError(path, `tensor '${name}': the format has no type for ${value.dtype}`);
    return { name, dtype, shape, bytes: tensorBytes(dtype, shape), value };
  }
  const { dtype } = value;
  const bytes = tensorBytes(dtype, shape);
  if (bytes !== value.bytes.length) {
    const given = value.bytes.length;
    throw new SafetensorsError(path, `tensor '${name}': ${dtype} of [${shape.join(', ')}] has not ${given} bytes`);
  }
  return { name, dtype, shape, bytes, value };
}

function bytesOf(value: Tensor | RawTensor): Uint8Array {
  if (!(value instanceof Tensor)) return value.bytes;
  const data = value.data();
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function readHeader(path: string): { head: Uint8Array; header: SafetensorsHeader } {
  return withFile(path, (fd) => {
    const size = fstatSync(fd).size;
    const length = readHeaderLength(path, readAt(fd, 0, Math.min(8, size)), size);
    const head = readAt(fd, 0, 8 + length);
    return { head, header: parseHeader(path, head.subarray(8), size) };
  });
}

function readRange(path: string, begin: number, length: number): Uint8Array {
  return withFile(path, (fd) => {
    const bytes = readAt(fd, begin, length);
    if (bytes.length < length) throw new SafetensorsError(path, 'the file was shortened since it was opened');
    return bytes;
  });
}

function withFile<T>(path: string, read: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw new SafetensorsError(path, `cannot be opened: ${(cause as Error).message}`, { cause });
  }
  try {
    if (!fstatSync(fd).isFile()) throw new SafetensorsError(path, 'is not a regular file');
    return read(fd);
  } finally {
    closeSync(fd);
  }
}

/** Bytes from a position; fewer where the file ends before. */
function readAt(fd: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
