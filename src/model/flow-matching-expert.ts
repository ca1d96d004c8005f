/**
 * The flow-matching action expert of InstructVLA (arXiv 2507.17520), which DualVLA (arXiv 2511.22134, Section 4) keeps: a small
 * Llama over [visual tokens | latent actions (| robot state) | noisy action chunk] that predicts the velocity of the chunk,
 *
 *   x_t = (1 - (1 - s) t) x_0 + t x_1,   u = x_1 - (1 - s) x_0,   loss = mean |v(x_t, t, C) - u|^2,   s = 0.001,
 *   t = (1 - s)(1 - z), z ~ Beta(1.5, 1);   acting: Euler steps from noise x_0 to actions x_1.
 *
 * Who sees whom (rows see columns), compat 'fixed':      V    L    A1   A2     V  visual tokens
 *                                                    V   x                     L  latent actions and state
 *                                                    L   x    x                Ak action chunk of flow sample k
 *                                                    A1  x    x    x
 *                                                    A2  x    x         x
 * The context never sees the actions, so its keys and values are computed once for all Euler steps, and in training once for
 * K flow samples a context, which lie side by side in one sequence. compat 'released' does what the released code does: the
 * mask is a boolean that eager attention adds to the scores (+1 / +0), so nothing is hidden and nothing can be shared.
 *
 * Knows nothing about language or normalisation: latents, pixels or visual tokens, and state in; normalised actions out.
 *
 * Shapes: B contexts, K flow samples a context, C chunk length, A action dims, Q latents, V visual tokens, N = V + Q (+ 1)
 * context tokens, S sequence, D width, H heads, d head width, M MLP width.
 */
import { F, type Generator, nn, noGrad, scope, type Tensor, torch } from '../torch/index.js';
import type { AttentionMask } from './causal-language-model.js';
import { FilmDinoV2, type FilmDinoV2Config } from './dinov2.js';
import { initializeWeights } from './initialization.js';
import { type RotaryAngles, RotaryEmbedding } from './rotary-embedding.js';

export interface FlowMatchingExpertConfig {
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  rms_norm_eps: number;
  rope_theta: number;
  /** Width of the latent actions. */
  token_size: number;
  action_dim: number;
  /** Chunk length C. */
  chunk: number;
  /** Where visual tokens come from: the expert's own FiLM-conditioned DINOv2, tokens given by the caller, or nowhere. */
  visual:
    | { kind: 'dinov2'; config: Omit<FilmDinoV2Config, 'condition_width'> }
    | { kind: 'tokens'; width: number }
    | { kind: 'none' };
  /** Width of the robot state; absent = no state token. */
  state_dim?: number;
  /**
   * 'flatten': the released head, an MLP over the whole flattened chunk; 'token' (pi0's): one Linear on every action token,
   * which small experts trained from scratch learn faster. Default 'flatten'.
   */
  head?: 'flatten' | 'token';
  compat: 'released' | 'fixed';
  /** s; default 0.001. */
  flow_sig_min?: number;
  /** Longest period of the time embedding; default 100. */
  time_max_period?: number;
  /** Standard deviation of fresh weights; default 0.02. */
  initializer_range?: number;
}

/** What the expert is given besides actions. */
export interface ExpertInputs {
  /** Latent actions [B, Q, token_size]. */
  latents: Tensor;
  /** kind 'dinov2': pixels [B * images, 3, image, image], the images of one context next to each other. */
  pixels?: Tensor;
  /** kind 'tokens': [B, V, width]. */
  visual_tokens?: Tensor;
  /** [B, state_dim]. */
  state?: Tensor;
}

/** Projected context; made once, used for every velocity of it. */
export interface ExpertContext {
  tokens_BND: Tensor;
  /** V: the first tokens are visual. */
  numVisual: number;
}

/** Noisy chunks and what the expert should answer. */
export interface FlowSamples {
  x_t_BKCA: Tensor;
  t_BK: Tensor;
  target_BKCA: Tensor;
}

