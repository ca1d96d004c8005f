/**
 * What is odd in the numbers of episodes: values that are not finite, dimensions that stand still where they should move, and jumps that no
 * robot makes. Made for a single pass: an episode at a time, then a verdict over all.
 *
 * Thresholds are ours: a jump is more than half of the dimension's whole range in one frame and more than 20 times the median change, in
 * a dimension with at least a hundredth of the widest one's range (an angle held at zero trembles); a
 * dimension is stuck when it never changes in an episode of a second or more and changes in at least nine of ten others. What more than half of
 * the episodes do is no jump (a gripper that rests and then closes between two frames). Knows nothing about files.
 */
import type { Episode } from './episode.js';
import { ACTION_KEY, STATE_KEY } from './features.js';

export interface SignalProblem {
  readonly code: 'not-finite' | 'stuck' | 'jump';
  readonly episode: number;
  readonly frame?: number;
  readonly message: string;
}

const JUMP_OF_RANGE = 0.5;
const JUMP_OF_MEDIAN = 20;
/** Of the widest dimension's range; below it a dimension is held still, and its changes are noise. */
const HELD_STILL = 0.01;
const USUAL_SHARE = 0.5;
const STUCK_SHARE = 0.9;
/** Changes remembered for the median, a dimension; later ones are thinned out. */
const MAX_CHANGES = 50_000;

interface Largest {
  readonly episode: number;
  readonly frame: number;
  readonly change: number;
}

/** The first change of about that size: where a value jumps there and back, the jump there. */
function firstLike(largest: Largest, { state, stateDim }: Episode, d: number): Largest {
  for (let frame = 1; frame < largest.frame; frame++) {
    const change = Math.abs((state[frame * stateDim + d] as number) - (state[(frame - 1) * stateDim + d] as number));
    if (change >= 0.8 * largest.change) return { ...largest, frame, change };
  }
  return largest;
}

interface Dimension {
  low: number;
  high: number;
  changes: number[];
  seen: number;
  largest: Largest[];
  still: number[];
  moving: number;
}

export class SignalChecks {
  readonly #state: Dimension[] = [];
  readonly #names: readonly string[];

  /** @param names of the state's dimensions, where known */
  constructor(names: unknown) {
    this.#names = Array.isArray(names) ? names.map(String) : [];
  }

  /** Looks at an episode. Returns the values that are not finite: the first one of the state and of the action. */
  add(episode: Episode): SignalProblem[] {
    const problems: SignalProblem[] = [];
    const { index, length, stateDim, actionDim } = episode;
    for (const [key, values, size] of [
      [STATE_KEY, episode.state, stateDim],
      [ACTION_KEY, episode.action, actionDim],
    ] as const) {
      const bad = values.findIndex((value) => !Number.isFinite(value));
      if (bad < 0) continue;
      const frame = Math.floor(bad / size);
      const message = `${key}: value ${values[bad]} in dimension ${bad % size}`;
      problems.push({ code: 'not-finite', episode: index, frame, message });
    }
    if (problems.length > 0) return problems;
    for (let d = 0; d < stateDim; d++) {
      const dimension = this.#dimension(d);
      let largest: Largest | undefined;
      for (let t = 0; t < length; t++) {
        const value = episode.state[t * stateDim + d] as number;
        dimension.low = Math.min(dimension.low, value);
        dimension.high = Math.max(dimension.high, value);
        if (t === 0) continue;
        const change = Math.abs(value - (episode.state[(t - 1) * stateDim + d] as number));
        if (change === 0) continue;
        // Evenly thinned, so that a long data set does not fill memory.
        if (dimension.changes.length < MAX_CHANGES || dimension.seen % 64 === 0)
          dimension.changes[dimension.seen % MAX_CHANGES] = change;
        dimension.seen++;
        if (!largest || change > largest.change) largest = { episode: index, frame: t, change };
      }
      if (largest) {
        dimension.moving++;
        const first = firstLike(largest, episode, d);
        // The range only grows: what is no jump within the range so far is none within that of all. The others are not kept.
        if (first.change > JUMP_OF_RANGE * (dimension.high - dimension.low)) dimension.largest.push(first);
      } else if (length >= Math.max(2, episode.fps)) dimension.still.push(index);
    }
    return problems;
  }

  /** Stuck dimensions and jumps, once all episodes have been seen. */
  finish(): SignalProblem[] {
    const problems: SignalProblem[] = [];
    const widest = Math.max(0, ...this.#state.map(({ low, high }) => high - low));
    for (const [d, { low, high, changes, largest, still, moving }] of this.#state.entries()) {
      const name = `${STATE_KEY} ${this.#names[d] ?? d}`;
      const sorted = Float64Array.from(changes).sort();
      const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
      const jumps = largest.filter(
        ({ change }) => change > JUMP_OF_RANGE * (high - low) && change > JUMP_OF_MEDIAN * median,
      );
      // What most episodes do is how the dimension moves: a gripper that rests, then closes between two frames.
      const odd = high - low >= HELD_STILL * widest && jumps.length <= USUAL_SHARE * moving ? jumps : [];
      for (const { episode, frame, change } of odd) {
        const turn = Math.abs(change - 2 * Math.PI) < 0.3 ? ' (about a whole turn: an angle that wraps?)' : '';
        const message = `${name} jumps by ${change.toPrecision(3)} in one frame, ${median.toPrecision(3)} is usual${turn}`;
        problems.push({ code: 'jump', episode, frame, message });
      }
      if (moving > 0 && moving / (moving + still.length) >= STUCK_SHARE)
        for (const episode of still)
          problems.push({
            code: 'stuck',
            episode,
            message: `${name} never changes in this episode, it does in ${moving} others`,
          });
    }
    return problems;
  }

  #dimension(d: number): Dimension {
    const fresh = { low: Infinity, high: -Infinity, changes: [], seen: 0, largest: [], still: [], moving: 0 };
    this.#state[d] ??= fresh;
    return this.#state[d];
  }
}
