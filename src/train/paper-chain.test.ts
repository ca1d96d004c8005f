/** The models a run has, one made from the other by configuration alone: VLM, specialist, reasoning VLA, DualVLA. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LeRobotDataset } from '../data/lerobot-dataset.js';
import { bitsToText, keepLabels, writeKeepLabels } from '../prune/keep-labels.js';
import { safetensors } from '../torch/index.js';
import { parseTrainConfig, type TrainConfig, type TrainConfigInput } from './config.js';
import type { EndEvent, TrainEvent } from './events.js';
import { readMetrics } from './metrics-log.js';
import { loadPretrained } from './pretrained.js';
import { tinyConfig, writeTinyDataset, writeTinyQuestions } from './tiny-run.test-support.js';
import { type RunMode, trainInWorker } from './trainer.js';

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-chain-'));
  await writeTinyDataset(at('data'));
  writeTinyQuestions(at('questions'));
  const dataset = await LeRobotDataset.open(at('data'));
  const episodes = dataset.episodes.map(({ index, length }) => ({
    folder: '',
    episode: index,
    keep: bitsToText(Array.from({ length }, (_, t) => t % 3 === 0)),
  }));
  writeKeepLabels(at('keep.json'), keepLabels({ method: 'test' }, episodes));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function config(name: string, changes: TrainConfigInput, steps = 4): TrainConfig {
  const base = tinyConfig(at('data'), at(name), steps);
  const { policy, ...rest } = changes;
  return parseTrainConfig({ ...base, ...rest, policy: { ...base.policy, ...policy } });
}

async function train(config: TrainConfig, mode: RunMode = { kind: 'new' }): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of trainInWorker(config, mode)) events.push(event);
  return events;
}

const weightsOf = (events: TrainEvent[]): Record<string, number[]> => {
  const { checkpoint } = events.at(-1) as EndEvent;
  const file = safetensors.open(join(checkpoint, 'pretrained_model', 'model.safetensors'));
  return Object.fromEntries(file.keys.map((key) => [key, Array.from(file.get(key).data<Float32Array>())]));
};

test.each(['flow', 'discrete'] as const)(
  'VLM, specialist, reasoning VLA, DualVLA with a %s head',
  async (action_head) => {
    const policy = { action_head, num_action_bins: 16, max_reasoning_tokens: 12 };
    const name = (stage: string): string => `${action_head}-${stage}`;
    const questions = { root: at('questions') };
    await train(config(name('vlm'), { policy, multimodal: { ...questions, share: 1 } }));
    const vlm = readMetrics(at(name('vlm')));
    expect(Object.keys(vlm.at(-1) ?? {})).toContain('multimodal_loss');
    expect(Object.keys(vlm.at(-1) ?? {})).not.toContain(action_head === 'flow' ? 'flow_loss' : 'token_loss');

    const acting = { policy: { ...policy, max_reasoning_tokens: 0 } };
    await train(config(name('specialist'), { ...acting, init_from: at(name('vlm')) }));
    await train(
      config(name('base'), {
        policy,
        init_from: at(name('specialist')),
        multimodal: { ...questions, share: 0.5 },
        reasoning: { frames: 'all' },
        gradient_cosine_every: 2,
      }),
    );
    const base = readMetrics(at(name('base')));
    expect(base.map((record) => 'text_loss' in record)).toEqual([true, true, true, true]);
    expect(base.map((record) => 'cosine_text' in record)).toEqual([true, false, true, false]);
    for (const { cosine_text, cosine_multimodal } of base.filter((record) => 'cosine_text' in record)) {
      expect(Math.abs(cosine_text as number)).toBeLessThanOrEqual(1.0001);
      expect(Math.abs(cosine_multimodal as number)).toBeLessThanOrEqual(1.0001);
    }

    const dual: TrainConfigInput = {
      policy,
      init_from: at(name('base')),
      multimodal: { ...questions, share: 0.5 },
      reasoning: { frames: 'kept', keep_labels: at('keep.json') },
      distillation: { action_teacher: at(name('specialist')), reasoning_teacher: at(name('base')) },
    };
    await train(config(name('dual'), dual, 6));
    const metrics = readMetrics(at(name('dual')));
    expect(metrics.every((record) => (record.action_kd as number) > 0 && 'reasoning_kd' in record)).toBe(true);
    // At its first step the student is its reasoning teacher.
    expect(metrics[0]?.reasoning_kd).toBeLessThan(1e-6);
    expect(loadPretrained(at(name('dual'))).config.max_reasoning_tokens).toBe(12);

    // Interrupted and resumed, mixture and teachers included, it ends in the same weights.
    const stopped = config(name('resumed'), { ...dual, scheduler: { type: 'constant' } }, 3);
    await train(stopped);
    const resumed = await train({ ...stopped, steps: 6 }, { kind: 'resume', path: at(name('resumed')) });
    const through = await train({ ...stopped, steps: 6, output_dir: at(name('through')) });
    expect(weightsOf(resumed)).toEqual(weightsOf(through));

    // lambda = 0 is plain fine-tuning, bit for bit.
    const { distillation: _, ...plain } = dual;
    const silent = await train(config(name('silent'), { ...dual, distillation: { ...dual.distillation, lambda: 0 } }));
    expect(weightsOf(silent)).toEqual(weightsOf(await train(config(name('plain'), plain))));
  },
);

test('a stopped run with a mixture continues bit for bit', async () => {
  const changes: TrainConfigInput = {
    policy: { max_reasoning_tokens: 12 },
    multimodal: { root: at('questions'), share: 0.25, schedule: 'alternate' },
    reasoning: { frames: 'all' },
    scheduler: { type: 'constant' },
    save_every: 4,
  };
  const whole = await train(config('whole', changes, 8));
  await train(config('half', changes, 4));
  const resumed = await train(config('half', changes, 8), { kind: 'resume', path: at('half') });
  expect(weightsOf(resumed)).toEqual(weightsOf(whole));
  // Every fourth step is multimodal.
  const kinds = readMetrics(at('whole')).map((record) => ('multimodal_loss' in record ? 'm' : 'r'));
  expect(kinds.join('')).toBe('rrrmrrrm');
});

test('what does not fit together is named', async () => {
  // One special token more.
  await train(config('other', { policy: { num_latent_queries: 3 } }, 1));
  await train(config('own', {}, 1));
  const refused = (changes: TrainConfigInput): Promise<TrainEvent[]> => train(config('refused', changes, 1));
  await expect(refused({ init_from: at('own'), distillation: { action_teacher: at('other') } })).rejects.toThrow(
    /distillation.action_teacher: .* another tokenizer/,
  );
  rmSync(at('refused'), { recursive: true, force: true });
  await expect(refused({ multimodal: { share: 0.5 } })).rejects.toThrow(/needs multimodal.root/);
  await expect(refused({ reasoning: { frames: 'all' } })).rejects.toThrow(/needs policy.max_reasoning_tokens/);
  await expect(refused({ freeze: ['nothing_like_it'] })).rejects.toThrow(/no parameter begins with nothing_like_it/);
  rmSync(at('refused'), { recursive: true, force: true });
  const frozen = await train(config('frozen', { init_from: at('own'), freeze: ['vision', 'action_model'] }, 2));
  const before = loadPretrained(at('own')).model.state_dict();
  const after = weightsOf(frozen);
  const changed = Object.entries(before)
    .filter(([key, tensor]) => JSON.stringify(Array.from(tensor.data<Float32Array>())) !== JSON.stringify(after[key]))
    .map(([key]) => key.split('.')[0]);
  expect([...new Set(changed)]).toEqual(['language_model']);
  expect(JSON.parse(readFileSync(join(at('frozen'), 'train_config.json'), 'utf8')).freeze).toEqual([
    'vision',
    'action_model',
  ]);
});
