import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AnnotatedEpisode, annotate, REASONING_STYLES, sideWords } from './annotation.js';
import { formatFields, formatPosition, parseReasoning, REASONING_TAGS } from './annotation-format.js';
import { ECOT_WINDOW, movePrimitives, primitive } from './annotation-move.js';
import { phasesOfSubtask, plansOf, planWords, stepOfPhase } from './annotation-plan.js';
import { reasoningStats } from './annotation-stats.js';
import type { Phase } from './tasks/task.js';

const state = (x: number, y = 0, z = 0, yaw = 0, gripper = 1): number[] => [x, y, z, 0, 0, yaw, gripper];
const goal = {
  subject: 'carrot',
  reference: 'plate',
  subjectNoun: 'carrot',
  referenceNoun: 'plate',
  start: [0, 0, 0] as const,
  objects: ['carrot', 'plate'],
};

/** Eight frames of approach, one grasp, two of lift, five of carry, three of lower, one release. */
const PHASES: readonly Phase[] = [
  ...new Array<Phase>(8).fill('approach'),
  'grasp',
  'lift',
  'lift',
  ...new Array<Phase>(5).fill('carry'),
  ...new Array<Phase>(3).fill('lower'),
  'release',
];

function episode(seed: number, change: (states: Float32Array) => void = () => undefined): AnnotatedEpisode {
  const states = Float32Array.from(
    PHASES.flatMap((_, t) => state(0.2 + 0.02 * t, 0.1 - 0.01 * t, 0.1, 0, t < 8 || t > 18 ? 1 : 0.4)),
  );
  change(states);
  return {
    seed,
    kind: 'put-on',
    goal,
    instruction: 'put the carrot on the plate',
    fps: 5,
    states,
    frames: PHASES.map((phase, t) => ({
      phase,
      gripper: [0.3 + 0.02 * t, 0.5],
      objects: [
        { name: 'carrot', box: [0.41, 0.42, 0.48, 0.49] },
        { name: 'plate', box: [0.61, 0.62, 0.85, 0.83] },
      ],
      toSubject: [0.15 - 0.02 * t, 0, -0.1],
      toReference: [0.05, -0.2, -0.1],
    })),
  };
}

describe('primitives', () => {
  it.each([
    [state(0), state(0.02), 'stop'],
    [state(0), state(0.05), 'move forward'],
    [state(0), state(-0.06, 0.06), 'move backward left'],
    // A third of a long motion is not worth naming.
    [state(0), state(0.2, 0.05, -0.2), 'move forward down'],
    [state(0), state(0, 0, 0, -0.4), 'rotate clockwise'],
    [state(0, 0, 0, 3.1), state(0, 0, 0, -3.1), 'stop'],
    [state(0, 0, 0, 0, 1), state(0, 0, 0.05, 0, 0.4), 'move up, close gripper'],
    [state(0, 0, 0, 0, 0), state(0, 0, 0, 0, 1), 'open gripper'],
  ])('%j to %j: %s', (from, to, words) => {
    expect(primitive(from, to, ECOT_WINDOW)).toBe(words);
  });

  it('of the past know nothing of what follows', () => {
    const states = Float32Array.from([0, 0.02, 0.04, 0.06, 0.08].flatMap((x) => state(x)));
    const every = { ...ECOT_WINDOW, hold: 1 };
    const [still, on] = ['stop', 'move forward'];
    expect(movePrimitives(states, every, 'past')).toEqual([still, still, on, on, on]);
    expect(movePrimitives(states, every, 'ahead')).toEqual([on, on, on, still, still]);
    expect(movePrimitives(states, ECOT_WINDOW, 'past')).toEqual([still, still, still, on, on]);
    expect(movePrimitives(states, ECOT_WINDOW, 'ahead')).toEqual([on, on, on, still, still]);
  });
});

describe('plans', () => {
  it.each(['put-on', 'put-in', 'stack', 'move-near', 'pick', 'open', 'close'] as const)(
    'of %s have words of their own',
    (kind) => {
      const words = planWords(kind, goal);
      for (const { steps } of plansOf(words)) {
        const subtasks = steps.map(({ subtask }) => subtask);
        expect(new Set(subtasks).size).toBe(subtasks.length);
        for (const step of steps) {
          expect(phasesOfSubtask(words, step.subtask)?.has(step.phases[0] as Phase)).toBe(true);
          expect(stepOfPhase(steps, step.phases[0] as Phase)).toBe(steps.indexOf(step));
        }
      }
      expect(phasesOfSubtask(words, 'dance')).toBeNull();
    },
  );
});

