/**
 * Which moments of a rollout a judge sees: the first and the last, moments at which something happens (the gripper opens or closes, the thought changes), and the
 * middles of the longest gaps, as many as a token budget allows.
 *
 * Knows nothing of prompts or prices beyond an estimate of tokens.
 */
import type { Rollout } from './rollout.js';

/** Characters of English and JSON that make a token, for estimates: four in prose, fewer in coordinates. */
const CHARACTERS_A_TOKEN = 3.5;

/** Roughly how many tokens a text is. */
export const tokensOf = (text: string): number => Math.ceil(text.length / CHARACTERS_A_TOKEN);

/** Moments at which something happens, in order. */
export function eventMoments({ thoughts, trace }: Rollout): number[] {
  const jaws = (t: number): boolean => (trace?.trace[t]?.state[6] ?? 1) >= 0.5;
  return thoughts.flatMap((thought, t) => {
    if (t === 0) return [];
    const gripper = trace !== undefined && t < trace.trace.length && jaws(t) !== jaws(t - 1);
    return gripper || (thought !== null && subtaskOf(thought) !== subtaskOf(thoughts[t - 1] ?? '')) ? [t] : [];
  });
}

/** What a thought is about, without positions that change at every step. */
const subtaskOf = (text: string): string => /SUBTASK: ?(.*)/.exec(text)?.[1] ?? text;

/**
 * At most `count` moments of a rollout of `length`, in order. At most half of them are events, so that the motion between stays visible.
 * @throws RangeError for fewer than two where there are two
 */
export function sampleMoments(length: number, count: number, events: readonly number[] = []): number[] {
  if (count >= length) return Array.from({ length }, (_, t) => t);
  if (count < 2) throw new RangeError(`${count} moments of ${length}: the first and the last are needed`);
  const chosen = new Set([0, length - 1]);
  const room = Math.floor((count - 2) / 2);
  const kept = events.filter((t) => !chosen.has(t));
  const some = Math.min(room, kept.length);
  for (let i = 0; i < some; i++) chosen.add(kept[Math.floor((i * kept.length) / some)] as number);
  while (chosen.size < count) chosen.add(middleOfLongestGap([...chosen].sort((a, b) => a - b)));
  return [...chosen].sort((a, b) => a - b);
}

function middleOfLongestGap(sorted: readonly number[]): number {
  let best = 0;
  for (let i = 1; i + 1 < sorted.length; i++) {
    const gap = (at: number): number => (sorted[at + 1] as number) - (sorted[at] as number);
    if (gap(i) > gap(best)) best = i;
  }
  return Math.floor(((sorted[best] as number) + (sorted[best + 1] as number)) / 2);
}
