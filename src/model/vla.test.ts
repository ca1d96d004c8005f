import { describe, expect, it } from 'vitest';
import { noGrad, optim, scope, type Tensor, torch } from '../torch/index.js';
import { VlaPolicy, type VlaPolicyOptions } from './policy.js';
import { SPECIAL_TOKENS } from './tokenizer.js';
import { Vla } from './vla.js';
import { LABEL_KINDS, PromptBuilder, type PromptTokenizer, type VlaSamples } from './vla-batch.js';
import { numPrefixTokens, parseVlaConfig, type VlaConfig } from './vla-config.js';
import { labelsOfKind, vlaLoss } from './vla-loss.js';

/** One id a word; the last ids are latent queries. */
class WordTokenizer implements PromptTokenizer {
  readonly words = ['pick', 'the', 'red', 'can', 'up', 'carrot'];
  encode(text: string): number[] {
    return [...text.matchAll(/<[^>]+>|\w+/g)].map(([token]) => this.idOf(token));
  }
  decode(ids: Iterable<number>): string {
    return [...ids].map((id) => this.words[id - 10] ?? `<${id}>`).join(' ');
  }
  idOf(token: string): number {
    if (token === SPECIAL_TOKENS.imageContext) return 0;
    if (token === SPECIAL_TOKENS.messageEnd) return 1;
    const latent = /^<new_token_(\d+)>$/.exec(token);
    if (latent) return 2 + Number(latent[1]);
    const word = this.words.indexOf(token);
    if (word < 0) throw new Error(`unknown token ${token}`);
    return 10 + word;
  }
}

const tokenizer = new WordTokenizer();

function tinyConfig(overrides: Record<string, unknown> = {}): VlaConfig {
  const policy = {
    chunk_size: 3,
    num_latent_queries: 2,
    num_execute: 2,
    vision: { image_size: 16, patch_size: 4, hidden_size: 16, intermediate_size: 32, num_attention_heads: 2 },
    language: {
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    },
    action: {
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_sampling_steps: 3,
    },
    ...overrides,
  };
  return parseVlaConfig(policy, { cameras: ['third', 'wrist'], vocab_size: 320 });
}

function samples(instruction: string[], withActions = true): VlaSamples {
  const B = instruction.length;
  const bytes = (salt: number) => Uint8Array.from({ length: B * 16 * 16 * 3 }, (_, i) => (i * 31 + salt * 97) % 256);
  return {
    images: { third: bytes(1), wrist: bytes(2) },
    state: Float32Array.from({ length: B * 7 }, (_, i) => Math.sin(i)),
    instruction,
    ...(withActions && {
      actions: Float32Array.from({ length: B * 3 * 7 }, (_, i) => Math.cos(i)),
      actionMask: Uint8Array.from({ length: B * 3 }, (_, i) => (i === B * 3 - 1 ? 0 : 1)),
    }),
  };
}

const integers = (tensor: Tensor | undefined): number[] => Array.from(tensor?.data<BigInt64Array>() ?? [], Number);

const texts = ['pick the red can', 'pick the red carrot up'];

