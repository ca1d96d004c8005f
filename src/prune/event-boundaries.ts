/**
 * Event boundaries of a video: from scores to frames, and how well they match those of a labeller. Post-processing and the relative
 * distance F1 as DDM-Net's released code does them (generic event boundary detection, Shou et al., ICCV 2021), and the plain F1
 * within so many frames that this project reports.
 *
 * Knows nothing about what gave the scores.
 */

export interface PickOptions {
  /** Least score of a boundary. Released: 0.53. */
  readonly threshold: number;
  /** A boundary is the strict maximum among the scores so many positions to both sides. Released: 5. */
  readonly scope: number;
  /** Positions at the ends that can be no boundary, though they suppress others. Released: 2 and 3; here none. */
  readonly beginIgnore?: number;
  readonly endIgnore?: number;
}

/** Positions of boundaries among `scores`. Two equal maxima within the scope suppress each other. */
export function pickBoundaries(scores: ArrayLike<number>, options: PickOptions): number[] {
  const { threshold, scope, beginIgnore = 0, endIgnore = 0 } = options;
  const isBoundary = (i: number): boolean => {
    const score = scores[i] as number;
    if (!(score >= threshold)) return false;
    for (let j = Math.max(0, i - scope); j <= Math.min(scores.length - 1, i + scope); j++)
      if (j !== i && (scores[j] as number) >= score) return false;
    return true;
  };
  const picked: number[] = [];
  for (let i = beginIgnore; i < scores.length - endIgnore; i++) if (isBoundary(i)) picked.push(i);
  return picked;
}

/**
 * As many boundaries as the probabilities together expect (times `share`), the most probable first, none within `scope` positions of another.
 * A threshold finds too many in a video of which a detector is sure and too few in one of which it is not; this finds as many as there are likely to be.
 *
 * @param every every event is seen from so many neighbouring frames (SceneEventModel.score)
 */
export function pickExpected(
  probabilities: ArrayLike<number>,
  { share, scope, beginIgnore = 0, every = 1 }: { share: number; scope: number; beginIgnore?: number; every?: number },
): number[] {
  const places = Array.from({ length: Math.max(probabilities.length - beginIgnore, 0) }, (_, i) => beginIgnore + i);
  const expected = places.reduce((sum, i) => sum + (probabilities[i] as number), 0);
  const most = Math.round((share * expected) / every);
  const picked: number[] = [];
  const sorted = places.sort((a, b) => (probabilities[b] as number) - (probabilities[a] as number) || a - b);
  for (const place of sorted) {
    if (picked.length >= most) break;
    if (picked.every((other) => Math.abs(other - place) > scope)) picked.push(place);
  }
  return picked.sort((a, b) => a - b);
}

export interface Agreement {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Counts from which precision, recall and F1 follow; sums of counts give micro-averages. */
interface Counts {
  hits: number;
  numTrue: number;
  numFound: number;
}

/** With nothing to find recall is 1, with nothing found precision is 0, as the official evaluation has it. */
function agreement({ hits, numTrue, numFound }: Counts): Agreement {
  const recall = numTrue === 0 ? 1 : hits / numTrue;
  const precision = numFound === 0 ? 0 : hits / numFound;
  return { precision, recall, f1: recall + precision === 0 ? 0 : (2 * recall * precision) / (recall + precision) };
}

/** Boundaries of one video, found and true, in frames. */
export interface BoundaryPair {
  readonly found: readonly number[];
  readonly truth: readonly number[];
}

/**
 * F1 over all videos together: a found boundary is right when a true one lies within `tolerance` frames; each counts once, matched so
 * that most are.
 */
export function boundaryF1(videos: Iterable<BoundaryPair>, tolerance: number): Agreement {
  const total: Counts = { hits: 0, numTrue: 0, numFound: 0 };
  for (const { found, truth } of videos) {
    const [a, b] = [found, truth].map((frames) => [...frames].sort((x, y) => x - y)) as [number[], number[]];
    total.numFound += a.length;
    total.numTrue += b.length;
    // In order, the earliest that still reaches: most matches when all have the same reach.
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      const difference = (a[i] as number) - (b[j] as number);
      if (Math.abs(difference) <= tolerance) {
        total.hits++;
        i++;
        j++;
      } else if (difference < 0) i++;
      else j++;
    }
  }
  return agreement(total);
}

/** A video of the benchmark of generic event boundaries, in seconds. */
export interface RatedVideo {
  /** Boundaries by each rater. */
  readonly raters: readonly (readonly number[])[];
  readonly duration: number;
  /** The raters' mean agreement; videos below 0.3 are left out. */
  readonly consistency: number;
}

/**
 * The official F1: a boundary is found when its nearest free detection lies within `relativeDistance` of the video's duration; the
 * rater with the best F1 counts (the first on ties).
 *
 * Kept as released: a nearest detection that is too far is not replaced by another one, and a video without detections adds the FIRST
 * rater's boundaries to the missed ones.
 *
 * @param predictions detections in seconds by video; a video may be absent
 */
export function relativeDistanceF1(
  videos: Readonly<Record<string, RatedVideo>>,
  predictions: Readonly<Record<string, readonly number[]>>,
  relativeDistance: number,
): Agreement {
  const total: Counts = { hits: 0, numTrue: 0, numFound: 0 };
  for (const [name, { raters, duration, consistency }] of Object.entries(videos)) {
    if (consistency < 0.3) continue;
    const found = (predictions[name] ?? []).filter((time) => time >= 0 && time <= duration);
    if (found.length === 0) {
      total.numTrue += raters[0]?.length ?? 0;
      continue;
    }
    const counts = raters.map((truth) => ({
      hits: matchInOrder(truth, found, relativeDistance * duration),
      numTrue: truth.length,
      numFound: found.length,
    }));
    const scores = counts.map((count) => agreement(count).f1);
    const best = counts[scores.indexOf(Math.max(...scores))] as Counts;
    total.hits += best.hits;
    total.numTrue += best.numTrue;
    total.numFound += found.length;
  }
  return agreement(total);
}

function matchInOrder(truth: readonly number[], found: readonly number[], reach: number): number {
  const free = [...found];
  let hits = 0;
  for (const time of truth) {
    if (free.length === 0) break;
    const distances = free.map((detection) => Math.abs(time - detection));
    const nearest = distances.indexOf(Math.min(...distances));
    if ((distances[nearest] as number) > reach) continue;
    free.splice(nearest, 1);
    hits++;
  }
  return hits;
}
