/**
 * Which rows of a batch a frozen teacher must be asked about and which are known from the cache (teacher-cache.ts). Only the
 * others go through the teacher; a batch that is known altogether costs no pass.
 *
 * An answer belongs to one teacher (configuration and weights), one data set, one precision, and to a digest of all that the
 * teacher sees of the row (pictures, tokens, state, labels): other data, another tokenizer or prompt format never get it.
 *
 * Numbers: an answer comes back with the bits it was computed with. Bits depend, in the last places, on the rows that went through
 * the teacher together; so a run is bit for bit the uncached one while every batch is asked whole, as in a first epoch, and
 * equal up to rounding where a batch mixes known rows with new ones or knows them from other batches.
 *
 * Shapes: B batch, M labelled positions, W vocabulary.
 */
import { createHash } from 'node:crypto';
import type { LoaderTable } from '../data/loader-table.js';
import type { MultimodalTable } from '../data/multimodal-dataset.js';
import type { VlaBatch } from '../model/vla-batch.js';
import { type Tensor, torch } from '../torch/index.js';
import { sha256 } from './checkpoint-files.js';
import type { TrainConfig } from './config.js';
import type { Teachers } from './dual-teacher-distillation.js';
import { ConfigError } from './errors.js';
import { DIGEST_BYTES, TeacherCache } from './teacher-cache.js';
import { fingerprintOf } from './teachers.js';

type Role = keyof Teachers;

/** How to ask a teacher about rows that are not known. */
export interface Asking {
  /** A pass through the teacher: logits [M, W] of the batch's labels. */
  ask(batch: VlaBatch): Tensor;
  /** The batch of these rows alone. */
  rowsOf(rows: readonly number[]): VlaBatch;
}

/** The cacheable teachers of a run, with the samples each is asked about. */
export interface CacheableTeachers {
  action?: { teacher: NonNullable<Teachers['action']>; table: LoaderTable } | undefined;
  reasoning?: { teacher: NonNullable<Teachers['reasoning']>; table: MultimodalTable } | undefined;
}

/** Milliseconds between looks at what other processes have added. */
const REFRESH_MS = 30_000;

export class CachedTeachers {
  readonly #caches: Partial<Record<Role, TeacherCache>>;
  readonly #width: number;
  #asked = 0;
  #known = 0;
  #refreshed = performance.now();

  private constructor(caches: Partial<Record<Role, TeacherCache>>, width: number) {
    this.#caches = caches;
    this.#width = width;
  }

  /**
   * Opens the caches of the configuration's folder.
   * @throws ConfigError if the folder cannot be created
   */
  static open(
    { distillation, precision }: Pick<TrainConfig, 'distillation' | 'precision'>,
    folder: string,
    { action, reasoning }: CacheableTeachers,
    notice: (message: string) => void,
  ): CachedTeachers {
    const limitBytes = distillation.cache_gb * 2 ** 30;
    const open = (of: NonNullable<Teachers[Role]>, role: Role, data: string, numSamples: number): TeacherCache => {
      const identity = { format: 1, role, teacher: fingerprintOf(of), data, precision };
      return new TeacherCache({ folder, identity, numSamples, limitBytes, notice });
    };
    try {
      const caches = {
        ...(action && {
          action: open(action.teacher, 'action', robotFingerprint(action.table), action.table.numFrames),
        }),
        ...(reasoning && {
          reasoning: open(reasoning.teacher, 'reasoning', sha256(reasoning.table.file), reasoning.table.samples.length),
        }),
      };
      return new CachedTeachers(caches, (action ?? reasoning)?.teacher.config.vocab_size ?? 0);
    } catch (error) {
      const message = `distillation.cache: ${(error as Error).message}; name a folder that can be created, or null`;
      throw new ConfigError(message, 'distillation.cache');
    }
  }

  /** Whether this teacher's answers are kept. */
  keeps(role: Role): boolean {
    return this.#caches[role] !== undefined;
  }