describe('PromptBuilder', () => {
  it('puts images first, latent queries behind the text, padding last', () => {
    const config = tinyConfig();
    scope(() => {
      const batch = new PromptBuilder(config, tokenizer).build(samples(texts));
      const images = Array.from({ length: numPrefixTokens(config) }, () => 0);
      expect(images.length).toBe(8);
      expect((batch.input_ids.tolist() as number[][]).map((row) => row.map(Number))).toEqual([
        [...images, 10, 11, 12, 13, 1, 2, 3, 0],
        [...images, 10, 11, 12, 15, 14, 1, 2, 3],
      ]);
      expect(batch.image_start).toBe(0);
      expect(integers(batch.groups[0]?.latent_index)).toEqual([13, 14, 16 + 14, 16 + 15]);
      expect(batch.images.shape).toEqual([2, 2, 16, 16, 3]);
    });
  });

  it('labels every existing action token at the position before it', () => {
    scope(() => {
      const batch = new PromptBuilder(tinyConfig({ action_head: 'discrete' }), tokenizer).build(samples(texts));
      const index = integers(batch.groups[0]?.label_index);
      const labels = integers(batch.labels);
      const ids = integers(batch.input_ids.flatten());
      // 2 rows of 3 x 7 tokens; the last step of the last row is padding.
      expect(index.length).toBe(2 * 21 - 7);
      expect(index.map((i) => ids[i + 1])).toEqual(labels);
      expect(Math.min(...labels)).toBeGreaterThanOrEqual(320 - 256);
    });
  });

  it('names a camera that is missing and an image of the wrong size', () => {
    const builder = new PromptBuilder(tinyConfig(), tokenizer);
    const { third } = samples(texts).images;
    expect(() => builder.build({ ...samples(texts), images: { third: third as Uint8Array } })).toThrow(/wrist/);
    expect(() =>
      builder.build({ ...samples(texts), images: { third: new Uint8Array(12), wrist: new Uint8Array(12) } }),
    ).toThrow(/third: 6 bytes an image, but the model takes 16 x 16/);
  });
});

describe.each([
  ['flow', {}],
  ['flow', { state_token: 'language' }],
  ['discrete', { state_token: 'language' }],
  ['flow', { max_reasoning_tokens: 4 }],
  ['discrete', { max_reasoning_tokens: 4 }],
])('Vla with a %s head %o', (action_head, overrides) => {
  const config = tinyConfig({ action_head, ...overrides });

  it('overfits one batch', () => {
    torch.manual_seed(0);
    const model = new Vla(config);
    const builder = new PromptBuilder(config, tokenizer);
    const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3, weight_decay: 0 });
    const losses: number[] = [];
    for (let step = 0; step < 200; step++) {
      scope(() => {
        const { loss } = vlaLoss(model, { robot: builder.build(samples(texts)) });
        loss.backward();
        optimizer.step();
        optimizer.zero_grad();
        losses.push(Number(loss.item()));
      });
    }
    const mean = (part: number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
    expect(mean(losses.slice(-20))).toBeLessThan(0.6 * mean(losses.slice(0, 10)));
    // Every parameter takes part: nothing is dead weight.
    scope(() => {
      vlaLoss(model, { robot: builder.build(samples(texts)) }).loss.backward();
      const untouched = [...model.named_parameters()].filter(([, p]) => p.grad === null).map(([name]) => name);
      expect(untouched).toEqual([]);
    });
  });

  it('predicts the same row alone and padded in a batch', () => {
    torch.manual_seed(1);
    const model = new Vla(config);
    const builder = new PromptBuilder(config, tokenizer);
    const one = (i: number): VlaSamples => {
      const all = samples(texts, false);
      const slice = (bytes: Uint8Array): Uint8Array => bytes.slice(i * 768, (i + 1) * 768);
      return {
        images: { third: slice(all.images.third as Uint8Array), wrist: slice(all.images.wrist as Uint8Array) },
        state: all.state.slice(i * 7, (i + 1) * 7),
        instruction: [texts[i] as string],
      };
    };
    scope(() => {
      const noise = torch.randn([1, 3, 7]);
      const alone = model.predict(builder.build(one(0)), { noise }).actions.data<Float32Array>();
      expect(alone.length).toBe(21);
      expect(alone.every(Number.isFinite)).toBe(true);
      const both = model.predict(builder.build(samples(texts, false)), { noise: torch.cat([noise, noise], 0) }).actions;
      const first = both.select(0, 0).contiguous().data<Float32Array>();
      for (const [i, value] of alone.entries()) expect(first[i]).toBeCloseTo(value, 4);
    });
  });
});

