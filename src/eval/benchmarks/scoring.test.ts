/** Rows with official outcomes (test/fixtures/benchmarks), through files and in both profiles: what holds without the shared values. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { BenchmarkError, JudgeError } from './errors.js';
import { BENCHMARKS, findBenchmark } from './index.js';
import type { Judge } from './judge.js';
import { PROFILES } from './option-inference.js';
import { QuestionSet } from './question-set.js';
import { scoreBenchmark } from './results.js';

interface Outcome {
  inferred?: string | false;
  hit?: number;
  group_hit?: number;
  score?: number;
}
interface FixtureRow {
  index: string;
  prediction: string;
  replies?: string[];
  upstream: Outcome;
  instructvla: Outcome;
}

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../test/fixtures/benchmarks/${name}`, import.meta.url));
const ROWS = JSON.parse(readFileSync(fixture('rows.json'), 'utf8')) as Record<string, FixtureRow[]>;

const judgeOf = (rows: readonly FixtureRow[]): Judge => ({
  name: 'fixture',
  ask: ({ index, attempt }) =>
    Promise.resolve(rows.find((row) => row.index === String(index))?.replies?.[attempt] as string),
});

describe.each(PROFILES)('%s', (profile) => {
  it.each(BENCHMARKS)('$name', async (benchmark) => {
    const rows = ROWS[benchmark.id] as FixtureRow[];
    const result = await scoreBenchmark({
      benchmark,
      set: QuestionSet.open(fixture(`${benchmark.id}.tsv`)),
      predictions: new Map(rows.map(({ index, prediction }) => [index, prediction])),
      profile,
      ...(benchmark.judge === 'must' ? { judge: judgeOf(rows) } : {}),
    });
    expect(result).toMatchObject({ benchmark: benchmark.name, profile, complete: true, numRows: rows.length });
    expect(result.rows.length).toBeGreaterThanOrEqual(15);
    const ours = new Map(result.rows.map((row) => [String(row.index), row]));
    for (const row of rows) {
      const { inferred, hit, group_hit, score } = row[profile];
      const found = ours.get(row.index);
      const wanted = group_hit ?? hit ?? score ?? found?.hit;
      expect({ index: row.index, extracted: found?.extracted, outcome: found?.hit ?? found?.score }).toEqual({
        index: row.index,
        extracted: inferred ?? found?.extracted,
        outcome: wanted,
      });
    }
  });
});

describe('scoreBenchmark', () => {
  const benchmark = findBenchmark('MMStar') ?? BENCHMARKS[0];
  const set = QuestionSet.open(fixture('mmstar.tsv'));
  const request = { benchmark: benchmark as (typeof BENCHMARKS)[number], set, profile: 'upstream' } as const;
  const all = new Map((ROWS.mmstar as FixtureRow[]).map(({ index, prediction }) => [index, prediction]));

  it('wants a prediction for every row, unless told', async () => {
    const [first] = all.keys() as Iterator<string> as IterableIterator<string>;
    const some = new Map([...all].filter(([index]) => index !== first));
    await expect(scoreBenchmark({ ...request, predictions: some })).rejects.toThrow(/1 of 24 rows .* no prediction/);
    const partial = await scoreBenchmark({ ...request, predictions: some, partial: true });
    expect(partial).toMatchObject({ complete: false, numRows: 23 });
    const stray = new Map([...all, ['9999', 'A']]);
    await expect(scoreBenchmark({ ...request, predictions: stray })).rejects.toThrow(BenchmarkError);
  });

  it('never guesses: a judge that says nothing usable leaves a miss, one that fails is an error', async () => {
    const mute: Judge = { name: 'mute', ask: () => Promise.resolve('who knows') };
    const rules = await scoreBenchmark({ ...request, predictions: all });
    const judged = await scoreBenchmark({ ...request, predictions: all, judge: mute });
    expect(judged.rows.map(({ extracted, hit }) => [extracted, hit])).toEqual(
      rules.rows.map(({ extracted, hit }) => [extracted, hit]),
    );
    expect(judged.uninferable).toBeGreaterThan(0);
    const failing: Judge = { name: 'down', ask: () => Promise.reject(new JudgeError('down')) };
    await expect(scoreBenchmark({ ...request, predictions: all, judge: failing })).rejects.toThrow(JudgeError);
  });

  it('finds benchmarks by all their names', () => {
    for (const name of ['MMMU', 'mmmu_dev_val', 'MM-Vet', 'mmvet', 'MMBench_DEV_EN_V11', 'OCRBench', 'InfoVQA_VAL']) {
      expect(findBenchmark(name)).toBeDefined();
    }
    expect(findBenchmark('MMLU')).toBeUndefined();
  });
});
