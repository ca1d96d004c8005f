/** Distillation with teachers whose answers are kept on disk: the same numbers, without the teachers' passes. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTrainConfig, type TrainConfig, type TrainConfigInput } from './config.js';
import type { EndEvent, TrainEvent } from './events.js';
import { type MetricsRecord, readMetrics } from './metrics-log.js';
import { loadPretrained } from './pretrained.js';
import { tinyConfig, writeTinyDataset, writeTinyQuestions } from './tiny-run.test-support.js';
import { type RunMode, trainInWorker } from './trainer.js';

let folder: string;
const at = (name: string): string => join(folder, name);

const heads = ['flow', 'discrete'] as const;
type Head = (typeof heads)[number];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-cached-'));
  await writeTinyDataset(at('data'));
  writeTinyQuestions(at('questions'));
  for (const head of heads) {
    await train(config(head, `${head}-specialist`, {}, 2));
    await train(config(head, `${head}-base`, { init_from: at(`${head}-specialist`), ...mixed }, 2));
  }
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const mixed: TrainConfigInput = { multimodal: { share: 0.5 }, reasoning: { frames: 'all' } };

function config(head: Head, name: string, changes: TrainConfigInput, steps: number): TrainConfig {
  const base = tinyConfig(at('data'), at(name), steps);
  const { dataset, policy } = base;
  const { multimodal, ...rest } = changes;
  return parseTrainConfig({
    ...base,
    policy: { ...policy, action_head: head, num_action_bins: 16, max_reasoning_tokens: 12 },
    dataset: { ...dataset, shift_pixels: 0 },
    multimodal: { root: at('questions'), ...multimodal },
    ...rest,
  });
}

/** A run with both teachers; `cache` null is one without a cache. */
function dual(head: Head, name: string, cache: string | null, changes: TrainConfigInput = {}, steps = 4): TrainConfig {
  const { distillation, ...rest } = changes;
  return config(
    head,
    name,
    {
      init_from: at(`${head}-base`),
      ...mixed,
      scheduler: { type: 'constant' },
      distillation: {
        action_teacher: at(`${head}-specialist`),
        reasoning_teacher: at(`${head}-base`),
        cache: cache === null ? null : at(cache),
        ...distillation,
      },
      ...rest,
    },
    steps,
  );
}

async function train(config: TrainConfig, mode: RunMode = { kind: 'new' }): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of trainInWorker(config, mode)) events.push(event);
  return events;
}

const records = (name: string): MetricsRecord[] => readMetrics(at(name));
/** All numbers of a run but times and what the cache had. */
const numbersOf = (name: string): object[] =>
  records(name).map(
    ({ seconds: _, data_wait: __, elapsed_s: ___, teacher_s: ____, teacher_cached: _____, ...rest }) => rest,
  );
const shares = (name: string): unknown[] => records(name).map(({ teacher_cached }) => teacher_cached);
const notices = (events: readonly TrainEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));

