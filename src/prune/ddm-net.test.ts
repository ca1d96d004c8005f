import { beforeAll, describe, expect, it } from 'vitest';
import { expectClose, type Golden, goldenPresent, readGolden } from '../model/golden.test-support.js';
import { noGrad, scope, type Tensor, torch } from '../torch/index.js';
import {
  boundaryProbability,
  DdmNet,
  type DdmNetConfig,
  type DdmNetOutput,
  pairwiseDistance,
  RELEASED_DDM_NET,
} from './ddm-net.js';

const TINY: DdmNetConfig = {
  ...RELEASED_DDM_NET,
  width: 2,
  blocks: [1, 1, 1, 1],
  decoder_layers: 1,
  heads: 4,
  frames_per_side: 2,
};

describe.skipIf(!goldenPresent)('DDM-Net as released (fixture 08a)', () => {
  let golden: Golden<{ decoder_layers: number }>;
  let output: DdmNetOutput;
  let model: DdmNet;

  beforeAll(() => {
    golden = readGolden('08a_ddm_net');
    model = new DdmNet({ ...RELEASED_DDM_NET, width: 2 }).eval();
    model.load_state_dict(golden.weights);
    output = noGrad(() => model.forward(golden.inputs.frames as Tensor));
  });

  const expected = (name: string): Tensor => golden.outputs[`forward/${name}`] ?? (golden.outputs[name] as Tensor);

  it('pools the backbone', () => {
    const frames = golden.inputs.frames as Tensor;
    noGrad(() => model.frame_features(frames.reshape([22, 3, 36, 36]))).forEach((x, i) => {
      expectClose(x, expected(`backbone/layer${i + 2}_pooled`), golden.tolerance, `layer ${i + 2}`);
    });
  });

  it('gives every intermediate result', () => {
    for (const name of [
      'multi_level_features',
      'difference_map',
      'ddm_encoder',
      'frame_attention_scores',
      'ddm_decoder_in',
      'ddm_decoder',
      'intra_rgb',
      'intra_ddm',
      'cross_rgb',
      'cross_ddm',
    ] as const)
      expectClose(output[name], expected(name), golden.tolerance, name);
    expectClose(
      pairwiseDistance(output.multi_level_features),
      expected('distance_before_norm'),
      golden.tolerance,
      'distance',
    );
    expectClose(model.pos.position_table, expected('position_table'), golden.tolerance, 'positions');
  });

  it('gives the logits of all layers and the score', () => {
    expectClose(output.logits, expected('logits_all_layers'), golden.tolerance, 'logits');
    expectClose(output.logits_rgb, expected('logits_rgb_all_layers'), golden.tolerance, 'rgb');
    expectClose(output.logits_ddm, expected('logits_ddm_all_layers'), golden.tolerance, 'ddm');
    expectClose(boundaryProbability(output), expected('boundary_score'), golden.tolerance, 'score');
  });

  it('gives one window alone what it gives it in a batch', () => {
    const one = noGrad(() => model.forward((golden.inputs.frames as Tensor).narrow(0, 1, 1)));
    expectClose(boundaryProbability(one), expected('boundary_score').narrow(0, 1, 1), golden.tolerance, 'score');
  });
});

describe('DDM-Net', () => {
  it('shares a frame between windows: features once give what every window alone gives', () => {
    torch.manual_seed(1);
    const model = new DdmNet(TINY).eval();
    const frames = torch.randn([7, 3, 32, 32]);
    const windows = torch.tensor(
      [
        [0, 1, 2, 3, 4],
        [2, 3, 4, 5, 6],
      ],
      { dtype: 'int64' },
    );
    const [together, apart] = noGrad(() => [
      model.forward_features(model.frame_features(frames), windows).logits,
      model.forward(torch.stack([frames.narrow(0, 0, 5), frames.narrow(0, 2, 5)])).logits,
    ]) as [Tensor, Tensor];
    expectClose(together, apart, { atol: 1e-5, rtol: 1e-4 });
  });

  it('sends gradients into everything but what the released model leaves unused', () => {
    torch.manual_seed(2);
    const model = new DdmNet(TINY).train();
    scope(() =>
      model.loss(model.forward(torch.randn([2, 5, 3, 32, 32])), torch.tensor([0, 1], { dtype: 'int64' })).backward(),
    );
    const without = model
      .named_parameters()
      .filter(([, p]) => p.grad === null)
      .map(([name]) => name);
    expect(without).toEqual(['ddm_encoder.linear.weight', 'ddm_encoder.linear.bias']);
  });
});