export interface FlowLoss extends FlowSamples {
  /** Mean squared velocity error over valid entries, a scalar. */
  loss: Tensor;
  velocity_BKCA: Tensor;
}

interface KeysValues {
  keys: Tensor;
  values: Tensor;
}

/** Angles [S, d] and mask [S, S] of a sequence. */
interface Layout {
  angles: RotaryAngles;
  mask: AttentionMask;
}

class Attention extends nn.Module {
  readonly q_proj: nn.Linear;
  readonly k_proj: nn.Linear;
  readonly v_proj: nn.Linear;
  readonly o_proj: nn.Linear;
  readonly #H: number;

  constructor({ hidden_size: D, num_attention_heads }: FlowMatchingExpertConfig) {
    super();
    this.q_proj = new nn.Linear(D, D, { bias: false });
    this.k_proj = new nn.Linear(D, D, { bias: false });
    this.v_proj = new nn.Linear(D, D, { bias: false });
    this.o_proj = new nn.Linear(D, D, { bias: false });
    this.#H = num_attention_heads;
  }

  /** Keys and values of x [B, S, D], after those of the `past` tokens. */
  keysValues(x_BSD: Tensor, angles: RotaryAngles, past?: KeysValues): KeysValues {
    const keys = F.rope(this.#heads(this.k_proj.forward(x_BSD)), angles.cos, angles.sin);
    const values = this.#heads(this.v_proj.forward(x_BSD)).transpose(1, 2);
    if (past === undefined) return { keys, values };
    return { keys: torch.cat([past.keys, keys], 2), values: torch.cat([past.values, values], 2) };
  }

  /** Attention of queries x [B, Q, D], at their angles, to keys and values. */
  forward(x_BQD: Tensor, angles: RotaryAngles, { keys, values }: KeysValues, mask: AttentionMask): Tensor {
    const q_BHQd = F.rope(this.#heads(this.q_proj.forward(x_BQD)), angles.cos, angles.sin);
    const y_BHQd = F.scaled_dot_product_attention(q_BHQd, keys, values, mask);
    return this.o_proj.forward(y_BHQd.transpose(1, 2).reshape(x_BQD.shape));
  }

  #heads(x_BSD: Tensor): Tensor {
    const [B = 0, S = 0, D = 0] = x_BSD.shape;
    return x_BSD.view([B, S, this.#H, D / this.#H]);
  }
}

class MLP extends nn.Module {
  readonly gate_proj: nn.Linear;
  readonly up_proj: nn.Linear;
  readonly down_proj: nn.Linear;

  constructor({ hidden_size: D, intermediate_size: M }: FlowMatchingExpertConfig) {
    super();
    this.gate_proj = new nn.Linear(D, M, { bias: false });
    this.up_proj = new nn.Linear(D, M, { bias: false });
    this.down_proj = new nn.Linear(M, D, { bias: false });
  }

  forward(x: Tensor): Tensor {
    return this.down_proj.forward(F.swiglu(this.gate_proj.forward(x), this.up_proj.forward(x)));
  }
}

class Layer extends nn.Module {
  readonly self_attn: Attention;
  readonly mlp: MLP;
  readonly input_layernorm: nn.RMSNorm;
  readonly post_attention_layernorm: nn.RMSNorm;

  constructor(config: FlowMatchingExpertConfig) {
    super();
    this.self_attn = new Attention(config);
    this.mlp = new MLP(config);
    this.input_layernorm = new nn.RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
    this.post_attention_layernorm = new nn.RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
  }

  /** The layer's output for the last `numQueries` tokens of x [B, S, D] (default all), and everybody's keys and values. */
  forward(
    x_BSD: Tensor,
    { angles, mask }: Layout,
    { past, numQueries }: { past?: KeysValues | undefined; numQueries?: number | undefined } = {},
  ): { x: Tensor; seen: KeysValues } {
    const normed_BSD = this.input_layernorm.forward(x_BSD);
    const seen = this.self_attn.keysValues(normed_BSD, angles, past);
    const last = (x: Tensor | undefined, dim: number): Tensor | undefined =>
      x && numQueries !== undefined ? x.narrow(dim, (x.shape.at(dim) ?? 0) - numQueries, numQueries) : x;
    const queryAngles = { cos: last(angles.cos, 0) as Tensor, sin: last(angles.sin, 0) as Tensor };
    const attn_mask = last(mask.attn_mask, 0);
    const y = this.self_attn.forward(last(normed_BSD, 1) as Tensor, queryAngles, seen, attn_mask ? { attn_mask } : {});
    const h = (last(x_BSD, 1) as Tensor).add(y);
    return { x: h.add(this.mlp.forward(this.post_attention_layernorm.forward(h))), seen };
  }
}

class Llama extends nn.Module {
  readonly layers: Layer[];
  readonly norm: nn.RMSNorm;

  constructor(config: FlowMatchingExpertConfig) {
    super();
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new Layer(config));
    this.norm = new nn.RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
  }

  /** Output for the last `numQueries` of the tokens x [B, S, D], normed; the last layer computes no others. */
  forward(x_BSD: Tensor, layout: Layout, numQueries: number, past?: KeysValues[]): Tensor {
    let x = x_BSD;
    for (const [i, layer] of this.layers.entries()) {
      const isLast = i === this.layers.length - 1;
      ({ x } = layer.forward(x, layout, { past: past?.[i], numQueries: isLast ? numQueries : undefined }));
    }
    return this.norm.forward(x);
  }

  /** Keys and values of every layer for context tokens [B, N, D]. */
  prefill(x_BND: Tensor, layout: Layout): KeysValues[] {
    let x = x_BND;
    return this.layers.map((layer) => {
      const result = layer.forward(x, layout);
      x = result.x;
      return result.seen;
    });
  }
}

/** The released checkpoints' name for the backbone. */
class VideoGPT extends nn.Module {
  readonly model: Llama;

  constructor(config: FlowMatchingExpertConfig) {
    super();
    this.model = new Llama(config);
  }
}

/** Linear, SiLU, Linear under the released Sequential's indices. */
class Projector extends nn.Module {
  readonly 0: nn.Linear;
  readonly 2: nn.Linear;

  constructor(input: number, D: number) {
    super();
    this[0] = new nn.Linear(input, D);
    this[2] = new nn.Linear(D, D);
  }

  forward(x: Tensor): Tensor {
    return this[2].forward(F.silu(this[0].forward(x)));
  }
}

/** Noisy actions and their time as tokens. */
class ActionEmbed extends nn.Module {
  readonly linear_1: nn.Linear;
  readonly linear_2: nn.Linear;
  readonly linear_3: nn.Linear;

  constructor({ action_dim, hidden_size: D }: FlowMatchingExpertConfig) {
    super();
    this.linear_1 = new nn.Linear(action_dim, D);
    this.linear_2 = new nn.Linear(2 * D, D);
    this.linear_3 = new nn.Linear(D, D);
  }

  /** x_t [.., C, A] and the time embedding [.., D] -> [.., C, D]. */
  forward(x_t: Tensor, time: Tensor): Tensor {
    const actions = this.linear_1.forward(x_t);
    const joined = torch.cat([time.to(actions.dtype).unsqueeze(-2).expand(actions.shape), actions], -1);
    return this.linear_3.forward(F.silu(this.linear_2.forward(joined)));
  }
}

/** The released head: an MLP of widths C D, 4 D, 2 D, D / 2, C A over the flattened chunk. */
class FlattenHead extends nn.Module {
  readonly 0: nn.Linear;
  readonly 2: nn.Linear;
  readonly 4: nn.Linear;
  readonly 6: nn.Linear;

  constructor({ hidden_size: D, chunk, action_dim }: FlowMatchingExpertConfig) {
    super();
    this[0] = new nn.Linear(chunk * D, 4 * D);
    this[2] = new nn.Linear(4 * D, 2 * D);
    this[4] = new nn.Linear(2 * D, D / 2);
    this[6] = new nn.Linear(D / 2, chunk * action_dim);
  }

  forward(h_BCD: Tensor): Tensor {
    const [B = 0, C = 0] = h_BCD.shape;
    let x = F.silu(this[0].forward(h_BCD.reshape([B, -1])));
    x = F.silu(this[2].forward(x));
    x = F.silu(this[4].forward(x));
    return this[6].forward(x).view([B, C, -1]);
  }
}

export class FlowMatchingExpert extends nn.Module {
  readonly VideoGPT: VideoGPT;
  readonly action_head: FlattenHead | nn.Linear;
  readonly film_vision_model?: FilmDinoV2;
  readonly visual_projector?: Projector;
  readonly cog_projector: Projector;
  readonly action_embed: ActionEmbed;
  readonly state_embed?: Projector;
  readonly #rotary: RotaryEmbedding;
  readonly #sigma: number;

  constructor(readonly config: FlowMatchingExpertConfig) {
    super();
    const { hidden_size: D, visual, token_size, state_dim, action_dim } = config;
    this.VideoGPT = new VideoGPT(config);
    this.action_head = config.head === 'token' ? new nn.Linear(D, action_dim) : new FlattenHead(config);
    if (visual.kind === 'dinov2') {
      this.film_vision_model = new FilmDinoV2({ ...visual.config, condition_width: token_size });
    }
    if (visual.kind !== 'none') {
      this.visual_projector = new Projector(visual.kind === 'dinov2' ? visual.config.embed_dim : visual.width, D);
    }
    this.cog_projector = new Projector(token_size, D);
    this.action_embed = new ActionEmbed(config);
    if (state_dim !== undefined) this.state_embed = new Projector(state_dim, D);
    this.#rotary = new RotaryEmbedding(D / config.num_attention_heads, config.rope_theta);
    this.#sigma = config.flow_sig_min ?? 0.001;
    initializeWeights(this, config.initializer_range ?? 0.02);
  }

  /** Projects [visual | latents (| state)]. Two and more images of a context are interleaved patch by patch. */
  encode(inputs: ExpertInputs): ExpertContext {
    const visual_BVD = this.#visualTokens(inputs);
    const tokens = [this.cog_projector.forward(inputs.latents)];
    if (visual_BVD) tokens.unshift(visual_BVD);
    if (this.state_embed) tokens.push(this.state_embed.forward(given(inputs.state, 'state')).unsqueeze(1));
    return { tokens_BND: torch.cat(tokens, 1), numVisual: visual_BVD?.shape[1] ?? 0 };
  }

  #visualTokens({ latents, pixels, visual_tokens }: ExpertInputs): Tensor | undefined {
    if (this.visual_projector === undefined) return undefined;
    if (this.film_vision_model === undefined)
      return this.visual_projector.forward(given(visual_tokens, 'visual_tokens'));
    const images = given(pixels, 'pixels');
    const B = latents.shape[0] ?? 0;
    const perContext = (images.shape[0] ?? 0) / B;
    const condition = perContext === 1 ? latents : latents.repeat_interleave(perContext, 0);
    const features = this.film_vision_model.forward(images, condition);
    const [, patches = 0, width = 0] = features.shape;
    const interleaved = features.reshape([B, perContext, patches, width]).transpose(1, 2);
    return this.visual_projector.forward(interleaved.reshape([B, patches * perContext, width]));
  }

  /**
   * Velocity of noisy chunks at time t, normalised units per unit of t: x_t [B, C, A] with t [B], or K flow samples a
   * context, x_t [B, K, C, A] with t [B, K]. The answer has the shape of x_t.
   */
  velocity(x_t: Tensor, t: Tensor, context: ExpertContext): Tensor {
    if (x_t.dim() === 3) return this.velocity(x_t.unsqueeze(1), t.unsqueeze(1), context).squeeze(1);
    const [B = 0, K = 0, C = 0] = x_t.shape;
    const actions_BKCD = this.action_embed.forward(x_t, this.timeEmbedding(t));
    const h_BSD = this.hidden(actions_BKCD, context);
    const D = this.config.hidden_size;
    return this.action_head.forward(h_BSD.reshape([B * K, C, D])).view([B, K, C, -1]);
  }

  /** Backbone output of the action tokens [B, K, C, D], in the same shape. */
  hidden(actions_BKCD: Tensor, context: ExpertContext): Tensor {
    const { tokens_BND } = context;
    const [B = 0, K = 0, C = 0, D = 0] = actions_BKCD.shape;
    const N = tokens_BND.shape[1] ?? 0;
    const llama = this.VideoGPT.model;
    if (this.config.compat === 'fixed') {
      const x_BSD = torch.cat([tokens_BND, actions_BKCD.reshape([B, K * C, D])], 1);
      return llama.forward(x_BSD, this.#layout(context, K, x_BSD), K * C).view([B, K, C, D]);
    }
    const repeated_BKND = tokens_BND.unsqueeze(1).expand([B, K, N, D]);
    const x_bSD = torch.cat([repeated_BKND, actions_BKCD], 2).reshape([B * K, N + C, D]);
    return llama.forward(x_bSD, this.#layout(context, 1, x_bSD), C).view([B, K, C, D]);
  }

  /** Sinusoids of t in 0..1, unscaled: [sin | cos] of t * exp(-i ln(max_period) / (D / 2 - 1)); t [..] -> [.., D]. */
  timeEmbedding(t: Tensor): Tensor {
    const half = this.config.hidden_size / 2;
    const step = -Math.log(this.config.time_max_period ?? 100) / (half - 1);
    const frequency_h = torch.arange(half, { dtype: 'float32', device: t.device }).mul(step).exp();
    const angle = t.to('float32').unsqueeze(-1).mul(frequency_h);
    return torch.cat([angle.sin(), angle.cos()], -1);
  }

  /** Draws K (noise, time) pairs for each chunk of actions [B, C, A], or uses those given ([B, K, C, A] and [B, K]). */
  drawSamples(
    actions_BCA: Tensor,
    options: { numSamples?: number; noise?: Tensor; time?: Tensor; generator?: Generator } = {},
  ): FlowSamples {
    const [B = 0, C = 0, A = 0] = actions_BCA.shape;
    const K = options.noise?.shape[1] ?? options.time?.shape[1] ?? options.numSamples ?? 1;
    const random = { device: actions_BCA.device, ...(options.generator && { generator: options.generator }) };
    const x0 = options.noise ?? torch.randn([B, K, C, A], random);
    // z = u^(2/3) has the distribution function z^(3/2) of Beta(1.5, 1).
    const t =
      options.time ??
      torch
        .rand([B, K], random)
        .pow(2 / 3)
        .mul(-1)
        .add(1)
        .mul(1 - this.#sigma);
    const t_BK11 = t.unsqueeze(-1).unsqueeze(-1);
    const x1 = actions_BCA.unsqueeze(1);
    const x_t_BKCA = t_BK11
      .mul(-(1 - this.#sigma))
      .add(1)
      .mul(x0)
      .add(t_BK11.mul(x1));
    return { x_t_BKCA, t_BK: t, target_BKCA: x1.sub(x0, { alpha: 1 - this.#sigma }) };
  }

  /**
   * Flow-matching loss of normalised actions [B, C, A]; `mask` [B, C] or [B, C, A] is 1 where an action counts (0 past the
   * episode's end). `numSamples` K > 1 averages K draws a context, which cuts the variance of the gradient at the cost of
   * K * C tokens in the expert alone.
   */
  flowLoss(
    context: ExpertContext,
    actions_BCA: Tensor,
    mask?: Tensor,
    options: { numSamples?: number; noise?: Tensor; time?: Tensor; generator?: Generator } = {},
  ): FlowLoss {
    const samples = this.drawSamples(actions_BCA, options);
    const velocity_BKCA = this.velocity(samples.x_t_BKCA, samples.t_BK, context);
    return { ...samples, velocity_BKCA, loss: maskedMeanSquare(velocity_BKCA.sub(samples.target_BKCA), mask) };
  }

  /**
   * Acts: integrates the velocity from noise [B, C, A] (drawn if not given) in equal Euler steps (default 10) and returns
   * normalised actions. t grows by float32 additions, as in the released sampler. Runs without gradients.
   */
  sample(context: ExpertContext, options: { steps?: number; noise?: Tensor; generator?: Generator } = {}): Tensor {
    const { chunk: C, action_dim: A, hidden_size: D } = this.config;
    const { tokens_BND } = context;
    const [B = 0, N = 0] = tokens_BND.shape;
    const random = { device: tokens_BND.device, ...(options.generator && { generator: options.generator }) };
    const steps = options.steps ?? 10;
    const dt = Math.fround(1 / steps);
    return noGrad(() =>
      scope(() => {
        let x_BCA = options.noise ?? torch.randn([B, C, A], random);
        const shared = this.config.compat === 'fixed' ? this.#prefill(context) : undefined;
        const angles = this.#rotary.range(N, C, tokens_BND.device);
        for (let step = 0, time = 0; step < steps; step++, time = Math.fround(time + dt)) {
          x_BCA = scope(() => {
            const t_B = torch.full([B], time, { device: x_BCA.device });
            if (!shared) return x_BCA.add(this.velocity(x_BCA, t_B, context), { alpha: dt });
            const actions_BCD = this.action_embed.forward(x_BCA, this.timeEmbedding(t_B));
            const h_BCD = this.VideoGPT.model.forward(actions_BCD, { angles, mask: {} }, C, shared);
            return x_BCA.add(this.action_head.forward(h_BCD.view([B, C, D])), { alpha: dt });
          });
        }
        return x_BCA;
      }),
    );
  }

  #prefill(context: ExpertContext): KeysValues[] {
    return this.VideoGPT.model.prefill(context.tokens_BND, this.#layout(context, 0, context.tokens_BND));
  }

  /** Positions and mask of [V | L | A1 .. AK]; every flow sample continues at position N. */
  #layout({ tokens_BND, numVisual }: ExpertContext, K: number, like: Tensor): Layout {
    const N = tokens_BND.shape[1] ?? 0;
    const C = this.config.chunk;
    const { device, dtype } = like;
    const { cos, sin } = this.#rotary.range(0, N + C, device);
    const spread = (table: Tensor): Tensor =>
      torch.cat([table.narrow(0, 0, N), ...Array.from({ length: K }, () => table.narrow(0, N, C))], 0);
    const block_S = torch.cat([
      torch.zeros([numVisual], { dtype: 'int64', device }),
      torch.ones([N - numVisual], { dtype: 'int64', device }),
      torch.arange(2, 2 + K, { dtype: 'int64', device }).repeat_interleave(C, 0),
    ]);
    const [row, column] = [block_S.unsqueeze(1), block_S.unsqueeze(0)];
    const allowed = column.le(1).logical_and(column.le(row)).logical_or(column.eq(row));
    const angles = { cos: spread(cos), sin: spread(sin) };
    if (this.config.compat === 'released') return { angles, mask: { attn_mask: allowed.to(dtype) } };
    if (numVisual === 0 && K === 0) return { angles, mask: {} };
    const hidden = allowed.logical_not();
    return { angles, mask: { attn_mask: torch.zeros(hidden.shape, { dtype, device }).masked_fill(hidden, -Infinity) } };
  }
}

/** Mean of error^2 [B, K, C, A] over the entries whose mask ([B, C] or [B, C, A]) is 1. */
function maskedMeanSquare(error_BKCA: Tensor, mask?: Tensor): Tensor {
  const square = error_BKCA.mul(error_BKCA);
  if (mask === undefined) return square.mean();
  const weight = (mask.dim() === 2 ? mask.unsqueeze(-1) : mask).unsqueeze(1).to(square.dtype).expand(square.shape);
  return square.mul(weight).sum().div(weight.sum().clamp(1));
}

function given(tensor: Tensor | undefined, name: string): Tensor {
  if (tensor === undefined) throw new TypeError(`the action expert is configured for ${name}, but none were given`);
  return tensor;
}
