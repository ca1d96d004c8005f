/**
 * The knowledge base that ships (`knowledge/embedded`): 100 trajectories of the embedded benchmark, good, noisy, random and wrong, silent and with true or false
 * words, marked by the rule judge from what the simulator knows. Training scenes alone: none that anything is measured on.
 */
import { cpSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EpisodeTrace } from '../eval/trace.js';
import { Env, Random, TASK_IDS, type TaskId, type Variant } from '../sim/index.js';
import { baseMarks, KnowledgeBase, KnowledgeBaseError } from './knowledge-base.js';
import { type Motion, runScript, type ScriptRun, withWords } from './planted-defects.js';
import { explainMarks } from './rule-explanation.js';
import { RuleJudge } from './rule-judge.js';
import { Theatre, traceRollout } from './trace-rollouts.js';

/** Where the shipped base lies. */
export const EMBEDDED_BASE = fileURLToPath(new URL('../../knowledge/embedded', import.meta.url));

type Said = 'nothing' | 'true' | 'ecot' | 'shuffled' | 'lagging' | 'another run';
interface Kind {
  readonly name: string;
  readonly motion: Motion;
  readonly disturbed?: number;
  readonly words: Said;
  readonly variant: Variant;
}

/** Twelve of every task. */
const KINDS: readonly Kind[] = [
  { name: 'expert', motion: 'expert', words: 'nothing', variant: 'vm' },
  { name: 'expert-va', motion: 'expert', words: 'nothing', variant: 'va' },
  { name: 'expert-true', motion: 'expert', words: 'true', variant: 'vm' },
  { name: 'expert-ecot', motion: 'expert', words: 'ecot', variant: 'va' },
  { name: 'expert-shuffled', motion: 'expert', words: 'shuffled', variant: 'vm' },
  { name: 'noisy', motion: 'jittered', disturbed: 0.3, words: 'nothing', variant: 'vm' },
  { name: 'jittered', motion: 'jittered', words: 'nothing', variant: 'vm' },
  { name: 'jittered-ecot', motion: 'jittered', words: 'ecot', variant: 'va' },
  { name: 'random', motion: 'random', words: 'nothing', variant: 'vm' },
  { name: 'random-true', motion: 'random', words: 'true', variant: 'va' },
  { name: 'wrong-object', motion: 'wrong object', words: 'nothing', variant: 'vm' },
  // It says what the expert would do in this scene, and does something else.
  { name: 'wrong-object-words', motion: 'wrong object', words: 'another run', variant: 'vm' },
];
/** And one more of four tasks: 100 in all. */
const LAGGING: Kind = { name: 'expert-lagging', motion: 'expert', words: 'lagging', variant: 'vm' };

/** Scenes of training that no recipe comes to: the last ones of the range. */
const FIRST_SCENE = 90_000_000;

const MADE = 'dualvla score kb build --embedded: scripts of the embedded benchmark, marked by the rule judge';
const CORRECTIONS = 'corrections.jsonl';

/**
 * Makes the base anew, beside the folder, and puts it in the place of an older one; experts' corrections are carried over.
 * @returns the base; 100 entries for all tasks
 * @throws KnowledgeBaseError if the folder holds something else
 */
export async function buildEmbeddedBase(
  folder: string,
  options: { tasks?: readonly TaskId[]; onProgress?: (done: number, total: number) => void } = {},
): Promise<KnowledgeBase> {
  const there = existsSync(folder) && readdirSync(folder).length > 0;
  if (there && KnowledgeBase.open(folder).made !== MADE) {
    throw new KnowledgeBaseError(`${folder} is a base of other trajectories; next: another --output`);
  }
  const fresh = `${folder}.new`;
  if (existsSync(fresh)) {
    if (KnowledgeBase.open(fresh).made !== MADE) throw new KnowledgeBaseError(`${fresh} is in the way`);
    rmSync(fresh, { recursive: true });
  }
  await fill(KnowledgeBase.create(fresh, MADE), options);
  const corrections = join(folder, CORRECTIONS);
  if (existsSync(corrections)) cpSync(corrections, join(fresh, CORRECTIONS));
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
  return KnowledgeBase.open(folder);
}

async function fill(
  base: KnowledgeBase,
  options: { tasks?: readonly TaskId[]; onProgress?: (done: number, total: number) => void },
): Promise<void> {
  const { tasks = TASK_IDS, onProgress = () => undefined } = options;
  const plan = tasks.map((task, i) => ({ task, kinds: i % 2 === 0 ? [...KINDS, LAGGING] : KINDS }));
  const total = plan.reduce((sum, { kinds }) => sum + kinds.length, 0);
  const judge = new RuleJudge();
  const theatre = new Theatre();
  let done = 0;
  for (const { task, kinds } of plan) {
    for (const variant of ['vm', 'va'] as const) {
      const env = await Env.create({ task, variant, cameras: [] });
      try {
        for (const [k, kind] of kinds.entries()) {
          if (kind.variant !== variant) continue;
          const index = FIRST_SCENE + 100 * tasks.indexOf(task) + k;
          const trace = runKind(env, kind, index);
          const rollout = traceRollout(trace, theatre);
          await base.add(rollout, {
            id: `${task.replace('/', '.')}.${kind.name}`,
            marks: baseMarks(judge.judge(trace)),
            why: explainMarks(trace),
            judge: judge.name,
            source: rollout.id,
          });
          onProgress(++done, total);
        }
      } finally {
        env.dispose();
      }
    }
  }
}

function runKind(env: Env, { motion, disturbed, words }: Kind, index: number): EpisodeTrace {
  const place = { split: 'train', index, ...(disturbed === undefined ? {} : { disturbed }) } as const;
  const run = runScript(env, motion, place);
  if (words === 'nothing') return run.trace;
  return withWords(run.trace, wordsFor(env, words, run, index));
}

function wordsFor(env: Env, words: Exclude<Said, 'nothing'>, { trace, words: own }: ScriptRun, index: number) {
  switch (words) {
    case 'true':
    case 'ecot':
      return own[words];
    case 'lagging':
      return own.true.map((_, t) => own.true[Math.max(0, t - Math.round(trace.controlHz))] as string);
    case 'shuffled': {
      const other = runScript(env, 'expert', { split: 'train', index: index + 50 });
      return new Random(trace.seed, 'shuffle').shuffle(other.words.ecot);
    }
    case 'another run':
      return runScript(env, 'expert', { split: 'train', index }).words.true;
  }
}
