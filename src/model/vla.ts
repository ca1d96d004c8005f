/**
 * The vision-language-action model of DualVLA (arXiv 2511.22134, Section 3.1) on InstructVLA's structure (arXiv 2507.17520):
 *
 *   images -> SigLIP -> pixel shuffle -> mlp1 -+
 *   instruction -> token embedding ------------+-> Qwen2 -> latent action queries -> flow-matching action expert -> chunk
 *                                                       \-> action tokens (the discrete head, OpenVLA's)         -> chunk
 *
 * A reasoning VLA writes text between the instruction and its action, or decides not to; a multimodal sample is a question and
 * its answer in the same sequence.
 *
 * One class for the laptop-sized model and the 2-billion-parameter base: sizes, stem, cameras and prompt are configuration.
 * Below vision, language_model and action_model the parameter names are those of released checkpoints.
 *
 * Knows nothing about losses (vla-loss.ts), normalisation statistics, text or environments (policy.ts does).
 *
 * Shapes: B batch, N cameras, V image tokens of all cameras (and a state token), T prompt tokens, D language width,
 * Q latent queries, C chunk length, A action dims, M labelled positions, W vocabulary.
 */
import { type Generator, nn, noGrad, scope, type Tensor, torch } from '../torch/index.js';
import { DiscreteActionTokens } from './discrete-action-tokens.js';
import { type ExpertContext, FlowMatchingExpert } from './flow-matching-expert.js';
import { initializeWeights } from './initialization.js';
import { Qwen2ForCausalLM } from './qwen2.js';
import { EagleVision } from './siglip.js';
import type { RowGroup, VlaBatch } from './vla-batch.js';
import { hasLanguageState, type VlaConfig } from './vla-config.js';
import { decodeText, type StopIds, VlaDecoder } from './vla-decoder.js';

/** What one pass over a batch gives the losses. */
export interface VlaOutput {
  /** Flow head: what the action expert sees, for batches with latent queries. */
  context?: ExpertContext;
  /** Float32 logits of the labelled positions, [M, W]. */
  logits_MW?: Tensor;
}

export interface PredictOptions {
  /** Flow head: starting noise [B, C, A], drawn if not given. */
  noise?: Tensor;
  generator?: Generator;
  /** Flow head: Euler steps; default from the configuration. */
  steps?: number;
  /**
   * Per row, the probability of acting at once above which a reasoning VLA does; default one half (the likelier of the two).
   * Uniform draws sample the decision.
   */
  skipAbove?: readonly number[];
}

export interface Prediction {
  /** Normalised action chunks [B, C, A]. */
  actions: Tensor;
  /** Ids of each row's reasoning; [] where it acted at once. */
  reasoning: number[][];
}

export class Vla extends nn.Module {
  readonly vision: EagleVision;
  readonly language_model: Qwen2ForCausalLM;
  /** Only with the flow head. */
  readonly action_model?: FlowMatchingExpert;
  /** Only with state_token 'language'. */
  readonly state_embed?: nn.Linear;
  /** Only with the discrete head. */
  readonly actionTokens: DiscreteActionTokens | undefined;

  constructor(readonly config: VlaConfig) {
    super();
    const { vision, language, action, state_dim, action_dim, chunk_size } = config;
    const { downsample_ratio, select_layer, ...siglip } = vision;
    const D = language.hidden_size;
    this.vision = new EagleVision({ vision: siglip, downsample_ratio, select_layer, llm_hidden_size: D });
    this.language_model = new Qwen2ForCausalLM({ ...language, vocab_size: config.vocab_size });
    if (hasLanguageState(config)) {
      this.state_embed = new nn.Linear(state_dim, D);
      initializeWeights(this.state_embed, 0.02);
    }
    if (config.action_head === 'flow') {
      const { num_flow_samples: _, num_sampling_steps: __, visual_tokens, ...expert } = action;
      this.action_model = new FlowMatchingExpert({
        ...expert,
        token_size: D,
        action_dim,
        chunk: chunk_size,
        visual: visual_tokens ? { kind: 'tokens', width: D } : { kind: 'none' },
        ...(state_dim > 0 && config.state_token === 'expert' && { state_dim }),
      });
    } else {
      this.actionTokens = new DiscreteActionTokens(config.vocab_size, config.num_action_bins);
    }
  }

