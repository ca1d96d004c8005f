/**
 * Text as token ids and back, from a Hugging Face tokenizer.json (ours from bpe-trainer.ts, or a released one), by the
 * @huggingface/tokenizers package.
 *
 * Knows nothing about prompts, images or actions; special tokens are looked up by name.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import type { TokenizerJson } from './bpe-trainer.js';

/** A token that the vocabulary lacks. */
export class UnknownTokenError extends Error {
  override readonly name = 'UnknownTokenError';
}

/** The tokenizer.json is missing or no tokenizer. */
export class TokenizerFileError extends Error {
  override readonly name = 'TokenizerFileError';
}

/** Special tokens of the language side: end of text, Qwen's chat frame, Eagle2's image frame. */
export const SPECIAL_TOKENS = {
  endOfText: '<|endoftext|>',
  messageStart: '<|im_start|>',
  messageEnd: '<|im_end|>',
  imageStart: '<img>',
  imageEnd: '</img>',
  imageContext: '<IMG_CONTEXT>',
} as const;

/** Names of the Q latent action queries, as InstructVLA adds them. */
export function latentActionTokens(numQueries: number): string[] {
  return Array.from({ length: numQueries }, (_, i) => `<new_token_${i}>`);
}

export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #specialIds: ReadonlySet<number>;
  /** One more than the largest id. */
  readonly vocabularySize: number;

  /** @throws TokenizerFileError if `json` is no tokenizer */
  constructor(readonly json: TokenizerJson) {
    try {
      checkIds(json);
      this.#tokenizer = new Tokenizer(json, { clean_up_tokenization_spaces: false });
      this.#idOf = this.#tokenizer.get_vocab();
      this.#specialIds = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
    } catch (error) {
      throw new TokenizerFileError(`not a tokenizer.json: ${(error as Error).message}`);
    }
    let largest = -1;
    for (const id of this.#idOf.values()) largest = Math.max(largest, id);
    this.vocabularySize = largest + 1;
  }

  /** Reads `directory`/tokenizer.json. */
  static load(directory: string): TextTokenizer {
    const path = join(directory, 'tokenizer.json');
    let json: TokenizerJson;
    try {
      json = JSON.parse(readFileSync(path, 'utf8')) as TokenizerJson;
    } catch (error) {
      throw new TokenizerFileError(`cannot read ${path}: ${(error as Error).message}`);
    }
    return new TextTokenizer(json);
  }

  /** Writes `directory`/tokenizer.json, whole or not at all. */
  save(directory: string): void {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, 'tokenizer.json');
    writeFileSync(`${path}.tmp`, `${JSON.stringify(this.json, null, 1)}\n`);
    renameSync(`${path}.tmp`, path);
  }

  /**
   * Ids of the text; special tokens written in it become their ids. Unpaired surrogates become U+FFFD.
   * @throws TokenizerFileError if its rules do not fit its vocabulary
   */
  encode(text: string): number[] {
    if (text.length === 0) return [];
    const whole = text.replace(/\p{Surrogate}/gu, '\ufffd');
    return named('encode', () => this.#tokenizer.encode(whole, { add_special_tokens: false }).ids);
  }

  /**
   * Text of the ids; bytes that are not UTF-8 (an unfinished character) become U+FFFD.
   * @throws UnknownTokenError, TokenizerFileError as `encode`
   */
  decode(ids: Iterable<number>, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    const list = [...ids].filter((id) => !(skipSpecialTokens && this.#specialIds.has(id)));
    const outside = list.find((id) => this.#tokenizer.id_to_token(id) === undefined);
    if (outside !== undefined)
      throw new UnknownTokenError(`id ${outside} is not in the vocabulary of ${this.vocabularySize}`);
    return list.length === 0 ? '' : named('decode', () => this.#tokenizer.decode(list, { skip_special_tokens: false }));
  }

  /** @throws UnknownTokenError if the vocabulary has no such token */
  idOf(token: string): number {
    const id = this.#idOf.get(token);
    if (id === undefined) {
      throw new UnknownTokenError(
        `token ${JSON.stringify(token)} is not in the vocabulary; was the tokenizer trained with it as a special token?`,
      );
    }
    return id;
  }

  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }
}

/** More than any vocabulary has; the package makes a list with a place for every id. */
const MAX_IDS = 2 ** 24;

function checkIds({ model, added_tokens }: TokenizerJson): void {
  const named = [...Object.entries(model.vocab), ...added_tokens.map(({ content, id }) => [content, id] as const)];
  for (const [token, id] of named)
    if (!Number.isInteger(id) || id < 0 || id >= MAX_IDS)
      throw new RangeError(`the id of ${JSON.stringify(token)} is ${id}, not a whole number from 0 to ${MAX_IDS - 1}`);
}

/** The package takes any file for a tokenizer; what is wrong with it shows when it is used. */
function named<T>(what: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    throw new TokenizerFileError(`this tokenizer.json cannot ${what}: ${(error as Error).message}`);
  }
}
