/**
 * The loader of questions about pictures: endless, shuffled, batched samples of a LLaVA data set, pictures decoded ahead by workers.
 *
 * The order depends on the seed alone and the state is three numbers, so a resumed run sees exactly the batches it would have seen, and
 * ranks of a distributed run take disjoint parts of the same global batches. Batches are contiguous in an endless sequence of epochs;
 * every sample comes exactly once an epoch.
 *
 * Shape legend: B batch, H x W pixels (H = W). Knows nothing about tensors, tokens or models.
 */
import { CorruptDatasetError, DataError } from './errors.js';
import { type MultimodalReadOptions, type MultimodalTable, readMultimodal } from './multimodal-dataset.js';
import { PictureCache } from './picture-cache.js';
import { SeededRandom } from './random.js';

/** Where a loader stands: everything that decides which batch comes next. */
export interface MultimodalState {
  readonly seed: number;
  readonly epoch: number;
  /** Samples of this epoch consumed so far, over all ranks. */
  readonly position: number;
  /** Samples of the data set, to notice another one. */
  readonly numSamples: number;
}

export interface MultimodalLoaderOptions extends MultimodalReadOptions {
  /** B, for this rank. */
  readonly batchSize: number;
  /** H = W: pictures are scaled to this size. */
  readonly imageSize: number;
  readonly seed: number;
  readonly rank?: number;
  readonly worldSize?: number;
  /** Where to begin; from `MultimodalBatch.next` or `MultimodalLoader.state`. */
  readonly state?: MultimodalState;
  /** Decoding workers; 1 by default. */
  readonly workers?: number;
  /** Memory for decoded pictures; 512 MiB by default. */
  readonly cacheBytes?: number;
}

export interface MultimodalBatch {
  /** uint8 RGB [B, H, W, 3]. */
  readonly images: Uint8Array;
  /** [B] */
  readonly question: string[];
  /** [B] */
  readonly answer: string[];
  /** [B] */
  readonly family: string[];
  /** [B]: number of the sample in the file's order. */
  readonly index: Int32Array;
  readonly size: number;
  /** The state that continues after this batch. */
  readonly next: MultimodalState;
}

/** Where a loader's time went, in seconds since it was opened. */
export interface MultimodalTiming {
  /** Waiting for pictures to be decoded. */
  waitSeconds: number;
  numBatches: number;
}

const DEFAULT_CACHE_BYTES = 512 * 1024 ** 2;
/** Batches whose pictures are decoded ahead. */
const LOOK_AHEAD = 8;
/** Epochs' orders are told from other streams of the seed by this word. */
const STREAM = 0x77a5;

export class MultimodalLoader {
  readonly table: MultimodalTable;
  /** All distinct questions and answers, for the tokenizer. */
  readonly texts: readonly string[];
  readonly timing: MultimodalTiming = { waitSeconds: 0, numBatches: 0 };
  readonly #options: MultimodalLoaderOptions;
  readonly #pictureOf: Int32Array;
  readonly #cache: PictureCache;
  readonly #numPictures: number;
  readonly #lookAhead: number;
  readonly #orders = new Map<number, Int32Array>();
  readonly #seed: number;
  #epoch: number;
  #position: number;
  /** Batches asked of the workers, beginning with the next. */
  #ahead: Int32Array[] = [];
  /** Behind the last of them. */
  #edge: Place;

