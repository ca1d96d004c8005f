/**
 * The rule judge: marks from the simulator's own truth, for every trajectory the same way.
 *
 *     A   smoothness (spectral arc length and jerk), path efficiency, collisions: their mean
 *     I   the furthest progress towards the goal, and how straight it was reached
 *     R   the stated reasoning against the truth: subtask, objects and gripper, sides, form
 *     RA  the stated move against the motion that it describes
 *
 * The anchors were set on the scripted expert and on scripts that are bad on purpose (docs/vla-score.md), never on a trained policy.
 */
import type { EpisodeTrace, StepTrace } from '../eval/trace.js';
import type { Judge, Judgement } from './judge.js';
import { judgeSteps, type StepValidity } from './reasoning-validity.js';
import { logDimensionlessJerk, spectralArcLength } from './smoothness.js';

/** Values that get nothing and everything. */
interface Anchors {
  readonly worst: number;
  readonly best: number;
}

/**
 * Where each measure earns no mark and the full one: the medians of the random script and of the expert on validation scenes, rounded
 * (docs/vla-score.md). Collisions are not from medians, which are near 0 for both: none is full, every fifth step is nothing.
 */
export const ANCHORS = {
  spectralArcLength: { worst: -4, best: -2.5 },
  logDimensionlessJerk: { worst: -18.5, best: -9 },
  pathEfficiency: { worst: 0.1, best: 0.85 },
  /** Share of steps in which the robot touches what it should not. */
  collisions: { worst: 0.2, best: 0 },
} as const satisfies Record<string, Anchors>;

/** What the parts of a reasoning weigh: the paper asks for correct first. Parts that a style does not state are left out. */
export const REASONING_WEIGHTS = { subtask: 0.4, objects: 0.15, gripper: 0.1, side: 0.25, form: 0.1 } as const;

export interface ActionMeasures {
  readonly spectralArcLength: number;
  readonly logDimensionlessJerk: number;
  /** Straight legs start, first grasp, end over the path's length. */
  readonly pathEfficiency: number;
  readonly collisions: number;
}

const marked = (value: number, { worst, best }: Anchors): number =>
  Math.min(1, Math.max(0, (value - worst) / (best - worst)));

export class RuleJudge implements Judge {
  /** `rules` was the name of an earlier one that marked RA otherwise (docs/vla-score.md). */
  readonly name = 'rule';

  judge(episode: EpisodeTrace): Judgement {
    const measures = actionMeasures(episode);
    const smooth =
      (marked(measures.spectralArcLength, ANCHORS.spectralArcLength) +
        marked(measures.logDimensionlessJerk, ANCHORS.logDimensionlessJerk)) /
      2;
    const efficient = marked(measures.pathEfficiency, ANCHORS.pathEfficiency);
    const careful = marked(measures.collisions, ANCHORS.collisions);
    const A = (10 * (smooth + efficient + careful)) / 3;
    const I = 10 * intention(episode);
    if (!episode.reasons) return { A, I, RA: 10 };
    const stated = judgeSteps(episode).filter((step) => step !== null);
    // Who reasons and says nothing in a whole trajectory: no evidence of reasoning, and nothing that its motion contradicts.
    if (stated.length === 0) return { R: 0, A, I, RA: 10 };
    return { R: 10 * mean(stated.map(validity)), A, I, RA: 10 * mean(stated.map(({ move }) => move ?? 0)) };
  }
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

function validity(step: StepValidity): number {
  const parts = { ...step, form: step.malformed ? 0 : 1 };
  let [sum, whole] = [0, 0];
  for (const [part, weight] of Object.entries(REASONING_WEIGHTS)) {
    const value = parts[part as keyof typeof REASONING_WEIGHTS];
    if (value === null) continue;
    sum += weight * value;
    whole += weight;
  }
  return sum / whole;
}

/** What the action mark is made of. */
export function actionMeasures({ trace, controlHz, subject, end }: EpisodeTrace): ActionMeasures {
  const positions = [...trace.map(({ state }) => state), end.state].map((state) => state.slice(0, 3));
  const velocities = positions
    .slice(1)
    .map((position, t) => position.map((value, d) => (value - (positions[t]?.[d] as number)) * controlHz));
  const speeds = velocities.map((velocity) => Math.hypot(...velocity));
  const path = speeds.reduce((sum, speed) => sum + speed, 0) / controlHz;
  const grasp = trace.findIndex(({ holding }) => holding === subject);
  const points = [0, ...(grasp > 0 ? [grasp] : []), positions.length - 1].map((t) => positions[t] as number[]);
  const legs = points
    .slice(1)
    .reduce((sum, point, i) => sum + Math.hypot(...point.map((value, d) => value - (points[i]?.[d] as number))), 0);
  return {
    spectralArcLength: spectralArcLength(speeds, controlHz),
    logDimensionlessJerk: logDimensionlessJerk(velocities, controlHz),
    pathEfficiency: path === 0 ? 0 : legs / path,
    collisions: mean(trace.map((step) => (collides(step, subject) ? 1 : 0))),
  };
}

const ROBOT: ReadonlySet<string> = new Set(['robot', 'finger_left', 'finger_right']);

/** Whether the robot touches anything that is not what it is to act on; the arm may not touch even that. */
function collides({ contacts }: StepTrace, subject: string): boolean {
  return contacts.some(([a, b]) => {
    const [robot, other] = ROBOT.has(a) ? [a, b] : [b, a];
    if (!ROBOT.has(robot) || ROBOT.has(other)) return false;
    return other !== subject || robot === 'robot';
  });
}

/**
 * 0 to 1: half for the furthest progress, half for having gone there straight (what was gained over all that progress went up and down until
 * then), the latter times the former, so that steady motion to nowhere earns nothing.
 */
function intention({ trace, end, success }: EpisodeTrace): number {
  const progress = [...trace.map((step) => step.progress), success ? 1 : end.progress];
  const start = progress[0] as number;
  const best = Math.max(...progress);
  const furthest = progress.indexOf(best);
  const gained = best - start;
  if (gained <= 0) return 0;
  const reached = gained / Math.max(1 - start, 1e-6);
  const travelled = progress
    .slice(1, furthest + 1)
    .reduce((sum, value, t) => sum + Math.abs(value - (progress[t] as number)), 0);
  return reached * (0.5 + (0.5 * gained) / travelled);
}
