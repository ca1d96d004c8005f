import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PruneError } from './errors.js';
import {
  binarizeGripper,
  motionLabels,
  motionLabelsOfDeltas,
  motionLabelsOfStates,
  rotationLog,
} from './kinematics.js';

const numbers = (max: number): fc.Arbitrary<number> => fc.double({ min: -max, max, noNaN: true });
/** T frames of a pose, and a gripper. */
const trajectory = fc.integer({ min: 3, max: 20 }).chain((T) =>
  fc.record({
    poses: fc.array(fc.tuple(numbers(1), numbers(1), numbers(1), numbers(3), numbers(1.5), numbers(3)), {
      minLength: T,
      maxLength: T,
    }),
    gripper: fc.array(fc.constantFrom(0, 1), { minLength: T, maxLength: T }),
  }),
);

describe('Eq. 4', () => {
  it('labels what accelerates more than the mean, worked by hand', () => {
    // x = 0 0 0 1 2 2 2: second differences at 1..5 are 0 1 0 1 0 with sign, mean |T''| = 2/5.
    const x = [0, 0, 0, 1, 2, 2, 2];
    const poses = x.flatMap((value) => [value, 0, 0, 0, 0, 0]);
    const { labels, acceleration, threshold, gripperChange } = motionLabels({ poses, gripper: [1, 1, 1, 1, 1, 1, 0] });
    expect([...acceleration]).toEqual([0, 0, 1, 0, 1, 0, 0]);
    expect(threshold).toBeCloseTo(2 / 5, 12);
    expect([...gripperChange]).toEqual([0, 0, 0, 0, 0, 0, 1]);
    expect([...labels]).toEqual([0, 0, 1, 0, 1, 0, 1]);
  });

  it('measures a turn of the tool by its angle: 0, 10, 30 degrees about any axis accelerate by 10 degrees', () => {
    const degrees = Math.PI / 180;
    for (const axis of [3, 4, 5]) {
      const poses = [0, 10, 30].flatMap((angle) => [0, 1, 2, 3, 4, 5].map((d) => (d === axis ? angle * degrees : 0)));
      expect(motionLabels({ poses, gripper: [0, 0, 0] }).acceleration[1]).toBeCloseTo(10 * degrees, 12);
    }
  });

  it('does not change when angles wrap', () => {
    fc.assert(
      fc.property(
        trajectory,
        fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 60, maxLength: 60 }),
        ({ poses, gripper }, turns) => {
          const wrapped = poses.map((pose, k) =>
            pose.map((value, d) => (d < 3 ? value : value + 2 * Math.PI * (turns[k * 3 + d - 3] ?? 0))),
          );
          const a = motionLabels({ poses: poses.flat(), gripper });
          const b = motionLabels({ poses: wrapped.flat(), gripper });
          a.acceleration.forEach((value, k) => {
            expect(b.acceleration[k]).toBeCloseTo(value, 9);
          });
        },
      ),
    );
  });

  it('finds no keyframe in constant velocity, also through the angle pi', () => {
    fc.assert(
      fc.property(
        fc.tuple(numbers(0.1), numbers(0.1), numbers(0.1), numbers(1)),
        numbers(3),
        ([dx, dy, dz, turn], start) => {
          const poses = Array.from({ length: 12 }, (_, k) => {
            const yaw = start + k * turn;
            return [k * dx, k * dy, k * dz, 0, 0, Math.atan2(Math.sin(yaw), Math.cos(yaw))];
          }).flat();
          expect([...motionLabels({ poses, gripper: new Array(12).fill(1) }).labels]).toEqual(new Array(12).fill(0));
        },
      ),
    );
  });

  it('always keeps gripper changes, and labels do not depend on where, when or in which unit of time', () => {
    fc.assert(
      fc.property(trajectory, numbers(5), ({ poses, gripper }, offset) => {
        const { labels, acceleration, threshold } = motionLabels({ poses: poses.flat(), gripper });
        for (let k = 1; k < gripper.length; k++) if (gripper[k] !== gripper[k - 1]) expect(labels[k]).toBe(1);
        expect(threshold).toBeCloseTo([...acceleration].reduce((a, b) => a + b, 0) / (gripper.length - 2), 9);
        const moved = poses.flatMap(([x, y, z, ...r]) => [x + offset, y - offset, z + 1, ...r]);
        motionLabels({ poses: moved, gripper }).acceleration.forEach((value, k) => {
          expect(value).toBeCloseTo(acceleration[k] as number, 9);
        });
      }),
    );
  });

  it('of delta actions equals that of the poses they lead to', () => {
    fc.assert(
      fc.property(trajectory, ({ poses, gripper }) => {
        // One rotation axis, so that world and tool axes of the turn agree.
        const plane = poses.map(([x, y, z, , , yaw]) => [x, y, z, 0, 0, yaw]);
        const deltas = plane.map((pose, k) => pose.map((value, d) => ((plane[k + 1] ?? pose)[d] as number) - value));
        const a = motionLabels({ poses: plane.flat(), gripper });
        const b = motionLabelsOfDeltas({ deltas: deltas.flat(), gripper });
        a.acceleration.forEach((value, k) => {
          expect(b.acceleration[k]).toBeCloseTo(value, 9);
        });
      }),
    );
  });

  it('has nothing to compare in one or two frames', () => {
    for (const T of [0, 1, 2]) {
      const { labels, threshold } = motionLabels({ poses: new Array(T * 6).fill(1), gripper: new Array(T).fill(1) });
      expect([[...labels], threshold]).toEqual([new Array(T).fill(0), 0]);
    }
  });

  it('refuses what is no trajectory', () => {
    expect(() => motionLabels({ poses: [1, 2], gripper: [0] })).toThrow(PruneError);
    expect(() => motionLabels({ poses: [0, 0, 0, Number.NaN, 0, 0], gripper: [0] })).toThrow(
      /NaN in dimension 3.*frame 0/,
    );
    expect(() => motionLabels({ poses: [0, 0, 0, 0, 0, 0], gripper: [0.4] })).toThrow(/neither 0 nor 1.*frame 0/);
    expect(() => motionLabelsOfStates(new Float32Array(14), 14)).toThrow(/14 dimensions.*--motion none/);
  });
});

