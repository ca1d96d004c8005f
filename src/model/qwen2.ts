/**
 * Qwen2 / Qwen2.5 (arXiv 2407.10671), the language model of the base: RMSNorm, RoPE, grouped-query attention with biases on
 * q, k, v, SwiGLU, tied or untied head. Eagle2-2B, under InstructVLA and so under DualVLA (Section 4 of arXiv 2511.22134),
 * holds a Qwen2.5-1.5B; small models differ by configuration alone. Parameter names are those of released checkpoints.
 *
 * Knows nothing about images, actions or tokenization: tokens or embeddings in, hidden states and logits out.
 *
 * Shapes: B batch, S new tokens, T = cached + new tokens, D hidden width, H query heads, G key/value heads, d head width,
 * M MLP width, W vocabulary.
 */
import { F, nn, type Tensor } from '../torch/index.js';
import {
  type CausalLanguageModel,
  type CausalLanguageModelInputs,
  type CausalLanguageModelOutput,
  causalMask,
  type ForwardPass,
  type RowSelection,
  selectForLogits,
  selectRows,
} from './causal-language-model.js';
import { initializeWeights } from './initialization.js';
import { RotaryEmbedding } from './rotary-embedding.js';

/** Keys as in a released config.json. */
export interface Qwen2Config {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  /** Default hidden_size / num_attention_heads. */
  head_dim?: number;
  rope_theta: number;
  rms_norm_eps: number;
  tie_word_embeddings: boolean;
  /** Standard deviation of fresh weights; default 0.02. */
  initializer_range?: number;
}

class Attention extends nn.Module {
  readonly q_proj: nn.Linear;
  readonly k_proj: nn.Linear;
  readonly v_proj: nn.Linear;
  readonly o_proj: nn.Linear;
  readonly #H: number;
  readonly #G: number;
  readonly #d: number;

