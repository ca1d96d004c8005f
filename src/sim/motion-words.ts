/**
 * Motion primitives in words, as embodied reasoning uses them ("move left and down, close gripper"): what a stretch of coming actions adds
 * up to, in the robot's base frame (x forward, y left, z up). Knows nothing about scenes or tasks.
 */

/** Seconds that a primitive looks ahead. */
export const PRIMITIVE_SECONDS = 0.8;
/** Translation (m) and rotation (rad) from which a direction is mentioned. */
const MENTION = { move: 0.02, turn: 0.12 } as const;
/** A direction is left out when another one is so many times larger. */
const DOMINANCE = 4;

const TRANSLATIONS = [
  ['forward', 'backward'],
  ['left', 'right'],
  ['up', 'down'],
] as const;
/** Signs as seen from above (yaw) and from the robot's left side (pitch). */
const ROTATIONS = [
  ['roll right', 'roll left'],
  ['tilt down', 'tilt up'],
  ['rotate counterclockwise', 'rotate clockwise'],
] as const;

export interface CoveredMotion {
  /** Sums of the six deltas: metres and radians. */
  readonly total: readonly number[];
  /** Whether the jaws are told to open or close within the stretch. */
  readonly gripper: 'open' | 'close' | null;
}

/**
 * What the actions [T, 7] from frame `t` on add up to over `frames` steps. `openBefore`: whether the jaws are open at `t`.
 */
export function coveredMotion(actions: Float32Array, t: number, frames: number, openBefore: boolean): CoveredMotion {
  const total = [0, 0, 0, 0, 0, 0];
  const length = actions.length / 7;
  let gripper: CoveredMotion['gripper'] = null;
  let command = openBefore;
  for (let k = t; k < Math.min(t + frames, length); k++) {
    for (let d = 0; d < 6; d++) total[d] = (total[d] as number) + (actions[k * 7 + d] as number);
    const open = (actions[k * 7 + 6] as number) >= 0.5;
    if (open !== command) gripper = open ? 'open' : 'close';
    command = open;
  }
  return { total, gripper };
}

/** The primitive in words; "hold still" when nothing is worth mentioning. */
export function motionWords({ total, gripper }: CoveredMotion): string {
  const largest = Math.max(...total.slice(0, 3).map(Math.abs));
  const directions = TRANSLATIONS.flatMap(([positive, negative], d) => {
    const value = total[d] as number;
    return Math.abs(value) >= MENTION.move && Math.abs(value) * DOMINANCE >= largest
      ? [value > 0 ? positive : negative]
      : [];
  });
  const turns = ROTATIONS.flatMap(([positive, negative], d) => {
    const value = total[3 + d] as number;
    return Math.abs(value) >= MENTION.turn ? [value > 0 ? positive : negative] : [];
  });
  const parts = [
    ...(directions.length > 0 ? [`move ${joinWords(directions)}`] : []),
    ...turns,
    ...(gripper ? [`${gripper} gripper`] : []),
  ];
  return parts.length > 0 ? parts.join(', ') : 'hold still';
}

/** "a", "a and b", "a, b and c". */
export function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
