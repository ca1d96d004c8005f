/**
 * The nearest known name to a mistyped one, for "did you mean". Knows nothing about configuration schemas.
 */

/** Levenshtein distance between two strings. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min((previous[j] as number) + 1, (row[j - 1] as number) + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length] as number;
}

const normalise = (name: string): string => name.toLowerCase().replaceAll('-', '_');
const lastPart = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
const group = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')));

/**
 * The candidate nearest to `name` among dotted paths, or null if none is near. A key is near if its path, or its last
 * part, differs by at most two fifths of its letters (so `lr` is found as `optimizer.lr`, `optimiser.lr` too); within one
 * group a shared word of the name counts as well (`optimizer.clip_norm` -> `optimizer.grad_clip_norm`).
 */
export function nearestName(name: string, candidates: readonly string[]): string | null {
  const wanted = normalise(name);
  let best: string | null = null;
  let bestScore = 0.41;
  for (const candidate of candidates) {
    const known = normalise(candidate);
    const whole = editDistance(wanted, known) / Math.max(wanted.length, known.length);
    const wantedPart = lastPart(wanted);
    const knownPart = lastPart(known);
    const sameGroup = group(wanted) === group(known);
    const penalty = sameGroup ? 0 : 0.02;
    const part = editDistance(wantedPart, knownPart) / Math.max(wantedPart.length, knownPart.length) + penalty;
    const contained = sameGroup && sharesWords(wantedPart, knownPart) ? 0.3 : 1;
    const score = Math.min(whole, part, contained);
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

function sharesWords(a: string, b: string): boolean {
  const wordsA = new Set(a.split('_').filter((word) => word.length > 2));
  return b.split('_').some((word) => wordsA.has(word));
}
