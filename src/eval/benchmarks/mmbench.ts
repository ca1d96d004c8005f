/**
 * MMBench (English, V1.1): every question is asked with its options rotated (index + 1,000,000 n), and counts only if all rotations are right.
 * The paper's number is "dev" Overall x 100.
 */
import { type Benchmark, type ScoredRow, tableText } from './benchmark.js';
import { BenchmarkError } from './errors.js';
import { inParallel } from './in-parallel.js';
import { askChoice, type ChoiceRow, choiceRow, choicesOf, decide, reportHits } from './multiple-choice.js';

/** Rotations of a question differ in their millions. */
const ROTATION = 1_000_000;

interface Outcome {
  readonly extracted: string | false;
  readonly by: string;
}

export const mmbench: Benchmark = {
  id: 'mmbench',
  name: 'MMBench',
  tables: ['MMBench_DEV_EN_V11', 'MMBench_DEV_EN', 'MMBench_V11', 'MMBench'],
  needs: ['question', 'answer', 'A', 'B'],
  maxTokens: 512,
  judge: 'may',
  ask: askChoice,
  score: async (answers, { profile, judge, judgeAtOnce = 8, wording }) => {
    if (answers.indices.some((index) => typeof index !== 'number')) {
      throw new BenchmarkError(`${answers.set.path}: MMBench's indices are whole numbers`);
    }
    const groups = new Map<number, ChoiceRow[]>();
    const indexOf = (i: number): number => answers.indices[i] as number;
    const inOrder = answers.rows.map((_, i) => i).sort((a, b) => indexOf(a) - indexOf(b));
    for (const i of inOrder) {
      const group = indexOf(i) % ROTATION;
      const right = tableText(answers.set, 'answer', answers.rows[i] as number);
      const one = choiceRow(answers, i, choicesOf(answers, i), right, profile);
      const rotations = groups.get(group);
      if (rotations) rotations.push(one);
      else groups.set(group, [one]);
    }
    const outcomes: Outcome[] = answers.rows.map(() => ({ extracted: false, by: 'none' }));
    /** Every rotation right? A judge is asked only as long as none is wrong, and only about what the rules leave open. */
    const isHit = async (rows: readonly ChoiceRow[]): Promise<boolean> => {
      for (const { i, inferred } of rows) outcomes[i] = { extracted: inferred.option, by: inferred.by };
      if (rows.some(({ inferred, right }) => inferred.option !== false && inferred.option !== right)) return false;
      for (const row of rows) {
        const outcome = await decide(answers, row, profile, judge, wording);
        outcomes[row.i] = outcome;
        if (outcome.extracted !== row.right) return false;
      }
      return true;
    };
    const keys = [...groups.keys()];
    const hits = await inParallel(keys, judge ? judgeAtOnce : 1, (key) => isHit(groups.get(key) as ChoiceRow[]));
    const hitOf = new Map(keys.map((key, k): [number, 0 | 1] => [key, hits[k] ? 1 : 0]));
    const rows = answers.rows.map((_, i): ScoredRow => {
      const index = indexOf(i);
      const { extracted, by } = outcomes[i] as Outcome;
      const group = index % ROTATION;
      const answer = tableText(answers.set, 'answer', answers.rows[i] as number);
      return { index, extracted, by, hit: hitOf.get(group) as 0 | 1, group, right: extracted === answer ? 1 : 0 };
    });
    const first = inOrder.filter((i) => indexOf(i) < ROTATION);
    const hitsOfFirst = first.map((i) => hitOf.get(indexOf(i) % ROTATION) as number);
    return {
      ...reportHits(answers, first, hitsOfFirst, 'dev'),
      rows,
      uninferable: rows.filter(({ extracted }) => extracted === false).length,
    };
  },
};
