/**
 * Reasoning annotations of a demonstration as they really come about (docs/annotations.md): a language model that knows the instruction and
 * the measured motion, not the expert, cuts the episode into the steps of a plan it has written, in hindsight and not quite at
 * the right frames, and repeats the same words for every frame of a step; detectors add positions. The paper's Sec. 1 calls the result
 * repetitive and of low entropy. Style, rates and noise are fixed here and were chosen from how real labels are made.
 *
 * What may enter the text: the instruction, object names, image positions, measured states up to the frame (`ecot-hindsight`: and three
 * states after it, as the released pipeline), and the phase only through the annotator's imprecise cuts. What never does: the expert's action.
 */
import { mergeRows, transitionRows } from '../data/index.js';
import { formatFields, formatPosition, type ReasoningFields } from './annotation-format.js';
import { ECOT_WINDOW, movePrimitives, VLA_IT_WINDOW } from './annotation-move.js';
import { type PlanStep, plansOf, planWords, stepOfPhase } from './annotation-plan.js';
import type { EpisodeReasoning } from './demonstration-reasoning.js';
import type { Reasoning } from './narration.js';
import { clamp, type Vec3 } from './pose.js';
import { Random } from './random.js';
import type { Goal, Phase, TaskKind } from './tasks/task.js';

/**
 * `ecot`: all of ECoT's fields, short. `ecot-long`: the same at several times the length. `ecot-hindsight`: `ecot` with ECoT's own move window,
 * which looks ahead. `vla-it`: what is done, why, and a primitive. `privileged`: the expert's own true narration.
 */
export const REASONING_STYLES = ['ecot', 'ecot-long', 'ecot-hindsight', 'vla-it', 'privileged'] as const;
export type ReasoningStyle = (typeof REASONING_STYLES)[number];

/** How the annotator errs; docs/annotations.md says where each number comes from. */
export const ANNOTATOR = {
  /** Seconds by which the cut between two steps comes late, and its standard deviation. */
  cutLag: 0.2,
  cutJitter: 0.4,
  /** Seconds below which a step of its own is not made out and joins the next. */
  shortestStep: 0.4,
  /** Probability that a failed grasp and its repetition go unnoticed. */
  retryUnnoticed: 0.5,
  /** Probabilities a step: labelled as its neighbour; the two objects mixed up; the side confused. */
  wrongStep: 0.05,
  wrongObject: 0.03,
  wrongSide: 0.1,
  /** Probability an episode that from some frame on the primitives are copied one frame late. */
  moveSlip: 0.1,
  /** Detector: share of the image side, an episode's bias and a frame's noise; probability that an object is missed in a frame. */
  boxBias: 0.015,
  boxNoise: 0.005,
  boxMiss: 0.03,
  gripperBias: 0.02,
  gripperNoise: 0.005,
} as const;

/** Rates and noise of an annotator. */
export type AnnotatorFaults = Readonly<Record<keyof typeof ANNOTATOR, number>>;
/** One who makes no mistakes, for calibrating judges. */
export const FAULTLESS: AnnotatorFaults = {
  ...(Object.fromEntries(Object.keys(ANNOTATOR).map((name) => [name, 0])) as AnnotatorFaults),
  shortestStep: ANNOTATOR.shortestStep,
};

/** What is true of one frame. */
export type AnnotatedFrame = Pick<Reasoning, 'gripper' | 'objects' | 'toSubject' | 'toReference'> & {
  readonly phase: Phase;
};

export interface AnnotatedEpisode {
  /** Seed of the annotator: the scene's. */
  readonly seed: number;
  readonly kind: TaskKind;
  readonly goal: Goal;
  readonly instruction: string;
  readonly fps: number;
  /** [T] */
  readonly frames: readonly AnnotatedFrame[];
  /** Measured states [T, 7]. */
  readonly states: Float32Array;
}

