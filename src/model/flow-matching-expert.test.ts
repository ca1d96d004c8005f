import { beforeAll, describe, expect, it } from 'vitest';
import { noGrad, type Tensor, torch } from '../torch/index.js';
import type { DinoV2Config } from './dinov2.js';
import { type ExpertInputs, FlowMatchingExpert, type FlowMatchingExpertConfig } from './flow-matching-expert.js';
import { expectClose, type Golden, goldenPresent, readGolden, type Tolerance } from './golden.test-support.js';

interface GoldenConfig {
  expert: Pick<
    FlowMatchingExpertConfig,
    'hidden_size' | 'intermediate_size' | 'num_hidden_layers' | 'num_attention_heads' | 'rms_norm_eps' | 'rope_theta'
  >;
  token_size: number;
  action_dim: number;
  chunk: number;
  vision: DinoV2Config;
  state_dim: number;
}

describe.skipIf(!goldenPresent).each([
  ['04a_action_expert', false],
  ['04b_action_expert_state_two_images', true],
])('%s against the released code', (name, withState) => {
  let golden: Golden<GoldenConfig>;
  let tolerance: Tolerance;
  beforeAll(() => {
    golden = readGolden(name);
    tolerance = golden.tolerance;
  });
  const input = (key: string): Tensor => golden.inputs[key] as Tensor;
  const output = (key: string): Tensor => golden.outputs[key] as Tensor;

  function build(compat: 'released' | 'fixed'): FlowMatchingExpert {
    const { expert, token_size, action_dim, chunk, vision, state_dim } = golden.json.config;
    const model = new FlowMatchingExpert({
      ...expert,
      token_size,
      action_dim,
      chunk,
      visual: { kind: 'dinov2', config: vision },
      ...(withState && { state_dim }),
      compat,
    });
    model.load_state_dict(golden.weights);
    return model;
  }
  function inputs(rows = 2): ExpertInputs {
    const images = (input('pixel_values').shape[0] ?? 0) / 2;
    return {
      latents: input('latents').narrow(0, 0, rows),
      pixels: input('pixel_values').narrow(0, 0, rows * images),
      ...(withState && { state: input('proprio').narrow(0, 0, rows) }),
    };
  }

  it('pieces before the backbone', () => {
    const model = build('released');
    const { tokens_BND, numVisual } = model.encode(inputs());
    const [x_t, t] = [output('forward/x_t'), input('t')];
    expectClose(model.timeEmbedding(input('times')), output('time_embedding/of_times'), tolerance);
    expectClose(model.timeEmbedding(t), output('forward/time_embedding'), tolerance);
    expectClose(tokens_BND.narrow(1, 0, numVisual), output('forward/visual_tokens'), tolerance);
    expectClose(tokens_BND.narrow(1, numVisual, 8), output('forward/latent_tokens'), tolerance);
    if (withState) expectClose(tokens_BND.select(1, -1), output('forward/state_token'), tolerance);
    const actions = model.action_embed.forward(x_t, model.timeEmbedding(t));
    expectClose(actions, output('forward/action_tokens'), tolerance);
    expectClose(torch.cat([tokens_BND, actions], 1), output('forward/input_sequence'), tolerance);
  });

  describe.each([
    ['released', 'released_mask'],
    ['fixed', 'correct_mask'],
  ] as const)('compat %s', (compat, run) => {
    it('velocity, loss and gradients', () => {
      const model = build(compat);
      const context = model.encode(inputs());
      const actions = model.action_embed.forward(output('forward/x_t'), model.timeEmbedding(input('t')));
      const hidden = model.hidden(actions.unsqueeze(1), context).squeeze(1);
      const chunk = golden.json.config.chunk;
      const last = output(`${run}/backbone_last_hidden_state`);
      expectClose(hidden, last.narrow(1, (last.shape[1] ?? 0) - chunk, chunk), tolerance);
      expectClose(model.velocity(output('forward/x_t'), input('t'), context), output(`${run}/velocity`), tolerance);

      const { loss, x_t_BKCA } = model.flowLoss(context, input('x1'), undefined, {
        noise: input('x0').unsqueeze(1),
        time: input('t').unsqueeze(1),
      });
      expectClose(x_t_BKCA.squeeze(1), output('forward/x_t'), tolerance);
      expectClose(loss.detach(), output(`${run}/loss`), tolerance);
      loss.backward();
      const parameters = new Map(model.named_parameters());
      const keys = Object.keys(golden.outputs).filter((key) => key.startsWith(`${run}/grad/`));
      if (!withState) expect(keys.length).toBeGreaterThan(8);
      for (const key of keys) {
        const parameter = parameters.get(key.slice(`${run}/grad/`.length)) as Tensor;
        expectClose(parameter.grad as Tensor, output(key), tolerance, key);
      }
    });

    it('Euler sampling', () => {
      const model = build(compat);
      const context = noGrad(() => model.encode(inputs(1)));
      const noise = input('noise');
      expectClose(model.sample(context, { noise }), output(`${run}/sample_actions`), tolerance);
      expectClose(model.sample(context, { noise, steps: 4 }), output(`${run}/sample_actions_4_steps`), tolerance);
      const [x, t] = [output(`${run}/sample_x_t`).narrow(0, 7, 1), output(`${run}/sample_t`).narrow(0, 7, 1)];
      const velocity = noGrad(() => model.velocity(x, t, context));
      expectClose(velocity, output(`${run}/sample_velocity`).narrow(0, 7, 1), tolerance);
    });
  });
});

