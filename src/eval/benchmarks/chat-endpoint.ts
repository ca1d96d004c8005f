/**
 * A model behind an OpenAI-compatible chat endpoint: `POST <base>/chat/completions`. Requests wait for a rate limit, are repeated with growing pauses
 * where that can help (429 and 5xx, cut connections, timeouts, replies that are no JSON), and are counted with their tokens and cost.
 *
 * Knows nothing of benchmarks or judges. The key is sent to the base URL alone and is part of no message.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';

export interface ChatEndpointOptions {
  /** `http://localhost:8000/v1` */
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey?: string;
  /** Tries after the first; default 5. */
  readonly retries?: number;
  /** First pause, doubled from try to try up to a minute; default 1,000 ms. */
  readonly pauseMs?: number;
  /** A whole exchange may take so long; default 120,000 ms. */
  readonly timeoutMs?: number;
  readonly requestsPerMinute?: number;
  /** Price of a million tokens, of the prompt and of the reply. */
  readonly price?: { readonly prompt: number; readonly reply: number };
}

export type ChatContent =
  | string
  | readonly ({ type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } })[];

/** A message before or after the one that is asked. */
export interface ChatTurn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ChatRequest {
  readonly content: ChatContent;
  /** Instructions of the system. */
  readonly system?: string;
  /** What was said since. */
  readonly turns?: readonly ChatTurn[];
  /** The reply's form, as the API's `response_format`. */
  readonly responseFormat?: object;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly signal?: AbortSignal;
}

export interface ChatReply {
  readonly text: string;
  readonly promptTokens: number;
  readonly replyTokens: number;
}

export interface ChatUsage {
  /** Sent, repeated ones too. */
  requests: number;
  repeated: number;
  promptTokens: number;
  replyTokens: number;
  /** In the currency of the price; undefined without one. */
  cost?: number;
}

/** The endpoint does not answer, refuses, or answers with something else than a chat completion. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  /** @param status of the last answer, where there was one */
  constructor(
    message: string,
    readonly status?: number,
  ) {
    super(message);
  }
}

const REPLY = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string().nullish() }) })).min(1),
  usage: z.looseObject({ prompt_tokens: z.number().optional(), completion_tokens: z.number().optional() }).nullish(),
});
const LONGEST_PAUSE_MS = 60_000;
/** No answer is longer; a server that sends more is broken. */
const MOST_BYTES = 16 * 2 ** 20;

/** What went wrong with one try, and whether another may help. */
interface Failure {
  readonly why: string;
  readonly again: boolean;
  readonly afterMs?: number;
  readonly status?: number;
}

export class ChatEndpoint {
  readonly usage: ChatUsage = { requests: 0, repeated: 0, promptTokens: 0, replyTokens: 0 };
  #nextStart = 0;

  /** Throws EndpointError for what is no http(s) URL. */
  constructor(readonly options: ChatEndpointOptions) {
    if (!URL.canParse(options.baseUrl) || !/^https?:$/.test(new URL(options.baseUrl).protocol)) {
      throw new EndpointError(`${options.baseUrl} is no http(s) URL`);
    }
    if (options.price) this.usage.cost = 0;
  }

  /** `model@url` */
  get name(): string {
    return `${this.options.model}@${this.options.baseUrl}`;
  }

