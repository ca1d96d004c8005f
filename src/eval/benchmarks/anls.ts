/** Average normalised Levenshtein similarity: short answers that may be misspelt a little. Used by DocVQA and InfoVQA. */
import { length, lower, split, upper } from './python-text.js';

/** Below this similarity an answer counts nothing; exactly this counts. */
const THRESHOLD = 0.5;

/** Least number of insertions, deletions and replacements of code points. */
export function editDistance(a: string, b: string): number {
  const [from, to] = [codePoints(a), codePoints(b)];
  let previous = Uint32Array.from({ length: from.length + 1 }, (_, i) => i);
  let current = new Uint32Array(from.length + 1);
  for (let j = 0; j < to.length; j++) {
    const wanted = to[j];
    current[0] = j + 1;
    let left = j + 1;
    let diagonal = previous[0] as number;
    for (let i = 0; i < from.length; i++) {
      const above = previous[i + 1] as number;
      if (from[i] === wanted) left = diagonal;
      else left = 1 + Math.min(diagonal, above, left);
      current[i + 1] = left;
      diagonal = above;
    }
    [previous, current] = [current, previous];
  }
  return previous[from.length] as number;
}

function codePoints(text: string): number[] {
  const points: number[] = [];
  for (const character of text) points.push(character.codePointAt(0) as number);
  return points;
}

const evened = (text: string): string => split(lower(text)).join(' ');

/** Distance over the longer length, 0 (same) to 1 or more: lower-cased and with single spaces, but the lengths are those of the raw text in capitals. */
export function normalisedDistance(reference: string, prediction: string): number {
  const longer = Math.max(length(upper(reference)), length(upper(prediction)));
  return longer === 0 ? 0 : editDistance(evened(reference), evened(prediction)) / longer;
}

export interface AnlsScore {
  /** 0, or 0.5 to 1. */
  readonly score: number;
  readonly match: readonly number[];
}

/** The best of the references counts. */
export function anlsScore(references: readonly string[], prediction: string): AnlsScore {
  const match = references.map((reference) => normalisedDistance(reference, prediction));
  const similarity = 1 - Math.min(...match);
  return { score: similarity < THRESHOLD ? 0 : similarity, match };
}