  /**
   * The teacher's logits [M, W] in the order of the batch's labels.
   * @param samples numbers of the rows in their data set, [B]
   */
  logits(role: Role, batch: VlaBatch, samples: Int32Array, { ask, rowsOf }: Asking): Tensor {
    const cache = this.#caches[role] as TeacherCache;
    if (performance.now() - this.#refreshed > REFRESH_MS) this.#refresh();
    const questions = questionsOf(batch);
    const answers = questions.map((question, b) => {
      const answer = question === null ? null : cache.read(samples[b] as number, question.digest);
      return answer?.length === (question?.numLabels ?? 0) * this.#width ? answer : null;
    });
    const rows = questions.flatMap((question, b) => (question === null ? [] : [b]));
    const unknown = rows.filter((b) => answers[b] === null);
    this.#asked += rows.length;
    this.#known += rows.length - unknown.length;
    if (unknown.length > 0) {
      const isWhole = unknown.length === rows.length;
      const seen = isWhole ? batch : rowsOf(unknown);
      const logits_MW = ask(seen);
      const computed = byRow(logits_MW, seen, this.#width);
      for (const [i, b] of unknown.entries()) {
        const answer = computed[isWhole ? b : i] as Float32Array;
        answers[b] = answer;
        cache.add(samples[b] as number, questions[b]?.digest as Uint8Array, answer);
      }
      if (isWhole) return logits_MW;
    }
    return this.#inOrder(batch, answers);
  }

  /** Share of the rows asked about since the last call that the cache knew; null if none were. */
  takeShare(): number | null {
    const share = this.#asked === 0 ? null : this.#known / this.#asked;
    this.#asked = this.#known = 0;
    return share;
  }

  [Symbol.dispose](): void {
    for (const cache of Object.values(this.#caches)) cache[Symbol.dispose]();
  }

  #refresh(): void {
    for (const cache of Object.values(this.#caches)) cache.refresh();
    this.#refreshed = performance.now();
  }

  /** The rows' answers as one tensor [M, W], in the order of the batch's labels. */
  #inOrder({ label_rows, labels }: VlaBatch, answers: readonly (Float32Array | null)[]): Tensor {
    const W = this.#width;
    const rows = label_rows as Int32Array;
    const values = new Float32Array(rows.length * W);
    const given = new Int32Array(answers.length);
    for (const [m, b] of rows.entries()) {
      const k = (given[b] as number)++;
      values.set((answers[b] as Float32Array).subarray(k * W, (k + 1) * W), m * W);
    }
    return torch.tensor(values, { shape: [rows.length, W], dtype: 'float32', device: (labels as Tensor).device });
  }
}

/** Logits [M, W] as the values of each row's labels, in their order. */
function byRow(logits_MW: Tensor, { label_rows, prompt_lengths }: VlaBatch, W: number): Float32Array[] {
  const values = logits_MW.detach().to('cpu').contiguous().data<Float32Array>();
  const places = prompt_lengths.map((): number[] => []);
  for (const [m, b] of (label_rows ?? new Int32Array()).entries()) places[b]?.push(m);
  return places.map((at) => {
    const row = new Float32Array(at.length * W);
    for (const [k, m] of at.entries()) row.set(values.subarray(m * W, (m + 1) * W), k * W);
    return row;
  });
}

/** Of every row, a digest of all that a teacher sees of it; null for rows without labels, about which nothing is asked. */
function questionsOf(batch: VlaBatch): ({ digest: Uint8Array; numLabels: number } | null)[] {
  const { prompt_lengths, image_start, label_rows, labels } = batch;
  const B = prompt_lengths.length;
  const bytesOf = (tensor: Tensor): Buffer => {
    const { buffer, byteOffset, byteLength } = tensor.to('cpu').contiguous().data();
    return Buffer.from(buffer, byteOffset, byteLength);
  };
  const seen = [batch.images, ...(batch.state ? [batch.state] : [])].map(bytesOf);
  const ids = batch.input_ids.to('cpu').data<BigInt64Array>();
  const labelIds = labels?.to('cpu').data<BigInt64Array>() ?? [];
  const labelsOf = prompt_lengths.map((): string[] => []);
  for (const [m, b] of (label_rows ?? new Int32Array()).entries())
    labelsOf[b]?.push(`${labelIds[m]}:${batch.label_kinds?.[m]}`);
  return prompt_lengths.map((promptLength, b) => {
    const own = labelsOf[b] as string[];
    if (own.length === 0) return null;
    // Padding is zeros behind the row, as many as the batch's longest row asks for.
    const tokens = ids
      .subarray((b * ids.length) / B, ((b + 1) * ids.length) / B)
      .join()
      .replace(/(,0)+$/, '');
    const hash = createHash('sha256').update(JSON.stringify([promptLength, image_start, tokens, own]));
    for (const bytes of seen) hash.update(bytes.subarray((b * bytes.length) / B, ((b + 1) * bytes.length) / B));
    return { digest: hash.digest().subarray(0, DIGEST_BYTES), numLabels: own.length };
  });
}

/** SHA-256 of what numbers a robot data set's frames: its episodes, instructions and states. */
function robotFingerprint({ episodes, instruction, state }: LoaderTable): string {
  const lengths = episodes.map(({ dataset, episode, length }) => [dataset, episode, length]);
  const hash = createHash('sha256').update(JSON.stringify([lengths, instruction.texts]));
  for (const { buffer, byteOffset, byteLength } of [instruction.ids, state])
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
}
