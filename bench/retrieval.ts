/**
 * Dual retrieval on the base that ships, each of its trajectories against the others: how often the words pick the task, and whether the marks of the case that the
 * pictures pick say anything about its own (Spearman), beside those of any case of the task. Validation instructions are others than those in the base. Run:
 * npx tsx bench/retrieval.ts [--scenes 50]
 */
import { parseArgs } from 'node:util';
import { cutStrip } from '../dist/score/film-strip.js';
import {
  DualRetrieval,
  EMBEDDED_BASE,
  GridImageEmbedder,
  HashedTextEmbedder,
  KnowledgeBase,
  type Rollout,
  spearman,
} from '../dist/score/index.js';
import { Env, TASK_IDS, validationSeed } from '../dist/sim/index.js';

const { values } = parseArgs({ options: { scenes: { type: 'string', default: '50' } } });
const base = KnowledgeBase.open(EMBEDDED_BASE);
const retrieval = new DualRetrieval({
  base,
  text: new HashedTextEmbedder(),
  image: new GridImageEmbedder(),
  count: 99,
});

const rollouts = await Promise.all(
  base.entries.map(async (entry): Promise<Rollout> => {
    const pictures = cutStrip(await base.strip(entry.id));
    return {
      ...entry,
      id: entry.source,
      fps: 5,
      pictures: async (moments) => moments.map((t) => pictures[t] as (typeof pictures)[number]),
    };
  }),
);
const own: number[][] = [[], []];
const nearest: number[][] = [[], []];
const anyOf: number[][] = [[], []];
for (const [i, entry] of base.entries.entries()) {
  const { cases } = await retrieval.retrieve(rollouts[i] as Rollout);
  const mean = (of: (marks: { A: number; I: number }) => number): number =>
    cases.reduce((sum, one) => sum + of(one.entry.marks), 0) / cases.length;
  const first = cases[0]?.entry.marks as { A: number; I: number };
  for (const [d, of] of [(m: { A: number; I: number }) => m.A, (m: { A: number; I: number }) => m.I].entries()) {
    own[d]?.push(of(entry.marks));
    nearest[d]?.push(of(first));
    anyOf[d]?.push(mean(of));
  }
}
for (const [d, name] of ['A', 'I'].entries()) {
  const mine = own[d] as number[];
  const shown = (other: number[]): string => (spearman(mine, other) ?? Number.NaN).toFixed(2);
  console.log(
    `${name}: own marks with the nearest case's ${shown(nearest[d] as number[])}, with the task's mean ${shown(anyOf[d] as number[])}`,
  );
}

let right = 0;
let all = 0;
const one = rollouts[0] as Rollout;
for (const task of TASK_IDS) {
  const env = await Env.create({ task, cameras: [] });
  for (let i = 0; i < Number(values.scenes); i++) {
    env.reset(validationSeed(i));
    const found = await retrieval.retrieve({ ...one, id: 'another', instruction: env.instruction });
    all++;
    if (found.task === task) right++;
  }
  env.dispose();
}
console.log(`task by the words of validation scenes: ${right} of ${all}`);
