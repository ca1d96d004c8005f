import { beforeAll, describe, expect, it } from 'vitest';
import { type Tensor, torch } from '../torch/index.js';
import { DinoV2, type DinoV2Config, FilmDinoV2, resamplePositionEmbedding } from './dinov2.js';
import { expectClose, type Golden, goldenPresent, readGolden, type Tolerance } from './golden.test-support.js';

describe.skipIf(!goldenPresent)('DINOv2 with registers (golden 05)', () => {
  let golden: Golden<{ vision: DinoV2Config; film_input_width: number; depth: number }>;
  let tolerance: Tolerance;
  beforeAll(() => {
    golden = readGolden('05_dinov2_film');
    tolerance = golden.tolerance;
  });
  const input = (key: string): Tensor => golden.inputs[key] as Tensor;
  const output = (key: string): Tensor => golden.outputs[key] as Tensor;

  it('with FiLM', () => {
    const { vision, film_input_width } = golden.json.config;
    const model = new FilmDinoV2({ ...vision, condition_width: film_input_width });
    model.load_state_dict(golden.weights);
    const [pixels, condition] = [input('pixel_values'), input('condition_tokens')];
    expectClose(condition.mean([1]), output('film/condition_mean'), tolerance);
    expectClose(torch.stack(model.blocks(pixels, condition)), output('film/blocks'), tolerance);
    expectClose(model.forward(pixels, condition), output('film/features'), tolerance);
  });

  it('without FiLM', () => {
    const model = new DinoV2(golden.json.config.vision);
    const plain = Object.entries(golden.weights)
      .map(([key, value]) => [key.replace(/^vision_model\./, '').replace('.block.', '.'), value] as const)
      .filter(([key]) => !/\.(scale|shift)\./.test(key));
    model.load_state_dict(Object.fromEntries(plain));
    const { blocks, normed } = model.forward(input('pixel_values'));
    expectClose(model.embed(input('pixel_values')), output('plain/embedded'), tolerance);
    expectClose(torch.stack(blocks), output('plain/blocks'), tolerance);
    expectClose(normed, output('plain/normed'), tolerance);
  });

  it('position embeddings for another image size', () => {
    const old = input('old_pos_embed');
    expectClose(resamplePositionEmbedding(old, 4), output('resample/pos_embed'), tolerance);
    expect(resamplePositionEmbedding(old, 7)).toBe(old);
  });
});
