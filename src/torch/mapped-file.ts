/** A file mapped into memory, and tensors that lie in it without having been read. */
import { loadAddon } from './addon.js';
import { type DType, dtypeCode } from './dtype.js';
import { adoptHandle } from './scope.js';
import { Tensor } from './tensor.js';

/**
 * A read-only view of a file. Its tensors can be written to, which copies the page and never reaches the file; they stay
 * valid after `close()`. The file must not be shortened while it is mapped: replace it by renaming another one over it.
 */
export class MappedFile {
  readonly #mapping: object;
  readonly size: number;

  /** Maps a file. Throws TorchError where it cannot be opened. */
  constructor(readonly path: string) {
    const engine = loadAddon();
    this.#mapping = engine.mapFile(path);
    this.size = engine.mappedSize(this.#mapping);
  }

  /** A copy of some bytes. */
  bytes(offset: number, length: number): Uint8Array {
    return new Uint8Array(loadAddon().mappedBytes(this.#mapping, offset, length));
  }

  /** A tensor of the bytes from `offset` on; a copy only where `offset` is not a multiple of the element's size. */
  tensor(offset: number, shape: readonly number[], dtype: DType): Tensor {
    return adoptHandle(new Tensor(loadAddon().mappedTensor(this.#mapping, offset, shape, dtypeCode(dtype))));
  }

  close(): void {
    loadAddon().unmapFile(this.#mapping);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
