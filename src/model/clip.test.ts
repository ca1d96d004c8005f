/** CLIP against PyTorch's own transformer layers on the same weights: test/fixtures/clip_reference.py printed the values (torch 1.13). */
import { describe, expect, it } from 'vitest';
import { noGrad, scope, torch } from '../torch/index.js';
import { type ClipConfig, ClipModel } from './clip.js';

const CONFIG: ClipConfig = {
  projection_dim: 8,
  vision_config: {
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    image_size: 8,
    patch_size: 4,
  },
  text_config: {
    hidden_size: 12,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    vocab_size: 20,
    max_position_embeddings: 6,
  },
};

const IMAGES = [
  [1.816974, 2.056151, -0.982156, -2.454916, -0.014564, 2.449003, 1.008883, -2.039387],
  [1.870095, 2.046493, -1.039198, -2.468418, 0.036997, 2.483439, 0.971304, -2.08908],
];
const TEXTS = [
  [0.117814, -1.002478, 0.923337, 0.043522, -0.968537, 0.962379, -0.030968, -0.930216],
  [0.299599, -0.731325, 0.459939, 0.253643, -0.723367, 0.497629, 0.20654, -0.712137],
];

const both = (name: string): string[] => [`${name}.weight`, `${name}.bias`];
const encoder = (tower: string): string[] =>
  [0, 1].flatMap((layer) =>
    [
      ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `self_attn.${name}`),
      'layer_norm1',
      'mlp.fc1',
      'mlp.fc2',
      'layer_norm2',
    ].flatMap((name) => both(`${tower}.encoder.layers.${layer}.${name}`)),
  );
/** The order in which the reference numbers its parameters. */
const ORDER = [
  'vision_model.embeddings.class_embedding',
  'vision_model.embeddings.patch_embedding.weight',
  'vision_model.embeddings.position_embedding.weight',
  ...both('vision_model.pre_layrnorm'),
  ...encoder('vision_model'),
  ...both('vision_model.post_layernorm'),
  'visual_projection.weight',
  'text_model.embeddings.token_embedding.weight',
  'text_model.embeddings.position_embedding.weight',
  ...encoder('text_model'),
  ...both('text_model.final_layer_norm'),
  'text_projection.weight',
];

const wave = (count: number, k: number, offset = 0, scale = 1): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => offset + scale * 0.3 * Math.sin(0.7 * i + k));

function model(): ClipModel {
  const clip = new ClipModel(CONFIG);
  const own = clip.state_dict();
  expect([...ORDER, 'logit_scale'].sort()).toEqual(Object.keys(own).sort());
  const weights = ORDER.map((name, i) => {
    const shape = own[name]?.shape as number[];
    const norm = /norm\d?\.weight$/.test(name);
    return [
      name,
      torch.tensor(
        wave(
          shape.reduce((a, b) => a * b, 1),
          i + 1,
          norm ? 1 : 0,
        ),
        { shape },
      ),
    ] as const;
  });
  clip.load_state_dict({ ...Object.fromEntries(weights), logit_scale: torch.zeros([]) });
  return clip;
}

const closeTo = (found: unknown, wanted: readonly (readonly number[])[]): void => {
  for (const [r, row] of wanted.entries()) {
    for (const [c, value] of row.entries()) expect((found as number[][])[r]?.[c]).toBeCloseTo(value, 4);
  }
};

describe('CLIP', () => {
  it('embeds pictures as the reference does', () => {
    scope(() =>
      noGrad(() => {
        const pixels = torch.tensor(wave(2 * 3 * 8 * 8, 100, 0, 3), { shape: [2, 3, 8, 8] });
        closeTo(model().embedImages(pixels).tolist(), IMAGES);
      }),
    );
  });

  it('embeds texts as the reference does, at their end token', () => {
    scope(() =>
      noGrad(() => {
        const ids = [
          [18, 3, 7, 5, 19],
          [18, 1, 2, 4, 19],
        ];
        closeTo(
          model()
            .embedTexts(torch.tensor(ids, { dtype: 'int64' }))
            .tolist(),
          TEXTS,
        );
      }),
    );
  });
});
