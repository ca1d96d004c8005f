import { describe, expect, it } from 'vitest';
import { type Features, syntheticEpisode, syntheticFeatures } from '../data/index.js';
import { locate, PruneError } from './errors.js';
import { motionLabels, motionLabelsOfStates } from './kinematics.js';
import { dimensionNames, type MotionDataset, MotionLayer } from './motion-layer.js';

const dataset = (features: Features = syntheticFeatures(), more: Partial<MotionDataset> = {}): MotionDataset => ({
  label: '/data/robot',
  fps: 5,
  features,
  ...more,
});
const named = (names: unknown, size: number): Features => ({
  ...syntheticFeatures(),
  'observation.state': { dtype: 'float32', shape: [size], names },
});
const episode = syntheticEpisode(3);

describe('the motion layer of a data set', () => {
  it('is Eq. 4 of the states by default, its score the acceleration over the mean', () => {
    const { labels, score, gripperChange } = new MotionLayer(dataset()).labels(episode);
    const expected = motionLabelsOfStates(episode.state, 7);
    expect(labels).toEqual(expected.labels);
    expect(gripperChange).toEqual(expected.gripperChange);
    score.forEach((value, t) => {
      expect(value).toBeCloseTo((expected.acceleration[t] as number) / expected.threshold, 5);
    });
  });

  it('of actions is another trajectory, its gripper the commanded one', () => {
    const { labels } = new MotionLayer(dataset(), { from: 'action' }).labels(episode);
    // The last action leads nowhere; each other one is a step of the pose. Yaw alone turns, so that order does not matter.
    const flat = { ...episode, action: episode.action.map((value, i) => (i % 7 === 3 || i % 7 === 4 ? 0 : value)) };
    const poses = new Float64Array(episode.length * 6);
    for (let t = 0; t + 1 < episode.length; t++)
      for (let d = 0; d < 6; d++)
        poses[(t + 1) * 6 + d] = (poses[t * 6 + d] as number) + (flat.action[t * 7 + d] as number);
    const gripper = Array.from({ length: episode.length }, (_, t) => flat.action[t * 7 + 6] as number);
    const own = new MotionLayer(dataset(), { from: 'action' }).labels(flat);
    expect(own.labels).toEqual(motionLabels({ poses, gripper }).labels);
    expect(labels[gripper.indexOf(0)]).toBe(1);
    const bridge = new MotionLayer(dataset(), { from: 'action', deltaRotation: 'rpy-difference' }).labels(flat);
    expect(bridge.score).toHaveLength(episode.length);
  });

  it('goes by the names that the data set gives its dimensions, or by those given', () => {
    expect(dimensionNames({ dtype: 'float32', shape: [2], names: { motors: ['a', 'b'] } })).toEqual(['a', 'b']);
    expect(dimensionNames({ dtype: 'float32', shape: [2], names: null })).toBeNull();
    // The same numbers in another order.
    const order = ['gripper', 'yaw', 'pitch', 'roll', 'z', 'y', 'x'];
    const state = episode.state.map((_, i) => episode.state[i - (i % 7) + 6 - (i % 7)] as number);
    const turned = { ...episode, state };
    const expected = new MotionLayer(dataset()).labels(episode).labels;
    expect(new MotionLayer(dataset(named(order, 7))).labels(turned).labels).toEqual(expected);
    expect(new MotionLayer(dataset(named(null, 7)), { layout: order }).labels(turned).labels).toEqual(expected);
    expect(new MotionLayer(dataset(named(null, 7))).labels(episode).labels).toEqual(expected);
  });

  it('of joints warns without a description of the robot, and scales the gripper by the statistics', () => {
    const names = ['pan.pos', 'lift.pos', 'gripper.pos'];
    const state = Float32Array.from([0, 0, 90, 1, 0, 90, 3, 0, 90, 3, 0, 20, 3, 0, 20]);
    const joints = { ...episode, length: 5, state, stateDim: 3 };
    const range = () =>
      [
        [0, 0, 0],
        [3, 0, 100],
      ] as const;
    const layer = new MotionLayer(dataset(named(names, 3), { range }), { from: 'joints' });
    expect(layer.warning).toMatch(/--urdf/);
    // pan: 0 1 3 3 3, differences 1 2 0 0, of them 1 -2 0: mean 1; the hand closes at 3.
    expect([...layer.labels(joints).labels]).toEqual([0, 0, 1, 1, 0]);
    // A point of a hundred is noise there; where the hand's whole way is three, it is a change.
    const noisy = { ...joints, state: state.map((value, i) => (i % 3 === 2 ? 90 + (i > 9 ? 1 : 0) : value)) };
    expect([...layer.labels(noisy).gripperChange]).toEqual([0, 0, 0, 0, 0]);
    const tight = new MotionLayer(dataset(named(names, 3)), { from: 'joints', gripperRange: [89, 92] });
    expect([...tight.labels(noisy).gripperChange]).toEqual([0, 0, 0, 1, 0]);
  });

  it('names data set, episode, frame and what to do', () => {
    const refuse = (work: () => unknown, message: RegExp): void => {
      expect(work).toThrow(PruneError);
      expect(work).toThrow(message);
    };
    const { 'observation.state': _, ...without } = syntheticFeatures();
    refuse(
      () => new MotionLayer(dataset(without)),
      /needs states, which are not there \(file \/data\/robot, field observation\.state\).*columns: action.*--motion none/,
    );
    refuse(
      () => new MotionLayer(dataset(named(['pan.pos', 'tilt.pos'], 2))),
      /called pan\.pos, tilt\.pos.*--motion-from joints/,
    );
    refuse(
      () => new MotionLayer(dataset(named(null, 6)), { from: 'joints' }),
      /6 dimensions have no names.*--motion-layout/,
    );
    refuse(() => new MotionLayer(dataset(), { gripperRange: [1, 1] }), /closed and open at the same value/);
    const broken = { ...episode, state: episode.state.map((value, i) => (i === 7 * 2 + 1 ? Number.NaN : value)) };
    refuse(
      () => new MotionLayer(dataset()).labels(broken),
      /^Pose value NaN in dimension 1 \(file \/data\/robot, episode 3, frame 2, field observation\.state\)$/,
    );
    expect(locate(new PruneError('a (b). c', { frame: 1, hint: 'd' }), { file: 'f' }).message).toBe(
      'a (b). c (file f, frame 1). d',
    );
  });
});
