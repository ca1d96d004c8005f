/**
 * Stated reasoning against what was true: the subtask against the phase, boxes against where things were, sides against offsets, the stated
 * move against the motion carried out. Any text can be judged; what cannot be read counts as wrong where it should have been said.
 *
 * Knows nothing of marks.
 */
import type { EpisodeTrace, StepTrace } from '../eval/trace.js';
import { parseReasoning } from '../sim/annotation-format.js';
import { type PlanWords, phasesOfSubtask, planWords } from '../sim/annotation-plan.js';
import { taskOf } from '../sim/index.js';

/** Seconds by which a statement may come early or late: the spread of cuts in the annotations (docs/annotations.md). */
export const TIME_TOLERANCE = 0.4;
/** Distance, in sides of the picture, between a stated and a true centre: a cell of the layout's grid. Its resolution comes on top. */
export const PLACE_TOLERANCE = 0.1;
/** Seconds of motion that a stated move is compared with, before and after it: three steps at 5 Hz, as the primitives. */
export const MOTION_SECONDS = 0.6;
/** Metres from which a motion counts as one in that direction or against it. */
export const MOTION_NOISE = 0.005;
/** Metres below which `stop` and `right here` are true: the primitives' threshold. */
export const STILL = 0.03;

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
  return episode.trace.map((step, t) =>
    step.reasoning === null ? null : judgeStep(step.reasoning, t, episode, words),
  );
}

function judgeStep(text: string, t: number, episode: EpisodeTrace, words: PlanWords): StepValidity {
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
    move: fields.MOVE === undefined ? null : moveRight(fields.MOVE, t, episode),
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

const MOVES: Readonly<Record<string, readonly [number, 1 | -1]>> = {
  forward: [0, 1],
  backward: [0, -1],
  left: [1, 1],
  right: [1, -1],
  up: [2, 1],
  down: [2, -1],
};

/** The stated move against the motion just before and just after: the better of the two. 0 for words that are no move. */
export function moveRight(move: string, t: number, { trace, controlHz, end }: EpisodeTrace): number {
  const span = Math.max(1, Math.round(MOTION_SECONDS * controlHz));
  const at = (i: number): readonly number[] =>
    i >= trace.length ? end.state : (trace[Math.max(0, i)] as StepTrace).state;
  return Math.max(agreement(move, at(t - span), at(t)), agreement(move, at(t), at(t + span)));
}

function agreement(move: string, from: readonly number[], to: readonly number[]): number {
  const moved = [0, 1, 2].map((d) => (to[d] as number) - (from[d] as number));
  const jaws = (to[6] as number) - (from[6] as number);
  const turn = (to[5] as number) - (from[5] as number);
  const along = (value: number, noise: number): number => (value > noise ? 1 : value < -noise ? 0 : 0.5);
  const marks: number[] = [];
  for (const part of move.split(', ')) {
    if (part === 'stop' || part === 'hold still') marks.push(Math.hypot(...moved) <= STILL ? 1 : 0);
    else if (part === 'open gripper' || part === 'open the gripper') marks.push(along(jaws, STILL));
    else if (part === 'close gripper' || part === 'close the gripper') marks.push(along(-jaws, STILL));
    else if (part.startsWith('rotate ')) {
      const angle = Math.atan2(Math.sin(turn), Math.cos(turn));
      marks.push(along(part.endsWith('counterclockwise') ? angle : -angle, 0.02));
    } else if (part.startsWith('tilt ')) {
      const tilted = Math.max(...[3, 4].map((d) => Math.abs((to[d] as number) - (from[d] as number))));
      marks.push(tilted > 0.02 ? 1 : 0.5);
    } else if (part.startsWith('move ')) {
      for (const word of part.slice(5).replaceAll(' and ', ' ').split(' ')) {
        const direction = MOVES[word];
        marks.push(direction ? along((moved[direction[0]] as number) * direction[1], MOTION_NOISE) : 0);
      }
    } else marks.push(0);
  }
  return marks.reduce((sum, mark) => sum + mark, 0) / marks.length;
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
