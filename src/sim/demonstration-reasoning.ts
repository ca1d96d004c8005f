/**
 * The reasoning of a demonstration, frame by frame, as text and as language rows: plan, visible objects, subtask with its reason, move with
 * its reason, gripper position (the fields of embodied chain-of-thought). The expert says what it does and why; the move is read off its
 * coming motion. Phrasing varies with the seed, content does not.
 */
import { type LanguageRow, mergeRows, transitionRows } from '../data/index.js';
import { coveredMotion, motionWords, PRIMITIVE_SECONDS } from './motion-words.js';
import { Random } from './random.js';

/** What is true at one frame. Positions in pictures run from 0 to 1, right and down. */
export interface FrameFacts {
  readonly plan: string;
  readonly subtask: string;
  readonly subtaskReason: string;
  readonly moveReason: string;
  /** Where the gripper is in the third-person picture. */
  readonly gripper: readonly [number, number];
  /** What can be seen, with its box [left, top, right, bottom]. */
  readonly objects: readonly { readonly name: string; readonly box: readonly [number, number, number, number] }[];
}

export interface EpisodeReasoning {
  /** [T]: the frame's full reasoning. */
  readonly text: readonly string[];
  readonly rows: readonly LanguageRow[];
}

const HEADINGS = [
  {
    plan: 'PLAN',
    objects: 'VISIBLE OBJECTS',
    reason: 'SUBTASK REASONING',
    subtask: 'SUBTASK',
    why: 'MOVE REASONING',
    move: 'MOVE',
    gripper: 'GRIPPER POSITION',
  },
] as const;

const percent = (value: number): string => String(Math.round(Math.min(Math.max(value, 0), 1) * 100));

/** Reasoning of an episode with actions [T, 7] (the expert's own, undisturbed). */
export function episodeReasoning(
  facts: readonly FrameFacts[],
  actions: Float32Array,
  fps: number,
  seed: number,
): EpisodeReasoning {
  const random = new Random(seed, 'reasoning');
  const heading = random.pick(HEADINGS);
  const ahead = Math.max(2, Math.round(PRIMITIVE_SECONDS * fps));
  const moves = facts.map((_, t) =>
    motionWords(
      coveredMotion(actions, t, ahead, t > 0 ? (actions[(t - 1) * 7 + 6] as number) : (actions[6] as number)),
    ),
  );
  const text = facts.map((frame, t) => {
    const seen = frame.objects.map(({ name, box }) => `${name} [${box.map(percent).join(', ')}]`).join(', ');
    return [
      `${heading.plan}: ${frame.plan}`,
      `${heading.objects}: ${seen || 'none'}`,
      `${heading.reason}: ${frame.subtaskReason}`,
      `${heading.subtask}: ${frame.subtask}`,
      `${heading.why}: ${frame.moveReason}`,
      `${heading.move}: ${moves[t]}`,
      `${heading.gripper}: [${frame.gripper.map(percent).join(', ')}]`,
    ].join('\n');
  });
  const rows = mergeRows(
    transitionRows(
      facts.map((frame) => frame.plan),
      'plan',
      fps,
    ),
    transitionRows(
      facts.map((frame) => frame.subtask),
      'subtask',
      fps,
    ),
    transitionRows(moves, 'motion', fps),
  );
  return { text, rows };
}
