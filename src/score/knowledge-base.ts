/**
 * The knowledge base of the paper's Sec. 3.3: marked trajectories that a judge is shown as examples. A folder:
 *
 * ```
 * base.json           {"version": 1, "made": "how it came about"}
 * entries.jsonl       a trajectory a line: task, marks, why, five thoughts
 * strips/<id>.jpg     its five pictures side by side
 * corrections.jsonl   what experts changed, appended and never rewritten: the last one of an entry counts
 * ```
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurable } from '../data/durable-file.js';
import { decodeStrip, filmStrip, STRIP_FRAMES, stripMoments } from './film-strip.js';
import type { Judgement } from './judge.js';
import type { Picture, Rollout } from './rollout.js';
import { encodeJpeg } from './vlm-judge.js';

const mark = z.number().min(0).max(10);
const marksSchema = z.strictObject({ R: mark.optional(), A: mark, I: mark, RA: mark.optional() });

const HEADER = z.looseObject({ version: z.literal(1), made: z.string() });

export const BASE_ENTRY = z.strictObject({
  id: z.string().regex(/^[\w.-]+$/),
  task: z.string(),
  instruction: z.string(),
  /** What it was marked as: of a policy that reasons, with R and RA. */
  reasons: z.boolean(),
  success: z.boolean(),
  marks: marksSchema,
  why: z.string(),
  /** Who marked it. */
  judge: z.string(),
  /** Where it is from; a rollout is no example for itself. */
  source: z.string(),
  thoughts: z.array(z.string().nullable()).length(STRIP_FRAMES),
});
export type BaseEntry = z.infer<typeof BASE_ENTRY>;

export const CORRECTION = z.strictObject({
  id: z.string(),
  marks: marksSchema.partial(),
  why: z.string().optional(),
  by: z.string().optional(),
  /** ISO 8601. */
  at: z.string().optional(),
});
export type Correction = z.infer<typeof CORRECTION>;

/** A knowledge base is damaged, missing, or asked for what it has not. */
export class KnowledgeBaseError extends Error {
  override readonly name = 'KnowledgeBaseError';
}

export class KnowledgeBase {
  readonly #entries: Map<string, BaseEntry>;
  readonly #corrections: Correction[];

  private constructor(
    readonly folder: string,
    readonly made: string,
    entries: readonly BaseEntry[],
    corrections: Correction[],
  ) {
    this.#entries = new Map(entries.map((entry) => [entry.id, entry]));
    this.#corrections = corrections;
  }

  /** @throws KnowledgeBaseError naming file and line */
  static open(folder: string): KnowledgeBase {
    const header = join(folder, 'base.json');
    if (!existsSync(header)) {
      throw new KnowledgeBaseError(`${folder} is no knowledge base; next: dualvla score kb build --output ${folder}`);
    }
    const parsed = HEADER.safeParse(jsonOf(readFileSync(header, 'utf8')));
    if (!parsed.success) throw new KnowledgeBaseError(`${header} is not that of a knowledge base of version 1`);
    const entries = readLines(join(folder, 'entries.jsonl'), BASE_ENTRY);
    const twice = entries.find(({ id }, i) => entries.findIndex((one) => one.id === id) !== i);
    if (twice) throw new KnowledgeBaseError(`${folder}/entries.jsonl has ${twice.id} twice`);
    const corrections = readLines(join(folder, 'corrections.jsonl'), CORRECTION);
    for (const { id } of corrections) {
      if (!entries.some((entry) => entry.id === id)) {
        throw new KnowledgeBaseError(`${folder}/corrections.jsonl corrects ${id}, which is not in entries.jsonl`);
      }
    }
    return new KnowledgeBase(folder, parsed.data.made, entries, corrections);
  }

  /** An empty one. @throws KnowledgeBaseError if there is one already */
  static create(folder: string, made: string): KnowledgeBase {
    if (existsSync(join(folder, 'base.json'))) {
      throw new KnowledgeBaseError(
        `${folder} is a knowledge base already; next: dualvla score kb add, or another --output`,
      );
    }
    mkdirSync(join(folder, 'strips'), { recursive: true });
    writeFileSync(join(folder, 'entries.jsonl'), '');
    writeDurable(join(folder, 'base.json'), `${JSON.stringify({ version: 1, made }, null, 2)}\n`);
    return new KnowledgeBase(folder, made, [], []);
  }

