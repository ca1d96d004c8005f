import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTrainConfig, type TrainConfig } from './config.js';
import { ConfigError, CorruptCheckpointError, fromPortable, OutputExistsError, toPortable } from './errors.js';
import type { EndEvent, StepEvent, TrainEvent } from './events.js';
import { loadPolicy, readPretrainedParts } from './pretrained.js';
import { tinyConfig, writeTinyDataset } from './tiny-run.test-support.js';
import { type RunMode, trainInWorker } from './trainer.js';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-trainer-'));
  await writeTinyDataset(join(folder, 'data'));
  await writeTinyDataset(join(folder, 'held-out'), { numEpisodes: 2, firstEpisode: 100 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tiny = (name: string, steps: number, changes: object = {}): TrainConfig =>
  parseTrainConfig({ ...tinyConfig(join(folder, 'data'), join(folder, name), steps), ...changes });

async function train(
  config: TrainConfig,
  mode: RunMode = { kind: 'new' },
  signal?: AbortSignal,
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of trainInWorker(config, mode, signal)) events.push(event);
  return events;
}

test('trains, validates, saves; the checkpoint acts as a policy', async () => {
  const base = tinyConfig(join(folder, 'data'), join(folder, 'whole'), 6);
  const config = parseTrainConfig({
    ...base,
    eval_every: 3,
    dataset: { ...base.dataset, validation_root: join(folder, 'held-out') },
  });
  const events = await train(config);
  expect(events.map(({ type }) => type).filter((type) => type !== 'step')).toEqual([
    'start',
    'validation',
    'checkpoint',
    'validation',
    'checkpoint',
    'end',
  ]);
  const { checkpoint } = events.at(-1) as EndEvent;
  const { config: model, tokenizer, statistics } = readPretrainedParts(checkpoint);
  expect(model).toMatchObject({ cameras: ['third'], chunk_size: 2, vocab_size: tokenizer.vocabularySize });
  expect(statistics.chunk.q01).toHaveLength(14);
  const policy = loadPolicy(join(folder, 'whole'));
  const observation = {
    images: { third: new Uint8Array(16 * 16 * 3) },
    state: [0, 0, 0, 0, 0, 0, 1],
    instruction: 'lift',
  };
  const [action] = policy.act([{ session: 0, observation }]);
  expect(action).toHaveLength(7);
  expect([...(action as Float32Array)].every(Number.isFinite)).toBe(true);
  expect([0, 1]).toContain(action?.[6]);
});

test('the discrete head trains too', async () => {
  const base = tinyConfig(join(folder, 'data'), join(folder, 'discrete'), 3);
  const config = parseTrainConfig({
    ...base,
    policy: { ...base.policy, action_head: 'discrete', num_action_bins: 16 },
  });
  const events = await train(config);
  const step = events.find((event): event is StepEvent => event.type === 'step');
  expect(step?.parts.token_loss).toBeGreaterThan(0);
  expect(loadPolicy(join(folder, 'discrete')).model.config.action_head).toBe('discrete');
});

test('errors keep their class across threads', async () => {
  await expect(train(tiny('whole', 1))).rejects.toBeInstanceOf(OutputExistsError);
  await expect(train(tiny('x', 1, { eval_every: 1 }))).rejects.toBeInstanceOf(ConfigError);
  await expect(train(tiny('y', 1, { dataset: { root: join(folder, 'nowhere') } }))).rejects.toMatchObject({
    name: 'MissingDatasetError',
  });
  const corrupt = fromPortable(structuredClone(toPortable(new CorruptCheckpointError('/a', 'b is missing', '/c'))));
  expect(corrupt).toBeInstanceOf(CorruptCheckpointError);
  expect(corrupt).toMatchObject({ name: 'CorruptCheckpointError', directory: '/a', lastGood: '/c' });
});

test('the main thread stays responsive while a step takes long, and an abort ends the run in order', async () => {
  const base = tinyConfig(join(folder, 'data'), join(folder, 'busy'), 1000);
  const language = { hidden_size: 128, intermediate_size: 512, num_hidden_layers: 2, num_attention_heads: 4 };
  const config = parseTrainConfig({ ...base, batch_size: 64, save_every: 0, policy: { ...base.policy, language } });
  const abort = new AbortController();
  const delays: number[] = [];
  let seconds = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    delays.push(performance.now() - last);
    last = performance.now();
  }, 5);
  let end: TrainEvent | undefined;
  for await (const event of trainInWorker(config, { kind: 'new' }, abort.signal)) {
    if (event.type === 'start') delays.length = 0;
    if (event.type === 'step') {
      seconds = event.elapsedSeconds / event.step;
      if (event.step === 6) abort.abort();
    }
    end = event;
  }
  clearInterval(timer);
  expect(end).toMatchObject({ type: 'end', reason: 'stopped' });
  const worst = delays.sort((a, b) => a - b)[Math.floor(delays.length * 0.95)] as number;
  expect(delays.length).toBeGreaterThan(20);
  // On the main thread a step would delay every timer by its whole length.
  expect(worst).toBeLessThan(seconds * 1000 * 0.5);
}, 180_000);

test('leaving the events early ends the run before its next step, without a checkpoint, and it can be resumed', async () => {
  const config = tiny('left', 1000, { save_every: 3 });
  let steps = 0;
  for await (const event of trainInWorker(config, { kind: 'new' })) {
    if (event.type === 'step' && event.step >= 4) steps = event.step;
    if (steps > 0) break;
  }
  const folderOf = join(folder, 'left');
  const saved = readdirSync(join(folderOf, 'checkpoints')).filter((name) => name !== 'last');
  expect(saved.length).toBeGreaterThan(0);
  expect(saved.map(Number).every((step) => step % 3 === 0 && step < 1000)).toBe(true);
  const resumed = { ...config, steps: Math.max(...saved.map(Number)) + 1 };
  const events = await train(resumed, { kind: 'resume', path: folderOf });
  expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'finished' });
});
