import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { multiplyRotations as multiply, type RotationMatrix, rotationFromRpy } from '../data/rotation.js';
import { PruneError } from './errors.js';
import { accelerationOf, motionLabels, motionLabelsOfVelocity, rotationLog } from './kinematics.js';
import {
  guessLayout,
  handsOf,
  rpyOf,
  STANDARD_LAYOUT,
  trackOfDeltas,
  trackOfJoints,
  trackOfPoses,
} from './motion-layout.js';
import { Urdf } from './urdf.js';

const layout = [...STANDARD_LAYOUT];
const angle = fc.double({ min: -3, max: 3, noNaN: true });
const metre = fc.double({ min: -1, max: 1, noNaN: true });
/** T absolute poses of x, y, z, roll, pitch, yaw. */
const poses = fc.array(fc.tuple(metre, metre, metre, angle, fc.double({ min: -1.5, max: 1.5, noNaN: true }), angle), {
  minLength: 3,
  maxLength: 10,
});
const transposed = (r: RotationMatrix): RotationMatrix => [r[0], r[3], r[6], r[1], r[4], r[7], r[2], r[5], r[8]];
const expectSame = (a: ArrayLike<number>, b: ArrayLike<number>, digits = 6): void => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(a[i]).toBeCloseTo(b[i] as number, digits);
};

describe('layouts', () => {
  it('are guessed from names, or from seven unnamed dimensions', () => {
    expect(guessLayout(null, 7)).toEqual(layout);
    expect(guessLayout(null, 6)).toBeUndefined();
    expect(guessLayout(['X', 'y', 'z', 'rx', 'ry', 'rz', 'pad', 'gripper'], 8)).toEqual([
      'x',
      'y',
      'z',
      'roll',
      'pitch',
      'yaw',
      '-',
      'gripper',
    ]);
    expect(guessLayout(['shoulder_pan.pos', 'gripper.pos'], 2)).toBeUndefined();
  });

  it('name what is wrong with them', () => {
    expect(() => handsOf(layout, 8, 'action')).toThrow(/names 7 dimensions, the data have 8.*action/);
    expect(() => handsOf(['x', 'y', 'z', 'roll', 'pitch', 'jaw', 'gripper'], 7, '')).toThrow(
      /"jaw".*--motion-from joints/,
    );
    expect(() => handsOf(['x', 'y', 'z', 'qx', 'qy', 'qw'], 6, '')).toThrow(/no "qz"/);
    expect(() => handsOf(['-'], 1, '')).toThrow(PruneError);
  });
});