describe.each(heads)('%s head', (head) => {
  test('filling the cache, and a run that finds everything in it, have the losses of a run without', async () => {
    // Four steps of two questions: less than an epoch of ten, so that every batch is asked whole or known whole.
    const cache = `${head}-cache`;
    await train(dual(head, `${head}-without`, null));
    const events = await train(dual(head, `${head}-cold`, cache));
    await train(dual(head, `${head}-warm`, cache));
    expect(numbersOf(`${head}-cold`)).toEqual(numbersOf(`${head}-without`));
    expect(numbersOf(`${head}-warm`)).toEqual(numbersOf(`${head}-without`));
    expect(shares(`${head}-without`)).toEqual([undefined, undefined, undefined, undefined]);
    expect(shares(`${head}-cold`)).toEqual([0, 0, 0, 0]);
    expect(shares(`${head}-warm`)).toEqual([1, 1, 1, 1]);
    const segments = readdirSync(at(cache)).flatMap((family) => readdirSync(join(at(cache), family)));
    // The run that found everything wrote nothing; the action teacher of a flow head is not kept, which is said.
    expect(segments).toHaveLength(head === 'flow' ? 1 : 2);
    expect(notices(events)).toEqual(head === 'flow' ? [expect.stringMatching(/does not keep the action teacher/)] : []);
  });

  test('a run in another order mixes known rows with new ones, and differs by rounding alone', async () => {
    const other = { seed: 5 };
    const cache = `${head}-cache`;
    await train(dual(head, `${head}-other-without`, null, other, 8));
    await train(dual(head, `${head}-other`, cache, other, 8));
    const [without, mixed] = [records(`${head}-other-without`), records(`${head}-other`)];
    for (const name of ['loss', 'reasoning_kd', 'action_kd'])
      for (const [i, record] of mixed.entries())
        expect(Math.abs((record[name] as number) - (without[i]?.[name] as number))).toBeLessThan(1e-5);
    const known = shares(`${head}-other`) as number[];
    expect(known.some((share) => share > 0 && share < 1)).toBe(true);
  });

  test('a stopped run that goes on with the same cache ends in the same weights', async () => {
    const cache = `${head}-stopped-cache`;
    const stopped = dual(head, `${head}-stopped`, cache, {}, 3);
    await train(stopped);
    const [resumed, through] = [
      await train({ ...stopped, steps: 6 }, { kind: 'resume', path: at(`${head}-stopped`) }),
      await train(dual(head, `${head}-through`, `${head}-through-cache`, {}, 6)),
    ];
    expect(weightsOf(resumed)).toEqual(weightsOf(through));
  });
});

test('another teacher, another precision: nothing of the former is taken', async () => {
  const cache = 'discrete-cache';
  const swapped = { action_teacher: at('discrete-base'), reasoning_teacher: at('discrete-specialist') };
  await train(dual('discrete', 'discrete-swapped', cache, { distillation: swapped }, 1));
  await train(dual('discrete', 'discrete-bf16', cache, { precision: 'bf16' }, 1));
  expect([...shares('discrete-swapped'), ...shares('discrete-bf16')]).toEqual([0, 0]);
  await train(dual('discrete', 'discrete-bf16-again', cache, { precision: 'bf16' }, 1));
  expect(shares('discrete-bf16-again')).toEqual([1]);
  expect(numbersOf('discrete-bf16-again')).toEqual(numbersOf('discrete-bf16'));
});

test('without teachers, or with lambda 0, there is no folder', async () => {
  const none = { action_teacher: null, reasoning_teacher: null };
  for (const [i, distillation] of [none, { lambda: 0 }].entries()) {
    const name = `none-${i}`;
    const events = await train(dual('discrete', name, `${name}-cache`, { distillation }, 1));
    expect(existsSync(at(`${name}-cache`))).toBe(false);
    expect(notices(events)).toEqual([expect.stringMatching(/distillation.cache is not used/)]);
    expect(shares(name)).toEqual([undefined]);
  }
});

test('pictures that shift are refused where the action teacher answers in tokens', async () => {
  const shifted = (head: Head): TrainConfig => {
    const run = dual(head, `${head}-shifted`, 'shifted-cache', {}, 1);
    return { ...run, dataset: { ...run.dataset, shift_pixels: 2 } };
  };
  await expect(train(shifted('discrete'))).rejects.toThrow(
    /distillation.cache: dataset.shift_pixels 2 .* set dataset.shift_pixels to 0/,
  );
  expect(existsSync(at('shifted-cache'))).toBe(false);
  // Questions never shift, and the flow head's action teacher is not kept.
  await train(shifted('flow'));
  expect(shares('flow-shifted')).toEqual([0]);
});

test('a folder that cannot be created is named', async () => {
  const run = dual('discrete', 'blocked', join('questions', 'train.json', 'cache'), {}, 1);
  await expect(train(run)).rejects.toThrow(/distillation.cache: ENOTDIR.*name a folder that can be created/);
});

function weightsOf(events: readonly TrainEvent[]): Record<string, number[]> {
  const { checkpoint } = events.at(-1) as EndEvent;
  const weights = loadPretrained(checkpoint).model.state_dict();
  return Object.fromEntries(
    Object.entries(weights).map(([key, tensor]) => [key, Array.from(tensor.data<Float32Array>())]),
  );
}
