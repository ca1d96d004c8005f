/**
 * Stated reasoning against what was true: the subtask against the phase, boxes against where things were, sides against offsets, the stated
 * move against the motion that it describes (move-alignment.ts). Any text can be judged; what cannot be read counts as wrong where it should have been said.
 *
 * Knows nothing of marks.
 */
import type { EpisodeTrace, StepTrace } from '../eval/trace.js';
import { parseReasoning } from '../sim/annotation-format.js';
import { type PlanWords, phasesOfSubtask, planWords } from '../sim/annotation-plan.js';
import { taskOf } from '../sim/index.js';
import { moveAlignment, STILL, statementSteps } from './move-alignment.js';

/** Seconds by which a statement may come early or late: the spread of cuts in the annotations (docs/annotations.md). */
export const TIME_TOLERANCE = 0.4;
/** Distance, in sides of the picture, between a stated and a true centre: a cell of the layout's grid. Its resolution comes on top. */
export const PLACE_TOLERANCE = 0.1;

/** What one step's text states, each right (1), wrong (0) or in between; null where it states nothing of the kind. */
export interface StepValidity {
  readonly subtask: number | null;
  readonly objects: number | null;
  readonly gripper: number | null;
  readonly side: number | null;
  readonly move: number | null;
  readonly malformed: boolean;
}

/** Shares over a set's reasoned steps, 0 to 1; what is never stated is left out. */
export interface ReasoningValidity {
  /** Steps, and steps with reasoning. */
  readonly steps: number;
  readonly reasoned: number;
  readonly malformed: number;
  readonly subtask?: number;
  readonly objects?: number;
  readonly gripper?: number;
  readonly side?: number;
  readonly move?: number;
}

/** Validity of each step's text; null for steps without reasoning. */
export function judgeSteps(episode: EpisodeTrace): (StepValidity | null)[] {
  const [subjectNoun, referenceNoun] = episode.nouns as [string, string?];
  const words = planWords(taskOf(episode.task).kind, {
    subjectNoun,
    ...(referenceNoun === undefined ? {} : { referenceNoun }),
  });
  const said = statementSteps(episode);
  return episode.trace.map((step, t) =>
    step.reasoning === null ? null : judgeStep(step.reasoning, t, said[t] as number, episode, words),
  );
}

/** @param said the step at which the words were said */
function judgeStep(text: string, t: number, said: number, episode: EpisodeTrace, words: PlanWords): StepValidity {
  const { trace, controlHz } = episode;
  const step = trace[t] as StepTrace;
  const { fields, objects, gripper, resolution, faults } = parseReasoning(text);
  const around = Math.max(1, Math.round(TIME_TOLERANCE * controlHz));
  const phases = trace.slice(Math.max(0, t - around), t + around + 1).map(({ phase }) => phase);
  const covered =
    fields.SUBTASK === undefined ? null : (phasesOfSubtask(words, fields.SUBTASK) as ReadonlySet<string> | null);
  const near = PLACE_TOLERANCE + resolution;
  return {
    // Without a subtask nothing is right about it.
    subtask: covered !== null && phases.some((phase) => covered.has(phase)) ? 1 : 0,
    objects: fields['VISIBLE OBJECTS'] === undefined ? null : objectsRight(objects, step, near),
    gripper:
      fields['GRIPPER POSITION'] === undefined
        ? null
        : gripper !== null && distance(gripper, step.gripper) <= near
          ? 1
          : 0,
    side: fields['MOVE REASONING'] === undefined ? null : sideRight(fields['MOVE REASONING'], step, words),
    move: fields.MOVE === undefined ? null : moveAlignment(fields.MOVE, said, episode),
    malformed: faults.length > 0 || fields.SUBTASK === undefined,
  };
}

type Box = StepTrace['boxes'][number]['box'];
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((v, i) => Math.abs(v - (b[i] as number))));
const centre = ([u0, v0, u1, v1]: Box): [number, number] => [(u0 + u1) / 2, (v0 + v1) / 2];

/** Share of things right among all that were named or were there: a thing made up counts against it as one left out does. */
function objectsRight(
  named: readonly { name: string; box: readonly number[] }[],
  step: StepTrace,
  near: number,
): number {
  const there = new Map(step.boxes.map(({ name, box }) => [name, centre(box)]));
  const right = new Set(
    named.flatMap(({ name, box }) => {
      const at = there.get(name);
      return at && distance(centre(box as Box), at) <= near ? [name] : [];
    }),
  );
  const all = new Set([...there.keys(), ...named.map(({ name }) => name)]);
  return all.size === 0 ? 1 : right.size / all.size;
}

const SIDES: readonly (readonly [string, number, 1 | -1])[] = [
  ['ahead', 0, 1],
  ['behind', 0, -1],
  ['to the left', 1, 1],
  ['to the right', 1, -1],
  ['above', 2, 1],
  ['below', 2, -1],
];

/** "carrot is to the left" against the offset from the tool. Null where no side is stated. */
function sideRight(text: string, step: StepTrace, words: PlanWords): number | null {
  const offset = (text.includes(`${words.place} is`) ? step.toReference : null) ?? step.toSubject;
  if (text.includes('right here')) return Math.hypot(offset[0], offset[1]) <= 2 * STILL ? 1 : 0;
  const stated = SIDES.find(([side]) => text.includes(side));
  if (!stated) return null;
  const [, axis, sign] = stated;
  // Passing by what was ahead makes the statement stale, not yet wrong.
  return (offset[axis] as number) * sign > -STILL ? 1 : 0;
}

/** Shares over all steps with reasoning of some episodes. */
export function reasoningValidity(episodes: readonly EpisodeTrace[]): ReasoningValidity {
  const steps = episodes.flatMap(judgeSteps);
  const stated = steps.filter((step) => step !== null);
  const share = (part: 'subtask' | 'objects' | 'gripper' | 'side' | 'move'): { [name in typeof part]?: number } => {
    const values = stated.map((step) => step[part]).filter((value) => value !== null);
    return values.length === 0 ? {} : { [part]: values.reduce((sum, value) => sum + value, 0) / values.length };
  };
  return {
    steps: steps.length,
    reasoned: stated.length,
    malformed: stated.filter(({ malformed }) => malformed).length / Math.max(1, stated.length),
    ...share('subtask'),
    ...share('objects'),
    ...share('gripper'),
    ...share('side'),
    ...share('move'),
  };
}
