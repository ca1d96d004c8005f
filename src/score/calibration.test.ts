import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agreement, quadraticWeightedKappa, spearman } from './agreement.js';
import { agreementByDimension, defectResults, readHumanLabels } from './calibration.js';
import { scoreRadar, scoreTables } from './score-report.js';
import { type ScoredRollout, summarize } from './score-rollouts.js';

describe('agreement', () => {
  it("Spearman's correlation", () => {
    expect(spearman([1, 2, 3, 4], [10, 20, 30, 40])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 3, 4], [4, 3, 2, 1])).toBeCloseTo(-1, 12);
    // scipy.stats.spearmanr([1, 2, 2, 4, 5], [2, 1, 3, 3, 5])
    expect(spearman([1, 2, 2, 4, 5], [2, 1, 3, 3, 5])).toBeCloseTo(0.763158, 5);
    expect(spearman([1, 1], [1, 2])).toBeNull();
  });

  it('quadratic weighted kappa', () => {
    expect(quadraticWeightedKappa([1, 5, 9], [1, 5, 9])).toBe(1);
    // By hand: observed (0 + 1 + 4) / 3; expected over all nine pairs 39 / 9.
    expect(quadraticWeightedKappa([1, 2, 3], [1, 3, 5])).toBeCloseTo(1 - 5 / 3 / (39 / 9), 12);
    expect(quadraticWeightedKappa([5, 5], [5, 5])).toBeNull();
    expect(quadraticWeightedKappa([0, 10], [10, 0])).toBe(-1);
  });

  it('bias has a sign, distance has none', () => {
    expect(agreement([5, 5], [3, 9])).toMatchObject({ n: 2, bias: -1, meanDistance: 3 });
    expect(() => agreement([1], [])).toThrow(RangeError);
  });

  it('is by dimension, over what both have marked', () => {
    const judge = new Map([
      ['a', { A: 5, I: 6 }],
      ['b', { R: 1, A: 7, I: 2, RA: 3 }],
    ]);
    const people = new Map([
      ['b', { A: 8, R: 2 }],
      ['c', { A: 1 }],
    ]);
    const found = agreementByDimension(judge, people);
    expect(Object.keys(found)).toEqual(['R', 'A']);
    expect(found).toMatchObject({ A: { n: 1, bias: -1 }, R: { n: 1, bias: -1 } });
  });
});

it("people's marks are averaged, and a wrong line is named", () => {
  const folder = mkdtempSync(join(tmpdir(), 'labels-'));
  const path = join(folder, 'labels.jsonl');
  writeFileSync(path, '{"id": "a", "A": 4, "by": "Ada"}\n\n{"id": "a", "A": 6, "I": 3}\n');
  expect(readHumanLabels(path)).toEqual(new Map([['a', { A: 5, I: 3 }]]));
  writeFileSync(path, '{"id": "a", "A": 4}\n{"id": "a", "A": 40}\n');
  expect(() => readHumanLabels(path)).toThrow(/line 2: A/);
  rmSync(folder, { recursive: true });
});

it('a defect costs marks against its sound counterpart in the same scene', () => {
  const at = (kind: string, scene: string, A: number) => ({ kind, scene, marks: { A, I: 5, RA: 10 } });
  const [jittered] = defectResults([
    at('expert', '1', 9),
    at('expert', '2', 8),
    at('expert', '3', 7),
    at('jittered', '1', 4),
    at('jittered', '2', 8),
    at('random', '9', 1),
  ]);
  expect(jittered).toMatchObject({
    kind: 'jittered',
    mark: 'A',
    n: 2,
    soundMark: 8.5,
    defectMark: 6,
    cost: 2.5,
    noticed: 0.75,
  });
});

describe('summaries', () => {
  const one = (marks: ScoredRollout['marks'], success: boolean, score: number): ScoredRollout => ({
    id: 'x',
    task: 't',
    reasons: marks.R !== undefined,
    success,
    marks,
    score,
  });

  it('are means of trajectories, 0 to 100, RA 100 for the silent', () => {
    const summary = summarize([one({ R: 4, A: 6, I: 8, RA: 5 }, true, 0.3), one({ A: 2, I: 2, RA: 3 }, false, 0)]);
    expect(summary).toMatchObject({ trajectories: 2, R: 40, A: 40, I: 50, RA: 75, success: 50, vlaScore: 15 });
    expect(summary.intervals.success?.[0]).toBeCloseTo(9.45, 1);
  });

  it("stand in the paper's two tables", () => {
    const silent = { name: 'mine | quiet', judge: 'rule', ...summarize([one({ A: 6, I: 8, RA: 10 }, true, 0.48)]) };
    const loud = { name: 'loud', judge: 'rule', ...summarize([one({ R: 4, A: 6, I: 8, RA: 5 }, true, 0.3)]) };
    const [, first, second] = scoreTables([silent, loud]).split('## ') as [string, string, string];
    expect(first).toContain(
      '| mine \\| quiet | rule | 1 | 60.0 (60-60) | 80.0 (80-80) | 100.0 (21-100) | 48.0 (48-48) |',
    );
    expect(first).toContain('| OpenVLA-7B | GPT-4o (paper) | - | 45.3 | 57.7 | 27.2 | 14.2 |');
    expect(second).toContain('| loud | rule | 1 | 40.0');
    expect(second).toContain('| DualVLA | GPT-4o (paper) | - | 74.0 | 64.8 | 74.7 | 51.0 | 61.0 | 42.9 |');
    expect(second).not.toContain('quiet');
    const drawn = scoreRadar([silent, loud]);
    for (const text of ['>A<', '>I<', '>RA<', '>R<', '>success<', '>score<', '>48.0<', '>loud<']) {
      expect(drawn).toContain(text);
    }
  });
});
