import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EpisodeTrace, readTraces, type StepTrace, TraceFileError, TraceWriter } from '../eval/trace.js';
import { MarkError } from './judge.js';
import { inOrder } from './measure-model.js';
import { moveAlignment, statementSteps } from './move-alignment.js';
import { judgeSteps, reasoningValidity } from './reasoning-validity.js';
import { actionMeasures, RuleJudge } from './rule-judge.js';
import { logDimensionlessJerk, spectralArcLength } from './smoothness.js';
import { bootstrapInterval, meanVlaScore, scoreTrajectory } from './vla-score.js';

const right =
  'PLAN: move to carrot, grasp it, move to plate, release it\nVISIBLE OBJECTS: carrot [4,4,4,4], plate [6,6,8,8]\n' +
  'SUBTASK REASONING: carrot comes first\nSUBTASK: move to carrot\nMOVE REASONING: carrot is ahead\nMOVE: move forward\nGRIPPER POSITION: [2,5]';

/** Ten steps forward, bell-shaped speed. */
function episode(change: (step: StepTrace, t: number) => StepTrace = (step) => step): EpisodeTrace {
  const x = (t: number): number => 0.15 * (1 - Math.cos((Math.PI * t) / 10));
  const state = (t: number): number[] => [x(t), 0, 0.1, 0, 0, 0, 1];
  const trace = Array.from({ length: 10 }, (_, t) =>
    change(
      {
        state: state(t),
        action: [x(t + 1) - x(t), 0, 0, 0, 0, 0, 1],
        reasoning: right,
        phase: 'approach',
        progress: t / 20,
        holding: null,
        contacts: [],
        boxes: [
          { name: 'carrot', box: [0.41, 0.41, 0.48, 0.49] },
          { name: 'plate', box: [0.61, 0.62, 0.85, 0.83] },
        ],
        gripper: [0.25, 0.55],
        toSubject: [0.4 - x(t), 0, -0.1],
        toReference: [0.5 - x(t), 0.2, -0.1],
      },
      t,
    ),
  );
  return {
    task: 'widowx/put-carrot-on-plate',
    variant: 'vm',
    split: 'validation',
    index: 0,
    seed: 1,
    success: true,
    steps: 10,
    maxSteps: 60,
    instruction: 'put the carrot on the plate',
    controlHz: 5,
    reasons: true,
    subject: 'carrot',
    reference: 'plate',
    nouns: ['carrot', 'plate'],
    end: { progress: 1, state: state(10) },
    trace,
  };
}

describe('Eq. 8', () => {
  it('of a reasoning policy', () => {
    expect(scoreTrajectory({ R: 8, A: 6, I: 5, RA: 9 }, true).score).toBeCloseTo(((0.8 + 0.6 * 0.5) / 2) * 0.9, 12);
    expect(scoreTrajectory({ R: 8, A: 6, I: 5, RA: 9 }, false)).toMatchObject({ score: 0, B: 0 });
    expect(scoreTrajectory({ R: 10, A: 10, I: 10, RA: 10 }, true).score).toBe(1);
  });

  it('of one that does not reason leaves RA out', () => {
    expect(scoreTrajectory({ A: 6, I: 5, RA: 0 }, true)).toEqual({ A: 0.6, I: 0.5, RA: 1, B: 1, score: 0.3 });
  });

  it('is averaged over trajectories, not over marks', () => {
    const scores = [scoreTrajectory({ A: 10, I: 0, RA: 10 }, true), scoreTrajectory({ A: 0, I: 10, RA: 10 }, true)];
    expect(meanVlaScore(scores, 'test')).toMatchObject({ A: 50, I: 50, RA: 100, score: 0, trials: 2, judge: 'test' });
    expect('R' in meanVlaScore(scores, 'test')).toBe(false);
  });

  it.each([-1, 11, Number.NaN])('refuses a mark of %d', (mark) => {
    expect(() => scoreTrajectory({ A: mark, I: 5, RA: 5 }, true)).toThrow(MarkError);
  });

  it('has an interval around its mean', () => {
    const values = Array.from({ length: 50 }, (_, i) => i % 10);
    const [low, high] = bootstrapInterval(values);
    expect(low).toBeLessThan(4.5);
    expect(high).toBeGreaterThan(4.5);
    // Normal approximation: 1.96 * 2.87 / sqrt(50) = 0.8 to either side.
    expect(high - low).toBeGreaterThan(1.3);
    expect(high - low).toBeLessThan(1.9);
    expect(bootstrapInterval(values)).toEqual([low, high]);
  });
});

describe('smoothness', () => {
  const bell = Array.from({ length: 20 }, (_, t) => Math.sin((Math.PI * (t + 0.5)) / 20));
  const jagged = bell.map((speed, t) => speed * (t % 2 === 0 ? 1.6 : 0.2));

  it('is greater for one stroke than for many', () => {
    expect(spectralArcLength(bell, 5)).toBeGreaterThan(spectralArcLength(jagged, 5) + 0.3);
    const along = (speeds: readonly number[]): number[][] => speeds.map((speed) => [speed, 0, 0]);
    expect(logDimensionlessJerk(along(bell), 5)).toBeGreaterThan(logDimensionlessJerk(along(jagged), 5) + 2);
  });

  it('has no unit', () => {
    expect(
      spectralArcLength(
        bell.map((v) => 7 * v),
        5,
      ),
    ).toBeCloseTo(spectralArcLength(bell, 5), 10);
    expect(
      logDimensionlessJerk(
        bell.map((v) => [7 * v, 0, 0]),
        5,
      ),
    ).toBeCloseTo(
      logDimensionlessJerk(
        bell.map((v) => [v, 0, 0]),
        5,
      ),
      10,
    );
  });
});