  constructor(config: Qwen2Config) {
    super();
    const D = config.hidden_size;
    this.#H = config.num_attention_heads;
    this.#G = config.num_key_value_heads;
    this.#d = config.head_dim ?? D / this.#H;
    this.q_proj = new nn.Linear(D, this.#H * this.#d);
    this.k_proj = new nn.Linear(D, this.#G * this.#d);
    this.v_proj = new nn.Linear(D, this.#G * this.#d);
    this.o_proj = new nn.Linear(this.#H * this.#d, D, { bias: false });
  }

  /** With `rows`, only their queries: [B, S, D] -> [B, Q, D]. */
  forward(x_BSD: Tensor, layer: number, { angles, mask, cache }: ForwardPass, rows?: RowSelection): Tensor {
    const heads = (x: Tensor, count: number): Tensor => x.view([x.shape[0] ?? 0, x.shape[1] ?? 0, count, this.#d]);
    const asking_BQD = rows ? rows.select(x_BSD) : x_BSD;
    const { cos, sin } = (rows ?? { angles }).angles;
    const q_BHQd = F.rope(heads(this.q_proj.forward(asking_BQD), this.#H), cos, sin);
    let k_BGTd = F.rope(heads(this.k_proj.forward(x_BSD), this.#G), angles.cos, angles.sin);
    let v_BGTd = heads(this.v_proj.forward(x_BSD), this.#G).transpose(1, 2);
    if (cache !== undefined) ({ keys: k_BGTd, values: v_BGTd } = cache.append(layer, k_BGTd, v_BGTd));
    const y_BHQd = F.scaled_dot_product_attention(q_BHQd, k_BGTd, v_BGTd, rows?.mask ?? mask);
    return this.o_proj.forward(y_BHQd.transpose(1, 2).flatten(2));
  }
}

class MLP extends nn.Module {
  readonly gate_proj: nn.Linear;
  readonly up_proj: nn.Linear;
  readonly down_proj: nn.Linear;

  constructor(config: Qwen2Config) {
    super();
    const [D, M] = [config.hidden_size, config.intermediate_size];
    this.gate_proj = new nn.Linear(D, M, { bias: false });
    this.up_proj = new nn.Linear(D, M, { bias: false });
    this.down_proj = new nn.Linear(M, D, { bias: false });
  }

  forward(x_BSD: Tensor): Tensor {
    return this.down_proj.forward(F.swiglu(this.gate_proj.forward(x_BSD), this.up_proj.forward(x_BSD)));
  }
}

class DecoderLayer extends nn.Module {
  readonly self_attn: Attention;
  readonly mlp: MLP;
  readonly input_layernorm: nn.RMSNorm;
  readonly post_attention_layernorm: nn.RMSNorm;

  constructor(config: Qwen2Config) {
    super();
    this.self_attn = new Attention(config);
    this.mlp = new MLP(config);
    this.input_layernorm = new nn.RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
    this.post_attention_layernorm = new nn.RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
  }

  forward(x_BSD: Tensor, layer: number, pass: ForwardPass, rows?: RowSelection): Tensor {
    const y = this.self_attn.forward(this.input_layernorm.forward(x_BSD), layer, pass, rows);
    const h = (rows ? rows.select(x_BSD) : x_BSD).add(y);
    return h.add(this.mlp.forward(this.post_attention_layernorm.forward(h)));
  }
}

class Qwen2Model extends nn.Module {
  readonly embed_tokens: nn.Embedding;
  readonly layers: DecoderLayer[];
  readonly norm: nn.RMSNorm;
  readonly #rotary: RotaryEmbedding;

  constructor(config: Qwen2Config) {
    super();
    this.embed_tokens = new nn.Embedding(config.vocab_size, config.hidden_size);
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new DecoderLayer(config));
    this.norm = new nn.RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
    this.#rotary = new RotaryEmbedding(
      config.head_dim ?? config.hidden_size / config.num_attention_heads,
      config.rope_theta,
    );
  }

  /** Embeddings, every layer's output, and last the final norm's: the released code's hidden_states. */
  forward(inputs: CausalLanguageModelInputs): Tensor[] {
    if ((inputs.input_ids === undefined) === (inputs.inputs_embeds === undefined)) {
      throw new TypeError('Qwen2: give either input_ids or inputs_embeds');
    }
    let x_BSD = inputs.inputs_embeds ?? this.embed_tokens.forward(inputs.input_ids as Tensor);
    const [B = 0, S = 0] = x_BSD.shape;
    const cached = inputs.cache?.length ?? 0;
    const { position_ids } = inputs;
    const angles = position_ids ? this.#rotary.at(position_ids) : this.#rotary.range(cached, S, x_BSD.device);
    const pass = { angles, mask: causalMask(S, cached, inputs, x_BSD), cache: inputs.cache };
    const rows = selectRows(B, S, inputs, angles);
    const hidden_states = [x_BSD];
    for (const [index, layer] of this.layers.entries()) {
      x_BSD = layer.forward(x_BSD, index, pass, index === this.layers.length - 1 ? rows : undefined);
      hidden_states.push(x_BSD);
    }
    hidden_states[hidden_states.length - 1] = this.norm.forward(x_BSD);
    return hidden_states;
  }
}

export class Qwen2ForCausalLM extends nn.Module implements CausalLanguageModel {
  readonly model: Qwen2Model;
  /** Absent when the head is the embedding (tie_word_embeddings). */
  readonly lm_head?: nn.Linear;

  constructor(readonly config: Qwen2Config) {
    super();
    this.model = new Qwen2Model(config);
    if (!config.tie_word_embeddings)
      this.lm_head = new nn.Linear(config.hidden_size, config.vocab_size, { bias: false });
    initializeWeights(this, config.initializer_range ?? 0.02);
  }

  embed(input_ids: Tensor): Tensor {
    return this.model.embed_tokens.forward(input_ids);
  }

  /** Logits of hidden states [..., D] -> [..., W]. */
  head(hidden: Tensor): Tensor {
    return F.linear(hidden, (this.lm_head ?? this.model.embed_tokens).weight);
  }

  forward(inputs: CausalLanguageModelInputs): CausalLanguageModelOutput {
    const hidden_states = this.model.forward(inputs);
    const hidden_BSD = hidden_states.at(-1) as Tensor;
    const rows = selectForLogits(hidden_BSD, inputs.logits);
    return {
      hidden_BSD,
      ...(rows && { logits: this.head(rows) }),
      ...(inputs.output_hidden_states && { hidden_states }),
    };
  }
}