describe('the expert at small size', () => {
  const config: FlowMatchingExpertConfig = {
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    rms_norm_eps: 1e-6,
    rope_theta: 1000,
    token_size: 24,
    action_dim: 7,
    chunk: 4,
    visual: { kind: 'tokens', width: 20 },
    state_dim: 7,
    head: 'token',
    compat: 'fixed',
    initializer_range: 0.2,
  };
  const tight = { atol: 1e-5, rtol: 1e-5 };
  torch.manual_seed(4);
  const fixed = new FlowMatchingExpert(config);
  const latents = torch.randn([3, 5, 24]);
  const visual_tokens = torch.randn([3, 6, 20]);
  const state = torch.randn([3, 7]);
  const actions = torch.randn([3, 4, 7]);

  it.each(['fixed', 'released'] as const)(
    'gives K flow samples a context the answers they have alone (%s)',
    (compat) => {
      const model = new FlowMatchingExpert({ ...config, compat });
      const context = model.encode({ latents, visual_tokens, state });
      const { x_t_BKCA, t_BK } = model.drawSamples(actions, { numSamples: 3 });
      const together = model.velocity(x_t_BKCA, t_BK, context);
      const apart = [0, 1, 2].map((k) => model.velocity(x_t_BKCA.select(1, k), t_BK.select(1, k), context));
      expectClose(together, torch.stack(apart, 1).detach(), tight);
    },
  );

  it('samples the same with cached context keys as by velocity()', () => {
    const context = noGrad(() => fixed.encode({ latents, visual_tokens, state }));
    const noise = torch.randn([3, 4, 7]);
    let x = noise;
    noGrad(() => {
      for (const t of [0, 0.25, 0.5, 0.75]) x = x.add(fixed.velocity(x, torch.full([3], t), context), { alpha: 0.25 });
    });
    expectClose(fixed.sample(context, { noise, steps: 4 }), x, tight);
  });

  it('works on latents alone', () => {
    const { state_dim: _, ...rest } = config;
    const model = new FlowMatchingExpert({ ...rest, visual: { kind: 'none' } });
    const context = model.encode({ latents });
    expect(context.tokens_BND.shape).toEqual([3, 5, 32]);
    expect(model.sample(context, { steps: 2, generator: new torch.Generator(1) }).shape).toEqual([3, 4, 7]);
    expect([...model.named_parameters()].some(([name]) => /visual|state/.test(name))).toBe(false);
  });

  it('draws t from (1 - s)(1 - Beta(1.5, 1)) and seeds it', () => {
    const many = torch.zeros([20000, 4, 7]);
    const draw = (seed: number): Tensor => fixed.drawSamples(many, { generator: new torch.Generator(seed) }).t_BK;
    const t = draw(1);
    expect(t.tolist()).toEqual(draw(1).tolist());
    // E z = 0.6, Var z = 0.6 0.4 / 3.5; P(z <= 1/4) = 1/8.
    expect(t.mean().item() as number).toBeCloseTo(0.999 * 0.4, 2);
    expect(t.var().item() as number).toBeCloseTo(0.24 / 3.5, 2);
    expect(
      t
        .ge(0.999 * 0.75)
        .to('float32')
        .mean()
        .item() as number,
    ).toBeCloseTo(0.125, 1.5);
  });

  it('leaves masked actions out of the loss', () => {
    const context = noGrad(() => fixed.encode({ latents, visual_tokens, state }));
    const noise = torch.randn([3, 2, 4, 7]);
    const time = torch.rand([3, 2]);
    const mask = torch.tensor([
      [1, 1, 1, 1],
      [1, 1, 0, 0],
      [1, 0, 0, 0],
    ]);
    const { loss, velocity_BKCA, target_BKCA } = noGrad(() => fixed.flowLoss(context, actions, mask, { noise, time }));
    const square = velocity_BKCA
      .sub(target_BKCA)
      .pow(2)
      .mul(mask.view([3, 1, 4, 1]));
    expect(loss.item() as number).toBeCloseTo((square.sum().item() as number) / (7 * 2 * 7), 5);
    const unmasked = noGrad(() => fixed.flowLoss(context, actions, torch.ones([3, 4]), { noise, time })).loss;
    const without = noGrad(() => fixed.flowLoss(context, actions, undefined, { noise, time })).loss;
    expect(unmasked.item() as number).toBeCloseTo(without.item() as number, 5);
  });

  it('names inputs that its configuration needs', () => {
    expect(() => fixed.encode({ latents, visual_tokens })).toThrow('configured for state, but none were given');
    expect(() => fixed.encode({ latents, state })).toThrow('configured for visual_tokens');
  });
});
