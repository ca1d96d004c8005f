/**
 * What is put before a vision-language judge: instructions, marked examples, and the record of one rollout. Words of the robot go in as JSON strings with their
 * angle brackets escaped, cut to a length, between <record> and </record>: no text can end the record or stand outside it.
 */
import { createHash } from 'node:crypto';
import { eventMoments, sampleMoments, tokensOf } from './frame-sampling.js';
import { judgeInstructions } from './judge-instructions.js';
import type { Picture, Rollout } from './rollout.js';

/** Longest thought that is shown, characters; what is cut off is said. */
export const LONGEST_THOUGHT = 700;

/** A marked example: words, and its pictures side by side. */
export interface MarkedExample {
  readonly id: string;
  readonly text: string;
  readonly strip: Picture;
}

export interface RequestOptions {
  /** Tokens of a whole question, estimated. */
  readonly tokenBudget: number;
  /** What a picture counts for. */
  readonly tokensPerPicture: number;
  /** Longer side of the pictures, pixels. */
  readonly pictureSide: number;
}

export type RequestPart = { readonly text: string } | { readonly picture: Picture; readonly sha256: string };

export interface JudgeRequest {
  readonly system: string;
  readonly parts: readonly RequestPart[];
  /** Moments that are shown. */
  readonly moments: readonly number[];
  readonly examples: readonly string[];
  /** Moments whose thought looks like orders to a judge. */
  readonly suspicious: readonly number[];
  /** Estimated tokens. */
  readonly tokens: number;
}

/** The budget does not even hold the first and the last picture. */
export class TokenBudgetError extends Error {
  override readonly name = 'TokenBudgetError';
}

/** Text of the robot as it is shown: a JSON string that cannot end the record. */
export function quoted(text: string): string {
  const cut =
    text.length > LONGEST_THOUGHT
      ? `${text.slice(0, LONGEST_THOUGHT)} (${text.length - LONGEST_THOUGHT} characters cut)`
      : text;
  return JSON.stringify(cut.replace(/\p{Surrogate}/gu, '\ufffd')).replace(
    /[<>\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const ORDERS =
  /\b(ignore|disregard|forget)\b.{0,40}\b(instruction|previous|above|rule|prompt)|\b(as|you are) (a|an|the) (judge|evaluator|grader|assistant)\b|["']?(result|reasoning|action|intention|alignment)["']?\s*:\s*(10|9|["'{])|\b(score|mark|rate|grade|give)\b.{0,40}\b(10|ten|full|highest|maximum)\b|<\/?(record|system|user|assistant)>|system prompt/i;

/** Whether a text seems to speak to a judge rather than of the task. It is shown and marked all the same; results say how often. */
export const looksLikeOrders = (text: string): boolean => ORDERS.test(text);

/** What is said before each picture: its time, and its thought where it differs from that of the picture before. */
function captions(rollout: Rollout, moments: readonly number[]): string[] {
  const { thoughts, fps, reasons } = rollout;
  return moments.map((t, i) => {
    const place = `Picture ${i + 1} of ${moments.length}, at ${(t / fps).toFixed(1)} s.`;
    if (!reasons) return place;
    const thought = thoughts[t] ?? null;
    const before = i > 0 ? (thoughts[moments[i - 1] as number] ?? null) : undefined;
    if (thought === null) return `${place} No thought${t === thoughts.length - 1 ? ': the attempt is over' : ''}.`;
    return thought === before ? `${place} The same thought.` : `${place} Thought: ${quoted(thought)}`;
  });
}

interface Plan {
  readonly moments: readonly number[];
  readonly captions: readonly string[];
  readonly tokens: number;
}

const opening = ({ instruction, thoughts, fps }: Rollout, numPictures: number): string =>
  `The attempt to be marked. Task: ${quoted(instruction)}. It lasts ${((thoughts.length - 1) / fps).toFixed(1)} s; ${numPictures} pictures of it follow in order.\n<record>`;
const CLOSING = '</record>\nMark this attempt now, with one JSON object.';

/**
 * The moments that fit the budget beside instructions and examples; needs no picture.
 * @throws TokenBudgetError if not even two do
 */
export function planRequest(
  rollout: Rollout,
  examples: readonly Pick<MarkedExample, 'text'>[],
  options: RequestOptions,
): Plan {
  const { tokenBudget, tokensPerPicture } = options;
  const fixed =
    tokensOf(judgeInstructions(rollout.reasons) + opening(rollout, 99) + CLOSING) +
    examples.reduce((sum, { text }) => sum + tokensOf(text) + tokensPerPicture, 0);
  const events = eventMoments(rollout);
  const length = rollout.thoughts.length;
  for (let count = Math.min(length, Math.floor((tokenBudget - fixed) / tokensPerPicture)); ; count--) {
    if (count < Math.min(2, length)) {
      throw new TokenBudgetError(
        `a budget of ${tokenBudget} tokens holds no two pictures of ${rollout.id}: ${fixed} are taken by instructions and examples, a picture counts ${tokensPerPicture}; give more (--token-budget), or fewer --examples`,
      );
    }
    const moments = sampleMoments(length, count, events);
    const said = captions(rollout, moments);
    const tokens = fixed + count * tokensPerPicture + said.reduce((sum, text) => sum + tokensOf(text), 0);
    if (tokens <= tokenBudget) return { moments, captions: said, tokens };
  }
}

/** The question about one rollout. @throws TokenBudgetError; what its pictures throw */
export async function judgeRequest(
  rollout: Rollout,
  examples: readonly MarkedExample[],
  options: RequestOptions,
): Promise<JudgeRequest> {
  const plan = planRequest(rollout, examples, options);
  const pictures = await rollout.pictures(plan.moments, options.pictureSide);
  const shown = examples.flatMap(({ text, strip }, i): RequestPart[] => [
    { text: `Marked example ${i + 1} of ${examples.length}, for the scale only.\n${text}` },
    picturePart(strip),
  ]);
  const record = plan.captions.flatMap((text, i): RequestPart[] => [{ text }, picturePart(pictures[i] as Picture)]);
  const suspicious = rollout.thoughts.flatMap((thought, t) =>
    thought !== null && looksLikeOrders(thought) ? [t] : [],
  );
  return {
    system: judgeInstructions(rollout.reasons),
    parts: [...shown, { text: opening(rollout, plan.moments.length) }, ...record, { text: CLOSING }],
    moments: plan.moments,
    examples: examples.map(({ id }) => id),
    suspicious,
    tokens: plan.tokens,
  };
}

/** By its pixels, not by how they are packed. */
function picturePart(picture: Picture): RequestPart {
  const { width, height, data } = picture;
  return { picture, sha256: createHash('sha256').update(`${width}x${height} `).update(data).digest('hex') };
}