describe('rotationLog', () => {
  it('is exact for tiny turns and for half turns', () => {
    expect(rotationLog([1, 0, 0, 0, 1, 0, 0, 0, 1])).toEqual([0, 0, 0]);
    expect(rotationLog([1, -1e-9, 0, 1e-9, 1, 0, 0, 0, 1])[2]).toBeCloseTo(1e-9, 15);
    expect(rotationLog([-1, 0, 0, 0, -1, 0, 0, 0, 1]).map(Math.abs)).toEqual([0, 0, Math.PI]);
  });
});

describe('binarizeGripper', () => {
  it('sees jaws stop on things of every width', () => {
    expect([...binarizeGripper([1, 1, 0.2, 0.2, 1])]).toEqual([1, 1, 0, 0, 1]);
    expect([...binarizeGripper([1, 1, 0.52, 0.52, 1])]).toEqual([1, 1, 0, 0, 1]);
    expect([...binarizeGripper([1, 0.95, 0.9, 0.8, 0.8])]).toEqual([1, 1, 1, 0, 0]);
  });
  it('ignores noise, and knows the state before the first change by that change', () => {
    expect([...binarizeGripper([0.5, 0.45, 0.52, 0.47, 0.5])]).toEqual([1, 1, 1, 1, 1]);
    expect([...binarizeGripper([0.4, 0.4, 0.1, 0.1, 0.4])]).toEqual([1, 1, 0, 0, 1]);
    expect([...binarizeGripper([0.6, 0.6, 1, 1, 0.6])]).toEqual([0, 0, 1, 1, 0]);
    expect([...binarizeGripper([])]).toEqual([]);
  });
});