  /** Images (and, if it is configured, the state) as tokens of the language model, [B, V, D]. */
  encodeImages(batch: VlaBatch): Tensor {
    const [B = 0, N = 0, H = 0, W = 0] = batch.images.shape;
    const pixels = batch.images
      .view([B * N, H, W, 3])
      .permute([0, 3, 1, 2])
      .to('float32')
      .div(127.5)
      .sub(1);
    const visual_BVD = this.vision.forward(pixels.contiguous()).view([B, -1, this.config.language.hidden_size]);
    // Questions about an image come without a robot's state.
    if (this.state_embed === undefined || batch.state === undefined) return visual_BVD;
    const state_B1D = this.state_embed.forward(batch.state).unsqueeze(1);
    return torch.cat([visual_BVD, state_B1D.to(visual_BVD.dtype)], 1);
  }

  /** Token embeddings with the image tokens in their places, [B, T, D]. */
  embed(batch: VlaBatch, visual_BVD: Tensor): Tensor {
    const { input_ids, image_start } = batch;
    const T = input_ids.shape[1] ?? 0;
    const image_end = image_start + (visual_BVD.shape[1] ?? 0);
    const text = this.language_model.embed(
      torch.cat([input_ids.narrow(1, 0, image_start), input_ids.narrow(1, image_end, T - image_end)], 1),
    );
    return torch.cat(
      [text.narrow(1, 0, image_start), visual_BVD.to(text.dtype), text.narrow(1, image_start, T - image_end)],
      1,
    );
  }

  /** One pass: the expert's context and the logits of the labelled positions, whichever the batch asks for. */
  forward(batch: VlaBatch): VlaOutput {
    const visual_BVD = this.encodeImages(batch);
    const inputs_BTD = this.embed(batch, visual_BVD);
    const logits: Tensor[] = [];
    const latents: Tensor[] = [];
    for (const group of batch.groups) {
      const { rows, length } = group;
      const chosen = rows === undefined ? inputs_BTD : inputs_BTD.index_select(0, rows);
      const output = this.#group(chosen.narrow(1, 0, length), group);
      if (output.logits_MW !== undefined) logits.push(output.logits_MW);
      if (output.latents_BQD !== undefined) latents.push(output.latents_BQD);
    }
    if (logits.length === 0 && latents.length === 0)
      throw new TypeError('the batch has neither labels nor latent queries');
    const output: VlaOutput = logits.length === 0 ? {} : { logits_MW: concatenate(logits) };
    if (latents.length === 0) return output;
    const grouped = concatenate(latents);
    const latents_BQD = batch.restore === undefined ? grouped : grouped.index_select(0, batch.restore);
    return { ...output, context: this.#context(latents_BQD, visual_BVD, batch) };
  }

  /** The language model over rows of like length: float32 logits of their labels, hidden states of their latent queries. */
  #group(inputs_embeds: Tensor, { latent_index, label_index }: RowGroup): { logits_MW?: Tensor; latents_BQD?: Tensor } {
    if (label_index === undefined) {
      if (latent_index === undefined) return {};
      const { hidden_BSD } = this.language_model.forward({ inputs_embeds, rows: latent_index, logits: 'none' });
      return { latents_BQD: hidden_BSD };
    }
    const { hidden_BSD, logits } = this.language_model.forward({ inputs_embeds, logits: label_index });
    const logits_MW = (logits as Tensor).to('float32');
    if (latent_index === undefined) return { logits_MW };
    const [B = 0, , D = 0] = hidden_BSD.shape;
    return { logits_MW, latents_BQD: hidden_BSD.flatten(0, 1).index_select(0, latent_index).view([B, -1, D]) };
  }

