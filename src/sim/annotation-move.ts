/**
 * Move primitives as embodied chain-of-thought makes them from proprioception (docs/annotations.md): the difference between two measured
 * states a few frames apart, scaled so that at most two directions of a translation are named, thresholded, put into words.
 * Base frame: x forward, y left, z up. Knows nothing of actions, decisions or scenes.
 */

export interface MoveWindow {
  /** States in the window: the difference spans one frame less. */
  readonly states: number;
  /** Threshold tau: metres for translations, and what turns and the gripper are compared with after scaling. */
  readonly tau: number;
  /** What a turn (rad) is divided by before it is compared with tau. */
  readonly turnDivisor: number;
  /** Frames that a primitive stands for: it is taken at the first of them and repeated. */
  readonly hold: number;
}

/**
 * ECoT on Bridge: four states, tau 0.03, turns divided by 10. Held for three frames: a frame of the simulator moves three times as far as one of
 * Bridge, and this makes primitives as repetitive as they are there (docs/annotations.md).
 */
export const ECOT_WINDOW: MoveWindow = { states: 4, tau: 0.03, turnDivisor: 10, hold: 3 };
/** VLA-IT on Fractal: three states, tau 0.02; yaw divided by 5 there, pitch by 3: one divisor here. */
export const VLA_IT_WINDOW: MoveWindow = { states: 3, tau: 0.02, turnDivisor: 5, hold: 3 };

const WORDS = [
  ['forward', 'backward'],
  ['left', 'right'],
  ['up', 'down'],
] as const;

const wrap = (angle: number): number => Math.atan2(Math.sin(angle), Math.cos(angle));

/** The primitive between two states [7] (x y z roll pitch yaw gripper); "stop" when nothing exceeds its threshold. */
export function primitive(from: ArrayLike<number>, to: ArrayLike<number>, window: MoveWindow): string {
  const { tau, turnDivisor } = window;
  const moved = [0, 1, 2].map((d) => (to[d] as number) - (from[d] as number));
  // Scaled to an L1 norm of 3 tau: a direction is named if it makes up more than a third of a long motion.
  const length = moved.reduce((sum, value) => sum + Math.abs(value), 0);
  const scale = length > 3 * tau ? (3 * tau) / length : 1;
  const sign = (value: number): number => (value > tau ? 1 : value < -tau ? -1 : 0);
  const where = moved.flatMap((value, d) => {
    const s = sign(value * scale);
    return s === 0 ? [] : [(WORDS[d] as readonly [string, string])[s > 0 ? 0 : 1]];
  });
  const turned = [3, 4, 5].map((d) => sign(wrap((to[d] as number) - (from[d] as number)) / turnDivisor));
  const [roll, pitch, yaw] = turned as [number, number, number];
  const tilt = roll !== 0 ? roll : pitch;
  const jaws = sign((to[6] as number) - (from[6] as number));
  const parts = [
    ...(where.length > 0 ? [`move ${where.join(' ')}`] : []),
    ...(tilt === 0 ? [] : [tilt > 0 ? 'tilt up' : 'tilt down']),
    ...(yaw === 0 ? [] : [yaw > 0 ? 'rotate counterclockwise' : 'rotate clockwise']),
    ...(jaws === 0 ? [] : [jaws > 0 ? 'open gripper' : 'close gripper']),
  ];
  return parts.length > 0 ? parts.join(', ') : 'stop';
}

/**
 * Primitives of an episode from its measured states [T, 7].
 * @param direction `past`: what led to each frame, nothing of what follows; `ahead`: what follows it, as the released pipelines label in
 * hindsight
 */
export function movePrimitives(states: Float32Array, window: MoveWindow, direction: 'past' | 'ahead'): string[] {
  const length = states.length / 7;
  const at = (t: number): Float32Array => states.subarray(t * 7, t * 7 + 7);
  const span = window.states - 1;
  return Array.from({ length }, (_, frame) => {
    const t = frame - (frame % window.hold);
    return direction === 'past'
      ? primitive(at(Math.max(0, t - span)), at(t), window)
      : primitive(at(t), at(Math.min(length - 1, t + span)), window);
  });
}
