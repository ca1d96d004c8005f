/**
 * Observations, instructions and answers as the tensors of a vision-language-action model: the prompt, its image positions,
 * what follows it (reasoning, latent queries or action tokens, or the answer to a question), and the labels.
 *
 *   flow        <IMG_CONTEXT> x V  put the carrot on the plate <|im_end|> [reasoning] <new_token_0> .. <new_token_Q-1>  pad ..
 *   discrete    <IMG_CONTEXT> x V  put the carrot on the plate <|im_end|> [reasoning] a_00 a_01 .. a_CA                 pad ..
 *   multimodal  <IMG_CONTEXT> x V  how many cubes are there?   <|im_end|> two <|im_end|>                                pad ..
 *
 * A row without reasoning acts at once; the token after the prompt decides, so that a model learns when to skip reasoning.
 * Rows are padded on the right: causal attention never looks ahead, so no attention mask is needed. Rows of like length go through
 * the language model together, cut behind the longest of them.
 *
 * Knows nothing about how a data set is read, how the model computes or how labels are weighted.
 *
 * Shapes: B batch, T prompt and answer tokens, N cameras, H, W pixels, C chunk length, A action dims, Q latent queries,
 * M labelled positions; a group of rows has G of them, S tokens long.
 */
import { type Tensor, torch } from '../torch/index.js';
import { DiscreteActionTokens } from './discrete-action-tokens.js';
import { groupByLength } from './length-groups.js';
import { latentActionTokens, SPECIAL_TOKENS } from './tokenizer.js';
import { numImageTokens, numPrefixTokens, type VlaConfig } from './vla-config.js';

/** The token that image tokens replace. */
const IMAGE_TOKEN = SPECIAL_TOKENS.imageContext;

/** What prompts need of a tokenizer (tokenizer.ts). */
export interface PromptTokenizer {
  encode(text: string): number[];
  decode(ids: Iterable<number>): string;
  /** @throws UnknownTokenError if the token is not in the vocabulary */
  idOf(token: string): number;
}

/** What a robot row says before it acts. */
export interface Reasoning {
  text: string;
  /** Whether it is trained on; otherwise it is context only (pruning by label mask). */
  labelled: boolean;
}

/** Samples as the data loader or a robot gives them; rows lie one after another. */
export interface VlaSamples {
  /** Camera -> RGB bytes, B * H * W * 3. */
  images: Readonly<Record<string, Uint8Array>>;
  /** Normalised states, B * state_dim. */
  state: Float32Array;
  instruction: readonly string[];
  /** Reasoning before each row's actions; null: it acts at once. Absent: no row reasons. */
  reasoning?: readonly (Reasoning | null)[];
  /** Normalised chunks, B * C * A; absent when acting. */
  actions?: Float32Array;
  /** 1 where a chunk's action exists, B * C. */
  actionMask?: Uint8Array;
}

/** Questions about images with their answers (none when answering). */
export interface MultimodalSamples {
  /** RGB bytes, B * H * W * 3. */
  images: Uint8Array;
  question: readonly string[];
  answer?: readonly string[];
}

/** Rows of robot samples, in the order given. */
export function robotRows(samples: VlaSamples, rows: readonly number[]): VlaSamples {
  const { images, state, instruction, reasoning, actions, actionMask } = samples;
  const B = instruction.length;
  return {
    images: Object.fromEntries(Object.entries(images).map(([camera, bytes]) => [camera, partsOf(bytes, B, rows)])),
    state: partsOf(state, B, rows),
    instruction: rows.map((b) => instruction[b] as string),
    ...(reasoning && { reasoning: rows.map((b) => reasoning[b] ?? null) }),
    ...(actions && { actions: partsOf(actions, B, rows) }),
    ...(actionMask && { actionMask: partsOf(actionMask, B, rows) }),
  };
}

/** Some of several questions, in the order given. */
export function questionRows(samples: MultimodalSamples, rows: readonly number[]): MultimodalSamples {
  const { images, question, answer } = samples;
  return {
    images: partsOf(images, question.length, rows),
    question: rows.map((b) => question[b] as string),
    ...(answer && { answer: rows.map((b) => answer[b] as string) }),
  };
}

/** Some of the B parts of equal length that `values` consists of. */
function partsOf<T extends Uint8Array | Float32Array>(values: T, B: number, rows: readonly number[]): T {
  const size = values.length / B;
  const parts = new (values.constructor as new (length: number) => T)(rows.length * size);
  for (const [i, b] of rows.entries()) parts.set(values.subarray(b * size, (b + 1) * size), i * size);
  return parts;
}

/** What a label is: text of reasoning or answers, an action token, or the end of reasoning before latent queries. */
export const LABEL_KINDS = ['text', 'action', 'stop'] as const;
export type LabelKind = (typeof LABEL_KINDS)[number];