  /** Throws EndpointError when all tries have failed, AbortError when stopped. */
  async complete({ content, system, turns = [], responseFormat, ...request }: ChatRequest): Promise<ChatReply> {
    const first = system === undefined ? [] : [{ role: 'system', content: system }];
    const messages = [...first, { role: 'user', content }, ...turns];
    const format = responseFormat === undefined ? {} : { response_format: responseFormat };
    const body = { messages, max_tokens: request.maxTokens, temperature: request.temperature, ...format };
    return this.post('chat/completions', body, (json) => this.#chatReply(json), request.signal);
  }

  /**
   * Sends `{model, ...body}` below the base URL, as often as it takes.
   * @param read the reply's JSON; undefined if it is not what was asked for
   * @throws EndpointError when all tries have failed, AbortError when stopped
   */
  async post<T>(path: string, body: object, read: (json: unknown) => T | undefined, signal?: AbortSignal): Promise<T> {
    const { model, baseUrl, retries = 5, pauseMs = 1_000 } = this.options;
    const url = `${baseUrl.replace(/\/+$/, '')}/${path}`;
    const text = JSON.stringify({ model, ...body });
    for (let attempt = 0; ; attempt++) {
      await this.#waitForTurn(signal);
      this.usage.requests++;
      if (attempt > 0) this.usage.repeated++;
      const outcome = await this.#try(url, text, signal);
      const failure = typeof outcome === 'string' ? readBodyAs(outcome, path, read) : outcome;
      if ('value' in failure) return failure.value;
      if (!failure.again || attempt >= retries) {
        const tries = attempt === 0 ? '' : ` after ${attempt + 1} tries`;
        throw new EndpointError(`${this.name} does not answer${tries}: ${failure.why}`, failure.status);
      }
      const wait = failure.afterMs ?? Math.min(LONGEST_PAUSE_MS, pauseMs * 2 ** attempt);
      await pause(wait, undefined, signal ? { signal } : {});
    }
  }

  async #waitForTurn(signal: AbortSignal | undefined): Promise<void> {
    const { requestsPerMinute } = this.options;
    signal?.throwIfAborted();
    if (requestsPerMinute === undefined) return;
    const now = performance.now();
    const start = Math.max(now, this.#nextStart);
    this.#nextStart = start + 60_000 / requestsPerMinute;
    if (start > now) await pause(start - now, undefined, signal ? { signal } : {});
  }

  /** The body of a reply with status 200, or what went wrong. */
  async #try(url: string, text: string, signal: AbortSignal | undefined): Promise<string | Failure> {
    const { apiKey, timeoutMs = 120_000 } = this.options;
    const timeout = AbortSignal.timeout(timeoutMs);
    let status: number;
    let retryAfter: string | null;
    let body: string;
    try {
      const response = await fetch(url, {
        method: 'POST',
        redirect: 'error',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        headers: { 'content-type': 'application/json', ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) },
        body: text,
      });
      status = response.status;
      retryAfter = response.headers.get('retry-after');
      body = await readBody(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (timeout.aborted) return { why: `no answer within ${timeoutMs} ms`, again: true };
      const { message, cause } = error as Error;
      return {
        why: cause instanceof Error ? `${message}: ${cause.message}` : message,
        again: !(error instanceof TooLong),
      };
    }
    if (status === 200) return body;
    const again = status === 429 || status === 408 || status >= 500;
    const afterMs = again ? waitAsked(retryAfter) : undefined;
    return { why: `status ${status}${said(body)}`, again, status, ...(afterMs === undefined ? {} : { afterMs }) };
  }

  #chatReply(json: unknown): ChatReply | undefined {
    const parsed = REPLY.safeParse(json);
    if (!parsed.success) return undefined;
    const { choices, usage } = parsed.data;
    const reply = {
      text: choices[0]?.message.content ?? '',
      promptTokens: usage?.prompt_tokens ?? 0,
      replyTokens: usage?.completion_tokens ?? 0,
    };
    this.count(reply.promptTokens, reply.replyTokens);
    return reply;
  }

  /** Adds tokens, and what they cost. */
  count(promptTokens: number, replyTokens: number): void {
    this.usage.promptTokens += promptTokens;
    this.usage.replyTokens += replyTokens;
    const { price } = this.options;
    if (!price) return;
    const cost = (promptTokens * price.prompt + replyTokens * price.reply) / 1e6;
    this.usage.cost = (this.usage.cost ?? 0) + cost;
  }
}

/** A reply that is no JSON, or none of the wanted kind, may be another the next time. */
function readBodyAs<T>(body: string, path: string, read: (json: unknown) => T | undefined): { value: T } | Failure {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { why: `the reply is no JSON${said(body)}`, again: true };
  }
  const value = read(json);
  if (value !== undefined) return { value };
  const what = path === 'chat/completions' ? 'no chat completion' : `nothing that ${path} gives`;
  return { why: `the reply is ${what}${said(body)}`, again: true };
}

class TooLong extends Error {}

async function readBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length;
    if (bytes > MOST_BYTES) throw new TooLong(`the reply is longer than ${MOST_BYTES} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The beginning of what a server says, on one line. */
const said = (body: string): string =>
  body.trim() === '' ? '' : `: ${body.slice(0, 200).replace(/\s+/g, ' ').trim()}`;

/** Retry-After: seconds or a date; not longer than a minute. */
function waitAsked(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_PAUSE_MS, Math.max(0, ms));
}

/** `model@http://host/v1` in two; undefined if it is not that. */
export function parseModelAtUrl(text: string): { model: string; baseUrl: string } | undefined {
  const found = /^(.+?)@(https?:\/\/.+)$/.exec(text);
  return found ? { model: found[1] as string, baseUrl: found[2] as string } : undefined;
}
