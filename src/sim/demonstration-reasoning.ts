/**
 * The `privileged` style of reasoning, an ablation beside annotation.ts: what the expert itself knows, frame by frame, as text and as language rows, with the fields and in the order of embodied
 * chain-of-thought: plan, visible objects, subtask with its reason, move with its reason, gripper position (positions in percent of the
 * third-person picture). The expert says what it does and why; the move is the primitive that its coming motion adds up to.
 */
import { type LanguageRow, mergeRows, transitionRows } from '../data/index.js';
import { coveredMotion, motionWords, PRIMITIVE_SECONDS } from './motion-words.js';
import type { Reasoning } from './narration.js';

export interface EpisodeReasoning {
  /** [T]: the frame's full reasoning. */
  readonly text: readonly string[];
  readonly rows: readonly LanguageRow[];
}

const percent = (value: number): string => String(Math.round(Math.min(Math.max(value, 0), 1) * 100));

/**
 * Reasoning of an episode from what the expert said at every frame, the measured states [T, 7] and the clean actions [T, 7]. `disturbed` [T] marks steps that were executed
 * otherwise: a primitive ends there, since what follows answers the disturbance.
 */
export function episodeReasoning(
  said: readonly Reasoning[],
  states: Float32Array,
  actions: Float32Array,
  disturbed: Uint8Array,
  fps: number,
): EpisodeReasoning {
  const ahead = Math.max(2, Math.round(PRIMITIVE_SECONDS * fps));
  const moves = said.map((_, t) => {
    const stop = disturbed.indexOf(1, t);
    const frames = stop < 0 ? ahead : Math.min(ahead, stop - t + 1);
    // Measured: after a miss the jaws are closed though no label ever said so.
    const open = (states[t * 7 + 6] as number) >= 0.9;
    return motionWords(coveredMotion(actions, t, frames, open));
  });
  const text = said.map((frame, t) => {
    const seen = frame.objects.map(({ name, box }) => `${name} [${box.map(percent).join(', ')}]`).join(', ');
    return [
      `PLAN: ${frame.plan}`,
      `VISIBLE OBJECTS: ${seen || 'none'}`,
      `SUBTASK REASONING: ${frame.subtaskReason}`,
      `SUBTASK: ${frame.subtask}`,
      `MOVE REASONING: ${frame.moveReason}`,
      `MOVE: ${moves[t]}`,
      `GRIPPER POSITION: [${frame.gripper.map(percent).join(', ')}]`,
    ].join('\n');
  });
  const rows = mergeRows(
    transitionRows(
      said.map((frame) => frame.plan),
      'plan',
      fps,
    ),
    transitionRows(
      said.map((frame) => frame.subtask),
      'subtask',
      fps,
    ),
    transitionRows(moves, 'motion', fps),
  );
  return { text, rows };
}