  /** Entries with their latest corrections. */
  get entries(): BaseEntry[] {
    return [...this.#entries.values()].map((entry) => this.#corrected(entry));
  }

  /** As it was marked first. */
  original(id: string): BaseEntry | undefined {
    return this.#entries.get(id);
  }

  correctionsOf(id: string): Correction[] {
    return this.#corrections.filter((correction) => correction.id === id);
  }

  /** What it holds, for results: changes with every entry and correction. */
  get hash(): string {
    return createHash('sha256').update(JSON.stringify(this.entries)).digest('hex').slice(0, 12);
  }

  #corrected(entry: BaseEntry): BaseEntry {
    let { marks, why } = entry;
    for (const correction of this.correctionsOf(entry.id)) {
      marks = BASE_ENTRY.shape.marks.parse({ ...marks, ...correction.marks });
      why = correction.why ?? why;
    }
    return { ...entry, marks, why };
  }

  async strip(id: string): Promise<Picture> {
    const path = join(this.folder, 'strips', `${id}.jpg`);
    if (!existsSync(path)) throw new KnowledgeBaseError(`there is no ${path}`);
    return decodeStrip(readFileSync(path), path);
  }

  /** Adds a marked rollout; its pictures are on disk before its line is. @throws KnowledgeBaseError if its id is there */
  async add(
    rollout: Rollout,
    entry: Omit<BaseEntry, 'thoughts' | 'task' | 'instruction' | 'success' | 'reasons'>,
  ): Promise<void> {
    if (this.#entries.has(entry.id)) throw new KnowledgeBaseError(`${this.folder} has ${entry.id} already`);
    const { task, instruction, success, reasons, thoughts } = rollout;
    const shown = stripMoments(rollout).map((moment) => thoughts[moment] ?? null);
    const whole = BASE_ENTRY.parse({ ...entry, task, instruction, success, reasons, thoughts: shown });
    writeDurable(join(this.folder, 'strips', `${entry.id}.jpg`), await encodeJpeg(await filmStrip(rollout)));
    appendFileSync(join(this.folder, 'entries.jsonl'), `${JSON.stringify(whole)}\n`, { flush: true });
    this.#entries.set(entry.id, whole);
  }

  /** Keeps an expert's correction. @throws KnowledgeBaseError for an unknown entry, or marks that its kind has not */
  correct(correction: Correction): void {
    const entry = this.#entries.get(correction.id);
    if (!entry) throw new KnowledgeBaseError(`${this.folder} has no ${correction.id}`);
    const { R, RA } = correction.marks;
    if (!entry.reasons && (R !== undefined || RA !== undefined)) {
      throw new KnowledgeBaseError(`${correction.id} is of a policy that does not reason: it has A and I alone`);
    }
    const parsed = CORRECTION.safeParse(correction);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new KnowledgeBaseError(`${issue?.path.join('.')}: ${issue?.message}`);
    }
    appendFileSync(join(this.folder, 'corrections.jsonl'), `${JSON.stringify(parsed.data)}\n`, { flush: true });
    this.#corrections.push(parsed.data);
  }
}

/** Marks as a base keeps them: to a tenth; R and RA only of policies that reason. */
export function baseMarks({ R, A, I, RA }: Judgement): BaseEntry['marks'] {
  const tenth = (value: number): number => Math.round(10 * value) / 10;
  return R === undefined ? { A: tenth(A), I: tenth(I) } : { R: tenth(R), A: tenth(A), I: tenth(I), RA: tenth(RA) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readLines<T>(path: string, schema: z.ZodType<T>): T[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line, i) => {
      if (line === '') return [];
      const parsed = schema.safeParse(jsonOf(line));
      if (parsed.success) return [parsed.data];
      const issue = parsed.error.issues[0];
      throw new KnowledgeBaseError(`${path}, line ${i + 1}: ${issue?.path.join('.') || 'entry'}: ${issue?.message}`);
    });
}
