/**
 * Observations and instructions as the tensors of a vision-language-action model: the prompt, its image positions, the
 * latent queries or action tokens behind it, and their labels.
 *
 *   flow      <IMG_CONTEXT> x V  put the carrot on the plate <|im_end|> <new_token_0> .. <new_token_Q-1>  pad ..
 *   discrete  <IMG_CONTEXT> x V  put the carrot on the plate <|im_end|> a_00 a_01 .. a_CA                 pad ..
 *
 * Rows are padded on the right: causal attention never looks ahead, so no attention mask is needed.
 *
 * Knows nothing about how a data set is read or how the model computes.
 *
 * Shapes: B batch, T prompt and answer tokens, N cameras, H, W pixels, C chunk length, A action dims, Q latent queries.
 */
import { type Tensor, torch } from '../torch/index.js';
import { DiscreteActionTokens, IGNORED_LABEL } from './discrete-action-tokens.js';
import { latentActionTokens, SPECIAL_TOKENS } from './tokenizer.js';
import { numPrefixTokens, type VlaConfig } from './vla-config.js';

/** The token that image tokens replace. */
const IMAGE_TOKEN = SPECIAL_TOKENS.imageContext;

/** What prompts need of a tokenizer (tokenizer.ts). */
export interface PromptTokenizer {
  encode(text: string): number[];
  /** @throws UnknownTokenError if the token is not in the vocabulary */
  idOf(token: string): number;
}

/** Samples as the data loader or a robot gives them; rows lie one after another. */
export interface VlaSamples {
  /** Camera -> RGB bytes, B * H * W * 3. */
  images: Readonly<Record<string, Uint8Array>>;
  /** Normalised states, B * state_dim. */
  state: Float32Array;
  instruction: readonly string[];
  /** Normalised chunks, B * C * A; absent when acting. */
  actions?: Float32Array;
  /** 1 where a chunk's action exists, B * C. */
  actionMask?: Uint8Array;
}

export interface VlaBatch {
  /** uint8 [B, N, H, W, 3]. */
  images: Tensor;
  /** int64 [B, T]. */
  input_ids: Tensor;
  /** Column of the first image token, the same in every row. */
  image_start: number;
  /** Flow head: rows of the flattened B * T that hold latent queries, int64 [B * Q]. */
  latent_index?: Tensor;
  /** Rows of the flattened B * T whose next token is trained on, int64 [M], and those next tokens, int64 [M]. */
  label_index?: Tensor;
  labels?: Tensor;
  /** float32 [B, state_dim]. */
  state: Tensor;
  /** float32 [B, C, A]. */
  actions?: Tensor;
  /** float32 [B, C]. */
  action_mask?: Tensor;
}

/** Prompts of one model as token ids; instructions repeat a thousandfold, so each is tokenized once. */
export class PromptBuilder {
  readonly #prompts = new Map<string, number[]>();
  readonly #latents: number[];
  readonly #imageId: number;
  readonly actionTokens: DiscreteActionTokens | undefined;

  constructor(
    readonly config: VlaConfig,
    readonly tokenizer: PromptTokenizer,
  ) {
    const numLatents = config.action_head === 'flow' ? config.num_latent_queries : 0;
    this.#latents = latentActionTokens(numLatents).map((token) => tokenizer.idOf(token));
    this.#imageId = tokenizer.idOf(IMAGE_TOKEN);
    if (config.action_head === 'discrete') {
      this.actionTokens = new DiscreteActionTokens(config.vocab_size, config.num_action_bins);
    }
  }

  /** Ids of the prompt: images and instruction. */
  prompt(instruction: string): number[] {
    let ids = this.#prompts.get(instruction);
    if (ids === undefined) {
      const image = IMAGE_TOKEN.repeat(numPrefixTokens(this.config));
      const text = this.config.prompt.replace('{image}', () => image).replace('{instruction}', () => instruction);
      ids = this.tokenizer.encode(text);
      this.#prompts.set(instruction, ids);
    }
    return ids;
  }

