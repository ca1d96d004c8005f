/**
 * Reason-act alignment: the move that a text states against the motion carried out, over the time that the words describe.
 *
 * Annotators' primitives say what led to a frame (three steps) and are repeated for three frames; a policy says its words when it predicts and keeps them
 * for the steps it then carries out. So a statement counts from the step at which it was made, and is compared with the motion that ended there or
 * up to two steps before, and with the motion that follows: the best of these windows. Over a window every stated part is right (1), contradicted (0) or
 * neither (.5), and every part of the motion that is not stated counts as one more that is wrong, so that neither "stop" nor every direction at
 * once is ever safe.
 *
 * Knows nothing of marks.
 */
import type { EpisodeTrace, StepTrace } from '../eval/trace.js';
import { ECOT_WINDOW, primitive } from '../sim/annotation-move.js';

/** Steps of motion in a window: ECoT's primitives lie three steps apart. */
export const MOTION_STEPS = ECOT_WINDOW.states - 1;
/** Steps by which the described motion may have ended before the statement: a primitive is held for three frames. */
export const HELD_STEPS = ECOT_WINDOW.hold - 1;
/** Steps after which words that go on are a new statement: a chunk (the default of `num_execute`). */
export const STATEMENT_STEPS = 4;
/** Metres from which a motion counts as one in that direction or against it. */
export const MOTION_NOISE = 0.005;
/** Metres below which `stop` is true: the primitives' threshold. Jaws: share of their opening. */
export const STILL = 0.03;
/** Radians from which a turn counts as one. */
const TURN_NOISE = 0.02;

/** For every step, the step at which its words were said: the first of equal texts, and anew every `STATEMENT_STEPS`. */
export function statementSteps({ trace }: EpisodeTrace): number[] {
  let said = 0;
  return trace.map(({ reasoning }, t) => {
    if (t > 0 && (trace[t - 1] as StepTrace).reasoning !== reasoning) said = t;
    else if (t - said >= STATEMENT_STEPS) said = t;
    return said;
  });
}

/** How well a stated move fits the motion around the step at which it was said, 0 to 1. 0 for words that are no move. */
export function moveAlignment(move: string, said: number, { trace, end }: EpisodeTrace): number {
  const at = (t: number): readonly number[] =>
    t >= trace.length ? end.state : (trace[Math.max(0, t)] as StepTrace).state;
  const windows = Array.from({ length: HELD_STEPS + 1 }, (_, late) => said - late - MOTION_STEPS);
  return Math.max(...[...windows, said].map((from) => agreement(move, at(from), at(from + MOTION_STEPS))));
}

const DIRECTIONS: Readonly<Record<string, readonly [number, 1 | -1]>> = {
  forward: [0, 1],
  backward: [0, -1],
  left: [1, 1],
  right: [1, -1],
  up: [2, 1],
  down: [2, -1],
};

/** `move forward down, open gripper` in its parts, each in the primitives' words. */
function partsOf(move: string): string[] {
  return move.split(', ').flatMap((part) => {
    if (part.startsWith('move ')) return part.slice(5).replaceAll(' and ', ' ').split(' ');
    if (part === 'hold still') return ['stop'];
    return [part.replace('the gripper', 'gripper')];
  });
}

function agreement(move: string, from: readonly number[], to: readonly number[]): number {
  const said = partsOf(move);
  const unsaid = partsOf(primitive(from, to, ECOT_WINDOW)).filter((part) => part !== 'stop' && !said.includes(part));
  return said.reduce((sum, part) => sum + partRight(part, from, to), 0) / (said.length + unsaid.length);
}

function partRight(part: string, from: readonly number[], to: readonly number[]): number {
  const by = (d: number): number => (to[d] as number) - (from[d] as number);
  const moved = [by(0), by(1), by(2)];
  const along = (value: number, noise: number): number => (value > noise ? 1 : value < -noise ? 0 : 0.5);
  const direction = DIRECTIONS[part];
  if (direction) return along((moved[direction[0]] as number) * direction[1], MOTION_NOISE);
  const yaw = Math.atan2(Math.sin(by(5)), Math.cos(by(5)));
  switch (part) {
    case 'stop':
      return Math.hypot(...moved) <= STILL ? 1 : 0;
    case 'open gripper':
      return along(by(6), STILL);
    case 'close gripper':
    case 'keep gripper closed':
      return part === 'close gripper' ? along(-by(6), STILL) : by(6) <= STILL ? 1 : 0;
    case 'rotate counterclockwise':
      return along(yaw, TURN_NOISE);
    case 'rotate clockwise':
      return along(-yaw, TURN_NOISE);
    case 'tilt up':
    case 'tilt down':
      return Math.max(Math.abs(by(3)), Math.abs(by(4))) > TURN_NOISE ? 1 : 0.5;
    default:
      return 0;
  }
}
