/**
 * Questions about pictures in the JSON layout of LLaVA (Liu et al. 2023) and Bunny:
 * `[{id, image, conversations: [{from: "human", value: "<image>\n..."}, {from: "gpt", value}, ...], family?}]`, the picture's path relative
 * to the data set's folder (or to its `images/`). Conversations of several turns become one sample a turn.
 *
 * Knows nothing about pixels, batches or tokens.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { CorruptDatasetError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';

/** One question about one picture. */
export interface MultimodalSample {
  /** Path of the picture. */
  readonly image: string;
  readonly question: string;
  readonly answer: string;
  /** What kind of question it is; "other" where the file does not say. */
  readonly family: string;
}

export interface MultimodalReadOptions {
  /** Folder of the data set. */
  readonly root: string;
  /** Name of the JSON file without its ending; "train" by default. */
  readonly split?: string;
  /** What to do with entries that have no picture: reject the file (default) or leave them out. */
  readonly textOnly?: 'error' | 'skip';
  /** Read no more than the first so many samples. */
  readonly maxSamples?: number;
}

/** What is read of a data set. */
export interface MultimodalTable {
  readonly file: string;
  readonly samples: readonly MultimodalSample[];
  /** Entry of the file that each sample comes from. */
  readonly entryOf: Int32Array;
  /** Entries without a picture that were left out. */
  readonly numTextOnly: number;
}

const IMAGE_MARK = /\s*<image>\s*/g;

/**
 * Reads a split. Throws MissingDatasetError when its file or a picture is missing, CorruptDatasetError for anything out of shape (with the
 * file, the entry and the field), UnsupportedDatasetError for entries without a picture or with several.
 */
export function readMultimodal({
  root,
  split = 'train',
  textOnly = 'error',
  maxSamples = Number.POSITIVE_INFINITY,
}: MultimodalReadOptions): MultimodalTable {
  const file = join(root, `${split}.json`);
  if (!existsSync(file))
    throw new MissingDatasetError('There is no such file of questions', {
      file,
      hint: `Next: dualvla data multimodal --out ${root}`,
    });
  const entries = parseFile(file);
  const pictures = new Map<string, string>();
  const samples: MultimodalSample[] = [];
  const entryOf: number[] = [];
  let numTextOnly = 0;
  for (const [i, value] of entries.entries()) {
    if (samples.length >= maxSamples) break;
    const entry = new Entry(file, i, value);
    const image = entry.value.image;
    if (image === undefined || image === null || image === '') {
      if (textOnly === 'skip') numTextOnly++;
      else
        throw new UnsupportedDatasetError('The entry has no picture', {
          file,
          field: entry.at('image'),
          hint: "Remove such entries, or open the data set with textOnly: 'skip'",
        });
      continue;
    }
    if (Array.isArray(image))
      throw new UnsupportedDatasetError('The entry has a list of pictures; one a sample is supported', {
        file,
        field: entry.at('image'),
      });
    const name = entry.text('image', image);
    let path = pictures.get(name);
    if (path === undefined) {
      path = findPicture(root, name, file, entry.at('image'));
      pictures.set(name, path);
    }
    const family = entry.value.family === undefined ? 'other' : entry.text('family', entry.value.family);
    for (const { question, answer } of entry.turns()) {
      samples.push({ image: path, question, answer, family });
      entryOf.push(i);
    }
  }
  if (samples.length === 0) throw new CorruptDatasetError('The file holds no question about a picture', { file });
  // The last entry may have brought several turns.
  if (samples.length > maxSamples) samples.length = entryOf.length = maxSamples;
  return { file, samples, entryOf: Int32Array.from(entryOf), numTextOnly };
}

function parseFile(file: string): readonly unknown[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CorruptDatasetError(`The file is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      file,
      cause,
    });
  }
  if (!Array.isArray(parsed)) throw new CorruptDatasetError('The file is no JSON list of entries', { file });
  return parsed;
}

function findPicture(root: string, name: string, file: string, field: string): string {
  const places = isAbsolute(name) ? [name] : [join(root, name), join(root, 'images', name)];
  const found = places.find((place) => existsSync(place));
  if (found === undefined)
    throw new MissingDatasetError(`The picture ${name} is neither at ${places.join(' nor at ')}`, { file, field });
  return found;
}

/** One entry while it is read: names its fields in errors. */
class Entry {
  readonly value: Readonly<Record<string, unknown>>;
  readonly #file: string;
  readonly #label: string;

  constructor(file: string, index: number, value: unknown) {
    this.#file = file;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    const id = isObject ? (value as { id?: unknown }).id : undefined;
    this.#label = `entry ${index}${typeof id === 'string' || typeof id === 'number' ? ` (id ${id})` : ''}`;
    if (!isObject) throw new CorruptDatasetError('The entry is no object', { file, field: this.#label });
    this.value = value as Record<string, unknown>;
  }

  /** A field's name in errors. */
  at(field: string): string {
    return `${this.#label}, ${field}`;
  }

  text(field: string, value: unknown): string {
    if (typeof value !== 'string' || value.trim() === '')
      throw new CorruptDatasetError(`Expected text, found ${value === '' ? 'none' : typeof value}`, {
        file: this.#file,
        field: this.at(field),
      });
    return value;
  }

  /** The questions and answers of the conversation. */
  turns(): { question: string; answer: string }[] {
    const { conversations } = this.value;
    const wrong = (what: string, field = 'conversations'): CorruptDatasetError =>
      new CorruptDatasetError(what, { file: this.#file, field: this.at(field) });
    if (!Array.isArray(conversations) || conversations.length === 0) throw wrong('Expected a list of turns');
    // A leading system turn is no question.
    const first = (conversations[0] as { from?: unknown } | null)?.from === 'system' ? 1 : 0;
    if ((conversations.length - first) % 2 !== 0) throw wrong('A question without an answer');
    const turns: { question: string; answer: string }[] = [];
    for (let i = first; i < conversations.length; i += 2) {
      const [question, answer] = [i, i + 1].map((k) => {
        const field = `conversations[${k}]`;
        const turn = conversations[k] as { from?: unknown; value?: unknown } | null;
        const speaker = k === i ? 'human' : 'gpt';
        if (typeof turn !== 'object' || turn === null) throw wrong('Expected {from, value}', field);
        if (turn.from !== speaker) throw wrong(`Expected "${speaker}", found ${named(turn.from)}`, `${field}.from`);
        return this.text(`${field}.value`, turn.value).replace(IMAGE_MARK, '\n').trim();
      }) as [string, string];
      if (question === '') throw wrong('The question is empty', `conversations[${i}].value`);
      turns.push({ question, answer });
    }
    return turns;
  }
}

const named = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : value === null ? 'null' : typeof value;