it('generates the action tokens that a full forward pass finds most likely', () => {
  torch.manual_seed(3);
  const config = tinyConfig({ action_head: 'discrete' });
  const model = new Vla(config);
  const builder = new PromptBuilder(config, tokenizer);
  scope(() => {
    const { actions: _, actionMask: __, ...prompt } = samples([texts[0] as string]);
    const chunk = noGrad(() => model.predict(builder.build(prompt)).actions).data<Float32Array>();
    // Teacher forcing with the generated chunk must find every token again.
    const batch = builder.build({ ...prompt, actions: chunk });
    const { metrics } = noGrad(() => {
      const inputs_embeds = model.embed(batch, model.encodeImages(batch));
      const { logits } = model.language_model.forward({ inputs_embeds, logits: 'all' });
      const start = builder.prompt(texts[0] as string).length - 1;
      const rows = (logits as NonNullable<typeof logits>).select(0, 0).narrow(0, start, 21).narrow(-1, 64, 256);
      return { metrics: rows.argmax(-1).add(64).tolist() as number[] };
    });
    expect(metrics.map(Number)).toEqual([...(builder.actionTokens?.encode(chunk) ?? [])]);
  });
});

describe.each(['flow', 'discrete'])('a reasoning VLA with a %s head', (action_head) => {
  const config = tinyConfig({ action_head, max_reasoning_tokens: 6 });
  const builder = new PromptBuilder(config, tokenizer);
  const said = { text: 'the can the red', labelled: true };

  it('labels reasoning where it is kept, and the decision to act in every row', () => {
    scope(() => {
      const kinds = (reasoning: (typeof said | null)[]): string[] =>
        Array.from(builder.build({ ...samples(texts), reasoning }).label_kinds ?? [], (k) => LABEL_KINDS[k] as string);
      const count = (list: string[], kind: string): number => list.filter((k) => k === kind).length;
      const kept = kinds([said, null]);
      expect(count(kept, 'text')).toBe(4);
      expect(count(kept, 'stop')).toBe(action_head === 'flow' ? 2 : 0);
      expect(count(kept, 'action')).toBe(action_head === 'flow' ? 0 : 35);
      // Pruned by label mask: the text is context, and teaches neither words nor when to stop.
      const masked = kinds([{ ...said, labelled: false }, null]);
      expect(count(masked, 'text')).toBe(0);
      expect(count(masked, 'stop')).toBe(action_head === 'flow' ? 1 : 0);
    });
  });

  it('learns what to think and when not to, and answers questions', () => {
    torch.manual_seed(2);
    const model = new Vla(config);
    const optimizer = new optim.AdamW(model.parameters(), { lr: 5e-3, weight_decay: 0 });
    const robot = { ...samples(texts), reasoning: [said, null] };
    const images = samples(texts).images.third as Uint8Array;
    const question = ['the red can', 'pick up'];
    for (let step = 0; step < 150; step++) {
      scope(() => {
        const multimodal = builder.buildMultimodal({ images, question, answer: ['carrot', 'can up'] });
        vlaLoss(model, { robot: builder.build(robot), multimodal }).loss.backward();
        optimizer.step();
        optimizer.zero_grad();
      });
    }
    scope(() => {
      const { reasoning, actions } = model.predict(builder.build(samples(texts, false)));
      expect(reasoning.map((ids) => tokenizer.decode(ids))).toEqual([said.text, '']);
      expect(actions.shape).toEqual([2, 3, 7]);
      // Sampled decisions: never above 1, always above 0.
      const forced = (skip: number): number[] =>
        model
          .predict(builder.build(samples(texts, false)), { skipAbove: [skip, skip] })
          .reasoning.map((ids) => ids.length);
      expect(forced(1).every((length) => length > 0)).toBe(true);
      expect(forced(0)).toEqual([0, 0]);
      const answers = model.answer(builder.buildMultimodal({ images, question }), {
        maxTokens: 4,
        endId: builder.endId,
      });
      expect(answers.map((ids) => tokenizer.decode(ids))).toEqual(['carrot', 'can up']);
    });
  });

  it('computes rows of different lengths in groups as it computes each alone', () => {
    torch.manual_seed(6);
    const model = new Vla(config);
    const long = { text: Array.from({ length: 20 }, () => 'the can').join(' '), labelled: true };
    const instructions = [...texts, texts[0] as string];
    const all = samples(instructions);
    const reasoning = [null, long, null];
    const row = (b: number): VlaSamples => ({
      images: Object.fromEntries(
        Object.entries(all.images).map(([n, bytes]) => [n, bytes.slice(b * 768, b * 768 + 768)]),
      ),
      state: all.state.slice(b * 7, b * 7 + 7),
      instruction: [instructions[b] as string],
      reasoning: [reasoning[b] ?? null],
      actions: (all.actions as Float32Array).slice(b * 21, b * 21 + 21),
      actionMask: (all.actionMask as Uint8Array).slice(b * 3, b * 3 + 3),
    });
    const results = (given: VlaSamples): { logits: number[][]; velocities: number[][] } => {
      const batch = builder.build(given);
      const { logits_MW, context } = noGrad(() => model.forward(batch));
      const B = given.instruction.length;
      const velocity =
        context && noGrad(() => model.action_model?.velocity(torch.ones([B, 3, 7]), torch.full([B], 0.5), context));
      const perRow = (logits_MW?.tolist() ?? []) as number[][];
      const order = [...perRow.keys()].sort(
        (a, b) => (batch.label_rows?.[a] ?? 0) - (batch.label_rows?.[b] ?? 0) || a - b,
      );
      return {
        logits: order.map((m) => perRow[m] as number[]),
        velocities: (velocity?.flatten(1).tolist() ?? []) as number[][],
      };
    };
    scope(() => {
      const batch = builder.build({ ...all, reasoning });
      expect(batch.groups.map(({ rows }) => integers(rows))).toEqual([[1], [0, 2]]);
      expect(integers(batch.restore)).toEqual([1, 0, 2]);
      const together = results({ ...all, reasoning });
      const alone = [0, 1, 2].map((b) => results(row(b)));
      for (const key of ['logits', 'velocities'] as const) {
        const expected = alone.flatMap((one) => one[key]).flat();
        const found = together[key].flat();
        expect(found.length).toBe(expected.length);
        expect(Math.max(...found.map((value, i) => Math.abs(value - (expected[i] as number))))).toBeLessThan(1e-4);
      }
      expect(together.logits.length + together.velocities.length).toBeGreaterThan(3);
      // The action teacher's rows line up with the student's, whatever the groups.
      const plain = builder.build(all);
      const labelled = (one: typeof plain): number[] => {
        const labels = integers(one.labels);
        return integers(labelsOfKind(one, 'action', 'cpu')).map((m) => labels[m] as number);
      };
      expect(labelled(batch)).toEqual(labelled(plain));
    });
  });

  it('gives pruned rows no text gradient', () => {
    torch.manual_seed(3);
    const model = new Vla(config);
    scope(() => {
      const pruned = vlaLoss(model, { robot: builder.build({ ...samples(texts), reasoning: [null, null] }) });
      expect(Object.keys(pruned.terms)).not.toContain('text_loss');
      const masked = { ...said, labelled: false };
      const context = vlaLoss(model, { robot: builder.build({ ...samples(texts), reasoning: [masked, masked] }) });
      expect(Object.keys(context.terms)).not.toContain('text_loss');
    });
  });
});