  /** The expert's context: latent actions of the queries, image tokens, state. */
  #context(latents: Tensor, visual_BVD: Tensor, { state }: VlaBatch): ExpertContext {
    return this.#expert().encode({ latents, visual_tokens: visual_BVD, ...(state && { state }) });
  }

  /** Thinks where the model is a reasoning VLA and decides to, then acts. For a batch without actions. No gradients. */
  predict(batch: VlaBatch, options: PredictOptions = {}): Prediction {
    const { max_reasoning_tokens: maxTokens, action_head } = this.config;
    return noGrad(() => {
      if (action_head === 'flow' && maxTokens === 0) {
        const actions = this.#sample(this.forward(batch).context as ExpertContext, options);
        return { actions, reasoning: batch.prompt_lengths.map(() => []) };
      }
      const visual_BVD = this.encodeImages(batch);
      const decoder = new VlaDecoder(this.language_model, this.embed(batch, visual_BVD), batch.prompt_lengths);
      try {
        const skipAbove = options.skipAbove && { skipAbove: options.skipAbove };
        const reasoning =
          maxTokens === 0
            ? batch.prompt_lengths.map(() => [])
            : decodeText(decoder, { maxTokens, stop: this.#actingIds(batch), ...skipAbove });
        if (this.action_model === undefined) return { actions: this.#actionTokenChunks(decoder), reasoning };
        const latents = decoder.append(batch.prompt_lengths.map(() => this.#latentIds(batch)));
        return { actions: this.#sample(this.#context(latents, visual_BVD, batch), options), reasoning };
      } finally {
        decoder.dispose();
      }
    });
  }

  /** Greedy answers to questions, token ids without the end token. */
  answer(batch: VlaBatch, { maxTokens, endId }: { maxTokens: number; endId: number }): number[][] {
    return noGrad(() => {
      const inputs_embeds = this.embed(batch, this.encodeImages(batch));
      const decoder = new VlaDecoder(this.language_model, inputs_embeds, batch.prompt_lengths);
      try {
        return decodeText(decoder, { maxTokens, stop: { first: endId, last: endId } });
      } finally {
        decoder.dispose();
      }
    });
  }

  #sample(context: ExpertContext, options: PredictOptions): Tensor {
    const { steps = this.config.action.num_sampling_steps, noise, generator } = options;
    return this.#expert().sample(context, { steps, ...(noise && { noise }), ...(generator && { generator }) });
  }

  /** The tokens that end reasoning: the first latent query, or any action token. */
  #actingIds(batch: VlaBatch): StopIds {
    const tokens = this.actionTokens;
    if (tokens !== undefined) return { first: tokens.firstId, last: tokens.lastId };
    const first = this.#latentIds(batch)[0] as number;
    return { first, last: first };
  }

  #latentIds({ latent_ids }: VlaBatch): readonly number[] {
    if (latent_ids === undefined) throw new TypeError('the flow head needs latent_ids in the batch');
    return latent_ids;
  }

  /** Greedy action tokens, C * A of them for each row. */
  #actionTokenChunks(decoder: VlaDecoder): Tensor {
    const tokens = this.actionTokens as DiscreteActionTokens;
    const { chunk_size: C, action_dim: A, num_action_bins } = this.config;
    const B = decoder.logits.shape[0] ?? 0;
    const ids: number[][] = Array.from({ length: B }, () => []);
    for (let i = 0; i < C * A; i++) {
      const next = scope(
        () => decoder.logits.narrow(-1, tokens.firstId, num_action_bins).argmax(-1).to('int32').tolist() as number[],
      );
      for (const [b, index] of next.entries()) ids[b]?.push(index + tokens.firstId);
      if (i + 1 < C * A) scope(() => void decoder.append(next.map((index) => [index + tokens.firstId])));
    }
    const chunks = ids.flatMap((row) => [...tokens.decodeChunk(row, C, A)]);
    return torch.tensor(Float32Array.from(chunks), { shape: [B, C, A], device: decoder.logits.device });
  }

  #expert(): FlowMatchingExpert {
    if (this.action_model === undefined)
      throw new TypeError('this model has no action expert (action_head is discrete)');
    return this.action_model;
  }
}

const concatenate = (parts: readonly Tensor[]): Tensor =>
  parts.length === 1 ? (parts[0] as Tensor) : torch.cat([...parts], 0);
