/** Which rows go through the teacher, and that any difference in what it sees of a row makes another question of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import type { LoaderTable } from '../data/loader-table.js';
import { Vla } from '../model/vla.js';
import { PromptBuilder, type PromptTokenizer, robotRows, type VlaBatch, type VlaSamples } from '../model/vla-batch.js';
import { parseVlaConfig } from '../model/vla-config.js';
import { noGrad, scope, type Tensor, torch } from '../torch/index.js';
import { CachedTeachers } from './cached-teachers.js';
import { parseTrainConfig } from './config.js';

/** Ids of words by their first letter, moved by `shift`. */
const tokenizer = (shift = 0): PromptTokenizer => ({
  encode: (text) => [...text.matchAll(/<[^>]+>|\w+/g)].map(([token]) => tokenizer(shift).idOf(token)),
  decode: (ids) => [...ids].join(' '),
  idOf: (token) =>
    token === '<IMG_CONTEXT>' ? 60 : token === '<|im_end|>' ? 1 : 10 + shift + ((token.codePointAt(0) ?? 0) % 26),
});
const small = { hidden_size: 16, intermediate_size: 16, num_attention_heads: 2, num_hidden_layers: 1 };
const policy = {
  action_head: 'discrete',
  chunk_size: 2,
  num_execute: 1,
  num_action_bins: 16,
  vision: { image_size: 16, patch_size: 8, ...small },
  language: { ...small, num_key_value_heads: 1 },
};
const modelConfig = parseVlaConfig(policy, { cameras: ['third'], vocab_size: 96 });

const B = 4;
const samples: VlaSamples = {
  images: { third: Uint8Array.from({ length: B * 16 * 16 * 3 }, (_, i) => (i * 37) % 251) },
  state: Float32Array.from({ length: B * 7 }, (_, i) => Math.cos(i)),
  // Of several lengths, so that the batch has groups.
  instruction: [
    'pick',
    'open the drawer now and then close it again',
    'close',
    'put the spoon on the towel beside the pot',
  ],
  actions: Float32Array.from({ length: B * 14 }, (_, i) => Math.sin(i * 1.7)),
  actionMask: Uint8Array.of(1, 1, 1, 0, 1, 1, 0, 0),
};

let folder = mkdtempSync(join(tmpdir(), 'dualvla-rows-'));
let teacher: Vla;
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), 'dualvla-rows-'));
  torch.manual_seed(0);
  teacher = new Vla(modelConfig);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const table = (states: number): LoaderTable => ({
  numFrames: 100,
  stateDim: 7,
  actionDim: 7,
  state: new Float32Array(700).fill(states),
  instruction: { texts: ['pick'], ids: new Int32Array(100) },
  reasoning: { texts: [''], ids: new Int32Array(100) },
  keep: new Uint8Array(100),
  episodeOf: new Int32Array(100),
  episodes: [{ dataset: 0, episode: 0, first: 0, length: 100, actionDim: 7, action: new Float32Array(700) }],
});

/** Rows of which the teacher was asked, and what came of it; every call reads the cache anew. */
function askAbout(
  given: VlaSamples,
  numbers: number[],
  { prompts = new PromptBuilder(modelConfig, tokenizer()), states = 0 } = {},
) {
  const config = parseTrainConfig({});
  const asked: number[][] = [];
  using cached = CachedTeachers.open(config, folder, { action: { teacher, table: table(states) } }, () => undefined);
  const whole = prompts.build(given);
  const forward = (batch: VlaBatch): Tensor => noGrad(() => teacher.forward(batch).logits_MW as Tensor);
  const difference = scope(() => {
    const logits = cached.logits('action', whole, Int32Array.from(numbers), {
      ask: (batch) => {
        if (batch === whole) asked.push(numbers);
        return forward(batch);
      },
      rowsOf: (rows) => {
        asked.push(rows.map((b) => numbers[b] as number));
        return prompts.build(robotRows(given, rows));
      },
    });
    return Number(logits.sub(forward(whole)).abs().max().item());
  });
  return { asked, difference, share: cached.takeShare() };
}

test('only rows that are not known go through the teacher, and every label gets its own logits', () => {
  expect(askAbout(samples, [10, 11, 12, 13])).toEqual({ asked: [[10, 11, 12, 13]], difference: 0, share: 0 });
  // Known altogether: the row without labels is no question.
  expect(askAbout(samples, [10, 11, 12, 13])).toEqual({ asked: [], difference: 0, share: 1 });
  const turned = robotRows(samples, [2, 0, 1]);
  const known = askAbout(turned, [12, 10, 11]);
  expect(known).toMatchObject({ asked: [], share: 1 });
  expect(known.difference).toBeLessThan(1e-6);
  const mixed = askAbout(samples, [10, 21, 12, 23]);
  expect(mixed).toMatchObject({ asked: [[21]], share: 2 / 3 });
  expect(mixed.difference).toBeLessThan(1e-6);
});

test('another picture, state, action or instruction of the same frame is another question', () => {
  const numbers = [10, 11, 12, 13];
  const changes: Partial<VlaSamples>[] = [
    { images: { third: (samples.images.third as Uint8Array).map((byte, i) => (i === 1000 ? byte ^ 1 : byte)) } },
    { state: samples.state.map((value, i) => (i === 8 ? value + 1e-6 : value)) },
    { actions: (samples.actions as Float32Array).map((value, i) => (i === 14 ? -value : value)) },
    { instruction: samples.instruction.map((text, b) => (b === 1 ? text.replace('drawer', 'fridge') : text)) },
  ];
  for (const change of changes) {
    askAbout(samples, numbers);
    const { asked, difference } = askAbout({ ...samples, ...change }, numbers);
    expect(asked).toEqual([[11]]);
    expect(difference).toBeLessThan(1e-6);
  }
});

test('another tokenizer, prompt format, data set or teacher asks everything anew', () => {
  const numbers = [10, 11, 12, 13];
  askAbout(samples, numbers);
  const config = parseVlaConfig(
    { ...policy, prompt: '{image} now {instruction}' },
    { cameras: ['third'], vocab_size: 96 },
  );
  const others = [
    { prompts: new PromptBuilder(modelConfig, tokenizer(1)) },
    { prompts: new PromptBuilder(config, tokenizer()) },
    { states: 1 },
  ];
  for (const other of others) expect(askAbout(samples, numbers, other)).toMatchObject({ asked: [numbers], share: 0 });
  noGrad(() => teacher.parameters()[0]?.mul_(2));
  expect(askAbout(samples, numbers)).toMatchObject({ asked: [numbers], difference: 0, share: 0 });
});