it('weighs tokens as Eq. 3 does, or groups apart', () => {
  torch.manual_seed(4);
  const config = tinyConfig({ action_head: 'discrete', max_reasoning_tokens: 6 });
  const builder = new PromptBuilder(config, tokenizer);
  const model = new Vla(config);
  scope(() => {
    const robot = builder.build({ ...samples(texts), reasoning: [{ text: 'the can', labelled: true }, null] });
    const images = samples(texts).images.third as Uint8Array;
    const multimodal = builder.buildMultimodal({ images, question: texts, answer: ['red', 'carrot'] });
    const weights = { action: 1, text: 2, stop: 1, multimodal: 3 };
    const value = (normalization: 'token' | 'group'): [number, Record<string, number>] => {
      const { loss, terms } = noGrad(() => vlaLoss(model, { robot, multimodal }, { normalization, weights }));
      return [
        Number(loss.item()),
        Object.fromEntries(Object.entries(terms).map(([name, term]) => [name, Number(term.item())])),
      ];
    };
    const [group, { token_loss = 0, text_loss = 0, multimodal_loss = 0 }] = value('group');
    expect(group).toBeCloseTo(token_loss + 2 * text_loss + 3 * multimodal_loss, 4);
    // 35 action tokens, 2 of reasoning, 2 x (word and end) of answers.
    const [token] = value('token');
    expect(token).toBeCloseTo((35 * token_loss + 2 * 2 * text_loss + 3 * 4 * multimodal_loss) / 41, 4);
  });
});