interface Span {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** The annotator's text of every frame; the same arguments give the same words. */
export function annotate(
  episode: AnnotatedEpisode,
  style: Exclude<ReasoningStyle, 'privileged'>,
  faults: AnnotatorFaults = ANNOTATOR,
): EpisodeReasoning {
  const { seed, kind, goal, fps, states } = episode;
  const short = style === 'vla-it';
  const words = planWords(kind, goal);
  const plans = plansOf(words);
  const random = new Random(seed, 'annotation');
  // The short style speaks of the coarsest plan's steps.
  const index = short ? plans.length - 1 : pickWeighted(plans, random);
  const steps = plans[index]?.steps as readonly PlanStep[];
  const mixedUp = plansOf({ ...words, it: words.place, place: words.it })[index]?.steps as readonly PlanStep[];
  const spans = cutSpans(episode, steps, new Random(seed, 'annotation cuts'), faults);
  const moves = slip(
    movePrimitives(states, short ? VLA_IT_WINDOW : ECOT_WINDOW, style === 'ecot-hindsight' ? 'ahead' : 'past'),
    new Random(seed, 'annotation moves'),
    faults,
  );
  const seen = detect(episode, style === 'ecot-long' ? 'percent' : 'cells', faults);
  const long = style === 'ecot-long' ? 1 : 0;
  const wording = steps.map(({ reasons }) => random.int(reasons.length));
  const plan = steps.map((step) => step.plan).join(', ');
  const fields: ReasoningFields[] = [];
  for (const { from, to, step } of spans) {
    const right = steps[step] as PlanStep;
    // A mixed-up pair of objects needs two objects.
    const { subtask, reasons } =
      goal.referenceNoun && random.chance(faults.wrongObject) ? (mixedUp[step] as PlanStep) : right;
    const reason = reasons[wording[step] as number]?.[long] as string;
    const side = sideOf(right, episode, from, random.chance(faults.wrongSide));
    const noun = right.target === 'subject' ? words.it : words.place;
    const moveReason = long ? `the ${noun} is ${side}, so this is how the gripper has to move` : `${noun} is ${side}`;
    for (let t = from; t < to; t++) {
      const said = { 'SUBTASK REASONING': reason, SUBTASK: subtask, MOVE: moves[t] as string };
      if (short) fields.push(said);
      else
        fields.push({
          ...(long ? { TASK: episode.instruction } : {}),
          PLAN: plan,
          ...said,
          'MOVE REASONING': moveReason,
          'VISIBLE OBJECTS': seen[t]?.objects as string,
          'GRIPPER POSITION': seen[t]?.gripper as string,
        });
    }
  }
  const subtasks = fields.map((frame) => frame.SUBTASK as string);
  return {
    text: fields.map(formatFields),
    rows: mergeRows(
      transitionRows(new Array<string>(fields.length).fill(plan), 'plan', fps),
      transitionRows(subtasks, 'subtask', fps),
      transitionRows(moves, 'motion', fps),
    ),
  };
}

function pickWeighted(plans: readonly { readonly weight: number }[], random: Random): number {
  let left = random.float() * plans.reduce((sum, { weight }) => sum + weight, 0);
  for (const [i, { weight }] of plans.entries()) {
    left -= weight;
    if (left < 0) return i;
  }
  return plans.length - 1;
}

/** The true steps, cut as an annotator would: short ones joined, cuts late and imprecise, some steps mistaken for their neighbour. */
function cutSpans(
  { frames, fps }: AnnotatedEpisode,
  steps: readonly PlanStep[],
  random: Random,
  faults: AnnotatorFaults,
): Span[] {
  const length = frames.length;
  const unnoticed = random.chance(faults.retryUnnoticed);
  let furthest = 0;
  const labels = frames.map(({ phase }) => {
    const step = stepOfPhase(steps, phase);
    furthest = Math.max(furthest, step);
    return unnoticed ? furthest : step;
  });
  const runs: { from: number; step: number }[] = [];
  labels.forEach((step, t) => {
    if (runs.at(-1)?.step !== step) runs.push({ from: t, step });
  });
  const shortest = Math.max(1, Math.round(faults.shortestStep * fps));
  const joined: { from: number; step: number }[] = [];
  runs.forEach(({ from, step }, i) => {
    const to = runs[i + 1]?.from ?? length;
    const pending = joined.at(-1);
    if (pending && from - pending.from < shortest) joined[joined.length - 1] = { from: pending.from, step };
    else if (pending && i === runs.length - 1 && to - from < shortest && runs.length > 2) return;
    else joined.push({ from, step });
  });
  const merged = joined.filter((run, i) => run.step !== joined[i - 1]?.step);
  let previous = 0;
  const cuts = merged.map(({ from }, i) => {
    if (i === 0) return 0;
    const shift = Math.round((faults.cutLag + faults.cutJitter * random.normal()) * fps);
    // Every step keeps at least one frame.
    previous = clamp(from + shift, previous + 1, length - (merged.length - i));
    return previous;
  });
  return merged.map(({ step }, i) => {
    const wrong = random.chance(faults.wrongStep);
    const away = random.chance(0.5) ? 1 : -1;
    const neighbour = step + away < 0 || step + away >= steps.length ? step - away : step + away;
    return {
      from: cuts[i] as number,
      to: cuts[i + 1] ?? length,
      step: wrong ? clamp(neighbour, 0, steps.length - 1) : step,
    };
  });
}

const SIDES = [
  ['ahead', 'behind'],
  ['to the left', 'to the right'],
  ['above', 'below'],
] as const;
/** Metres within which a thing is at the gripper. */
const HERE = 0.03;

/** Where the step's target is from the gripper as the step begins; now and then the opposite. */
function sideOf(step: PlanStep, { frames }: AnnotatedEpisode, t: number, wrong: boolean): string {
  const frame = frames[t] as AnnotatedFrame;
  return sideWords((step.target === 'reference' ? frame.toReference : null) ?? frame.toSubject, wrong);
}

/** The words for an offset in the base frame: sideways where it is not right above or below; `opposite` for the other side. */
export function sideWords(offset: Vec3, opposite = false): string {
  const [x, y] = offset.map(Math.abs) as [number, number, number];
  const axis = Math.max(x, y) < HERE ? 2 : x >= y ? 0 : 1;
  const value = offset[axis] as number;
  if (Math.abs(value) < HERE) return 'right here';
  return (SIDES[axis] as readonly [string, string])[value > 0 === opposite ? 1 : 0];
}

function slip(moves: readonly string[], random: Random, faults: AnnotatorFaults): string[] {
  if (!random.chance(faults.moveSlip)) return [...moves];
  const from = random.int(moves.length);
  return moves.map((move, t) => (t > from ? (moves[t - 1] as string) : move));
}

/** Object boxes and the gripper's place as detectors see them. */
function detect(
  { frames, seed }: AnnotatedEpisode,
  unit: 'cells' | 'percent',
  faults: AnnotatorFaults,
): { objects: string; gripper: string }[] {
  const random = new Random(seed, 'annotation boxes');
  const noise = (size: number): number => size * random.normal();
  const biases = new Map<string, number[]>();
  const gripperBias = [noise(faults.gripperBias), noise(faults.gripperBias)];
  const inside = (value: number): number => clamp(value, 0, 1);
  return frames.map(({ objects, gripper }) => {
    const named = objects.flatMap(({ name, box }) => {
      let bias = biases.get(name);
      if (!bias) {
        const [u, v] = [noise(faults.boxBias), noise(faults.boxBias)];
        bias = [u, v, u, v];
        biases.set(name, bias);
      }
      const [a, b, c, d] = box.map((value, i) => inside(value + (bias[i] as number) + noise(faults.boxNoise)));
      const found = [a, b, Math.max(a as number, c as number), Math.max(b as number, d as number)] as number[];
      return random.chance(faults.boxMiss) ? [] : [`${name} ${formatPosition(found, unit)}`];
    });
    const at = gripper.map((value, i) => inside(value + (gripperBias[i] as number) + noise(faults.gripperNoise)));
    return { objects: named.join(', ') || 'none', gripper: formatPosition(at, unit) };
  });
}
