/**
 * Episodes whose worth is known beforehand, to calibrate judges: the scripted expert, scripts that are bad on purpose, and the expert with true or
 * false words beside it, in scenes of the embedded benchmark. Every defect has a sound counterpart in the same scene and a mark that it should cost.
 *
 * Knows nothing of judges.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type EpisodeTrace, type StepTrace, traceScene, traceStep } from '../eval/trace.js';
import { annotate, FAULTLESS } from '../sim/annotation.js';
import {
  Env,
  EXPERT_STEP,
  Expert,
  type ExpertStep,
  Random,
  type Split,
  seedOf,
  TASK_IDS,
  type TaskId,
  type Variant,
} from '../sim/index.js';
import type { Judgement } from './judge.js';

/**
 * `expert` as it is; `jittered` with every step disturbed as demonstrations are now and then; `wrong object` grasps what the subject should be brought
 * to, or 10 cm aside; `random` actions.
 */
export const MOTIONS = ['expert', 'jittered', 'wrong object', 'random'] as const;
export type Motion = (typeof MOTIONS)[number];

/**
 * `true`: an annotator's without faults; `ecot`: an annotator's with its faults; `shuffled`: another scene's of the task, in any order; `swapped`: the true
 * ones of another task; `lagging`: true ones a second late.
 */
export const WORDS = ['true', 'ecot', 'shuffled', 'swapped', 'lagging'] as const;
export type Words = (typeof WORDS)[number];

/** One episode of the set. */
export interface PlantedCase {
  /** `expert`, `jittered`, `expert, true words`, `reversed, true words` ... */
  readonly kind: string;
  readonly trace: EpisodeTrace;
  /** The episode is shown from its end to its beginning. */
  readonly reversed: boolean;
}

/** A defect, its sound counterpart in the same scene, and the marks that should be lower. */
export interface PlantedDefect {
  readonly kind: string;
  readonly sound: string;
  readonly costs: readonly (keyof Judgement)[];
}

export const PLANTED_DEFECTS: readonly PlantedDefect[] = [
  { kind: 'jittered', sound: 'expert', costs: ['A'] },
  { kind: 'wrong object', sound: 'expert', costs: ['I'] },
  { kind: 'random', sound: 'expert', costs: ['A', 'I'] },
  { kind: 'reversed', sound: 'expert', costs: ['I'] },
  { kind: 'expert, swapped words', sound: 'expert, true words', costs: ['R', 'RA'] },
  { kind: 'expert, shuffled words', sound: 'expert, true words', costs: ['R', 'RA'] },
  { kind: 'expert, lagging words', sound: 'expert, true words', costs: ['R', 'RA'] },
  { kind: 'reversed, true words', sound: 'expert, true words', costs: ['I', 'RA'] },
];

