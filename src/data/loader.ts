/**
 * The training loader: endless, shuffled, batched samples from one or several LeRobot data sets, decoded ahead by workers.
 *
 * The order depends on the seed alone and the state is three numbers, so a resumed run sees exactly the batches it would have seen, and
 * ranks of a distributed run take disjoint parts of the same global batches. Batches are contiguous in an endless sequence of epochs: a
 * batch may hold the end of one epoch and the beginning of the next, and every frame comes exactly once an epoch.
 *
 * Shape legend: B batch, H x W pixels, S state dims, C chunk length, A action dims. Knows nothing about tensors or models.
 */
import { type ActionRepresentation, type ChunkStats, computeChunkStats, encodeChunk } from './action-chunk.js';
import { DataError, UnsupportedDatasetError } from './errors.js';
import { type CacheTask, FrameCache } from './frame-cache.js';
import { shiftInto } from './image-shift.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { type EpochOrder, epochOrder, unitsByNeed } from './loader-order.js';
import { commonSize, type LoaderUnit, makeUnits, planCache } from './loader-plan.js';
import { computeStateStats, type LoaderTable, readLoaderTable, type StateStats } from './loader-table.js';
import { SeededRandom } from './random.js';
import { MIN_SPAN } from './statistics.js';

/** Where a loader stands: everything that decides which batch comes next. */
export interface LoaderState {
  readonly seed: number;
  readonly epoch: number;
  /** Frames of this epoch consumed so far, over all ranks. */
  readonly position: number;
  /** Frames among which pictures are shuffled; 0 for all. */
  readonly window: number;
}

export interface LoaderOptions {
  /** Folders of LeRobot v3.0 data sets with equal features. */
  readonly folders: readonly string[];
  /** B, for this rank. */
  readonly batchSize: number;
  /** C. */
  readonly chunk: number;
  readonly representation?: ActionRepresentation;
  /** All cameras by default; [] for none. */
  readonly cameras?: readonly string[];
  /** Square size to scale pictures to; their own by default. */
  readonly imageSize?: number;
  readonly seed?: number;
  readonly shuffle?: boolean;
  /** Stops after so many epochs; endless by default. The last batch may then be smaller (it is dropped when there are several ranks). */
  readonly epochs?: number;
  readonly rank?: number;
  readonly worldSize?: number;
  /** Decoding workers. */
  readonly workers?: number;
  /** Memory for decoded pictures. Data sets that need more are streamed through it. */
  readonly cacheBytes?: number;
  /** Random shift of every picture by up to so many pixels each way (edges repeat), seeded. */
  readonly shiftPixels?: number;
  /** Where to begin; from `LoaderBatch.next` or `Loader.state`. */
  readonly state?: LoaderState;
  /** Normalisation to use instead of the data sets' own, e.g. a checkpoint's. */
  readonly chunkStats?: ChunkStats;
  readonly stateStats?: StateStats;
}

export interface LoaderBatch {
  /** camera -> uint8 RGB [B, H, W, 3]. */
  readonly images: Readonly<Record<string, Uint8Array>>;
  /** [B, S], raw units. */
  readonly state: Float32Array;
  /** [B, S], q01..q99 to -1..1. */
  readonly stateNormalised: Float32Array;
  /** [B, C, A], normalised chunk. */
  readonly actions: Float32Array;
  /** [B, C]: 1 for steps to learn: inside the episode, and not after a disturbed execution. */
  readonly actionMask: Uint8Array;
  /** [B]. */
  readonly instruction: readonly string[];
  /** [B]: the frame's reasoning, "" for none. */
  readonly reasoning: readonly string[];
  /** [B]: 1 where the reasoning is to be learned. */
  readonly reasoningKeep: Uint8Array;
  /** [B]: global frame index over all data sets, in the order of the folders. */
  readonly index: Int32Array;
  readonly size: number;
  /** The state that continues after this batch. */
  readonly next: LoaderState;
}

/** Where a loader's time went, in seconds since it was opened. */
export interface LoaderTiming {
  /** Waiting for pictures to be decoded. */
  waitSeconds: number;
  /** Putting batches together. */
  assembleSeconds: number;
  numBatches: number;
}

const DEFAULT_CACHE_BYTES = 1024 ** 3;