describe('VlaPolicy', () => {
  torch.manual_seed(5);
  const model = new Vla(tinyConfig());
  const statistics = {
    chunk: {
      chunk: 3,
      representation: 'cumulative' as const,
      actionDim: 7,
      q01: Float32Array.from({ length: 21 }, (_, i) => (i % 7 === 6 ? 0 : -0.05)),
      q99: Float32Array.from({ length: 21 }, (_, i) => (i % 7 === 6 ? 1 : 0.05)),
    },
    normaliseState: (state: ArrayLike<number>) => Float32Array.from(state),
  };
  const policy = (options: VlaPolicyOptions = {}) => new VlaPolicy(model, tokenizer, statistics, options);
  const observation = (salt: number, instruction = texts[0] as string) => ({
    images: {
      third: Uint8Array.from({ length: 768 }, (_, i) => (i * 7 + salt * 13) % 256),
      wrist: Uint8Array.from({ length: 768 }, (_, i) => (i * 5 + salt) % 256),
    },
    state: Float32Array.from({ length: 7 }, (_, i) => i / 10),
    instruction,
  });
  const run = (p: VlaPolicy, session: number, salts: number[]) =>
    salts.map((salt) => p.act([{ session, observation: observation(salt) }])[0] as Float32Array);

  it('carries out num_execute actions of a chunk, then predicts anew', () => {
    // The second action comes from the first chunk whatever is seen then; the third from a new one.
    const [a, b] = [run(policy(), 1, [1, 2, 3]), run(policy(), 1, [1, 9, 3])];
    expect(a[1]).toEqual(b[1]);
    expect(run(policy(), 1, [1, 2, 4])[2]).not.toEqual(a[2]);
    expect([0, 1]).toContain(a[0]?.[6]);
  });

  it('does not depend on the other sessions, and forgets at reset', () => {
    const alone = run(policy(), 4, [1, 2, 3]);
    const shared = policy();
    for (const [i, salt] of [1, 2, 3].entries()) {
      const actions = shared.act([
        { session: 3, observation: observation(50 + i, texts[1]) },
        { session: 4, observation: observation(salt) },
      ]);
      for (let d = 0; d < 7; d++) expect(actions[1]?.[d]).toBeCloseTo(alone[i]?.[d] as number, 5);
    }
    shared.reset(4);
    expect(run(shared, 4, [1])[0]).toEqual(alone[0]);
  });

  it('averages overlapping predictions when ensembling', () => {
    const singly = run(policy({ numExecute: 1 }), 1, [1, 2]);
    const ensembled = run(policy({ temporalEnsembling: { rate: 0 } }), 1, [1, 2]);
    const chunked = run(policy({ numExecute: 2 }), 1, [1, 2]);
    expect(ensembled[0]).toEqual(singly[0]);
    for (let d = 0; d < 6; d++) {
      const expected = ((singly[1]?.[d] as number) + (chunked[1]?.[d] as number)) / 2;
      expect(ensembled[1]?.[d]).toBeCloseTo(expected, 6);
    }
  });

  it('refuses to execute more than a chunk', () => {
    expect(() => policy({ numExecute: 4 })).toThrow(/numExecute is 4; a chunk of this model has 3/);
  });
});
