import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { motionLabels, velocityOfPoses } from './kinematics.js';
import { c2farmKeyframes, type MotionTrack, motionLabelsOfTrack, movePrimitives } from './motion-rules.js';

/** A hand at heights `z` with a gripper, 10 frames a second. */
function track(z: readonly number[], gripper: readonly number[] = z.map(() => 1)): MotionTrack {
  const poses = Float64Array.from(z.flatMap((value) => [0, 0, value, 0, 0, 0]));
  const velocity = velocityOfPoses(poses, z.length);
  return { numFrames: z.length, fps: 10, velocity, grippers: [Uint8Array.from(gripper)], poses: [poses] };
}
const bits = (labels: Uint8Array): string => labels.join('');

describe('motion rules', () => {
  // |z''| at frames 1 to 8: 1 0 2 0 3 0 4 0.
  const accelerations = [1, 0, 2, 0, 3, 0, 4, 0];
  const z = [0, 0];
  accelerations.forEach((a, k) => {
    z.push(2 * (z[k + 1] as number) - (z[k] as number) + a);
  });

  it('eq4 is the paper: above the mean, here 1.25', () => {
    const { labels, threshold } = motionLabelsOfTrack(track(z));
    expect(threshold).toBeCloseTo(1.25, 12);
    expect(bits(labels)).toBe('0001010100');
    const poses = z.flatMap((value) => [0, 0, value, 0, 0, 0]);
    expect(labels).toEqual(motionLabels({ poses, gripper: z.map(() => 1) }).labels);
  });

  it('quantile keeps the share of frames above it, and gripper changes', () => {
    expect(bits(motionLabelsOfTrack(track(z), { rule: 'quantile', quantile: 0.75 }).labels)).toBe('0000010100');
    expect(bits(motionLabelsOfTrack(track(z), { rule: 'quantile', quantile: 1 }).labels)).toBe('0000000000');
    const closing = z.map((_, k) => (k < 9 ? 1 : 0));
    expect(bits(motionLabelsOfTrack(track(z, closing), { rule: 'quantile', quantile: 1 }).labels)).toBe('0000000001');
    expect(() => motionLabelsOfTrack(track(z), { rule: 'quantile', quantile: 2 })).toThrow(/quantile 2/);
  });

  it('mad keeps what stands out of the median', () => {
    // Sorted 0 0 0 0 1 2 3 4: median 0.5, deviations 0.5 four times, 0.5 1.5 2.5 3.5: MAD 0.5.
    const { threshold } = motionLabelsOfTrack(track(z), { rule: 'mad', deviations: 2 });
    expect(threshold).toBeCloseTo(0.5 + 2 * 1.4826 * 0.5, 9);
    expect(bits(motionLabelsOfTrack(track(z), { rule: 'mad', deviations: 3 }).labels)).toBe('0000010100');
  });

  it('primitives are labelled where the direction over the window changes', () => {
    // Up by 2 cm a frame, then forward is none: at rest from frame 5.
    const lifted = [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1, 0.1];
    const names = movePrimitives(track(lifted), 0.03);
    expect(names[0]).toBe('00+0000');
    // From frame 3 the window sees 0.1 - 0.06 = 4 cm, from frame 4 only 2 cm.
    expect(names[3]).toBe('00+0000');
    expect(names[4]).toBe('0000000');
    expect(bits(motionLabelsOfTrack(track(lifted), { rule: 'primitives' }).labels)).toBe('0000100000');
    expect(bits(motionLabelsOfTrack(track(lifted), { rule: 'primitives', tau: 0.05 }).labels)).toBe('0001000000');
    expect(() => motionLabelsOfTrack({ ...track(lifted), poses: [] }, { rule: 'primitives' })).toThrow(/--urdf/);
  });

  it('a long diagonal names the directions that make up more than a third of it', () => {
    const poses = Float64Array.from([0, 1, 2, 3].flatMap((k) => [0.1 * k, 0.09 * k, 0.01 * k, 0, 0, 0]));
    const diagonal = { ...track([0, 0, 0, 0]), poses: [poses] };
    expect(movePrimitives(diagonal, 0.03)[0]).toBe('++00000');
  });

  it('c2farm: gripper toggled, stopped, last frame', () => {
    //              0    1    2    3    4    5    6    7    8    9   10   11   12
    const heights = [0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1, 0, -0.1];
    // Stopped at 5: the speed around 4 is still half.
    expect(c2farmKeyframes(track(heights), 0.1)).toEqual([5, 12]);
    expect(c2farmKeyframes(track(heights), 0.6)).toEqual([4, 12]);
    // A change at 6 keeps the stop around it from counting.
    const closing = heights.map((_, k) => (k < 6 ? 1 : 0));
    expect(c2farmKeyframes(track(heights, closing), 0.1)).toEqual([6, 12]);
    // Two in a row at the end are one.
    const late = heights.map((_, k) => (k < 11 ? 1 : 0));
    expect(c2farmKeyframes(track(heights, late), 0.1)).toEqual([5, 12]);
    expect(bits(motionLabelsOfTrack(track(heights), { rule: 'c2farm' }).labels)).toBe('0000010000001');
  });

  it('every rule gives labels of 0 and 1 for any trajectory', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { maxLength: 12 }),
        fc.constantFrom('eq4', 'quantile', 'mad', 'primitives', 'c2farm'),
        (heights, rule) => {
          const { labels } = motionLabelsOfTrack(track(heights), { rule });
          expect(labels).toHaveLength(heights.length);
          expect(labels.every((bit) => bit === 0 || bit === 1)).toBe(true);
        },
      ),
    );
  });
});