  private constructor(options: MultimodalLoaderOptions, table: MultimodalTable) {
    const { batchSize, imageSize, state, workers = 1, cacheBytes = DEFAULT_CACHE_BYTES } = options;
    this.#options = options;
    this.table = table;
    this.texts = [...new Set(table.samples.flatMap(({ question, answer }) => [question, answer]))];
    const pictures = new Map<string, number>();
    this.#pictureOf = Int32Array.from(table.samples, ({ image }) => {
      const known = pictures.get(image) ?? pictures.size;
      pictures.set(image, known);
      return known;
    });
    this.#numPictures = pictures.size;
    this.#seed = state?.seed ?? options.seed;
    this.#epoch = state?.epoch ?? 0;
    this.#position = state?.position ?? 0;
    if (state && state.numSamples !== table.samples.length)
      throw new DataError(
        `The loader state is of ${state.numSamples} samples, the data set has ${table.samples.length}`,
        {
          file: table.file,
          hint: 'Resume with the data set that the run was begun with',
        },
      );
    this.#edge = { epoch: this.#epoch, position: this.#position };
    const fitting = Math.floor(cacheBytes / (imageSize * imageSize * 3));
    const capacity = Math.min(fitting, pictures.size);
    this.#lookAhead = capacity === pictures.size ? LOOK_AHEAD : Math.min(LOOK_AHEAD, Math.floor(fitting / batchSize));
    if (this.#lookAhead < 2)
      throw new RangeError(
        `cacheBytes ${cacheBytes} holds ${fitting} pictures, two batches need ${2 * batchSize}: raise it to ${2 * batchSize * imageSize * imageSize * 3}`,
      );
    this.#cache = new PictureCache([...pictures.keys()], imageSize, capacity, workers);
  }

  /** Opens a data set and starts decoding. Throws the errors of `readMultimodal`, and RangeError for impossible sizes. */
  static async open(options: MultimodalLoaderOptions): Promise<MultimodalLoader> {
    const { batchSize, imageSize, workers = 1, rank = 0, worldSize = 1 } = options;
    for (const [name, value] of Object.entries({ batchSize, imageSize, workers, worldSize }))
      if (!Number.isInteger(value) || value < 1)
        throw new RangeError(`${name} must be a positive integer, got ${value}`);
    if (!(Number.isInteger(rank) && rank >= 0 && rank < worldSize))
      throw new RangeError(`rank ${rank} of ${worldSize}`);
    const loader = new MultimodalLoader(options, readMultimodal(options));
    loader.#lookFurther();
    loader.#decodeAll();
    return loader;
  }

  get numSamples(): number {
    return this.table.samples.length;
  }

  /** The state that gives the next batch. */
  get state(): MultimodalState {
    return { seed: this.#seed, epoch: this.#epoch, position: this.#position, numSamples: this.numSamples };
  }

  /** The next batch. Throws CorruptDatasetError, with the file and the entry, when a picture cannot be decoded. */
  async next(): Promise<MultimodalBatch> {
    const index = this.#ahead[0] as Int32Array;
    const pictures = Array.from(index, (sample) => this.#pictureOf[sample] as number);
    const started = performance.now();
    if (!this.#cache.isReady(pictures))
      await this.#cache.ready(pictures, (picture, message) => this.#broken(picture, message));
    this.timing.waitSeconds += (performance.now() - started) / 1000;
    this.timing.numBatches++;
    const { imageSize } = this.#options;
    const size = imageSize * imageSize * 3;
    // Every byte is written below, so the memory need not be cleared first.
    const images = new Uint8Array(Buffer.allocUnsafeSlow(index.length * size).buffer);
    for (const [b, picture] of pictures.entries()) images.set(this.#cache.pixels(picture), b * size);
    this.#ahead.shift();
    ({ epoch: this.#epoch, position: this.#position } = this.#after({ epoch: this.#epoch, position: this.#position }));
    this.#lookFurther();
    const samples = Array.from(index, (sample) => this.table.samples[sample] as MultimodalTable['samples'][number]);
    return {
      images,
      question: samples.map(({ question }) => question),
      answer: samples.map(({ answer }) => answer),
      family: samples.map(({ family }) => family),
      index,
      size: index.length,
      next: this.state,
    };
  }

  async close(): Promise<void> {
    await this.#cache.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Has the workers decode the batches to come. */
  #lookFurther(): void {
    while (this.#ahead.length < this.#lookAhead) {
      const batch = this.#batchAt(this.#edge);
      this.#edge = this.#after(this.#edge);
      this.#ahead.push(batch);
      this.#cache.want(Array.from(batch, (sample) => this.#pictureOf[sample] as number));
    }
    for (const epoch of this.#orders.keys()) if (epoch < this.#epoch) this.#orders.delete(epoch);
  }

  /** Where all pictures fit, has them decoded without waiting to be asked, those needed soonest first. */
  #decodeAll(): void {
    if (this.#cache.capacity < this.#numPictures) return;
    const { batchSize } = this.#options;
    const order = this.#order(this.#epoch);
    const soonest = [...order.subarray(this.#position), ...order.subarray(0, this.#position)];
    const pictures = [...new Set(soonest.map((sample) => this.#pictureOf[sample] as number))];
    for (let from = 0; from < pictures.length; from += batchSize)
      this.#cache.want(pictures.slice(from, from + batchSize));
  }

  /** This rank's samples of the global batch at a place. */
  #batchAt(place: Place): Int32Array {
    const { batchSize, rank = 0 } = this.#options;
    const batch = new Int32Array(batchSize);
    let { epoch, position } = this.#moved(place, rank * batchSize);
    for (let b = 0; b < batchSize; b++) {
      batch[b] = this.#order(epoch)[position] as number;
      ({ epoch, position } = this.#moved({ epoch, position }, 1));
    }
    return batch;
  }

  #after(place: Place): Place {
    const { batchSize, worldSize = 1 } = this.#options;
    return this.#moved(place, batchSize * worldSize);
  }

  #moved({ epoch, position }: Place, by: number): Place {
    const at = position + by;
    return { epoch: epoch + Math.floor(at / this.numSamples), position: at % this.numSamples };
  }

  #order(epoch: number): Int32Array {
    let order = this.#orders.get(epoch);
    if (!order) {
      order = Int32Array.from({ length: this.numSamples }, (_, i) => i);
      new SeededRandom(this.#seed, epoch, STREAM).shuffle(order);
      this.#orders.set(epoch, order);
    }
    return order;
  }

  #broken(picture: number, message: string): Error {
    const sample = this.#pictureOf.indexOf(picture);
    const { image } = this.table.samples[sample] as MultimodalTable['samples'][number];
    return new CorruptDatasetError(`${message} (picture ${image})`, {
      file: this.table.file,
      field: `entry ${this.table.entryOf[sample]}, image`,
    });
  }
}

/** A place in the endless sequence. */
interface Place {
  readonly epoch: number;
  readonly position: number;
}