/** Rows that go through the language model together. */
export interface RowGroup {
  /** Which rows of the batch, int64 [G]; absent: all. */
  rows?: Tensor;
  /** S: tokens of the longest. */
  length: number;
  /** Flow head: rows of the flattened G * S that hold latent queries, int64 [G * Q]. */
  latent_index?: Tensor;
  /** Rows of the flattened G * S whose next token is trained on. */
  label_index?: Tensor;
}

export interface VlaBatch {
  /** uint8 [B, N, H, W, 3]. */
  images: Tensor;
  /** int64 [B, T]. */
  input_ids: Tensor;
  /** Tokens of each row that are prompt, padding excluded, [B]. */
  prompt_lengths: readonly number[];
  /** Column of the first image token, the same in every row. */
  image_start: number;
  groups: readonly RowGroup[];
  /** Where each row is when the groups lie one after another, int64 [B]; absent with one group. */
  restore?: Tensor;
  /** Flow head: ids of the latent queries, for a model that decides when to append them. */
  latent_ids?: readonly number[];
  /** The tokens that are trained on, group by group and in each row by row, int64 [M]. */
  labels?: Tensor;
  /** Index into LABEL_KINDS, and the batch row, of every label [M]; outside the engine, for weights. */
  label_kinds?: Uint8Array;
  label_rows?: Int32Array;
  /** float32 [B, state_dim]; absent for multimodal rows. */
  state?: Tensor;
  /** float32 [B, C, A]. */
  actions?: Tensor;
  /** float32 [B, C]. */
  action_mask?: Tensor;
}

/** What follows a prompt: ids, and for each the kind of its label or null. */
interface Answer {
  ids: readonly number[];
  kinds: readonly (LabelKind | null)[];
}

/** Prompts of one model as token ids; instructions repeat a thousandfold, so each is tokenized once. */
export class PromptBuilder {
  readonly #prompts = new Map<string, number[]>();
  readonly #imageId: number;
  readonly #endId: number;
  readonly #latents: ReadonlySet<number>;
  /** Ids of the latent queries (flow head). */
  readonly latentIds: readonly number[];
  readonly actionTokens: DiscreteActionTokens | undefined;

  constructor(
    readonly config: VlaConfig,
    readonly tokenizer: PromptTokenizer,
  ) {
    const numLatents = config.action_head === 'flow' ? config.num_latent_queries : 0;
    this.latentIds = latentActionTokens(numLatents).map((token) => tokenizer.idOf(token));
    this.#latents = new Set(this.latentIds);
    this.#imageId = tokenizer.idOf(IMAGE_TOKEN);
    this.#endId = tokenizer.idOf(SPECIAL_TOKENS.messageEnd);
    if (config.action_head === 'discrete') {
      this.actionTokens = new DiscreteActionTokens(config.vocab_size, config.num_action_bins);
    }
  }

  /** Ids of the prompt: images and instruction. */
  prompt(instruction: string): number[] {
    return this.#prompt(instruction, numPrefixTokens(this.config));
  }

  /** The token after which an answer to a question ends. */
  get endId(): number {
    return this.#endId;
  }

  #prompt(text: string, numTokens: number): number[] {
    const key = `${numTokens} ${text}`;
    let ids = this.#prompts.get(key);
    if (ids === undefined) {
      const image = IMAGE_TOKEN.repeat(numTokens);
      ids = this.tokenizer.encode(
        this.config.prompt.replace('{image}', () => image).replace('{instruction}', () => text),
      );
      if (this.#prompts.size >= MAX_PROMPTS) this.#prompts.clear();
      this.#prompts.set(key, ids);
    }
    return ids;
  }