  /**
   * One batch on a device.
   * @throws RangeError if a camera's images do not have the configured size
   */
  build(samples: VlaSamples, device = 'cpu'): VlaBatch {
    const { config } = this;
    const B = samples.instruction.length;
    const { chunk_size: C, action_dim: A, state_dim } = config;
    const prompts = samples.instruction.map((instruction) => this.prompt(instruction));
    const answers = Array.from({ length: B }, (_, b) => this.#answer(samples, b));
    const T = Math.max(...prompts.map((prompt, b) => prompt.length + (answers[b]?.ids.length ?? 0)));
    const ids = new BigInt64Array(B * T);
    const latentIndex: number[] = [];
    const labelIndex: number[] = [];
    const labels: number[] = [];
    for (const [b, prompt] of prompts.entries()) {
      const answer = answers[b] ?? { ids: [], labels: [] };
      for (const [t, id] of [...prompt, ...answer.ids].entries()) ids[b * T + t] = BigInt(id);
      const start = b * T + prompt.length;
      if (this.#latents.length > 0) answer.ids.forEach((_, i) => void latentIndex.push(start + i));
      for (const [i, label] of answer.labels.entries()) {
        if (label === IGNORED_LABEL) continue;
        labelIndex.push(start + i - 1);
        labels.push(label);
      }
    }
    const int64 = (values: number[]): Tensor =>
      torch.tensor(BigInt64Array.from(values, BigInt), { dtype: 'int64', device });
    return {
      images: this.#images(samples.images, B, device),
      input_ids: torch.tensor(ids, { shape: [B, T], dtype: 'int64', device }),
      image_start: prompts[0]?.indexOf(this.#imageId) ?? 0,
      ...(latentIndex.length > 0 && { latent_index: int64(latentIndex) }),
      ...(labels.length > 0 && { label_index: int64(labelIndex), labels: int64(labels) }),
      state: torch.tensor(samples.state, { shape: [B, state_dim], dtype: 'float32', device }),
      ...(samples.actions && {
        actions: torch.tensor(samples.actions, { shape: [B, C, A], dtype: 'float32', device }),
        action_mask: torch.tensor(Float32Array.from(samples.actionMask ?? new Uint8Array(B * C).fill(1)), {
          shape: [B, C],
          dtype: 'float32',
          device,
        }),
      }),
    };
  }

  /** What follows row b's prompt: latent queries, or the chunk as action tokens (steps past the episode's end unlabelled). */
  #answer(samples: VlaSamples, b: number): { ids: number[]; labels: number[] } {
    if (this.actionTokens === undefined) return { ids: this.#latents, labels: [] };
    if (samples.actions === undefined) return { ids: [], labels: [] };
    const { chunk_size: C, action_dim: A } = this.config;
    const ids = [...this.actionTokens.encode(samples.actions.subarray(b * C * A, (b + 1) * C * A))];
    const exists = (i: number): boolean => samples.actionMask?.[b * C + Math.floor(i / A)] !== 0;
    return { ids, labels: ids.map((id, i) => (exists(i) ? id : IGNORED_LABEL)) };
  }

  #images(images: VlaSamples['images'], B: number, device: string): Tensor {
    const { cameras, vision } = this.config;
    const size = vision.image_size;
    const stack = cameras.map((camera) => {
      const bytes = images[camera];
      if (bytes === undefined) {
        throw new RangeError(
          `the model sees camera ${camera}; the observation has ${Object.keys(images).join(', ') || 'none'}`,
        );
      }
      if (bytes.length !== B * size * size * 3) {
        throw new RangeError(
          `camera ${camera}: ${bytes.length / B} bytes an image, but the model takes ${size} x ${size} RGB (${size * size * 3})`,
        );
      }
      return torch.tensor(bytes, { shape: [B, size, size, 3], dtype: 'uint8', device });
    });
    return torch.stack(stack, 1);
  }
}