describe('absolute poses', () => {
  it('as quaternions give what they give as angles', () => {
    fc.assert(
      fc.property(poses, (list) => {
        const quaternions = list.flatMap(([x, y, z, roll, pitch, yaw]) => {
          const [rx, ry, rz] = rotationLog(rotationFromRpy(roll, pitch, yaw));
          const length = Math.hypot(rx, ry, rz);
          const s = length === 0 ? 0 : Math.sin(length / 2) / length;
          // Of any length and sign.
          return [x, y, z, -2 * s * rx, -2 * s * ry, -2 * s * rz, -2 * Math.cos(length / 2)];
        });
        const track = trackOfPoses(
          { values: quaternions, size: 7, layout: ['x', 'y', 'z', 'qx', 'qy', 'qz', 'qw'] },
          5,
          '',
        );
        const expected = motionLabels({ poses: list.flat(), gripper: list.map(() => 0) });
        expectSame(motionLabelsOfVelocity(track.velocity, []).acceleration, expected.acceleration);
      }),
    );
  });

  it('of two hands make one norm, and either gripper counts', () => {
    const values = [0, 0, 3, 3].flatMap((x, k) => [x, 0, 0, 0, 0, 0, 1, 0, 4 * k * k, 0, 0, 0, 0, k < 3 ? 0 : 1]);
    const { velocity, grippers } = trackOfPoses({ values, size: 14, layout: [...layout, ...layout] }, 5, '');
    const { acceleration, gripperChange } = motionLabelsOfVelocity(velocity, grippers);
    expectSame(acceleration, [0, Math.hypot(3, 8), Math.hypot(3, 8), 0], 12);
    expect([...gripperChange]).toEqual([0, 0, 0, 1]);
  });

  it('name the frame of what is no number', () => {
    const values = [0, 0, 0, 0, 0, 0, 1, 0, 0, Number.NaN, 0, 0, 0, 1];
    expect(() => trackOfPoses({ values, size: 7, layout }, 5, '')).toThrow(/NaN in dimension 2.*frame 1/);
    const jaws = [0, 0, 0, 0, 0, 0, Number.NaN];
    expect(() => trackOfPoses({ values: jaws, size: 7, layout }, 5, '')).toThrow(/gripper's value is NaN.*frame 0/);
  });
});

describe('delta actions', () => {
  /** Actions that lead through the poses; the last frame's leads nowhere. */
  const deltasOf = (
    list: readonly (readonly number[])[],
    turn: (a: RotationMatrix, b: RotationMatrix) => readonly number[],
  ): number[] =>
    list.flatMap((pose, k) => {
      const next = list[k + 1] ?? pose;
      const [a, b] = [pose, next].map((one) => rotationFromRpy(one[3]!, one[4]!, one[5]!)) as [
        RotationMatrix,
        RotationMatrix,
      ];
      return [...[0, 1, 2].map((d) => next[d]! - pose[d]!), ...turn(a, b), 1];
    });
  const expected = (list: readonly (readonly number[])[]): Float64Array =>
    motionLabels({ poses: list.flat(), gripper: list.map(() => 1) }).acceleration;

  it('about the axes of the world or of the tool equal the poses that they lead to', () => {
    fc.assert(
      fc.property(poses, fc.boolean(), (list, world) => {
        const values = deltasOf(list, (a, b) => rpyOf(world ? multiply(b, transposed(a)) : multiply(transposed(a), b)));
        const { velocity } = trackOfDeltas({ values, size: 7, layout }, 5, '');
        expectSame(accelerationOf(velocity, list.length), expected(list));
      }),
    );
  });

  it('as rotation vectors, and as differences of Euler angles (Bridge)', () => {
    fc.assert(
      fc.property(poses, (list) => {
        const vectors = deltasOf(list, (a, b) => rotationLog(multiply(b, transposed(a))));
        const track = trackOfDeltas({ values: vectors, size: 7, layout }, 5, '', 'axis-angle');
        expectSame(accelerationOf(track.velocity, list.length), expected(list));
        const values = list.flatMap((pose, k) => [...pose.map((value, d) => (list[k + 1] ?? pose)[d]! - value), 1]);
        const start = [list[0]!.slice(3) as unknown as readonly [number, number, number]];
        const bridge = trackOfDeltas({ values, size: 7, layout }, 5, '', 'rpy-difference', start);
        expectSame(accelerationOf(bridge.velocity, list.length), expected(list));
        // Where they lead to, but for the place of the start.
        bridge.poses[0]!.slice(3, 6).forEach((value, d) => {
          expect(value).toBeCloseTo(list[0]![3 + d]!, 12);
        });
      }),
    );
    expect(() =>
      trackOfDeltas({ values: new Array(7).fill(0), size: 7, layout }, 5, 'action', 'rpy-difference'),
    ).toThrow(/first orientation/);
  });
});

describe('joints', () => {
  const arm = Urdf.parse(
    `<robot name="arm">
      <joint name="turn" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/></joint>
      <joint name="tip" type="fixed"><parent link="arm"/><child link="tool"/><origin xyz="2 0 0"/></joint>
    </robot>`,
    'arm.urdf',
  );
  const angles = [0, 0, 0.5, 1, 1];
  const values = angles.flatMap((q, k) => [q, 7, k < 4 ? 100 : 20]);
  const names = ['turn', '-', 'gripper'];

  it('with a description move the tool: a circle of 2 m', () => {
    const column = { values, size: 3, layout: names, gripperRange: [0, 100] as const };
    const { poses, velocity, grippers } = trackOfJoints(column, 10, '', [arm.chain()]);
    expectSame(poses[0]!.slice(12, 18), [2 * Math.cos(0.5), 2 * Math.sin(0.5), 0, 0, 0, 0.5], 12);
    // From frame 2 to 3 the chord turns by half a radian: |T''| = 4 sin(1/4) * 2 sin(1/4).
    expect(accelerationOf(velocity, 5)[2]).toBeCloseTo(8 * Math.sin(0.25) ** 2, 9);
    expect(grippers.map((one) => [...one])).toEqual([[1, 1, 1, 1, 0]]);
    const degrees = { ...column, values: angles.flatMap((q) => [(q * 180) / Math.PI, 7, 100]) };
    expectSame(trackOfJoints(degrees, 10, '', [arm.chain()], 'deg').poses[0]!, poses[0]!, 12);
  });

  it('without one are counted themselves', () => {
    const { velocity, poses } = trackOfJoints({ values, size: 3, layout: names, gripperRange: [0, 100] }, 10, '');
    expect(poses).toEqual([]);
    expectSame(accelerationOf(velocity, 5), [0, 0.5, 0, 0.5, 0], 12);
  });

  it('name the joint that is not there', () => {
    const other = { values, size: 3, layout: ['pan', 'lift', 'gripper'] };
    expect(() => trackOfJoints(other, 10, 'observation.state', [arm.chain()])).toThrow(
      /joint "turn" on the way to "tool".*have: pan, lift, gripper.*--motion-layout/,
    );
    expect(() => trackOfJoints({ values, size: 3, layout: ['gripper', '-', '-'] }, 10, '')).toThrow(/no joint/);
    const broken = { values: [...values.slice(0, 3), Number.NaN, 0, 1], size: 3, layout: names };
    expect(() => trackOfJoints(broken, 10, '')).toThrow(/"turn" is NaN.*frame 1/);
  });
});
