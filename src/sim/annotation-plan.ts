/**
 * Plans as an annotator writes them: a few high-level steps for a task, coarser or finer, and which of the true phases each covers. The
 * same tables judge a stated subtask. Knows nothing of time, noise or text layout.
 */
import type { Goal, Phase, TaskKind } from './tasks/task.js';

export interface PlanStep {
  /** The step's words in the plan. */
  readonly plan: string;
  /** The step's words as the subtask. */
  readonly subtask: string;
  readonly phases: readonly Phase[];
  /** What the step works on: `subject`, or what the subject is brought to. */
  readonly target: 'subject' | 'reference';
  /** Reasons, short and long. */
  readonly reasons: readonly (readonly [string, string])[];
}

/** A scene in an annotator's words, without articles. */
export interface PlanWords {
  readonly kind: TaskKind;
  readonly it: string;
  readonly place: string;
  readonly preposition: string;
}

export function planWords(kind: TaskKind, goal: Pick<Goal, 'subjectNoun' | 'referenceNoun'>): PlanWords {
  const drawer = kind === 'open' || kind === 'close';
  const preposition = kind === 'put-in' ? 'in' : kind === 'move-near' ? 'near' : 'on';
  return {
    kind,
    it: goal.subjectNoun,
    place: drawer ? goal.subjectNoun : (goal.referenceNoun ?? 'table'),
    preposition,
  };
}

const REACH: readonly Phase[] = ['approach', 'descend', 'reach', 'recover'];

/** Every plan that an annotator may write for the scene, with how often it does. */
export function plansOf(words: PlanWords): readonly { readonly weight: number; readonly steps: readonly PlanStep[] }[] {
  const { kind, it, place, preposition: on } = words;
  const reachReasons = [
    [
      `${it} is not held yet`,
      `the ${it} is not held yet and the gripper is away from it, so it has to be reached first`,
    ],
    [`${it} comes first`, `the ${it} is the first thing to deal with and the gripper is not at it yet`],
    [
      `gripper is away from ${it}`,
      `the gripper is still away from the ${it} and has to get closer before it can do anything`,
    ],
  ] as const;
  const reach = (verb: string): PlanStep => ({
    plan: `${verb} ${it}`,
    subtask: `${verb} ${it}`,
    phases: REACH,
    target: 'subject',
    reasons: reachReasons,
  });
  const step = (
    plan: string,
    subtask: string,
    phases: readonly Phase[],
    target: PlanStep['target'],
    ...reasons: PlanStep['reasons']
  ): PlanStep => ({ plan, subtask, phases, target, reasons });
  const take = (verb: string, phases: readonly Phase[]): PlanStep =>
    step(
      `${verb} it`,
      `${verb} ${it}`,
      phases,
      'subject',
      [`gripper is at ${it}`, `the gripper is at the ${it}, so it can be taken now before anything else`],
      [`${it} has to be held`, `the ${it} has to be held firmly before it can be moved`],
    );
  if (kind === 'open') {
    const pull = (verb: string): PlanStep =>
      step(
        `${verb} it`,
        `${verb} ${it}`,
        ['pull', 'done'],
        'subject',
        [`handle is held`, `the handle of the ${it} is held and the ${it} is still closed`],
        [`${it} is closed`, `the ${it} is still closed and opens towards the robot`],
      );
    return [
      { weight: 4, steps: [reach('move to'), take('grasp', ['grasp']), pull('pull open')] },
      {
        weight: 4,
        steps: [{ ...reach('reach'), phases: [...REACH, 'grasp'] }, pull('open')],
      },
    ];
  }
  if (kind === 'close') {
    const push = (verb: string): PlanStep =>
      step(
        `${verb} it`,
        `${verb} ${it}`,
        ['push', 'done'],
        'subject',
        [`${it} is open`, `the ${it} is still open and the gripper is in front of it`],
        [`gripper is at ${it}`, `the gripper is in front of the ${it}, which slides away from the robot`],
      );
    return [
      { weight: 5, steps: [reach('move to'), push('push shut')] },
      { weight: 3, steps: [reach('reach'), push('close')] },
    ];
  }
  if (kind === 'pick') {
    const lift = step(`lift it`, `lift ${it}`, ['lift', 'done'], 'subject', [
      `${it} is held`,
      `the ${it} is held and has to come off the table`,
    ]);
    return [
      { weight: 4, steps: [reach('move to'), take('grasp', ['grasp']), lift] },
      { weight: 4, steps: [reach('reach'), take('pick up', ['grasp', 'lift', 'done'])] },
    ];
  }
  const bringReasons = [
    [`${it} is held`, `the ${it} is held and is still away from the ${place}, so it has to be brought there`],
    [`${it} belongs ${on} ${place}`, `the ${it} is in the gripper and belongs ${on} the ${place}`],
  ] as const;
  const go: PlanStep = {
    plan: `move to ${place}`,
    subtask: `move to ${place}`,
    phases: ['carry'],
    target: 'reference',
    reasons: bringReasons,
  };
  const release = step(`release it`, `release ${it}`, ['lower', 'release', 'done'], 'reference', [
    `${it} is at ${place}`,
    `the ${it} is at the ${place}, so the gripper can let it go`,
  ]);
  const put: PlanStep = {
    plan: `put it ${on} ${place}`,
    subtask: `put ${it} ${on} ${place}`,
    phases: ['carry', 'lower', 'release', 'done'],
    target: 'reference',
    reasons: bringReasons,
  };
  const bring: PlanStep = { ...put, plan: `move it to ${place}`, subtask: `move ${it} to ${place}` };
  const pickUp: PlanStep = {
    ...take('pick up', [...REACH, 'grasp', 'lift']),
    plan: `pick up ${it}`,
    reasons: reachReasons,
  };
  return [
    { weight: 4, steps: [reach('move to'), take('grasp', ['grasp', 'lift']), go, release] },
    { weight: 4, steps: [reach('reach'), take('pick up', ['grasp', 'lift']), put] },
    { weight: 2, steps: [pickUp, bring] },
  ];
}

/** The index of a phase's step in a plan; every plan covers every phase its task knows. */
export function stepOfPhase(steps: readonly PlanStep[], phase: Phase): number {
  const index = steps.findIndex(({ phases }) => phases.includes(phase));
  return index < 0 ? steps.length - 1 : index;
}

/** The phases during which a stated subtask is right, over all plans that use these words; null for words of no plan. */
export function phasesOfSubtask(words: PlanWords, subtask: string): ReadonlySet<Phase> | null {
  const phases = plansOf(words)
    .flatMap(({ steps }) => steps)
    .filter((step) => step.subtask === subtask)
    .flatMap((step) => step.phases);
  return phases.length > 0 ? new Set(phases) : null;
}
