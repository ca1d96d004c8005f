/**
 * Which option a free answer to a multiple-choice question means, by VLMEvalKit's two rules: the one option letter among its words, else the
 * one option whose text it contains. The two profiles differ in where a letter counts and in how long an answer may be.
 *
 * Knows nothing of files, right answers or judges.
 */
import { length, lower, SPACE_CLASS, split } from './python-text.js';

/** `instructvla`: VLMEvalKit as InstructVLA carries it, which the paper most likely scored with; `upstream`: VLMEvalKit today. */
export const PROFILES = ['instructvla', 'upstream'] as const;
export type Profile = (typeof PROFILES)[number];

/** Letter to text. Text inference lower-cases the texts, and later calls see them so, as in VLMEvalKit. */
export type Choices = Map<string, string>;

/** How an answer was understood. */
export interface Inference {
  /** The letter; "Z" for none of them; false where the rules do not tell. */
  readonly option: string | false;
  readonly by: 'letter' | 'phrase' | 'refusal' | 'text' | 'none';
}

const NONE: Inference = { option: false, by: 'none' };
/** What VLMEvalKit's API models answer when they could not. */
export const API_FAILURE = 'Failed to obtain answer via API';
const REFUSALS = [
  "Sorry, I can't help with images of people yet.",
  "I can't process this file.",
  "I'm sorry, but without the image provided",
  'Cannot determine the answer',
];
const MARKS = /[.()[\],:;!*#{}]/g;
/** "answer is **C**": a word boundary is not asked for. Python's IGNORECASE also takes these i and s for theirs. */
const PHRASE = new RegExp(`an[sSſ]wer[${SPACE_CLASS}]+[iIİı][sSſ][${SPACE_CLASS}]+\\**([ABCD])`, 'i');

/** The letter rule alone. */
export function inferOption(answer: string, choices: ReadonlyMap<string, string>, profile: Profile): Inference {
  if (answer.includes(API_FAILURE)) return NONE;
  if (REFUSALS.some((refusal) => answer.includes(refusal))) return { option: 'Z', by: 'refusal' };
  const words = split(answer.replace(MARKS, ' '));
  const present = new Set(words);
  const named = [...choices.keys()].filter((letter) => present.has(letter));
  if (named.length === 1) {
    const letter = named[0] as string;
    if (profile === 'instructvla' || words.indexOf(letter) > words.length - 5) return { option: letter, by: 'letter' };
  } else if (named.length === 0 && present.has('Z')) return { option: 'Z', by: 'letter' };
  if (profile === 'upstream') {
    const letter = PHRASE.exec(answer)?.[1]?.toUpperCase();
    if (letter !== undefined && choices.has(letter)) return { option: letter, by: 'phrase' };
  }
  return NONE;
}

/** The text rule alone. Lower-cases the choices. */
export function inferText(answer: string, choices: Choices, profile: Profile): Inference {
  const said = lower(answer);
  if (profile === 'upstream') {
    let total = 0;
    for (const text of choices.values()) total += length(text);
    if (length(said) > 2 * total) return NONE;
  }
  const contained: string[] = [];
  for (const [letter, text] of choices) {
    const lowerText = lower(text);
    choices.set(letter, lowerText);
    if (said.includes(lowerText)) contained.push(letter);
  }
  return contained.length === 1 ? { option: contained[0] as string, by: 'text' } : NONE;
}

/** Both rules, the letter first. */
export function infer(answer: string, choices: Choices, profile: Profile): Inference {
  const byLetter = inferOption(answer, choices, profile);
  return byLetter.option === false ? inferText(answer, choices, profile) : byLetter;
}
