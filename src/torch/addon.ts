/**
 * The native addon: what it exports, and loading it on first use. Importing this module loads nothing, so that commands
 * which need no tensors run without the engine.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { engineEnvironment, usableCores } from './cpu.js';
import { EngineMissingError, TorchError } from './errors.js';

/** Functions of native/. A handle is a positive integer that stands for a live tensor of this environment; 0 is none. */
export interface Addon {
  setErrorClass(errorClass: typeof TorchError): void;
  setBuffer(buffer: Float64Array): void;
  liveCount(): number;
  poll(): number;
  track(object: object, handle: number): void;
  release(): void;
  call(): void;
  operatorNames(): string;
  describeOperator(name: string): string;
  hasOperator(name: string): boolean;
  fromBytes(data: ArrayBufferView, shape: readonly number[], dtype: number): number;
  toBytes(handle: number): ArrayBuffer;
  copyBytes(handle: number, target: ArrayBufferView): void;
  meta(): void;
  item(handle: number): number | boolean;
  alias(handle: number): number;
  setData(handle: number, other: number): void;
  storageBytes(handle: number): number;
  storageId(handle: number): number;
  share(handle: number): number;
  adopt(token: number): number;
  backward(tensors: number[], gradients: number[], retainGraph: boolean, createGraph: boolean, inputs: number[]): void;
  grad(
    outputs: number[],
    inputs: number[],
    gradients: number[],
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): number[];
  getGrad(handle: number): number;
  setGrad(handle: number, gradient: number): void;
  setRequiresGrad(handle: number, requiresGrad: boolean): void;
  getGradEnabled(): boolean;
  setGradEnabled(enabled: boolean): boolean;
  enterAutocast(device: string, enabled: boolean, dtype: number): number;
  leaveAutocast(device: string, before: number): void;
  manualSeed(high: number, low: number): void;
  newGenerator(high: number, low: number): number;
  freeGenerator(generator: number): boolean;
  seedGenerator(generator: number, high: number, low: number): void;
  generatorState(generator: number): number;
  setGeneratorState(generator: number, state: number): void;
  takeWarnings(): string[];
  getNumThreads(): number;
  setNumThreads(threads: number): void;
  version(): string;
  description(): string;
  setDeterministic(deterministic: boolean): void;
  cudaDeviceCount(): number;
  cudaSynchronize?(device: number): void;
  cudaMemory?(device: number): { allocated: number; reserved: number; peakAllocated: number; peakReserved: number };
  cudaResetPeakMemory?(device: number): void;
  cudaEmptyCache?(): void;
  mapFile(path: string): object;
  mappedSize(mapping: object): number;
  mappedBytes(mapping: object, offset: number, length: number): ArrayBuffer;
  mappedTensor(mapping: object, offset: number, shape: readonly number[], dtype: number): number;
  unmapFile(mapping: object): void;
  distributedBackends(): string[];
  distributedJoin(
    backend: string,
    address: string,
    port: number,
    rank: number,
    size: number,
    servesStore: boolean,
    prefix: string,
    timeoutMs: number,
    stages: boolean,
  ): void;
  distributedLeave(): void;
  distributedAllReduce(handle: number, operation: string): void;
  distributedBroadcast(handles: number[], root: number): void;
  distributedAllGather(handle: number): number[];
  distributedBarrier(): void;
  averagerCreate(parameters: number[], firstBucketBytes: number, bucketBytes: number): number;
  averagerEnable(averager: number, enabled: boolean): void;
  averagerFinish(averager: number): number;
  averagerBuckets(averager: number): number;
  averagerDispose(averager: number): void;
}

/** The loaded addon; use `loadAddon()` where it may not be loaded yet. */
export let addon: Addon;

/**
 * The functions that are called often, apart from the others: V8 keeps an object with a hundred properties as a slow
 * dictionary.
 */
export let hot: Pick<Addon, 'call' | 'meta' | 'release' | 'track'>;

/** The buffer through which calls pass, shared with the addon. */
export let io = new Float64Array(1 << 16);

const require = createRequire(import.meta.url);
const afterLoad: (() => void)[] = [];

/** Runs `action` once the addon is loaded, or at once if it is. */
export function onLoad(action: () => void): void {
  if (addon === undefined) afterLoad.push(action);
  else action();
}

/** Folder of the built addon: native/build, or DUALVLA_NATIVE for one built against another libtorch. */
export function addonFolder(): string {
  return process.env.DUALVLA_NATIVE ?? fileURLToPath(new URL('../../native/build', import.meta.url));
}

/** Loads the engine if it is not loaded. Throws EngineMissingError with the next command. */
export function loadAddon(): Addon {
  if (addon !== undefined) return addon;
  const folder = addonFolder();
  const path = join(folder, 'dualvla.node');
  if (!existsSync(path)) {
    throw new EngineMissingError(`the engine addon is not built (${path} does not exist); next: npm run setup`);
  }
  let loaded: Addon;
  try {
    const environment = require(join(folder, 'environment.node')) as { set(name: string, value: string): boolean };
    for (const [name, value] of Object.entries(engineEnvironment(process.env))) environment.set(name, value);
    loaded = require(path) as Addon;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineMissingError(
      `the engine addon ${path} does not load (${reason}); next: node native/build.mjs --force`,
    );
  }
  loaded.setErrorClass(TorchError);
  loaded.setBuffer(io);
  // OpenMP keeps the number of threads for each thread that calls it, so every Worker has to set it.
  loaded.setNumThreads(Number.parseInt(process.env.OMP_NUM_THREADS ?? '', 10) || usableCores());
  hot = { call: loaded.call, meta: loaded.meta, release: loaded.release, track: loaded.track };
  addon = loaded;
  for (const action of afterLoad) action();
  return loaded;
}

/** Makes the call buffer at least `length` long, keeping what is in it. */
export function growBuffer(length: number): void {
  if (length <= io.length) return;
  const larger = new Float64Array(2 ** Math.ceil(Math.log2(length)));
  larger.set(io);
  io = larger;
  loadAddon().setBuffer(larger);
}
