/**
 * Who is asked where rules do not tell: a language model behind an endpoint, or replies recorded before. A judge that does not answer is an
 * error; nothing is ever guessed in its place.
 */
import { readFileSync } from 'node:fs';
import { JudgeError } from './errors.js';
import type { RowIndex } from './question-set.js';

export interface JudgeQuestion {
  readonly index: RowIndex;
  readonly prompt: string;
  /** 0 for the first time this row is asked about. */
  readonly attempt: number;
  readonly temperature: number;
}

export interface Judge {
  /** Named in every result. */
  readonly name: string;
  /** Throws JudgeError if there is no reply. */
  ask(question: JudgeQuestion): Promise<string>;
}

/** Replies from a file: `{"<index>": ["first reply", "second reply"]}`, or `{"<index>": {"prompt": "...", "outputs": [...]}}`. */
export class RecordedJudge implements Judge {
  readonly name: string;
  readonly #replies: ReadonlyMap<string, { prompt?: string; outputs: readonly string[] }>;

  /** Throws JudgeError if the file is no such record. */
  constructor(readonly path: string) {
    this.name = `recorded:${path}`;
    let record: unknown;
    try {
      record = JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new JudgeError(`${path} cannot be read as JSON: ${(error as Error).message}`);
    }
    const entries = typeof record === 'object' && record !== null ? Object.entries(record) : [];
    this.#replies = new Map(
      entries.map(([index, entry]) => {
        const { prompt, outputs } = (Array.isArray(entry) ? { outputs: entry } : (entry ?? {})) as {
          prompt?: unknown;
          outputs?: unknown;
        };
        if (!Array.isArray(outputs) || !outputs.every((output) => typeof output === 'string')) {
          throw new JudgeError(`${path} has no list of replies for ${index}`);
        }
        return [index, { outputs, ...(typeof prompt === 'string' ? { prompt } : {}) }];
      }),
    );
  }

  ask({ index, attempt }: JudgeQuestion): Promise<string> {
    const reply = this.#replies.get(String(index))?.outputs[attempt];
    if (reply !== undefined) return Promise.resolve(reply);
    return Promise.reject(new JudgeError(`${this.path} has no reply number ${attempt + 1} for row ${index}`));
  }
}
