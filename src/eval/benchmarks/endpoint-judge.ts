/**
 * A language model as judge. Every exchange is kept in a file, for audit and so that no question is paid for twice; replies belong to a model, a prompt, a
 * temperature and the number of the try.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { type ChatEndpoint, EndpointError } from './chat-endpoint.js';
import { JudgeError } from './errors.js';
import type { Judge, JudgeQuestion } from './judge.js';

const EXCHANGE = z.looseObject({ key: z.string(), reply: z.string() });
const MAX_TOKENS = 64;

export class EndpointJudge implements Judge {
  readonly name: string;
  readonly #known = new Map<string, string>();

  /** @param journal the exchanges so far; new ones are appended */
  constructor(
    readonly endpoint: ChatEndpoint,
    readonly journal?: string,
    readonly signal?: AbortSignal,
  ) {
    this.name = endpoint.name;
    if (journal === undefined) return;
    mkdirSync(dirname(journal), { recursive: true });
    if (!existsSync(journal)) return;
    const text = readFileSync(journal, 'utf8');
    // A line that was cut off by a crash is asked again.
    if (text !== '' && !text.endsWith('\n')) appendFileSync(journal, '\n');
    for (const line of text.split('\n')) {
      const exchange = EXCHANGE.safeParse(parsed(line));
      if (exchange.success) this.#known.set(exchange.data.key, exchange.data.reply);
    }
  }

  async ask({ index, prompt, attempt, temperature }: JudgeQuestion): Promise<string> {
    const key = createHash('sha256')
      .update(JSON.stringify([this.name, prompt, attempt, temperature]))
      .digest('hex');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    try {
      const request = { content: prompt, maxTokens: MAX_TOKENS, temperature };
      const { text } = await this.endpoint.complete({ ...request, ...(this.signal ? { signal: this.signal } : {}) });
      this.#known.set(key, text);
      if (this.journal !== undefined) {
        const exchange = { key, judge: this.name, index, attempt, temperature, prompt, reply: text };
        appendFileSync(this.journal, `${JSON.stringify(exchange)}\n`, { flush: true });
      }
      return text;
    } catch (error) {
      if (error instanceof EndpointError) throw new JudgeError(`The judge does not answer: ${error.message}`);
      throw error;
    }
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
