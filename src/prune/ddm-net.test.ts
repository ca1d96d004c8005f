import { beforeAll, describe, expect, it } from 'vitest';
import { expectAllclose } from '../torch/allclose.test-support.js';
import { noGrad, scope, type Tensor, torch } from '../torch/index.js';
import {
  boundaryProbability,
  DdmNet,
  type DdmNetConfig,
  type DdmNetOutput,
  pairwiseDistance,
  RELEASED_DDM_NET,
} from './ddm-net.js';
import { goldenPresent, readGoldenJson, readGoldenTensors } from './golden.test-support.js';

const TINY: DdmNetConfig = {
  ...RELEASED_DDM_NET,
  width: 2,
  blocks: [1, 1, 1, 1],
  decoder_layers: 1,
  heads: 4,
  frames_per_side: 2,
};

describe.skipIf(!goldenPresent)('DDM-Net as released (fixture 08a)', () => {
  let inputs: Record<string, Tensor>;
  let outputs: Record<string, Tensor>;
  let tolerance: { atol: number; rtol: number };
  let output: DdmNetOutput;
  let model: DdmNet;

  beforeAll(() => {
    inputs = readGoldenTensors('08a_ddm_net', 'inputs');
    outputs = readGoldenTensors('08a_ddm_net', 'outputs');
    tolerance = readGoldenJson<{ suggested_tolerance: typeof tolerance }>('08a_ddm_net').suggested_tolerance;
    model = new DdmNet({ ...RELEASED_DDM_NET, width: 2 }).eval();
    model.load_state_dict(readGoldenTensors('08a_ddm_net', 'weights'));
    output = noGrad(() => model.forward(inputs.frames as Tensor));
  });

  const expected = (name: string): Tensor => outputs[name] as Tensor;

  it('pools the backbone', () => {
    const frames = inputs.frames as Tensor;
    noGrad(() => model.frame_features(frames.reshape([22, 3, 36, 36]))).forEach((x, i) => {
      expectAllclose(x, expected(`backbone/layer${i + 2}_pooled`), { ...tolerance, what: `layer ${i + 2}` });
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
      expectAllclose(output[name], expected(name), { ...tolerance, what: name });
    expectAllclose(pairwiseDistance(output.multi_level_features), expected('distance_before_norm'), {
      ...tolerance,
      what: 'distance',
    });
    expectAllclose(model.pos.position_table, expected('position_table'), { ...tolerance, what: 'positions' });
  });

  it('gives the logits of all layers and the score', () => {
    expectAllclose(output.logits, expected('logits_all_layers'), { ...tolerance, what: 'logits' });
    expectAllclose(output.logits_rgb, expected('logits_rgb_all_layers'), { ...tolerance, what: 'rgb' });
    expectAllclose(output.logits_ddm, expected('logits_ddm_all_layers'), { ...tolerance, what: 'ddm' });
    expectAllclose(boundaryProbability(output), expected('boundary_score'), { ...tolerance, what: 'score' });
  });

  it('gives one window alone what it gives it in a batch', () => {
    const one = noGrad(() => model.forward((inputs.frames as Tensor).narrow(0, 1, 1)));
    expectAllclose(boundaryProbability(one), expected('boundary_score').narrow(0, 1, 1), {
      ...tolerance,
      what: 'score',
    });
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
    expectAllclose(together, apart, { atol: 1e-5, rtol: 1e-4 });
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