describe('stated reasoning', () => {
  it('that is true is right in every part', () => {
    expect(reasoningValidity([episode()])).toMatchObject({
      steps: 10,
      reasoned: 10,
      malformed: 0,
      subtask: 1,
      objects: 1,
      gripper: 1,
      side: 1,
    });
  });

  it.each([
    ['subtask', 'SUBTASK: move to carrot', 'SUBTASK: move to plate'],
    ['objects', 'carrot [4,4,4,4]', 'carrot [7,7,7,7]'],
    ['objects', 'carrot [4,4,4,4]', 'spoon [4,4,4,4]'],
    ['gripper', '[2,5]', '[2,9]'],
    ['side', 'carrot is ahead', 'carrot is behind'],
    ['move', 'MOVE: move forward', 'MOVE: move backward'],
    ['move', 'MOVE: move forward', 'MOVE: dance'],
  ] as const)('is wrong in its %s: %s -> %s', (part, from, to) => {
    const wrong = episode((step) => ({ ...step, reasoning: right.replace(from, to) }));
    expect(reasoningValidity([wrong])[part]).toBeLessThan((reasoningValidity([episode()])[part] as number) - 0.3);
  });

  it('may be anything', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const marks = new RuleJudge().judge(episode((step) => ({ ...step, reasoning: `${text} SUBTASK: x` })));
        expect(marks.R).toBeGreaterThanOrEqual(0);
        expect(marks.RA).toBeLessThanOrEqual(10);
      }),
      { numRuns: 30 },
    );
    expect(
      judgeSteps(episode((step, t) => ({ ...step, reasoning: t === 3 ? '' : null }))).filter(Boolean),
    ).toMatchObject([{ malformed: true, subtask: 0 }]);
  });

  it('is compared with the motion that it describes', () => {
    expect(moveAlignment('move forward', 5, episode())).toBe(1);
    expect(moveAlignment('move backward', 5, episode())).toBe(0);
    // One of two is neither right nor wrong, and the motion forward is not said.
    expect(moveAlignment('move backward left', 5, episode())).toBeCloseTo(0.5 / 3, 12);
    expect(moveAlignment('move forward and left', 5, episode())).toBe(0.75);
    expect(moveAlignment('stop', 5, episode())).toBe(0);
    expect(moveAlignment('dance', 5, episode())).toBe(0);
  });

  it('holds from the step at which it was said', () => {
    const words = ['a', 'a', 'a', 'a', 'a', 'b', 'a', 'a', null, null];
    const one = episode((step, t) => ({ ...step, reasoning: words[t] ?? null }));
    expect(statementSteps(one)).toEqual([0, 0, 0, 0, 4, 5, 6, 6, 8, 8]);
    // Standing until step 4, then moving on: said again at 8, the words are no longer true.
    const at = (t: number): number[] => [0.05 * Math.max(0, t - 4), 0, 0.1, 0, 0, 0, 1];
    const stop = episode((step, t) => ({ ...step, state: at(t), reasoning: 'MOVE: stop' }));
    const moves = judgeSteps({ ...stop, end: { progress: 1, state: at(10) } }).map((step) => step?.move);
    expect(moves).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
  });
});

describe('the rule judge', () => {
  const judge = new RuleJudge();

  it('marks less for collisions, detours and lost progress', () => {
    const good = judge.judge(episode());
    const touching = judge.judge(episode((step) => ({ ...step, contacts: [['finger_left', 'table']] })));
    expect(touching.A).toBeCloseTo(good.A - 10 / 3, 6);
    expect(
      judge.judge(
        episode((step) => ({
          ...step,
          contacts: [
            ['carrot', 'finger_left'],
            ['finger_left', 'finger_right'],
          ],
        })),
      ).A,
    ).toBe(good.A);
    const wavering = judge.judge(episode((step, t) => ({ ...step, progress: 0.2 * (t % 2) })));
    expect(wavering.I).toBeLessThan(good.I - 2);
    const astray = episode((step, t) => ({
      ...step,
      state: [step.state[0] as number, 0.1 * (t % 2), 0.1, 0, 0, 0, 1],
    }));
    expect(actionMeasures(astray).pathEfficiency).toBeLessThan(0.5);
    expect(actionMeasures(episode()).pathEfficiency).toBeCloseTo(1, 6);
  });

  it('gives no R to those who do not reason, and none for silence', () => {
    expect('R' in judge.judge({ ...episode(), reasons: false })).toBe(false);
    expect(judge.judge(episode((step) => ({ ...step, reasoning: null })))).toMatchObject({ R: 0, RA: 10 });
  });
});

describe('files of traces', () => {
  it.each(['a.jsonl', 'a.jsonl.gz'])('%s gives back what was written', (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'dualvla-traces-'));
    const writer = new TraceWriter(join(folder, name));
    for (const success of [true, false]) writer.add({ ...episode(), success });
    expect(readTraces(writer.path)).toEqual([episode(), { ...episode(), success: false }]);
    writer.add({ ...episode(), steps: 'many' } as unknown as EpisodeTrace);
    expect(() => readTraces(writer.path)).toThrow(TraceFileError);
    expect(() => readTraces(writer.path)).toThrow('line 3: steps');
    rmSync(folder, { recursive: true });
  });
});

it('episodes come in the order of their scenes, whichever ended first', () => {
  const cells = [
    { task: 'google/open-drawer', variant: 'vm' },
    { task: 'widowx/put-carrot-on-plate', variant: 'vm' },
  ] as const;
  const made = cells.flatMap(({ task, variant }) => [0, 1, 2].map((index) => ({ ...episode(), task, variant, index })));
  expect(
    inOrder(
      [4, 0, 5, 2, 3, 1].flatMap((i) => made[i] ?? []),
      cells,
    ),
  ).toEqual(made);
});