export class Loader {
  readonly table: LoaderTable;
  readonly chunkStats: ChunkStats;
  readonly stateStats: StateStats;
  readonly cameras: readonly string[];
  /** camera -> [width, height]. */
  readonly imageSizes: Readonly<Record<string, readonly [number, number]>>;
  readonly timing: LoaderTiming = { waitSeconds: 0, assembleSeconds: 0, numBatches: 0 };
  readonly #options: LoaderOptions;
  readonly #units: readonly LoaderUnit[];
  readonly #unitOfFrame: Int32Array;
  readonly #window: number;
  readonly #seed: number;
  readonly #cache: FrameCache;
  readonly #orders = new Map<number, EpochOrder>();
  /** The block in use and, when streaming, the one after it. */
  #blocks: LoadedBlock[] = [];
  #numLoads = 0;
  #epoch: number;
  #position: number;

  private constructor(options: LoaderOptions, datasets: readonly LeRobotDataset[], table: LoaderTable) {
    this.#options = options;
    this.table = table;
    const { chunk, representation = 'cumulative' } = options;
    this.chunkStats = options.chunkStats ?? computeChunkStats(table.episodes, { chunk, representation });
    this.stateStats = options.stateStats ?? computeStateStats(table);
    if (
      this.chunkStats.chunk !== chunk ||
      this.chunkStats.representation !== representation ||
      this.chunkStats.actionDim !== table.actionDim
    )
      throw new UnsupportedDatasetError(
        `The given action statistics are for chunks of ${this.chunkStats.chunk} x ${this.chunkStats.actionDim} (${this.chunkStats.representation}), the loader makes ${chunk} x ${table.actionDim} (${representation})`,
      );
    this.cameras = options.cameras ?? Object.keys(datasets[0]?.cameras ?? {});
    this.imageSizes = Object.fromEntries(
      this.cameras.map((camera) => [camera, commonSize(datasets, camera, options.imageSize)]),
    );
    this.#units = makeUnits(datasets, table, this.cameras);
    this.#unitOfFrame = new Int32Array(table.numFrames);
    this.#units.forEach((unit, i) => {
      this.#unitOfFrame.fill(i, unit.first, unit.first + unit.numFrames);
    });
    const { state } = options;
    this.#seed = state?.seed ?? options.seed ?? 0;
    this.#epoch = state?.epoch ?? 0;
    this.#position = state?.position ?? 0;
    if (this.#position >= table.numFrames)
      throw new DataError(`The loader state is at frame ${this.#position}, the data sets have ${table.numFrames}`);
    const plan = planCache(
      table.numFrames,
      this.#units,
      this.imageSizes,
      options.cacheBytes ?? DEFAULT_CACHE_BYTES,
      state?.window,
    );
    this.#window = plan.window;
    this.#cache = new FrameCache(
      { cameras: this.cameras, sizes: this.imageSizes, capacity: plan.capacity, numArenas: plan.window > 0 ? 2 : 1 },
      {
        folders: options.folders,
        cameras: this.cameras,
        imageSize: options.imageSize ?? null,
      },
      options.workers ?? 1,
    );
  }

  /** Opens the data sets and starts decoding. Throws the errors of `LeRobotDataset.open`, and UnsupportedDatasetError when they differ. */
  static async open(options: LoaderOptions): Promise<Loader> {
    const { batchSize, chunk, rank = 0, worldSize = 1 } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new RangeError(`batchSize must be a positive integer, got ${batchSize}`);
    if (!Number.isInteger(chunk) || chunk < 1) throw new RangeError(`chunk must be a positive integer, got ${chunk}`);
    if (!(rank >= 0 && rank < worldSize)) throw new RangeError(`rank ${rank} of ${worldSize}`);
    if (options.folders.length === 0) throw new RangeError('folders is empty: a loader needs a data set');
    const datasets = await Promise.all(options.folders.map((folder) => LeRobotDataset.open(folder)));
    const table = await readLoaderTable(datasets);
    const loader = new Loader(options, datasets, table);
    await loader.#moveOn();
    return loader;
  }

  get numFrames(): number {
    return this.table.numFrames;
  }

  /** The state that gives the next batch. */
  get state(): LoaderState {
    return { seed: this.#seed, epoch: this.#epoch, position: this.#position, window: this.#window };
  }

  /** The next batch, or undefined after the last epoch. Rejects with a named error when pictures cannot be decoded. */
  async next(): Promise<LoaderBatch | undefined> {
    const places = this.#takePlaces();
    if (!places) return undefined;
    const waitStart = performance.now();
    await this.#waitFor(places);
    const assembleStart = performance.now();
    const batch = this.#assemble(places);
    this.timing.waitSeconds += (assembleStart - waitStart) / 1000;
    this.timing.assembleSeconds += (performance.now() - assembleStart) / 1000;
    this.timing.numBatches++;
    await this.#moveOn();
    return batch;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LoaderBatch> {
    for (let batch = await this.next(); batch; batch = await this.next()) yield batch;
  }

  async close(): Promise<void> {
    await this.#cache.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #order(epoch: number): EpochOrder {
    let order = this.#orders.get(epoch);
    if (!order) {
      order = epochOrder(this.#units, this.#seed, epoch, this.#window, this.#options.shuffle ?? true);
      this.#orders.set(epoch, order);
      for (const old of this.#orders.keys()) if (old < this.#epoch) this.#orders.delete(old);
    }
    return order;
  }

  /** This rank's places in the next global batch; moves the loader behind that batch. */
  #takePlaces(): Place[] | undefined {
    const { batchSize, rank = 0, worldSize = 1, epochs } = this.#options;
    const { numFrames } = this.table;
    const last = epochs ?? Number.POSITIVE_INFINITY;
    let { epoch, position } = { epoch: this.#epoch, position: this.#position };
    const places: Place[] = [];
    for (let i = 0; i < batchSize * worldSize && epoch < last; i++) {
      if (Math.floor(i / batchSize) === rank) places.push({ epoch, position });
      if (++position === numFrames) {
        position = 0;
        epoch++;
      }
    }
    if (places.length === 0 || (places.length < batchSize && worldSize > 1)) return undefined;
    this.#epoch = epoch;
    this.#position = position;
    return places;
  }

  /** Drops blocks that lie behind and starts decoding the block of the next place and, when streaming, the one after it. */
  async #moveOn(): Promise<void> {
    if (this.cameras.length === 0) return;
    const here = { epoch: this.#epoch, position: this.#position };
    while (this.#window > 0 && this.#blocks[0] && !isBefore(here, this.#blocks[0].end)) {
      const { id, slotOfUnit } = this.#blocks.shift() as LoadedBlock;
      // Other ranks may have needed units that this one did not: their decoding must be over before the arena is used again.
      await this.#cache.ready(id, slotOfUnit.keys());
      this.#cache.forget(id);
    }
    const wanted = this.#window > 0 ? 2 : 1;
    while (this.#blocks.length < wanted) {
      const { epoch, position } = this.#blocks.at(-1)?.end ?? here;
      const place = position === this.numFrames ? { epoch: epoch + 1, position: 0 } : { epoch, position };
      if (place.epoch >= (this.#options.epochs ?? Number.POSITIVE_INFINITY)) break;
      this.#load(place);
    }
  }

  /** Starts decoding the block that holds `at`, as far as it is needed from there on. */
  #load(at: Place): void {
    const order = this.#order(at.epoch);
    const block = order.blocks.find(({ to }) => at.position < to) as EpochOrder['blocks'][number];
    const { batchSize, worldSize = 1 } = this.#options;
    if (this.#window > 0 && block.to - block.from < batchSize * worldSize)
      throw new RangeError(
        `The cache holds ${block.to - block.from} frames twice, a batch needs ${batchSize * worldSize}: raise cacheBytes`,
      );
    const slotOfUnit = new Map<number, number>();
    const tasks: CacheTask[] = [];
    let slot = 0;
    // With all frames in one arena every slot is for good: decode everything, the soonest needed first.
    const needed = unitsByNeed(order, block, this.#unitOfFrame, at.position);
    const later = this.#window > 0 ? [] : block.units.filter((unit) => !needed.includes(unit));
    for (const unit of [...needed, ...later]) {
      const { dataset, from, to, numFrames } = this.#units[unit] as LoaderUnit;
      slotOfUnit.set(unit, slot);
      tasks.push({ unit, folder: dataset, from, to, slot });
      slot += numFrames;
    }
    const id = this.#numLoads++;
    this.#cache.load(id, tasks);
    this.#blocks.push({ id, slotOfUnit, epoch: at.epoch, end: { epoch: at.epoch, position: block.to } });
  }

  /** The loaded block that holds a place. */
  #blockOf(place: Place): LoadedBlock {
    const block = this.#window > 0 ? this.#blocks.find(({ end }) => isBefore(place, end)) : this.#blocks[0];
    if (!block) throw new DataError(`No decoded block for epoch ${place.epoch}, position ${place.position}`);
    return block;
  }

  async #waitFor(places: readonly Place[]): Promise<void> {
    if (this.cameras.length === 0) return;
    const units = new Map<number, Set<number>>();
    for (const place of places) {
      const { id } = this.#blockOf(place);
      const frame = this.#order(place.epoch).frames[place.position] as number;
      let set = units.get(id);
      if (!set) {
        set = new Set();
        units.set(id, set);
      }
      set.add(this.#unitOfFrame[frame] as number);
    }
    for (const [id, set] of units) if (!this.#cache.isReady(id, set)) await this.#cache.ready(id, set);
  }

  #assemble(places: readonly Place[]): LoaderBatch {
    const { table, chunkStats, stateStats } = this;
    const { chunk: C, actionDim: A } = chunkStats;
    const S = table.stateDim;
    const B = places.length;
    const images: Record<string, Uint8Array> = {};
    const state = new Float32Array(B * S);
    const stateNormalised = new Float32Array(B * S);
    const actions = new Float32Array(B * C * A);
    const actionMask = new Uint8Array(B * C);
    const index = new Int32Array(B);
    const reasoningKeep = new Uint8Array(B);
    const instruction: string[] = [];
    const reasoning: string[] = [];
    places.forEach((place, b) => {
      const frame = this.#order(place.epoch).frames[place.position] as number;
      const episode = table.episodes[table.episodeOf[frame] as number] as LoaderTable['episodes'][number];
      index[b] = frame;
      state.set(table.state.subarray(frame * S, (frame + 1) * S), b * S);
      encodeChunk(
        episode,
        frame - episode.first,
        chunkStats,
        actions.subarray(b * C * A, (b + 1) * C * A),
        actionMask.subarray(b * C, (b + 1) * C),
      );
      instruction.push(table.instruction.texts[table.instruction.ids[frame] as number] as string);
      reasoning.push(table.reasoning.texts[table.reasoning.ids[frame] as number] as string);
      reasoningKeep[b] = table.keep[frame] as number;
    });
    normaliseState(state, stateStats, stateNormalised);
    for (const camera of this.cameras) images[camera] = this.#pictures(places, camera);
    return {
      images,
      state,
      stateNormalised,
      actions,
      actionMask,
      instruction,
      reasoning,
      reasoningKeep,
      index,
      size: B,
      next: this.state,
    };
  }

  #pictures(places: readonly Place[], camera: string): Uint8Array {
    const [width, height] = this.imageSizes[camera] as readonly [number, number];
    const size = width * height * 3;
    // Every byte is written below, so the memory need not be cleared first.
    const out = new Uint8Array(Buffer.allocUnsafeSlow(places.length * size).buffer);
    const shift = this.#options.shiftPixels ?? 0;
    const cameraIndex = this.cameras.indexOf(camera);
    places.forEach((place, b) => {
      const frame = this.#order(place.epoch).frames[place.position] as number;
      const block = this.#blockOf(place);
      const unit = this.#unitOfFrame[frame] as number;
      const slot = (block.slotOfUnit.get(unit) as number) + frame - (this.#units[unit] as LoaderUnit).first;
      const source = this.#cache.pixels(block.id, camera).subarray(slot * size, (slot + 1) * size);
      if (shift === 0) {
        out.set(source, b * size);
        return;
      }
      // Drawn from the sample's place, not from a running stream: resuming needs no further state.
      const random = new SeededRandom(this.#seed, place.epoch, frame, cameraIndex, 0x51f7);
      const dx = random.below(2 * shift + 1) - shift;
      const dy = random.below(2 * shift + 1) - shift;
      shiftInto(source, out.subarray(b * size, (b + 1) * size), width, height, dx, dy);
    });
    return out;
  }
}

/** A place in the endless sequence. */
interface Place {
  readonly epoch: number;
  readonly position: number;
}

interface LoadedBlock {
  readonly id: number;
  readonly epoch: number;
  /** The place behind its last frame. */
  readonly end: Place;
  readonly slotOfUnit: ReadonlyMap<number, number>;
}

/** Whether `a` lies before `b`; a block's end does not lie before the place that follows it in the next epoch. */
function isBefore(a: Place, b: Place): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.position < b.position);
}

/** q01..q99 of every state dimension to -1..1; constants to 0. `state` is [N, S]. */
export function normaliseState(
  state: ArrayLike<number>,
  stats: StateStats,
  out = new Float32Array(state.length),
): Float32Array {
  const S = stats.q01.length;
  for (let i = 0; i < out.length; i++) {
    const low = stats.q01[i % S] as number;
    const span = (stats.q99[i % S] as number) - low;
    out[i] = span < MIN_SPAN ? 0 : (2 * ((state[i] as number) - low)) / span - 1;
  }
  return out;
}