  /**
   * A batch of robot rows. Without actions it ends behind the prompts (the flow head's queries are appended if
   * no row will reason).
   * @throws RangeError if a camera's images do not have the configured size
   */
  build(samples: VlaSamples, device = 'cpu'): VlaBatch {
    const { config } = this;
    const B = samples.instruction.length;
    const { chunk_size: C, action_dim: A, state_dim } = config;
    const images = config.cameras.map((camera) => {
      const bytes = samples.images[camera];
      if (bytes !== undefined) return this.#image(bytes, camera, B, device);
      const known = Object.keys(samples.images).join(', ') || 'none';
      throw new RangeError(`the model sees camera ${camera}; the observation has ${known}`);
    });
    return {
      images: torch.stack(images, 1),
      ...this.#rows(
        samples.instruction.map((instruction) => this.prompt(instruction)),
        samples.instruction.map((_, b) => this.#robotAnswer(samples, b)),
        device,
      ),
      ...(this.latentIds.length > 0 && { latent_ids: this.latentIds }),
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

  /** A batch of questions; with answers, every token of them and their end are labelled. @throws RangeError as `build` */
  buildMultimodal({ images, question, answer }: MultimodalSamples, device = 'cpu'): VlaBatch {
    const numTokens = numImageTokens(this.config.vision);
    const answers = question.map((_, b): Answer => {
      const text = answer?.[b];
      if (text === undefined) return { ids: [], kinds: [] };
      const ids = [...this.tokenizer.encode(text), this.#endId];
      return { ids, kinds: ids.map(() => 'text') };
    });
    return {
      images: this.#image(images, 'image', question.length, device).unsqueeze(1),
      ...this.#rows(
        question.map((text) => this.#prompt(text, numTokens)),
        answers,
        device,
      ),
    };
  }

  /** Rows of prompt and answer, padded on the right, their groups and their labels. */
  #rows(prompts: readonly number[][], answers: readonly Answer[], device: string) {
    const B = prompts.length;
    const lengths = prompts.map((prompt, b) => prompt.length + (answers[b]?.ids.length ?? 0));
    const T = Math.max(...lengths);
    const ids = new BigInt64Array(B * T);
    for (const [b, prompt] of prompts.entries())
      for (const [t, id] of [...prompt, ...(answers[b] as Answer).ids].entries()) ids[b * T + t] = BigInt(id);
    const int64 = (values: readonly number[]): Tensor =>
      torch.tensor(BigInt64Array.from(values, BigInt), { dtype: 'int64', device });
    const parts = groupByLength(lengths);
    const labels: number[] = [];
    const kinds: number[] = [];
    const labelRows: number[] = [];
    const groups = parts.map((rows): RowGroup => {
      const length = Math.max(...rows.map((b) => lengths[b] as number));
      const latentIndex: number[] = [];
      const labelIndex: number[] = [];
      for (const [g, b] of rows.entries()) {
        const start = g * length + (prompts[b] as number[]).length;
        const answer = answers[b] as Answer;
        for (const [i, id] of answer.ids.entries()) {
          if (this.#latents.has(id)) latentIndex.push(start + i);
          const kind = answer.kinds[i] ?? null;
          if (kind === null) continue;
          labelIndex.push(start + i - 1);
          labels.push(id);
          kinds.push(LABEL_KINDS.indexOf(kind));
          labelRows.push(b);
        }
      }
      return {
        ...(parts.length > 1 && { rows: int64(rows) }),
        length,
        ...(latentIndex.length > 0 && { latent_index: int64(latentIndex) }),
        ...(labelIndex.length > 0 && { label_index: int64(labelIndex) }),
      };
    });
    const place = new Map(parts.flat().map((b, at) => [b, at]));
    return {
      input_ids: torch.tensor(ids, { shape: [B, T], dtype: 'int64', device }),
      prompt_lengths: prompts.map((prompt) => prompt.length),
      image_start: prompts[0]?.indexOf(this.#imageId) ?? 0,
      groups,
      ...(parts.length > 1 && { restore: int64(prompts.map((_, b) => place.get(b) as number)) }),
      ...(labels.length > 0 && {
        labels: int64(labels),
        label_kinds: Uint8Array.from(kinds),
        label_rows: Int32Array.from(labelRows),
      }),
    };
  }

  /** What follows row b's prompt: reasoning, then latent queries or the chunk as action tokens. */
  #robotAnswer(samples: VlaSamples, b: number): Answer {
    const { chunk_size: C, action_dim: A, max_reasoning_tokens } = this.config;
    const reasoning = samples.reasoning?.[b] ?? null;
    const text = reasoning === null ? [] : this.tokenizer.encode(reasoning.text);
    const textKinds = text.map(() => (reasoning?.labelled ? ('text' as const) : null));
    if (this.actionTokens === undefined) {
      // A row that acts at once teaches to stop right after the prompt; one whose reasoning is only context teaches nothing.
      const stop = max_reasoning_tokens > 0 && (reasoning?.labelled ?? true) ? ('stop' as const) : null;
      const deciding = samples.actions === undefined && max_reasoning_tokens > 0;
      const latents = deciding ? [] : this.latentIds;
      return { ids: [...text, ...latents], kinds: [...textKinds, ...latents.map((_, i) => (i === 0 ? stop : null))] };
    }
    if (samples.actions === undefined) return { ids: text, kinds: textKinds };
    const ids = [...this.actionTokens.encode(samples.actions.subarray(b * C * A, (b + 1) * C * A))];
    // Steps past the episode's end have no label.
    const exists = (i: number): boolean => samples.actionMask?.[b * C + Math.floor(i / A)] !== 0;
    return { ids: [...text, ...ids], kinds: [...textKinds, ...ids.map((_, i) => (exists(i) ? 'action' : null))] };
  }

  #image(bytes: Uint8Array, name: string, B: number, device: string): Tensor {
    const size = this.config.vision.image_size;
    if (bytes.length !== B * size * size * 3) {
      throw new RangeError(
        `camera ${name}: ${bytes.length / B} bytes an image, but the model takes ${size} x ${size} RGB (${size * size * 3})`,
      );
    }
    return torch.tensor(bytes, { shape: [B, size, size, 3], dtype: 'uint8', device });
  }
}

/** Prompts kept tokenized; a data set of questions has many more than one of instructions. */
const MAX_PROMPTS = 50_000;
