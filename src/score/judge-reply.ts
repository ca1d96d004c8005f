/**
 * Marks out of a judge's reply. Replies are whatever a model has written: fenced, with words around them, with trailing commas, numbers as words, or not JSON at
 * all. What can be read in one way only is read, and what was mended is said; everything else is refused, so that the judge is asked again. A reply
 * with two different results is refused: one of them may be the robot's own.
 */
import type { Judgement } from './judge.js';

/** Longest reply that is looked at, characters: a thought has 150 words. */
export const LONGEST_REPLY = 50_000;

export interface JudgeAnswer {
  readonly marks: Judgement;
  readonly thought: string;
  /** The judge's own opinion, for comparison; B of Eq. 8 is the simulator's. */
  readonly success?: boolean;
  /** What had to be mended to read it. */
  readonly repairs: readonly string[];
}

/** The reply cannot be read; the message can be said to the judge. */
export class JudgeReplyError extends Error {
  override readonly name = 'JudgeReplyError';
}

/** @param reasons whether R and RA are asked for @throws JudgeReplyError */
export function readJudgeReply(text: string, reasons: boolean): JudgeAnswer {
  if (text.trim() === '') throw new JudgeReplyError('it is empty');
  if (text.length > LONGEST_REPLY) throw new JudgeReplyError(`it is ${text.length} characters long`);
  const repairs: string[] = [];
  // What a reasoning model thought before its answer is no answer.
  const answers = candidates(text.slice(text.lastIndexOf('</think>') + 1), repairs).map((json) => ({
    json,
    result: resultOf(json),
  }));
  const found = answers.filter(({ result }) => result !== undefined);
  if (found.length === 0) throw new JudgeReplyError('it holds no JSON object with a Result');
  const different = new Set(found.map(({ result }) => JSON.stringify(result)));
  if (different.size > 1) throw new JudgeReplyError(`it holds ${different.size} different results`);
  const { json, result } = found.at(-1) as { json: Fields; result: Fields };
  const mark = (name: string): number => markOf(result, name, repairs);
  const A = mark('Action');
  const I = mark('Intention');
  const marks = reasons ? { R: mark('Reasoning'), A, I, RA: mark('Alignment') } : { A, I, RA: 10 };
  const thought = lookUp(json, 'Thought');
  const success = successOf(lookUp(result, 'Success'));
  return {
    marks,
    thought: typeof thought === 'string' ? thought : '',
    ...(success === undefined ? {} : { success }),
    repairs: [...new Set(repairs)],
  };
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A field by its name in any case. */
function lookUp(fields: Fields, name: string): unknown {
  const key = Object.keys(fields).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : fields[key];
}

/** The marks of an answer: under Result, or at the top where there is no Result. */
function resultOf(json: Fields): Fields | undefined {
  const result = lookUp(json, 'Result') ?? (lookUp(json, 'Action') === undefined ? undefined : json);
  return isFields(result) ? result : undefined;
}

/** Every JSON object of the reply that is in no other one. */
function candidates(text: string, repairs: string[]): Fields[] {
  const whole = parse(text);
  if (isFields(whole)) return [whole];
  const pieces = objectsIn(text);
  const parsed = pieces.flatMap((piece) => {
    const json = parse(piece);
    if (isFields(json)) return [json];
    const mended = parse(mend(piece));
    if (!isFields(mended)) return [];
    repairs.push('JSON mended');
    return [mended];
  });
  if (parsed.length > 0) repairs.push('words around the JSON left out');
  return parsed;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Stretches from a `{` to its `}`, strings understood; one pass. */
function objectsIn(text: string): string[] {
  const pieces: string[] = [];
  let depth = 0;
  let from = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
    } else if (c === '"' && depth > 0) inString = true;
    else if (c === '{') {
      if (depth === 0) from = i;
      depth++;
    } else if (c === '}' && depth > 0) {
      depth--;
      if (depth === 0) pieces.push(text.slice(from, i + 1));
    }
  }
  return pieces;
}

/** What models often get wrong: trailing commas, comments, typographic quotes, Python's words, raw line ends in strings. */
function mend(text: string): string {
  let out = '';
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (inString) {
      if (c === '\\') out += c + (text[++i] ?? '');
      else if (c === '\n') out += '\\n';
      else if (c === '\t') out += '\\t';
      else if (c !== '\r') out += c;
      if (c === '"') inString = false;
    } else if (c === '"' || c === '\u201c' || c === '\u201d') {
      out += '"';
      inString = c === '"';
    } else if (c === '/' && text[i + 1] === '/') {
      while (i + 1 < text.length && text[i + 1] !== '\n') i++;
    } else out += c;
  }
  return outsideStrings(out, (code) =>
    code
      .replace(/,(\s*[}\]])/g, '$1')
      .replace(/\bTrue\b/g, 'true')
      .replace(/\bFalse\b/g, 'false')
      .replace(/\bNone\b/g, 'null'),
  );
}

/** Changes what lies between strings. */
function outsideStrings(text: string, change: (code: string) => string): string {
  return text
    .split(/("(?:[^"\\]|\\.)*")/)
    .map((part, i) => (i % 2 === 1 ? part : change(part)))
    .join('');
}

function markOf(result: Fields, name: string, repairs: string[]): number {
  const value = lookUp(result, name);
  if (value === undefined) throw new JudgeReplyError(`Result has no ${name}`);
  let mark = value;
  if (typeof value === 'string' && /^\s*\d{1,2}(\s*\/\s*10)?\s*$/.test(value)) {
    repairs.push(`${name} was text`);
    mark = Number.parseInt(value, 10);
  }
  if (typeof mark !== 'number' || !Number.isInteger(mark) || mark < 0 || mark > 10) {
    throw new JudgeReplyError(
      `${name} is ${JSON.stringify(value)?.slice(0, 60)}, which is no whole number from 0 to 10`,
    );
  }
  return mark;
}

function successOf(value: unknown): boolean | undefined {
  if (value === 1 || value === true) return true;
  if (value === 0 || value === false) return false;
  return undefined;
}
