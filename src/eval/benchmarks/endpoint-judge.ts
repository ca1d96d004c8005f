/**
 * A language model as judge. Every exchange is kept in a file, for audit and so that no question is paid for twice; replies belong to a model, a prompt, a
 * temperature and the number of the try.
 */
import { createHash } from 'node:crypto';
import { type ChatEndpoint, EndpointError } from './chat-endpoint.js';
import { JudgeError } from './errors.js';
import { ExchangeJournal } from './exchange-journal.js';
import type { Judge, JudgeQuestion } from './judge.js';

const MAX_TOKENS = 64;

export class EndpointJudge implements Judge {
  readonly name: string;
  readonly #exchanges: ExchangeJournal;

  /** @param journal the exchanges so far; new ones are appended */
  constructor(
    readonly endpoint: ChatEndpoint,
    journal?: string,
    readonly signal?: AbortSignal,
  ) {
    this.name = endpoint.name;
    this.#exchanges = new ExchangeJournal(journal);
  }

  async ask({ index, prompt, attempt, temperature }: JudgeQuestion): Promise<string> {
    const key = createHash('sha256')
      .update(JSON.stringify([this.name, prompt, attempt, temperature]))
      .digest('hex');
    const known = this.#exchanges.get(key);
    if (known !== undefined) return known.reply;
    try {
      const request = { content: prompt, maxTokens: MAX_TOKENS, temperature };
      const { text } = await this.endpoint.complete({ ...request, ...(this.signal ? { signal: this.signal } : {}) });
      this.#exchanges.add({ key, judge: this.name, index, attempt, temperature, prompt, reply: text });
      return text;
    } catch (error) {
      if (error instanceof EndpointError) throw new JudgeError(`The judge does not answer: ${error.message}`);
      throw error;
    }
  }
}
