/**
 * A vision-language model as judge of rollouts (the paper's Sec. 3.3), behind any OpenAI-compatible chat endpoint: asked for JSON by a schema (or plainly, where
 * the server refuses that), asked again when its reply cannot be used, several times if wanted, never twice for the same. Every exchange is on disk before
 * its reply counts.
 *
 * Knows nothing of Eq. 8, files of results or how rollouts are read.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ChatContent,
  type ChatEndpoint,
  type ChatReply,
  type ChatRequest,
  type ChatTurn,
  EndpointError,
} from '../eval/benchmarks/chat-endpoint.js';
import { ExchangeJournal } from '../eval/benchmarks/exchange-journal.js';
import type { Judgement } from './judge.js';
import { askAgain, judgeResponseFormat, WORDING_VERSION } from './judge-instructions.js';
import { type JudgeAnswer, JudgeReplyError, readJudgeReply } from './judge-reply.js';
import {
  type JudgeRequest,
  judgeRequest,
  type MarkedExample,
  planRequest,
  type RequestOptions,
} from './judge-request.js';
import type { Picture, Rollout } from './rollout.js';

/** Marked examples for a rollout: dual retrieval, or none. */
export interface ExampleSource {
  /** Goes into results. */
  readonly name: string;
  /** How many there are for each rollout at most, for estimates. */
  readonly count: number;
  examplesFor(rollout: Rollout): Promise<MarkedExample[]>;
}

export interface VlmJudgeOptions {
  readonly endpoint: ChatEndpoint;
  /** Folder of exchanges.jsonl and of the pictures that were shown; without one, nothing is kept. */
  readonly audit?: string;
  readonly examples?: ExampleSource;
  /** Estimated tokens of a question; default 12,000. */
  readonly tokenBudget?: number;
  /** Default 260: a 512-pixel tile with its base at OpenAI's `high` detail. */
  readonly tokensPerPicture?: number;
  /** Default 256 pixels. */
  readonly pictureSide?: number;
  /** Judgements of each rollout; default 1. */
  readonly repeats?: number;
  /** Default 0. */
  readonly temperature?: number;
  /** Longest reply in tokens; default 1,000. */
  readonly maxTokens?: number;
  /** Times a question is asked until its reply can be used; default 3. */
  readonly asks?: number;
  readonly signal?: AbortSignal;
}

/** One of the repeated judgements. */
export interface Opinion extends JudgeAnswer {
  /** 1 if the first reply could be used. */
  readonly asked: number;
  /** In what form JSON was asked for. */
  readonly format: ReplyFormat;
}

export interface VlmJudgement {
  readonly opinions: readonly Opinion[];
  readonly moments: readonly number[];
  readonly examples: readonly string[];
  readonly suspicious: readonly number[];
}

/** `json_schema` by its schema, `json_object` as any JSON, `text` as words alone. */
export const REPLY_FORMATS = ['json_schema', 'json_object', 'text'] as const;
export type ReplyFormat = (typeof REPLY_FORMATS)[number];

/** The judge's replies to one rollout could not be used, however often it was asked. */
export class UnusableJudgeError extends Error {
  override readonly name = 'UnusableJudgeError';
}

/** Statuses with which servers refuse a parameter they do not know. */
const REFUSED: ReadonlySet<number> = new Set([400, 404, 415, 422, 501]);

export class VlmJudge {
  readonly name: string;
  readonly #options: VlmJudgeOptions;
  readonly #journal: ExchangeJournal;
  /** The first form that the server has not refused. */
  #format: ReplyFormat = 'json_schema';

