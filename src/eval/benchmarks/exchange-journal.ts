/**
 * Exchanges with a model in a file, one a line, for audit and so that no question is paid for twice: a question is known by its key, whatever belongs to it
 * hashed. An exchange is on disk before its reply is used.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

const EXCHANGE = z.looseObject({ key: z.string(), reply: z.string() });
export type Exchange = z.infer<typeof EXCHANGE>;

export class ExchangeJournal {
  readonly #known = new Map<string, Exchange>();

  /** @param path JSONL file, need not exist; without one, exchanges are kept in memory */
  constructor(readonly path?: string) {
    if (path === undefined) return;
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path)) return;
    const text = readFileSync(path, 'utf8');
    // A line that was cut off by a crash is asked again.
    if (text !== '' && !text.endsWith('\n')) appendFileSync(path, '\n');
    for (const line of text.split('\n')) {
      const exchange = EXCHANGE.safeParse(parsed(line));
      if (exchange.success) this.#known.set(exchange.data.key, exchange.data);
    }
  }

  get(key: string): Exchange | undefined {
    return this.#known.get(key);
  }

  add(exchange: Exchange): void {
    this.#known.set(exchange.key, exchange);
    if (this.path !== undefined) appendFileSync(this.path, `${JSON.stringify(exchange)}\n`, { flush: true });
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
