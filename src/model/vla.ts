/**
 * The vision-language-action model of DualVLA (arXiv 2511.22134, Section 3.1) on InstructVLA's structure (arXiv 2507.17520):
 *
 *   images -> SigLIP -> pixel shuffle -> mlp1 -+
 *   instruction -> token embedding ------------+-> Qwen2 -> latent action queries -> flow-matching action expert -> chunk
 *                                                       \-> action tokens (the discrete head, OpenVLA's)         -> chunk
 *
 * One class for the laptop-sized model and the 2-billion-parameter base: sizes, stem, cameras and prompt are configuration.
 * Below vision, language_model and action_model the parameter names are those of released checkpoints.
 *
 * Knows nothing about normalisation statistics, text or environments (policy.ts does).
 *
 * Shapes: B batch, N cameras, V image tokens of all cameras (and a state token), T prompt tokens, D language width,
 * Q latent queries, C chunk length, A action dims, K flow samples, M labelled positions.
 */
import { F, type Generator, nn, noGrad, type Tensor, torch } from '../torch/index.js';
import { DiscreteActionTokens } from './discrete-action-tokens.js';
import { type ExpertContext, FlowMatchingExpert } from './flow-matching-expert.js';
import { initializeWeights } from './initialization.js';
import { KeyValueCache } from './key-value-cache.js';
import { Qwen2ForCausalLM } from './qwen2.js';
import { EagleVision } from './siglip.js';
import type { VlaBatch } from './vla-batch.js';
import { hasLanguageState, type VlaConfig } from './vla-config.js';

export interface VlaLoss {
  /** Scalar with gradients. */
  loss: Tensor;
  /** Its parts, scalars without gradients: flow_loss, or token_loss and token_accuracy. */
  metrics: Record<string, Tensor>;
}

export interface PredictOptions {
  /** Flow head: starting noise [B, C, A], drawn if not given. */
  noise?: Tensor;
  generator?: Generator;
  /** Flow head: Euler steps; default from the configuration. */
  steps?: number;
}

export class Vla extends nn.Module {
  readonly vision: EagleVision;
  readonly language_model: Qwen2ForCausalLM;
  /** Only with the flow head. */
  readonly action_model?: FlowMatchingExpert;
  /** Only with state_token 'language'. */
  readonly state_embed?: nn.Linear;
  readonly #actionTokens: DiscreteActionTokens | undefined;

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
      this.#actionTokens = new DiscreteActionTokens(config.vocab_size, config.num_action_bins);
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
    if (this.state_embed === undefined) return visual_BVD;
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

  /** The expert's context: latent actions of the queries, image tokens, state. */
  actionContext(batch: VlaBatch): ExpertContext {
    const expert = this.#expert();
    const { latent_index } = batch;
    if (latent_index === undefined) throw new TypeError('the flow head needs latent queries in the batch');
    const visual_BVD = this.encodeImages(batch);
    const { hidden_BSD: latents } = this.language_model.forward({
      inputs_embeds: this.embed(batch, visual_BVD),
      rows: latent_index,
      logits: 'none',
    });
    return expert.encode({ latents, visual_tokens: visual_BVD, state: batch.state });
  }

  /** The training loss of a batch with actions. */
  compute_loss(batch: VlaBatch): VlaLoss {
    if (this.action_model) {
      if (batch.actions === undefined) throw new TypeError('the flow loss needs actions in the batch');
      const numSamples = this.config.action.num_flow_samples;
      const { loss } = this.action_model.flowLoss(this.actionContext(batch), batch.actions, batch.action_mask, {
        numSamples,
      });
      return { loss, metrics: { flow_loss: loss.detach() } };
    }
    const { label_index, labels } = batch;
    if (label_index === undefined || labels === undefined)
      throw new TypeError('the token loss needs labels in the batch');
    const inputs_embeds = this.embed(batch, this.encodeImages(batch));
    const { logits } = this.language_model.forward({ inputs_embeds, logits: label_index });
    const logits_MW = (logits as Tensor).to('float32');
    const loss = F.cross_entropy(logits_MW, labels);
    const token_accuracy = noGrad(() => logits_MW.detach().argmax(-1).eq(labels).to('float32').mean());
    return { loss, metrics: { token_loss: loss.detach(), token_accuracy } };
  }

  /** Normalised action chunks [B, C, A] for a batch without actions. Runs without gradients. */
  predict(batch: VlaBatch, options: PredictOptions = {}): Tensor {
    return noGrad(() => {
      if (this.action_model === undefined) return this.#generateActionTokens(batch);
      const { steps = this.config.action.num_sampling_steps, ...random } = options;
      return this.action_model.sample(this.actionContext(batch), { steps, ...random });
    });
  }

  /** Greedy action tokens, C * A of them; every prompt of the batch has the same length. */
  #generateActionTokens(batch: VlaBatch): Tensor {
    const tokens = this.#actionTokens as DiscreteActionTokens;
    const { chunk_size: C, action_dim: A, num_action_bins } = this.config;
    const B = batch.input_ids.shape[0] ?? 0;
    const cache = new KeyValueCache();
    try {
      const ids: number[][] = Array.from({ length: B }, () => []);
      let inputs_embeds = this.embed(batch, this.encodeImages(batch));
      for (let i = 0; i < C * A; i++) {
        const { logits } = this.language_model.forward({ inputs_embeds, cache, logits: 'last' });
        const rows = (logits as Tensor).squeeze(1).narrow(-1, tokens.firstId, num_action_bins);
        const next_B = rows.argmax(-1).add(tokens.firstId);
        for (const [b, id] of (next_B.tolist() as number[]).entries()) ids[b]?.push(Number(id));
        inputs_embeds = this.language_model.embed(next_B.unsqueeze(1));
      }
      const chunks = ids.flatMap((row) => [...tokens.decodeChunk(row, C, A)]);
      return torch.tensor(Float32Array.from(chunks), { shape: [B, C, A], device: batch.input_ids.device });
    } finally {
      cache.dispose();
    }
  }

  #expert(): FlowMatchingExpert {
    if (this.action_model === undefined)
      throw new TypeError('this model has no action expert (action_head is discrete)');
    return this.action_model;
  }
}
