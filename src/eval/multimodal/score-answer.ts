/**
 * Scoring of one answer to the procedural question families: by rules alone, deterministic, no judge.
 *
 * - options: the one option letter among the answer's words, else the one option that the whole answer equals;
 * - facts (captions and other open answers): every fact is stated, word for word, and the answer has at most twice the words of the
 *   reference answer, so that listing everything there is does not help;
 * - else: equality after normalisation.
 *
 * Knows nothing of files or models.
 */
import { OPTION_LETTERS } from '../../data/index.js';

export interface ExpectedAnswer {
  readonly answer: string;
  readonly options?: readonly string[];
  readonly facts?: readonly string[];
}

export interface ScoredAnswer {
  readonly correct: boolean;
  /** What was taken for the answer: a letter, normalised words, or "" for nothing usable. */
  readonly extracted: string;
}

const NUMBER_WORDS: ReadonlyMap<string, string> = new Map(
  ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'].map((word, i) => [
    word,
    String(i),
  ]),
);
const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the']);
/** An open answer may have so many times the words of the reference. */
const MOST_WORDS = 2;

/** Lower case, marks to spaces, number words to digits, single spaces. */
export function normaliseWords(text: string): string[] {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
    .map((word) => NUMBER_WORDS.get(word) ?? word);
}

/** Articles at the beginning do not count, unless nothing else is there (the letter A). */
function withoutArticle(words: readonly string[]): readonly string[] {
  return words.length > 1 && ARTICLES.has(words[0] as string) ? words.slice(1) : words;
}

const normalised = (text: string): string => withoutArticle(normaliseWords(text)).join(' ');

/** The letter that an answer names among as many options, or "" when it names none or several. */
export function chosenLetter(answer: string, options: readonly string[]): string {
  const letters: readonly string[] = OPTION_LETTERS.slice(0, options.length);
  const tokens = new Set(answer.replace(/[.()[\],:;!*#{}]/g, ' ').split(/\s+/));
  const named = letters.filter((letter) => tokens.has(letter));
  if (named.length === 1) return named[0] as string;
  const whole = normalised(answer);
  const equal = letters.filter((_, i) => whole !== '' && normalised(options[i] as string) === whole);
  return equal.length === 1 ? (equal[0] as string) : '';
}

export function scoreAnswer(given: string, { answer, options, facts }: ExpectedAnswer): ScoredAnswer {
  if (options) {
    const extracted = chosenLetter(given, options);
    return { correct: extracted !== '' && extracted === answer, extracted };
  }
  if (facts) {
    const words = normaliseWords(given);
    const extracted = words.join(' ');
    const text = ` ${extracted} `;
    const stated = facts.every((fact) => text.includes(` ${normaliseWords(fact).join(' ')} `));
    return { correct: stated && words.length <= MOST_WORDS * normaliseWords(answer).length, extracted };
  }
  const extracted = normalised(given);
  return { correct: extracted !== '' && extracted === normalised(answer), extracted };
}
