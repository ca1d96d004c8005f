/**
 * The configuration of a vision-language-action model: plain data with a schema, stored as config.json beside the weights.
 * The group names and keys below `vision`, `language` and `action` are those of released config.json files, so that the
 * 2-billion-parameter base and the laptop-sized model differ by configuration alone.
 *
 * Knows nothing about training; a recipe's `policy` group is the input of `parseVlaConfig`.
 */
import { z } from 'zod';

const size = z.number().int().positive();
const epsilon = z.number().positive();

const visionSchema = z.strictObject({
  image_size: size.default(64).describe('side of the square input image, pixels'),
  patch_size: size.default(8).describe('side of a patch, pixels'),
  hidden_size: size.default(96),
  intermediate_size: size.default(384),
  num_hidden_layers: z.number().int().nonnegative().default(1),
  num_attention_heads: size.default(3),
  layer_norm_eps: epsilon.default(1e-6),
  stem: z
    .enum(['patch', 'conv'])
    .default('conv')
    .describe('patch projection as released, or strided convolutions to the same grid for training from scratch'),
  downsample_ratio: z.number().positive().max(1).default(0.5).describe('pixel shuffle before the projector'),
  select_layer: z
    .number()
    .int()
    .negative()
    .default(-1)
    .describe('vision output that is projected; -1: the last, normed'),
});

const languageSchema = z.strictObject({
  hidden_size: size.default(128),
  intermediate_size: size.default(352),
  num_hidden_layers: size.default(4),
  num_attention_heads: size.default(4),
  num_key_value_heads: size.default(2),
  rope_theta: z.number().positive().default(10_000),
  rms_norm_eps: epsilon.default(1e-6),
  tie_word_embeddings: z.boolean().default(true),
});

const expertSchema = z.strictObject({
  hidden_size: size.default(128),
  intermediate_size: size.default(352),
  num_hidden_layers: size.default(3),
  num_attention_heads: size.default(4),
  rms_norm_eps: epsilon.default(1e-6),
  rope_theta: z.number().positive().default(1000),
  head: z.enum(['flatten', 'token']).default('token'),
  compat: z.enum(['released', 'fixed']).default('fixed'),
  num_flow_samples: size.default(4).describe('noise and time draws for each context in the training loss'),
  num_sampling_steps: size.default(10).describe('Euler steps from noise to actions when acting'),
  visual_tokens: z.boolean().default(true).describe('the expert sees the projected image tokens beside the latents'),
});

/** Every key of the model, with the defaults of the laptop-sized one (about 2 million parameters). */
export const vlaConfigSchema = z.strictObject({
  type: z.literal('vla').default('vla'),
  action_head: z
    .enum(['flow', 'discrete'])
    .default('flow')
    .describe('flow-matching action expert (InstructVLA) or action tokens in the vocabulary (OpenVLA)'),
  chunk_size: size.default(8).describe('actions predicted at once, C'),
  action_dim: size.default(7),
  state_dim: z.number().int().nonnegative().default(7).describe('width of the proprioceptive state; 0: none'),
  state_token: z
    .enum(['expert', 'language'])
    .default('expert')
    .describe('where the state enters: as a token of the action expert, or of the language model after the images'),
  num_latent_queries: size.default(8).describe('latent action tokens <new_token_i> appended to the prompt, Q'),
  num_action_bins: size.default(256).describe('discrete head: bins of an action dimension'),
  max_reasoning_tokens: z
    .number()
    .int()
    .nonnegative()
    .default(0)
    .describe('a reasoning VLA thinks in at most this many tokens before it acts, or decides not to; 0: acts at once'),
  num_execute: size.default(4).describe('actions of a chunk carried out before the next prediction'),
  prompt: z
    .string()
    .default('{image}{instruction}<|im_end|>')
    .describe('{image} becomes the image tokens, {instruction} the task'),
  vision: visionSchema.prefault({}),
  language: languageSchema.prefault({}),
  action: expertSchema.prefault({}),
});

/** The `policy` group of a training configuration. */
export type PolicyConfig = z.output<typeof vlaConfigSchema>;

/** What a checkpoint's config.json holds: the policy, and what the data and the tokenizer decided. */
export interface VlaConfig extends PolicyConfig {
  /** Image columns in model order. */
  cameras: string[];
  /** Rows of the token embedding: tokenizer, and the action bins of the discrete head. */
  vocab_size: number;
}

/** Image tokens of one camera after the pixel shuffle. */
export function numImageTokens({ image_size, patch_size, downsample_ratio }: PolicyConfig['vision']): number {
  return Math.round((Math.floor(image_size / patch_size) * downsample_ratio) ** 2);
}

/** Positions that `{image}` takes in the prompt: every camera's tokens, and the state token of state_token 'language'. */
export function numPrefixTokens(config: VlaConfig): number {
  return numImageTokens(config.vision) * config.cameras.length + (hasLanguageState(config) ? 1 : 0);
}

export function hasLanguageState(config: PolicyConfig): boolean {
  return config.state_dim > 0 && config.state_token === 'language';
}

/**
 * The model's configuration from a recipe's or checkpoint's plain data.
 * @throws z.ZodError naming the wrong keys or values
 */
export function parseVlaConfig(data: unknown, decided: { cameras: string[]; vocab_size: number }): VlaConfig {
  return { ...vlaConfigSchema.parse(data), ...decided };
}
