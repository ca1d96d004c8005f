/**
 * Asks a model a benchmark's questions: an endpoint, several at once, or one of our checkpoints, in batches. Every answer is on disk before the next question
 * of its kind is asked, and rows that have an answer are not asked again.
 */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { decodeImage } from '../../data/image-codec.js';
import type { Answerer } from '../multimodal/answerer.js';
import type { Benchmark, MessagePart } from './benchmark.js';
import type { ChatContent, ChatEndpoint } from './chat-endpoint.js';
import { BenchmarkError } from './errors.js';
import { inParallel } from './in-parallel.js';
import type { Profile } from './option-inference.js';
import { PredictionWriter } from './predictions.js';
import type { Wording } from './prompts.js';
import type { QuestionSet, RowIndex } from './question-set.js';

export interface AskOptions {
  readonly benchmark: Benchmark;
  readonly set: QuestionSet;
  readonly profile: Profile;
  readonly wording: Wording;
  /** Where the answers go. */
  readonly path: string;
  /** First so many rows; all by default. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

interface Question {
  readonly row: number;
  readonly index: RowIndex;
}

/** Opens the file of answers and lists the questions that are not in it. */
function open(options: AskOptions, model: string): { writer: PredictionWriter; open: Question[]; total: number } {
  const { benchmark, set, profile, wording, limit = set.numRows } = options;
  const hash = createHash('sha256').update(JSON.stringify([set.indices, wording]));
  for (const row of set.indices.keys()) hash.update(`\0${set.text('question', row)}`);
  const questions = hash.digest('hex');
  const header = { type: 'predictions', version: 1, benchmark: benchmark.name, profile, model, questions } as const;
  const writer = new PredictionWriter(options.path, header);
  const all = set.indices.slice(0, limit).map((index, row): Question => ({ row, index }));
  const open = all.filter(({ index }) => !writer.predictions.has(String(index)));
  options.onProgress?.(all.length - open.length, all.length);
  return { writer, open, total: all.length };
}

/** @param atOnce questions under way at once */
export async function askEndpoint(endpoint: ChatEndpoint, atOnce: number, options: AskOptions): Promise<void> {
  const { benchmark, set, profile, wording, signal } = options;
  const { writer, open: questions, total } = open(options, endpoint.name);
  let done = total - questions.length;
  try {
    await inParallel(questions, atOnce, async ({ row, index }) => {
      const pictures = set.pictures(row);
      const content = contentOf(benchmark.ask(set, row, pictures.length, profile, wording), pictures);
      const request = { content, maxTokens: benchmark.maxTokens, temperature: 0 };
      const reply = await endpoint.complete({ ...request, ...(signal ? { signal } : {}) });
      writer.add(index, reply.text, { promptTokens: reply.promptTokens, replyTokens: reply.replyTokens });
      options.onProgress?.(++done, total);
    });
  } finally {
    writer.close();
  }
}

/** @param name of the checkpoint, as results have it */
export async function askAnswerer(answerer: Answerer, name: string, batch: number, options: AskOptions): Promise<void> {
  const { benchmark, set, profile, wording, signal } = options;
  const { writer, open: questions, total } = open(options, name);
  let done = total - questions.length;
  try {
    for (let start = 0; start < questions.length; start += batch) {
      // A model answers without ever waiting: a turn for Ctrl-C to be heard.
      await nextTurn();
      signal?.throwIfAborted();
      const some = questions.slice(start, start + batch);
      const images: Uint8Array[] = [];
      const texts: string[] = [];
      for (const { row } of some) {
        const pictures = set.pictures(row);
        const parts = benchmark.ask(set, row, pictures.length, profile, wording);
        images.push(await onePicture(pictures, answerer.imageSize));
        texts.push(parts.map((part) => ('text' in part ? part.text : '')).join(''));
      }
      const answers = await answerer.answer(images, texts);
      for (const [i, { index }] of some.entries()) {
        const answer = answers[i];
        if (answer === undefined)
          throw new BenchmarkError(`${name} gave ${answers.length} answers to ${some.length} questions`);
        writer.add(index, answer);
      }
      done += some.length;
      options.onProgress?.(done, total);
    }
  } finally {
    writer.close();
  }
}

const KINDS: readonly (readonly [string, readonly number[]])[] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/jpeg', [0xff, 0xd8]],
  ['image/gif', [0x47, 0x49, 0x46]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46]],
];

function contentOf(parts: readonly MessagePart[], pictures: readonly Uint8Array[]): ChatContent {
  return parts.map((part) => {
    if ('text' in part) return { type: 'text', text: part.text };
    const bytes = pictures[part.picture] as Uint8Array;
    const kind = KINDS.find(([, magic]) => magic.every((byte, i) => bytes[i] === byte))?.[0] ?? 'image/jpeg';
    return { type: 'image_url', image_url: { url: `data:${kind};base64,${Buffer.from(bytes).toString('base64')}` } };
  });
}

/** Our checkpoints look at one picture: several go side by side, in a square of as many columns as rows. */
async function onePicture(pictures: readonly Uint8Array[], side: number): Promise<Uint8Array> {
  if (pictures.length === 0) throw new BenchmarkError('A question without a picture; our checkpoints want one');
  if (pictures.length === 1) return decodeImage(pictures[0] as Uint8Array, side, side);
  const across = Math.ceil(Math.sqrt(pictures.length));
  const tile = Math.floor(side / across);
  const whole = new Uint8Array(side * side * 3);
  for (const [i, picture] of pictures.entries()) {
    const pixels = await decodeImage(picture, tile, tile);
    const [left, top] = [(i % across) * tile, Math.floor(i / across) * tile];
    for (let y = 0; y < tile; y++) {
      whole.set(pixels.subarray(y * tile * 3, (y + 1) * tile * 3), ((top + y) * side + left) * 3);
    }
  }
  return whole;
}