export interface PlantedOptions {
  /** Scenes a task: numbers 0 to `scenes` - 1 of the split; at least 2, for words of another scene. */
  readonly scenes: number;
  /** Default all eight. */
  readonly tasks?: readonly TaskId[];
  /** Default validation: nothing is ever set on test scenes. */
  readonly split?: Split;
  readonly variant?: Variant;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** An episode of a script and, of the expert, an annotator's words for it. */
export interface ScriptRun {
  readonly trace: EpisodeTrace;
  readonly words: Readonly<Record<'true' | 'ecot', readonly string[]>>;
}

/** Every case of every scene, in order of tasks. @throws RangeError for fewer than two scenes; the simulator's errors; AbortError when stopped */
export async function plantedCases(options: PlantedOptions): Promise<PlantedCase[]> {
  const { scenes, tasks = TASK_IDS, split = 'validation', variant = 'vm', onProgress = () => undefined } = options;
  if (scenes < 2) throw new RangeError(`${scenes} scene a task: words of another scene need two`);
  const runs: { motion: Motion; task: TaskId; index: number; run: ScriptRun }[] = [];
  for (const task of tasks) {
    const env = await Env.create({ task, variant, cameras: [] });
    try {
      for (let index = 0; index < scenes; index++) {
        await nextTurn();
        options.signal?.throwIfAborted();
        for (const motion of MOTIONS) runs.push({ motion, task, index, run: runScript(env, motion, { split, index }) });
        onProgress(tasks.indexOf(task) * scenes + index + 1, tasks.length * scenes);
      }
    } finally {
      env.dispose();
    }
  }
  const experts = runs.filter(({ motion }) => motion === 'expert');
  const expertOf = (task: TaskId, index: number): ScriptRun =>
    experts.find((one) => one.task === task && one.index === index)?.run as ScriptRun;
  return runs.flatMap(({ motion, task, index, run: { trace, words } }): PlantedCase[] => {
    if (motion !== 'expert') return [{ kind: motion, trace, reversed: false }];
    const otherScene = expertOf(task, (index + 1) % scenes).words.ecot;
    const otherTask = expertOf(tasks[(tasks.indexOf(task) + 1) % tasks.length] as TaskId, index).words.true;
    const late = Math.round(trace.controlHz);
    const said: Record<Words, readonly string[]> = {
      true: words.true,
      ecot: words.ecot,
      shuffled: new Random(trace.seed, 'shuffle').shuffle(otherScene),
      swapped: otherTask,
      lagging: words.true.map((_, t) => words.true[Math.max(0, t - late)] as string),
    };
    return [
      { kind: 'expert', trace, reversed: false },
      { kind: 'reversed', trace: reversedTrace(trace), reversed: true },
      ...WORDS.map((name) => ({
        kind: `expert, ${name} words`,
        trace: withWords(trace, said[name]),
        reversed: false,
      })),
      { kind: 'reversed, true words', trace: reversedTrace(withWords(trace, words.true)), reversed: true },
    ];
  });
}

/**
 * Runs one script in the environment's scene of that number.
 * @param place `disturbed`: probability that a step of `jittered` is; default 1
 */
export function runScript(
  env: Env,
  motion: Motion,
  { split, index, disturbed = 1 }: { split: Split; index: number; disturbed?: number },
): ScriptRun {
  const seed = seedOf(split, index);
  env.reset(seed);
  const expert = new Expert(env, motion === 'jittered' ? { perturbProbability: disturbed } : {});
  const random = new Random(seed, 'random policy');
  const trace: StepTrace[] = [];
  const steps: ExpertStep[] = [];
  for (;;) {
    const step = expert.act();
    const action =
      motion === 'random' ? randomAction(env, random) : motion === 'wrong object' ? towardsWrong(env) : step.action;
    steps.push(step);
    trace.push(traceStep(env, action, null));
    const { done, success, step: count } = env.step(action);
    if (!done) continue;
    const { task, variant, maxSteps, instruction, controlHz } = env;
    const record = { task: task.id, variant, split, index, seed, success, steps: count, maxSteps, instruction };
    const whole = { ...record, controlHz, reasons: false, ...traceScene(env), trace };
    return { trace: whole, words: wordsOf(env, whole, steps) };
  }
}

/** What an annotator writes beside the steps; the environment is still that of the episode. */
function wordsOf(env: Env, trace: EpisodeTrace, steps: readonly ExpertStep[]): ScriptRun['words'] {
  const states = Float32Array.from(trace.trace.flatMap(({ state }) => state));
  const { seed, goal, instruction, task, controlHz: fps } = env;
  const frames = steps.map((step) => ({ ...step.reasoning, phase: step.phase }));
  const episode = { seed, kind: task.kind, goal, instruction, fps, frames, states };
  return { true: annotate(episode, 'ecot', FAULTLESS).text, ecot: annotate(episode, 'ecot').text };
}

function randomAction(env: Env, random: Random): Float32Array {
  const { maxTranslation, maxRotation } = env.world.robot;
  return Float32Array.from({ length: 7 }, (_, i) =>
    i === 6 ? random.int(2) : random.range(-1, 1) * (i < 3 ? maxTranslation : maxRotation),
  );
}

/** The expert's way to a grasp, aimed at what the subject should be brought to; where there is no such thing, 10 cm aside. */
function towardsWrong(env: Env): Float32Array {
  const { world, goal, task } = env;
  const tool = world.tool();
  const at = (name: string): readonly number[] => world.bodyPose(name).position;
  const bias = goal.reference
    ? at(goal.reference).map((value, d) => value - (at(goal.subject)[d] as number))
    : [0, 0.1, 0];
  const { position, gripper } = task.decide(world, goal, bias as unknown as [number, number, number]);
  const limit = EXPERT_STEP[env.robot].move;
  const delta = position.map(
    (value, d) => value + (task.kind === 'close' ? (bias[d] as number) : 0) - (tool.position[d] as number),
  );
  return Float32Array.from([...delta.map((value) => Math.max(-limit, Math.min(limit, value))), 0, 0, 0, gripper]);
}

/** The episode of a policy that reasons, saying these words step by step (the last ones to the end). */
export function withWords(trace: EpisodeTrace, words: readonly string[]): EpisodeTrace {
  return {
    ...trace,
    reasons: true,
    trace: trace.trace.map((step, t) => ({ ...step, reasoning: words[Math.min(t, words.length - 1)] ?? null })),
  };
}

/**
 * The episode from its end to its beginning, the words in their old order: the scene's task is undone at its end, so it is no success. What is known of
 * a step but not of the end (phase, places) is that of the step before.
 */
export function reversedTrace(episode: EpisodeTrace): EpisodeTrace {
  const { trace, end } = episode;
  const last = trace.length;
  const at = (t: number): { state: number[]; progress: number } => (t === last ? end : (trace[t] as StepTrace));
  return {
    ...episode,
    success: false,
    end: { progress: at(0).progress, state: at(0).state },
    trace: trace.map(({ reasoning }, t) => {
      const { state, progress } = at(last - t);
      return { ...(trace[last - 1 - t] as StepTrace), state, progress, reasoning };
    }),
  };
}
