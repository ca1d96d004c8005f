import { describe, expect, test } from 'vitest';
import type { Observation } from '../sim/index.js';
import { type ActingPolicy, type RolloutEpisode, type RolloutOptions, rollout } from './rollout.js';

const base = { task: 'widowx/put-carrot-on-plate', variant: 'vm', split: 'validation' } as const;

async function collect(options: Omit<RolloutOptions, 'task' | 'variant' | 'split'>): Promise<RolloutEpisode[]> {
  const episodes: RolloutEpisode[] = [];
  for await (const episode of rollout({ ...base, ...options })) episodes.push(episode);
  return episodes.sort((a, b) => a.record.index - b.record.index);
}

/** Moves by what it sees, so that its actions depend on the images; counts how it is asked. */
class ProbePolicy implements ActingPolicy {
  readonly resets: number[] = [];
  readonly batches: number[] = [];
  readonly steps = new Map<number, number>();

  reset(session: number): void {
    this.resets.push(session);
    this.steps.set(session, 0);
  }

  act(requests: readonly { session: number; observation: Observation }[]): Float32Array[] {
    this.batches.push(requests.length);
    return requests.map(({ session, observation }) => {
      this.steps.set(session, (this.steps.get(session) ?? Number.NaN) + 1);
      const image = observation.images.third as Uint8Array;
      const mean = image.reduce((sum, value) => sum + value, 0) / image.length / 255;
      return Float32Array.from([0.02 * mean, -0.01, -0.01 * mean, 0, 0, 0.05 * mean, 1]);
    });
  }
}

const seen = { imageSize: 16, cameras: ['third'] } as const;

describe('a policy in closed loop', () => {
  test('the outcome does not depend on what runs beside an episode', async () => {
    const alone = new ProbePolicy();
    const beside = new ProbePolicy();
    const one = await collect({
      episodes: [5],
      policy: { kind: 'policy', policy: alone, ...seen },
      film: { camera: 'third', size: 16, episodes: new Set([5]) },
    });
    const many = await collect({
      episodes: [4, 5],
      policy: { kind: 'policy', policy: beside, ...seen },
      workers: 1,
      parallel: 2,
      film: { camera: 'third', size: 16, episodes: new Set([5]) },
    });
    expect(many.map(({ record }) => record.index)).toEqual([4, 5]);
    expect(many[1]).toEqual(one[0]);
    expect(many[0]?.frames).toEqual([]);
    expect(one[0]?.frames).toHaveLength((one[0]?.record.steps ?? 0) + 1);
    expect(one[0]?.frames[0]).not.toEqual(one[0]?.frames.at(-1));
    expect(Math.max(...beside.batches)).toBeGreaterThan(1);
  });

  test('is reset before each episode, and more episodes than slots all run', async () => {
    const policy = new ProbePolicy();
    const episodes = await collect({
      episodes: [0, 1, 2, 3],
      policy: { kind: 'policy', policy, ...seen },
      workers: 1,
      parallel: 2,
    });
    expect(policy.resets.sort()).toEqual([0, 1, 2, 3]);
    for (const { record } of episodes) {
      expect(record.steps).toBe(policy.steps.get(record.index));
      expect(record.success || record.steps === record.maxSteps).toBe(true);
      expect(record.seed).toBe(200_000_000 + record.index);
    }
  });

  test('an error of the policy ends the rollout', async () => {
    const broken = {
      reset: () => undefined,
      act: () => {
        throw new RangeError('broken weights');
      },
    };
    await expect(collect({ episodes: [0], policy: { kind: 'policy', policy: broken, ...seen } })).rejects.toThrow(
      'broken weights',
    );
  });
});

describe('scripts', () => {
  test('the expert succeeds where the random policy does not', async () => {
    const expert = await collect({ episodes: [0, 1, 2], policy: { kind: 'expert' } });
    const random = await collect({ episodes: [0], policy: { kind: 'random' } });
    expect(expert.map(({ record }) => record.success)).toEqual([true, true, true]);
    expect(random.map(({ record }) => record.success)).toEqual([false]);
    expect(random[0]?.record.steps).toBe(random[0]?.record.maxSteps);
    const again = await collect({ episodes: [2, 1, 0], policy: { kind: 'expert' }, workers: 1 });
    expect(again).toEqual(expert);
  });

  test('no episode, no Worker; an unknown task and an aborted signal are errors', async () => {
    expect(await collect({ episodes: [], policy: { kind: 'expert' } })).toEqual([]);
    const unknown = { ...base, task: 'widowx/juggle' as never, episodes: [0], policy: { kind: 'expert' } as const };
    await expect(rollout(unknown).next()).rejects.toMatchObject({ name: 'SimOptionError' });
    const controller = new AbortController();
    const stopped = rollout({
      ...base,
      episodes: [0, 1, 2, 3],
      policy: { kind: 'random' },
      signal: controller.signal,
      workers: 1,
    });
    expect((await stopped.next()).value?.record.index).toBe(0);
    controller.abort();
    await expect(stopped.next()).rejects.toMatchObject({ name: 'AbortError' });
  });
});

test('a trace says what was thought, done and true at every step', async () => {
  const policy = Object.assign(new ProbePolicy(), {
    thought: (session: number): string | null => (session === 5 ? 'SUBTASK: move to carrot' : null),
  });
  const [silent, thinking] = await collect({
    episodes: [4, 5],
    policy: { kind: 'policy', policy, ...seen },
    trace: true,
    workers: 1,
  });
  expect(thinking?.trace).toMatchObject({
    ...thinking?.record,
    reasons: true,
    nouns: ['carrot', 'plate'],
    controlHz: 5,
  });
  expect(thinking?.trace?.trace).toHaveLength(thinking?.record.steps as number);
  for (const step of thinking?.trace?.trace ?? []) expect(step.reasoning).toBe('SUBTASK: move to carrot');
  for (const step of silent?.trace?.trace ?? []) expect(step.reasoning).toBeNull();
  const [first, second] = thinking?.trace?.trace ?? [];
  expect(first).toMatchObject({ phase: 'approach', holding: null });
  // The tool moved to the right, as it was told.
  expect(second?.state[1]).toBeLessThan(first?.state[1] as number);
  expect((second?.toSubject[1] as number) - (first?.toSubject[1] as number)).toBeCloseTo(
    (first?.state[1] as number) - (second?.state[1] as number),
    2,
  );
  const [scripted] = await collect({ episodes: [0], policy: { kind: 'expert' }, trace: true });
  expect(scripted?.trace).toMatchObject({ reasons: false, success: true, end: { progress: 1 } });
});
