import { beforeAll, describe, expect, it } from 'vitest';
import { autocast, noGrad, optim, scope, type Tensor, torch } from '../torch/index.js';
import { type CausalLanguageModel, nextTokenLoss } from './causal-language-model.js';
import { generate } from './generate.js';
import { expectClose, type Golden, goldenPresent, readGolden, type Tolerance } from './golden.test-support.js';
import { KeyValueCache } from './key-value-cache.js';
import { LlamaForCausalLM } from './llama.js';
import { type Qwen2Config, Qwen2ForCausalLM } from './qwen2.js';

const models: [string, new (config: Qwen2Config) => CausalLanguageModel][] = [
  ['01a_qwen2_untied', Qwen2ForCausalLM],
  ['01b_qwen2_tied', Qwen2ForCausalLM],
  ['07a_llama', LlamaForCausalLM],
];

describe.skipIf(!goldenPresent).each(models)('%s against transformers', (name, Model) => {
  let golden: Golden<Qwen2Config>;
  let model: CausalLanguageModel;
  let tolerance: Tolerance;
  beforeAll(() => {
    golden = readGolden(name);
    tolerance = golden.tolerance;
    model = new Model(golden.json.config);
    model.load_state_dict(golden.weights);
  });
  const input = (key: string): Tensor => golden.inputs[key] as Tensor;
  const output = (key: string): Tensor => golden.outputs[key] as Tensor;
  const run = (options: Parameters<CausalLanguageModel['forward']>[0]): Tensor =>
    noGrad(() => model.forward(options).logits as Tensor);

  it('logits and hidden states', () => {
    const { logits, hidden_states, hidden_BSD } = noGrad(() =>
      model.forward({ input_ids: input('input_ids'), output_hidden_states: true }),
    );
    expectClose(logits as Tensor, output('full/logits'), tolerance);
    expectClose(torch.stack(hidden_states as Tensor[]), output('full/hidden_states'), tolerance);
    expectClose(hidden_BSD, output('full/hidden_states').select(0, -1), tolerance);
  });

  it('a cache filled by prefill, a chunk and single tokens', () => {
    const cache = new KeyValueCache();
    const ids = input('input_ids');
    const logits: Tensor[] = [];
    for (let start = 0; start < 13; ) {
      const length = start === 0 ? 6 : start === 6 ? 2 : 1;
      logits.push(run({ input_ids: ids.narrow(1, start, length), cache }));
      start += length;
    }
    expectClose(torch.cat(logits, 1), output('kv_cache/logits'), tolerance);
    expect(cache.length).toBe(13);
    cache.truncate(6);
    expectClose(run({ input_ids: ids.narrow(1, 6, 7), cache }), output('full/logits').narrow(1, 6, 7), tolerance);
    const { keys, values } = cache.at(0);
    expectClose(keys, output('kv_cache/layer0_keys'), tolerance);
    expectClose(values, output('kv_cache/layer0_values'), tolerance);
    cache.dispose();
  });

  it('padding on the right, with and without the mask', () => {
    const mask = input('right_pad_mask');
    const keep = mask.unsqueeze(-1).to('float32');
    const expected = output('right_pad/logits');
    const logits = run({ input_ids: input('right_pad_ids'), attention_mask: mask });
    expectClose(logits.mul(keep), expected, tolerance);
    expectClose(run({ input_ids: input('right_pad_ids') }).mul(keep), expected, tolerance);
    expect(logits.isfinite().all().item()).toBe(1);
  });

  it('padding on the left', () => {
    const [input_ids, attention_mask] = [input('left_pad_ids'), input('left_pad_mask')];
    const keep = attention_mask.unsqueeze(-1).to('float32');
    const plain = run({ input_ids, attention_mask });
    expectClose(plain.mul(keep), output('left_pad_default_positions/logits'), tolerance);
    const shifted = run({ input_ids, attention_mask, position_ids: input('left_pad_position_ids') });
    expectClose(shifted.mul(keep), output('left_pad_mask_positions/logits'), tolerance);
  });

  it('greedy generation of a left-padded batch', () => {
    const steps: Tensor[] = [];
    const rows = generate(
      model,
      { input_ids: input('left_pad_ids'), attention_mask: input('left_pad_mask') },
      { maxNewTokens: 6, onLogits: (logits) => steps.push(logits.clone().keep()) },
    );
    expect(rows).toEqual(output('generate/new_tokens').tolist());
    expectClose(torch.stack(steps, 1), output('generate/step_logits'), tolerance);
  });

  it('far positions', () => {
    const logits = run({ input_ids: input('input_ids'), position_ids: input('far_position_ids') });
    expectClose(logits, output('far_positions/logits'), { atol: 2e-4, rtol: 1e-3 });
  });

  it('embeddings in place of ids, logits at chosen positions', () => {
    const inputs_embeds = input('inputs_embeds');
    const expected = output('embeds/logits');
    expectClose(run({ inputs_embeds }), expected, tolerance);
    expectClose(run({ inputs_embeds, logits: 'last' }), expected.narrow(1, 4, 1), tolerance);
    const chosen = torch.tensor([7, 0, 3], { dtype: 'int64' });
    expectClose(run({ inputs_embeds, logits: chosen }), expected.flatten(0, 1).index_select(0, chosen), tolerance);
    expect(noGrad(() => model.forward({ inputs_embeds, logits: 'none' })).logits).toBeUndefined();
  });

  it('chosen rows alone, with the gradients they have among all', () => {
    const [input_ids, attention_mask] = [input('left_pad_ids'), input('left_pad_mask')];
    const rows = torch.tensor([5, 12, 7, 13 + 12, 13 + 9, 13 + 10], { dtype: 'int64' });
    for (const padding of [{}, { attention_mask }, { attention_mask, position_ids: input('left_pad_position_ids') }]) {
      const full = model.forward({ input_ids, ...padding, logits: 'none' }).hidden_BSD;
      const all_BQD = full.flatten(0, 1).index_select(0, rows).view([2, 3, -1]);
      const { hidden_BSD, logits } = model.forward({ input_ids, ...padding, rows });
      expectClose(hidden_BSD, all_BQD.detach(), tolerance);
      expect(logits?.shape.slice(0, 2)).toEqual([2, 3]);
      const parameters = model.parameters().slice(0, -2);
      const options = { allow_unused: true };
      const weight = torch.linspace(-1, 1, 48);
      const alone = torch.autograd_grad(hidden_BSD.mul(weight).square().sum(), parameters, options);
      const among = torch.autograd_grad(all_BQD.mul(weight).square().sum(), parameters, options);
      expect(alone.filter((gradient) => gradient !== null).length).toBeGreaterThan(10);
      for (const [i, gradient] of alone.entries()) {
        if (gradient !== null) expectClose(gradient, among[i] as Tensor, { atol: 1e-3, rtol: 1e-3 });
      }
    }
    expect(() => model.forward({ input_ids, rows, cache: new KeyValueCache() })).toThrow('not together with cache');
  });

  it('loss and gradients', () => {
    const { logits } = model.forward({ input_ids: input('right_pad_ids'), attention_mask: input('right_pad_mask') });
    const loss = nextTokenLoss(logits as Tensor, input('labels'));
    expectClose(loss.detach(), output('loss/loss'), tolerance);
    loss.backward();
    const gradients = Object.keys(golden.outputs).filter((key) => key.startsWith('loss/grad/'));
    expect(gradients.length).toBeGreaterThan(10);
    const parameters = new Map(model.named_parameters());
    for (const key of gradients) {
      const parameter = parameters.get(key.slice('loss/grad/'.length)) as Tensor;
      expectClose(parameter.grad as Tensor, output(key), tolerance, key);
    }
  });
});

