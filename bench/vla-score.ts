/**
 * What the rule judge makes of the scripted expert and of scripts that are bad on purpose: the table of docs/vla-score.md, on validation
 * scenes. Run: npx tsx bench/vla-score.ts [--episodes 20] [--measures]
 *
 *   expert             as it is                                     jittered     every step disturbed as in demonstrations, at full rate
 *   random             uniform actions                              wrong object grasps what the subject should be brought to
 * and for the expert with words beside it: true (an annotator's without faults), ecot (an annotator's), shuffled (another scene's of the
 * task, in any order), lagging (true, 1 s late).
 */
import { parseArgs } from 'node:util';
import { type EpisodeTrace, type StepTrace, traceScene, traceStep } from '../dist/eval/trace.js';
import { actionMeasures, judgeTraces, meanVlaScore, RuleJudge, reasoningValidity } from '../dist/score/index.js';
import { annotate, FAULTLESS } from '../dist/sim/annotation.js';
import {
  Env,
  EXPERT_STEP,
  Expert,
  type ExpertStep,
  Random,
  TASK_IDS,
  type TaskId,
  validationSeed,
} from '../dist/sim/index.js';

const { values } = parseArgs({
  options: { episodes: { type: 'string', default: '20' }, measures: { type: 'boolean', default: false } },
});
const episodes = Number(values.episodes);
const scripts = ['expert', 'jittered', 'random', 'wrong object'] as const;
type Script = (typeof scripts)[number];

interface Run {
  trace: EpisodeTrace;
  steps: ExpertStep[];
}

function run(env: Env, script: Script, index: number): Run {
  const seed = validationSeed(index);
  env.reset(seed);
  const expert = new Expert(env, script === 'jittered' ? { perturbProbability: 1 } : {});
  const random = new Random(seed, 'random policy');
  const { maxTranslation, maxRotation } = env.world.robot;
  const trace: StepTrace[] = [];
  const steps: ExpertStep[] = [];
  for (;;) {
    const step = expert.act();
    let action = step.action;
    if (script === 'random') {
      action = Float32Array.from({ length: 7 }, (_, i) =>
        i === 6 ? random.int(2) : random.range(-1, 1) * (i < 3 ? maxTranslation : maxRotation),
      );
    } else if (script === 'wrong object') action = towardsWrong(env);
    steps.push(step);
    trace.push(traceStep(env, action, null));
    const { done, success, step: count } = env.step(action);
    if (!done) continue;
    const { task, variant, maxSteps, instruction, controlHz } = env;
    const record = {
      task: task.id,
      variant,
      split: 'validation',
      index,
      seed,
      success,
      steps: count,
      maxSteps,
      instruction,
    };
    return { trace: { ...record, controlHz, reasons: false, ...traceScene(env), trace }, steps };
  }
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

const runs = new Map<Script, Run[]>(scripts.map((script) => [script, []]));
const words = {
  true: [] as EpisodeTrace[],
  ecot: [] as EpisodeTrace[],
  shuffled: [] as EpisodeTrace[],
  lagging: [] as EpisodeTrace[],
};
for (const task of TASK_IDS as readonly TaskId[]) {
  const env = await Env.create({ task, cameras: [] });
  let other: readonly string[] = [];
  for (let i = 0; i < episodes; i++) {
    for (const script of scripts) {
      const done = run(env, script, i);
      runs.get(script)?.push(done);
      if (script !== 'expert') continue;
      // The scene is that of the run just ended: goal and camera are still the environment's.
      const { trace, steps } = done;
      const fps = env.controlHz;
      const states = Float32Array.from(trace.trace.flatMap(({ state }) => state));
      const { seed, goal, instruction } = env;
      const frames = steps.map((step) => ({ ...step.reasoning, phase: step.phase }));
      const ecot = annotate({ seed, kind: env.task.kind, goal, instruction, fps, frames, states }, 'ecot').text;
      const clean = annotate(
        { seed, kind: env.task.kind, goal, instruction, fps, frames, states },
        'ecot',
        FAULTLESS,
      ).text;
      const withWords = (text: readonly string[]): EpisodeTrace => ({
        ...trace,
        reasons: true,
        trace: trace.trace.map((step, t) => ({ ...step, reasoning: text[Math.min(t, text.length - 1)] ?? null })),
      });
      words.ecot.push(withWords(ecot));
      words.true.push(withWords(clean));
      words.lagging.push(withWords(clean.map((_, t) => clean[Math.max(0, t - fps)] as string)));
      if (other.length > 0) words.shuffled.push(withWords(new Random(seed, 'shuffle').shuffle(other)));
      other = ecot;
    }
  }
  env.dispose();
}

const judge = new RuleJudge();
const number = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(1));
const row = async (name: string, traces: EpisodeTrace[]): Promise<void> => {
  const score = meanVlaScore(await judgeTraces(traces, judge), judge.name);
  const success = (100 * traces.filter((trace) => trace.success).length) / traces.length;
  const { R, A, I, RA, interval } = score;
  const cells = [name, number(success), number(R), number(A), number(I), number(RA), number(score.score)];
  console.log(`| ${[...cells, interval.map(number).join('-')].join(' | ')} |`);
};
console.log('| script | success % | R | A | I | RA | score | interval |\n|---|---|---|---|---|---|---|---|');
for (const script of scripts)
  await row(
    script,
    (runs.get(script) ?? []).map(({ trace }) => trace),
  );
for (const [name, traces] of Object.entries(words)) await row(`expert, ${name} words`, traces);
const median = (list: number[]): string =>
  ((list.sort((a, b) => a - b)[Math.floor(list.length / 2)] as number) ?? 0).toFixed(2);
if (values.measures) {
  for (const script of scripts) {
    const all = (runs.get(script) ?? []).map(({ trace }) => actionMeasures(trace));
    const keys = ['spectralArcLength', 'logDimensionlessJerk', 'pathEfficiency', 'collisions'] as const;
    console.log(script, ...keys.map((key) => `${key} ${median(all.map((one) => one[key]))}`));
  }
  for (const [name, traces] of Object.entries(words)) console.log(name, reasoningValidity(traces));
}
