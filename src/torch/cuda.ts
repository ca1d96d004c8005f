/** GPUs. Everything answers on machines and engines without one. */
import { loadAddon } from './addon.js';
import { TorchError } from './errors.js';

/** Bytes that the GPU's caching allocator has given out and holds. */
export interface CudaMemory {
  readonly allocated: number;
  readonly reserved: number;
  readonly peakAllocated: number;
  readonly peakReserved: number;
}

export const cuda = {
  /** Whether the engine was built with CUDA and sees a GPU. */
  is_available(): boolean {
    return loadAddon().cudaDeviceCount() > 0;
  },

  device_count(): number {
    return loadAddon().cudaDeviceCount();
  },

  /** Waits until a GPU has done the work that this thread queued. */
  synchronize(device = 0): void {
    required(loadAddon().cudaSynchronize)(device);
  },

  /** Memory of a GPU in bytes. */
  memory(device = 0): CudaMemory {
    return required(loadAddon().cudaMemory)(device);
  },

  reset_peak_memory(device = 0): void {
    required(loadAddon().cudaResetPeakMemory)(device);
  },

  /** Gives cached memory back to the driver. */
  empty_cache(): void {
    required(loadAddon().cudaEmptyCache)();
  },
};

function required<T>(part: T | undefined): T {
  if (part !== undefined) return part;
  throw new TorchError(
    'this engine was built without CUDA; next: install a CUDA torch for python3 or set LIBTORCH, then node native/build.mjs --cuda on',
  );
}