describe('causal language models', () => {
  const config: Qwen2Config = {
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    rope_theta: 1e4,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
  };
  torch.manual_seed(3);
  const model = new Qwen2ForCausalLM(config);
  const input_ids = torch.tensor([[1, 2, 3]], { dtype: 'int64' });

  it('have the released parameter names', () => {
    const names = [...model.named_parameters()].map(([name]) => name);
    expect(names).toContain('model.layers.1.self_attn.k_proj.bias');
    expect(names).toContain('model.layers.0.post_attention_layernorm.weight');
    expect(names).not.toContain('lm_head.weight');
    expect(names).toHaveLength(2 + 2 * 12);
  });

  it('sample from a seeded generator, within the allowed ids', () => {
    const options = { maxNewTokens: 20, temperature: 1, topK: 30, topP: 0.95, allowed: { first: 40, last: 63 } };
    const draw = (seed: number): number[][] =>
      generate(model, { input_ids }, { ...options, generator: new torch.Generator(seed) });
    expect(draw(5)).toEqual(draw(5));
    expect(draw(5)).not.toEqual(draw(6));
    for (const id of draw(7).flat()) expect(id).toBeGreaterThanOrEqual(40);
  });

  it('stop a row after a stop token', () => {
    const [row = []] = generate(model, { input_ids }, { maxNewTokens: 8 });
    const stop = row[2] as number;
    expect(generate(model, { input_ids }, { maxNewTokens: 8, stopIds: [stop] })).toEqual([
      row.slice(0, row.indexOf(stop) + 1),
    ]);
  });

  it('refuse what they cannot do', () => {
    expect(() => model.forward({})).toThrow('give either input_ids or inputs_embeds');
    expect(() => model.forward({ input_ids, cache: new KeyValueCache() })).toThrow('the cache is for inference');
    const attention_mask = torch.tensor([[1, 1, 0]], { dtype: 'int64' });
    expect(() => generate(model, { input_ids, attention_mask }, { maxNewTokens: 1 })).toThrow(
      'pad prompts on the left',
    );
  });

  it('give in bfloat16 what they give in float32, to its precision', () => {
    const ids = torch.randint(0, 64, [4, 9], { dtype: 'int64' });
    const gradients = (bf16: boolean): Tensor[] => {
      model.zero_grad();
      const inputs_embeds = model.embed(ids);
      const run = (): Tensor => {
        const { logits } = model.forward({ inputs_embeds: bf16 ? inputs_embeds.to('bfloat16') : inputs_embeds });
        return nextTokenLoss((logits as Tensor).mul(20), ids);
      };
      const loss = bf16 ? autocast({ device: 'cpu', dtype: 'bfloat16' }, run) : run();
      loss.backward();
      return [loss.detach(), ...model.parameters().map((parameter) => (parameter.grad as Tensor).clone())];
    };
    const [exact, rounded] = [gradients(false), gradients(true)];
    for (const [i, value] of rounded.entries()) {
      const expected = exact[i] as Tensor;
      const error = value.to('float32').sub(expected).norm().div(expected.norm()).item();
      const name = i === 0 ? 'loss' : (model.named_parameters()[i - 1]?.[0] ?? '');
      // 8 bits of mantissa, some ten roundings one after the other. A bias of keys moves all scores of a query nearly alike: little is left of
      // its gradient, and relative to that the roundings are larger (0.078 on libtorch 2.14).
      expect(error, name).toBeLessThan(name.endsWith('k_proj.bias') ? 0.12 : 0.06);
    }
    model.zero_grad();
  });

  it('learn a sequence without growing', () => {
    const ids = torch.tensor([[5, 9, 13, 17, 21, 25, 29, 33]], { dtype: 'int64' });
    const learner = new Qwen2ForCausalLM(config);
    const adam = new optim.AdamW(learner.parameters(), { lr: 3e-3, weight_decay: 0 });
    const step = (): number =>
      scope(() => {
        adam.zero_grad();
        const loss = nextTokenLoss(learner.forward({ input_ids: ids }).logits as Tensor, ids);
        loss.backward();
        adam.step();
        return loss.item() as number;
      });
    const first = step();
    const before = torch.live_tensors();
    let last = first;
    for (let i = 0; i < 60; i++) last = step();
    expect(first).toBeGreaterThan(3);
    expect(last).toBeLessThan(0.3);
    expect(torch.live_tensors()).toBe(before);
    const prompt = { input_ids: ids.narrow(1, 0, 3) };
    expect(generate(learner, prompt, { maxNewTokens: 5 })).toEqual([[17, 21, 25, 29, 33]]);
  });

  it('free what generation makes', () => {
    const before = torch.live_tensors();
    for (let i = 0; i < 3; i++) generate(model, { input_ids }, { maxNewTokens: 4 });
    expect(torch.live_tensors()).toBe(before);
  });
});
