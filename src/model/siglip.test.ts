import { beforeAll, describe, expect, it } from 'vitest';
import { type Tensor, torch } from '../torch/index.js';
import { expectClose, type Golden, goldenPresent, readGolden, type Tolerance } from './golden.test-support.js';
import { EagleVision, type EagleVisionConfig, pixelShuffle, type SiglipConfig, SiglipVisionModel } from './siglip.js';

describe.skipIf(!goldenPresent)('SigLIP and the Eagle2 projector (golden 02)', () => {
  let golden: Golden<EagleVisionConfig>;
  let model: EagleVision;
  let tolerance: Tolerance;
  beforeAll(() => {
    golden = readGolden('02_siglip_eagle_projector');
    tolerance = golden.tolerance;
    model = withWeights(golden.json.config.select_layer);
  });
  const output = (key: string): Tensor => golden.outputs[key] as Tensor;
  const pixels = (): Tensor => golden.inputs.pixel_values as Tensor;

  function withWeights(select_layer: number): EagleVision {
    const { vision, downsample_ratio, llm_hidden_size } = golden.json.config;
    const eagle = new EagleVision({
      vision: { ...vision, vision_use_head: true },
      downsample_ratio,
      llm_hidden_size,
      select_layer,
    });
    eagle.load_state_dict(golden.weights);
    return eagle;
  }

  it('vision transformer', () => {
    const { last_hidden_state, hidden_states, pooler_output } = model.vision_model.forward(pixels());
    expectClose(last_hidden_state, output('siglip/last_hidden_state'), tolerance);
    expectClose(torch.stack(hidden_states), output('siglip/hidden_states'), tolerance);
    expectClose(pooler_output as Tensor, output('siglip/pooler_output'), tolerance);
  });

  it('pixel shuffle', () => {
    expect(pixelShuffle(golden.inputs.shuffle_index as Tensor, 0.5).tolist()).toEqual(
      output('pixel_shuffle/of_index').tolist(),
    );
    const { last_hidden_state } = model.vision_model.forward(pixels());
    const shuffled = pixelShuffle(last_hidden_state.reshape([2, 4, 4, 32]), 0.5).flatten(1, 2);
    expectClose(shuffled, output('pixel_shuffle/of_siglip'), tolerance);
  });

  it('projector, from the last and from an earlier layer', () => {
    expect(model.numTokens).toBe(4);
    expectClose(model.forward(pixels()), output('projector/image_embeds'), tolerance);
    expectClose(withWeights(-2).forward(pixels()), output('projector/select_layer_minus_2'), tolerance);
  });

  it('gradients', () => {
    const ramp = torch.linspace(-1, 1, golden.json.config.llm_hidden_size);
    const weighted = model.forward(pixels()).mul(ramp);
    const loss = weighted.mul(weighted).mean();
    expectClose(loss.detach(), output('grad/loss'), tolerance);
    loss.backward();
    const parameters = new Map(model.named_parameters());
    const keys = Object.keys(golden.outputs).filter((key) => key.startsWith('grad/') && key !== 'grad/loss');
    expect(keys.length).toBeGreaterThan(20);
    for (const key of keys) {
      expectClose((parameters.get(key.slice('grad/'.length)) as Tensor).grad as Tensor, output(key), tolerance, key);
    }
  });
});

describe('the convolutional stem', () => {
  const config: SiglipConfig = {
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    image_size: 64,
    patch_size: 8,
    layer_norm_eps: 1e-6,
    stem: 'conv',
  };

  it('reaches the grid of the patch stem, and every token sees beyond its patch', () => {
    torch.manual_seed(1);
    const model = new SiglipVisionModel(config);
    const { embeddings } = model.vision_model;
    const pixels = torch.randn([2, 3, 64, 64]).requires_grad_(true);
    const tokens_BND = embeddings.forward(pixels);
    expect(tokens_BND.shape).toEqual([2, 64, 32]);
    // Token 9 is the patch of rows and columns 8..15.
    tokens_BND.select(0, 0).select(0, 9).sum().backward();
    const touched = (pixels.grad as Tensor).select(0, 0).abs().sum([0]).gt(0);
    expect(touched.narrow(0, 8, 8).narrow(1, 8, 8).all().item()).toBe(1);
    expect(touched.select(0, 6).any().item()).toBe(1);
    expect(touched.narrow(0, 32, 32).any().item()).toBe(0);
    expect(model.forward(pixels).last_hidden_state.shape).toEqual([2, 64, 32]);
  });

  it('needs a patch size that halving reaches', () => {
    expect(() => new SiglipVisionModel({ ...config, patch_size: 14, image_size: 56 })).toThrow(
      'needs patch_size 2, 4, 8',
    );
  });
});
