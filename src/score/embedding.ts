/**
 * Embeddings for dual retrieval: of texts and of pictures, unit vectors whose product says how alike two things are. The plain ones here need no download and no
 * engine; embedding-models.ts has learned ones.
 */

import { z } from 'zod';
import type { ChatEndpoint } from '../eval/benchmarks/chat-endpoint.js';
import type { Picture } from './rollout.js';

export interface TextEmbedder {
  /** Goes into results: neighbours of different embedders differ. */
  readonly name: string;
  embed(texts: readonly string[]): Promise<Float32Array[]>;
}

export interface ImageEmbedder {
  readonly name: string;
  embed(pictures: readonly Picture[]): Promise<Float32Array[]>;
}

/** Product of two unit vectors, -1 to 1. @throws RangeError for different lengths */
export function similarity(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new RangeError(`embeddings of ${a.length} and ${b.length} dimensions`);
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}

/** The vector at length 1; zero stays zero. */
export function normalized(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

const DIMENSIONS = 512;

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** Words and the trigrams of their letters, hashed into 512 counts; square roots, so that a word that comes often does not drown the rest. */
export class HashedTextEmbedder implements TextEmbedder {
  readonly name = 'hashed-ngrams';

  embed(texts: readonly string[]): Promise<Float32Array[]> {
    return Promise.resolve(texts.map((text) => this.#one(text)));
  }

  #one(text: string): Float32Array {
    const vector = new Float32Array(DIMENSIONS);
    const add = (feature: string, weight: number): void => {
      const at = hashOf(feature) % DIMENSIONS;
      vector[at] = (vector[at] as number) + weight;
    };
    for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
      add(`word ${word}`, 3);
      const padded = ` ${word} `;
      for (let i = 0; i + 3 <= padded.length; i++) add(padded.slice(i, i + 3), 1);
    }
    return normalized(vector.map(Math.sqrt));
  }
}

const CELLS = 8;

/** Mean colour of 8 x 8 cells less the picture's mean, and how strong edges of eight directions are in 4 x 4 cells. */
export class GridImageEmbedder implements ImageEmbedder {
  readonly name = 'colour-grid';

  embed(pictures: readonly Picture[]): Promise<Float32Array[]> {
    return Promise.resolve(
      pictures.map((picture) => {
        const [colour, edges] = [normalized(colours(picture)), normalized(edgesOf(picture))];
        return normalized(Float32Array.from([...colour, ...edges]));
      }),
    );
  }
}

function colours({ width, height, data }: Picture): Float32Array {
  const sums = new Float32Array(CELLS * CELLS * 3);
  const counts = new Float32Array(CELLS * CELLS);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor((y * CELLS) / height) * CELLS + Math.floor((x * CELLS) / width);
      counts[cell] = (counts[cell] as number) + 1;
      for (let c = 0; c < 3; c++) {
        sums[cell * 3 + c] = (sums[cell * 3 + c] as number) + (data[(y * width + x) * 3 + c] as number);
      }
    }
  }
  const means = sums.map((sum, i) => sum / Math.max(1, counts[Math.floor(i / 3)] as number));
  const whole = [0, 1, 2].map((c) => means.reduce((sum, v, i) => (i % 3 === c ? sum + v : sum), 0) / CELLS ** 2);
  return means.map((value, i) => value - (whole[i % 3] as number));
}

function edgesOf({ width, height, data }: Picture): Float32Array {
  const grey = (x: number, y: number): number => {
    const i = (y * width + x) * 3;
    return 0.3 * (data[i] as number) + 0.59 * (data[i + 1] as number) + 0.11 * (data[i + 2] as number);
  };
  const histogram = new Float32Array(4 * 4 * 8);
  for (let y = 1; y + 1 < height; y++) {
    for (let x = 1; x + 1 < width; x++) {
      const [dx, dy] = [grey(x + 1, y) - grey(x - 1, y), grey(x, y + 1) - grey(x, y - 1)];
      const direction = Math.floor(((Math.atan2(dy, dx) / Math.PI + 1) * 4) % 8);
      const cell = Math.floor((y * 4) / height) * 4 + Math.floor((x * 4) / width);
      histogram[cell * 8 + direction] = (histogram[cell * 8 + direction] as number) + Math.hypot(dx, dy);
    }
  }
  return histogram.map(Math.sqrt);
}

const REPLY = z.looseObject({
  data: z.array(z.looseObject({ embedding: z.array(z.number()).min(1), index: z.int().optional() })).min(1),
  usage: z.looseObject({ prompt_tokens: z.number().optional() }).nullish(),
});

/** Texts a request may hold. */
const BATCH = 128;

/** Texts by an OpenAI-compatible `POST <base>/embeddings`. */
export class EndpointTextEmbedder implements TextEmbedder {
  readonly name: string;

  constructor(
    readonly endpoint: ChatEndpoint,
    readonly signal?: AbortSignal,
  ) {
    this.name = endpoint.name;
  }

  /** @throws EndpointError if it does not answer */
  async embed(texts: readonly string[]): Promise<Float32Array[]> {
    const vectors: Float32Array[] = [];
    for (let from = 0; from < texts.length; from += BATCH) {
      const input = texts.slice(from, from + BATCH);
      const read = (json: unknown): Float32Array[] | undefined => this.#read(json, input.length);
      vectors.push(...(await this.endpoint.post('embeddings', { input }, read, this.signal)));
    }
    return vectors;
  }

  #read(json: unknown, count: number): Float32Array[] | undefined {
    const parsed = REPLY.safeParse(json);
    if (!parsed.success || parsed.data.data.length !== count) return undefined;
    this.endpoint.count(parsed.data.usage?.prompt_tokens ?? 0, 0);
    return parsed.data.data
      .map(({ embedding, index }, i) => ({ embedding, at: index ?? i }))
      .sort((a, b) => a.at - b.at)
      .map(({ embedding }) => normalized(Float32Array.from(embedding)));
  }
}