describe('annotations', () => {
  const styles = REASONING_STYLES.filter((style) => style !== 'privileged');

  it.each(styles)('%s: the same seed gives the same words, and they can be read back', (style) => {
    const { text } = annotate(episode(7), style);
    expect(annotate(episode(7), style).text).toEqual(text);
    expect(text).toHaveLength(PHASES.length);
    for (const one of text) expect(parseReasoning(one).faults).toEqual([]);
    expect(text.some((one, t) => one !== annotate(episode(8), style).text[t])).toBe(true);
  });

  it('keep plan and reasons over a span', () => {
    for (let seed = 0; seed < 30; seed++) {
      const fields = annotate(episode(seed), 'ecot').text.map((one) => parseReasoning(one).fields);
      expect(new Set(fields.map((f) => f.PLAN)).size).toBe(1);
      fields.forEach((f, t) => {
        if (t > 0 && f.SUBTASK === fields[t - 1]?.SUBTASK)
          expect(f['SUBTASK REASONING']).toBe(fields[t - 1]?.['SUBTASK REASONING']);
      });
    }
  });

  it('say nothing of what the arm does later', () => {
    // Whatever is done from frame 12 on: the words before it stay. (The cuts are made in hindsight, from phases that did not change.)
    const change = (states: Float32Array): void => {
      for (let i = 12 * 7; i < states.length; i++) states[i] = Math.sin(i);
    };
    for (let seed = 0; seed < 20; seed++) {
      for (const style of ['ecot', 'ecot-long', 'vla-it'] as const)
        expect(annotate(episode(seed, change), style).text.slice(0, 12)).toEqual(
          annotate(episode(seed), style).text.slice(0, 12),
        );
    }
    expect(annotate(episode(1, change), 'ecot-hindsight').text.slice(0, 12)).not.toEqual(
      annotate(episode(1), 'ecot-hindsight').text.slice(0, 12),
    );
  });

  it('err about as often as they are meant to', () => {
    const words = planWords('put-on', goal);
    const texts = Array.from({ length: 300 }, (_, seed) => annotate(episode(seed), 'ecot').text);
    const stats = reasoningStats(texts.map((one) => ({ texts: one, phases: PHASES, fps: 5, words })));
    expect(stats.lag?.mean).toBeGreaterThan(0.05);
    expect(stats.lag?.mean).toBeLessThan(0.35);
    expect(stats.subtaskErrors).toBeGreaterThan(0.08);
    expect(stats.subtaskErrors).toBeLessThan(0.25);
    expect(stats.repeatedByField.PLAN).toBe(1);
    expect(stats.repeatedByField.SUBTASK).toBeGreaterThan(0.8);
    const wrongSide = texts.flat().filter((one) => one.includes('plate is to the left')).length;
    const rightSide = texts.flat().filter((one) => one.includes('plate is to the right')).length;
    expect(wrongSide / (wrongSide + rightSide)).toBeGreaterThan(0.03);
    expect(wrongSide / (wrongSide + rightSide)).toBeLessThan(0.2);
  });
});

it('sides are named sideways first', () => {
  expect(sideWords([0.1, 0.05, -0.3])).toBe('ahead');
  expect(sideWords([0.1, 0.05, -0.3], true)).toBe('behind');
  expect(sideWords([0.01, -0.2, 0])).toBe('to the right');
  expect(sideWords([0.01, -0.02, -0.1])).toBe('below');
  expect(sideWords([0.01, -0.02, 0.01])).toBe('right here');
});

describe('reading', () => {
  it('takes both layouts', () => {
    const cells = parseReasoning(
      `VISIBLE OBJECTS: green block ${formatPosition([0.41, 0.5, 0.55, 1], 'cells')}\nMOVE: stop`,
    );
    expect(cells.objects).toEqual([{ name: 'green block', box: [0.45, 0.55, 0.55, 0.95] }]);
    const fine = parseReasoning(
      'VISIBLE OBJECTS: apple [41, 50, 55, 100], can [0, 0, 9, 9]\nGRIPPER POSITION: [3, 99]',
    );
    expect(fine.objects.map(({ name }) => name)).toEqual(['apple', 'can']);
    expect(fine.gripper).toEqual([0.03, 0.99]);
    expect(fine.faults).toEqual([]);
  });

  it.each([
    ['', 'no tag'],
    ['move left', 'text before the first tag'],
    ['MOVE: left MOVE: right', 'MOVE twice'],
    ['MOVE: left\nPLAN: go', 'PLAN out of order'],
    ['VISIBLE OBJECTS: carrot [4,5,6]', 'no box: 4,5,6'],
    ['VISIBLE OBJECTS: carrot [6,5,4,7]', 'no box: 6,5,4,7'],
    ['VISIBLE OBJECTS: carrot', 'VISIBLE OBJECTS without a box'],
    ['GRIPPER POSITION: [4', 'no position: [4'],
    ['SUBTASK: ', 'SUBTASK empty'],
  ])('%j: %s', (text, fault) => {
    expect(parseReasoning(text).faults).toContain(fault);
  });

  it('never fails', () => {
    const piece = fc.oneof(
      fc.constantFrom(...REASONING_TAGS.map((tag) => `${tag}: `)),
      fc.string(),
      fc.constantFrom('[', ']', '[4,5,6,7]', ', ', '\n'),
    );
    fc.assert(fc.property(fc.array(piece), (pieces) => void parseReasoning(pieces.join(''))));
  });

  it('gives back what was written', () => {
    const word = fc.stringMatching(/^[a-z]+( [a-z]+){0,3}$/);
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('TASK', 'PLAN', 'SUBTASK', 'MOVE'), word, { noNullPrototype: true }),
        (fields) => {
          expect(parseReasoning(formatFields(fields)).fields).toEqual(fields);
        },
      ),
    );
  });
});
