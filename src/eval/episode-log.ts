/**
 * Finished episodes of an evaluation as JSON lines, written one by one, so that an evaluation that was stopped at any
 * moment continues with the episodes that are missing.
 *
 * Knows nothing about how an episode is run.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Split, TaskId, Variant } from '../sim/index.js';

/** One episode that was run to its end. */
export interface EpisodeRecord {
  task: TaskId;
  variant: Variant;
  split: Split;
  /** Number of the episode within its split; the scene's seed follows from it. */
  index: number;
  /** Scene seed. */
  seed: number;
  success: boolean;
  /** Control steps taken. */
  steps: number;
  /** Control steps after which an episode is cut off. */
  maxSteps: number;
  instruction: string;
}

const nameOf = ({ task, variant, split, index }: Pick<EpisodeRecord, 'task' | 'variant' | 'split' | 'index'>): string =>
  `${task} ${variant} ${split} ${index}`;

/** An evaluation's log in a file, or in memory where no path is given. */
export class EpisodeLog {
  readonly #records = new Map<string, EpisodeRecord>();

  /** @param path JSONL file; need not exist. A last line that was cut off by a crash is removed. */
  constructor(readonly path?: string) {
    if (path === undefined || !existsSync(path)) return;
    const text = readFileSync(path, 'utf8');
    const end = text.lastIndexOf('\n') + 1;
    if (end < text.length) truncateSync(path, Buffer.byteLength(text.slice(0, end)));
    for (const line of text.slice(0, end).split('\n').filter(Boolean)) {
      const record = JSON.parse(line) as EpisodeRecord;
      this.#records.set(nameOf(record), record);
    }
  }

  get records(): EpisodeRecord[] {
    return [...this.#records.values()];
  }

  has(episode: Pick<EpisodeRecord, 'task' | 'variant' | 'split' | 'index'>): boolean {
    return this.#records.has(nameOf(episode));
  }

  /** The record of an episode, undefined where it has not been run. */
  get(episode: Pick<EpisodeRecord, 'task' | 'variant' | 'split' | 'index'>): EpisodeRecord | undefined {
    return this.#records.get(nameOf(episode));
  }

  add(record: EpisodeRecord): void {
    this.#records.set(nameOf(record), record);
    if (this.path === undefined) return;
    mkdirSync(dirname(this.path), { recursive: true });
    appendFileSync(this.path, `${JSON.stringify(record)}\n`);
  }

  /** Forgets everything, on disk too. */
  clear(): void {
    this.#records.clear();
    if (this.path !== undefined) rmSync(this.path, { force: true });
  }
}