  constructor(options: VlmJudgeOptions) {
    this.#options = options;
    this.name = options.endpoint.name;
    this.#journal = new ExchangeJournal(
      options.audit === undefined ? undefined : join(options.audit, 'exchanges.jsonl'),
    );
  }

  /** What its marks depend on beside the model, for results. */
  get settings() {
    const { repeats = 1, temperature = 0, examples } = this.#options;
    return { wording: WORDING_VERSION, ...this.#request, repeats, temperature, examples: examples?.name ?? 'none' };
  }

  get #request(): RequestOptions {
    const { tokenBudget = 12_000, tokensPerPicture = 260, pictureSide = 256 } = this.#options;
    return { tokenBudget, tokensPerPicture, pictureSide };
  }

  /** Tokens that judging these would take if no question were in the journal and every first reply usable. @throws TokenBudgetError */
  estimate(rollouts: readonly Rollout[]): {
    questions: number;
    promptTokens: number;
    replyTokens: number;
    cost?: number;
  } {
    const { repeats = 1, examples, endpoint } = this.#options;
    // Which examples it will be is not known yet: each counted as a text of a thousand characters.
    const assumed = Array.from({ length: examples?.count ?? 0 }, () => ({ text: 'x'.repeat(1_000) }));
    const once = rollouts.reduce((sum, rollout) => sum + planRequest(rollout, assumed, this.#request).tokens, 0);
    const questions = rollouts.length * repeats;
    const [promptTokens, replyTokens] = [once * repeats, 250 * questions];
    const { price } = endpoint.options;
    return {
      questions,
      promptTokens,
      replyTokens,
      ...(price ? { cost: (promptTokens * price.prompt + replyTokens * price.reply) / 1e6 } : {}),
    };
  }

  /**
   * @throws UnusableJudgeError if it gives no usable reply; EndpointError if it does not answer; TokenBudgetError; what pictures and examples throw;
   * AbortError
   */
  async judge(rollout: Rollout): Promise<VlmJudgement> {
    const { examples, repeats = 1 } = this.#options;
    const request = await judgeRequest(rollout, (await examples?.examplesFor(rollout)) ?? [], this.#request);
    const packed = await pack(request, this.#options.audit);
    const opinions: Opinion[] = [];
    for (let repeat = 0; repeat < repeats; repeat++)
      opinions.push(await this.#opinion(rollout, request, packed, repeat));
    const { moments, suspicious, examples: ids } = request;
    return { opinions, moments, examples: ids, suspicious };
  }

  async #opinion(rollout: Rollout, request: JudgeRequest, content: ChatContent, repeat: number): Promise<Opinion> {
    const { asks = 3 } = this.#options;
    const turns: ChatTurn[] = [];
    for (let asked = 1; ; asked++) {
      const { reply, format } = await this.#exchange(rollout, request, content, turns, repeat);
      try {
        return { ...readJudgeReply(reply, rollout.reasons), asked, format };
      } catch (error) {
        if (!(error instanceof JudgeReplyError)) throw error;
        if (asked >= asks) {
          throw new UnusableJudgeError(
            `${this.name} gave no usable marks for ${rollout.id} in ${asks} replies, the last one: ${error.message}`,
          );
        }
        turns.push({ role: 'assistant', content: reply.slice(0, 2_000) });
        turns.push({ role: 'user', content: askAgain(error.message, rollout.reasons) });
      }
    }
  }

  async #exchange(
    { id, reasons }: Rollout,
    { system, parts }: JudgeRequest,
    content: ChatContent,
    turns: readonly ChatTurn[],
    repeat: number,
  ): Promise<{ reply: string; format: ReplyFormat }> {
    const { temperature = 0, maxTokens = 1_000, signal } = this.#options;
    const prompt = parts.map((part) => ('text' in part ? part.text : `[picture ${part.sha256}]`));
    const key = createHash('sha256')
      .update(JSON.stringify([this.name, temperature, maxTokens, repeat, system, prompt, turns]))
      .digest('hex');
    const known = this.#journal.get(key);
    if (known !== undefined) return { reply: known.reply, format: known.format as ReplyFormat };
    const asked = { content, system, turns: [...turns], temperature, maxTokens, ...(signal ? { signal } : {}) };
    const { reply, format } = await this.#ask(asked, reasons);
    const { text, promptTokens, replyTokens } = reply;
    const about = { judge: this.name, rollout: id, repeat, temperature, format, at: new Date().toISOString() };
    this.#journal.add({ key, ...about, system, prompt, turns, reply: text, promptTokens, replyTokens });
    return { reply: text, format };
  }

  /** Asks in the strictest form that the server takes. */
  async #ask(request: ChatRequest, reasons: boolean): Promise<{ reply: ChatReply; format: ReplyFormat }> {
    const { endpoint } = this.#options;
    for (let at = REPLY_FORMATS.indexOf(this.#format); ; at++) {
      const format = REPLY_FORMATS[at] as ReplyFormat;
      try {
        const reply = await endpoint.complete({ ...request, ...responseFormat(format, reasons) });
        // Only now is it known that the form was what it had refused.
        this.#format = format;
        return { reply, format };
      } catch (error) {
        const refused = error instanceof EndpointError && error.status !== undefined && REFUSED.has(error.status);
        if (!refused || format === 'text') throw error;
      }
    }
  }
}

function responseFormat(format: ReplyFormat, reasons: boolean): Pick<ChatRequest, 'responseFormat'> {
  if (format === 'text') return {};
  return { responseFormat: format === 'json_schema' ? judgeResponseFormat(reasons) : { type: 'json_object' } };
}

/** The parts as the API wants them; what is shown is kept for audit by the hash that the journal has. */
async function pack({ parts }: JudgeRequest, audit: string | undefined): Promise<ChatContent> {
  return Promise.all(
    parts.map(async (part) => {
      if ('text' in part) return { type: 'text', text: part.text } as const;
      const jpeg = await encodeJpeg(part.picture);
      if (audit !== undefined) keep(join(audit, 'pictures'), `${part.sha256}.jpg`, jpeg);
      return {
        type: 'image_url',
        image_url: { url: `data:image/jpeg;base64,${Buffer.from(jpeg).toString('base64')}` },
      } as const;
    }),
  );
}

/** A JPEG of quality 85. */
export async function encodeJpeg({ width, height, data }: Picture): Promise<Uint8Array> {
  const sharp = (await import('sharp')).default;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 85 })
    .toBuffer();
}

function keep(folder: string, name: string, bytes: Uint8Array): void {
  const path = join(folder, name);
  if (existsSync(path)) return;
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, bytes);
  renameSync(temporary, path);
}

/** Mean marks of some opinions, and how far apart they are (largest less smallest). */
export function meanMarks(opinions: readonly { marks: Judgement }[]): { marks: Judgement; spread: Judgement } {
  const values = (name: keyof Judgement): number[] =>
    opinions.flatMap(({ marks }) => (marks[name] === undefined ? [] : [marks[name]]));
  const mean = (name: keyof Judgement): number => values(name).reduce((sum, v) => sum + v, 0) / values(name).length;
  const range = (name: keyof Judgement): number => Math.max(...values(name)) - Math.min(...values(name));
  const reasons = values('R').length > 0;
  const of = (by: (name: keyof Judgement) => number): Judgement => ({
    ...(reasons ? { R: by('R') } : {}),
    A: by('A'),
    I: by('I'),
    RA: by('RA'),
  });
  return { marks: of(mean), spread: of(range) };
}
