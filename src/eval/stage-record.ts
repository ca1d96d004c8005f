/**
 * The stages of a long command on disk: which are finished, with which settings, and how long each took, so that the
 * command continues where it was stopped. A stage's hash covers its settings and those of the stages before it: changed
 * settings make it and all later ones run again.
 *
 * Knows nothing about what the stages do; what is half done inside a stage is the stage's own to continue.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** A stage that was begun: half done until `finished`. */
export interface StageRecord {
  hash: string;
  /** The code's commit when it was begun. */
  commit: string;
  /** Seconds of work so far, over all interruptions. */
  seconds: number;
  /** ISO time, once it is done. */
  finished?: string;
  /** One line about what came out. */
  summary?: string;
}

/** @returns a short hash of plain data, the same for the same keys and values in any order */
export function hashOf(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts, sortKeys)).digest('hex').slice(0, 16);
}

function sortKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** How a stage stands when it is about to run. */
export type StageState = 'new' | 'begun' | 'finished' | 'changed';

/** The records of all stages, kept in one JSON file that is replaced atomically. */
export class StageRecords {
  #records: Record<string, StageRecord>;

  /** @param path the JSON file; need not exist. A file that is no JSON counts as absent: the stages run again. */
  constructor(readonly path: string) {
    this.#records = readRecords(path);
  }

  /** The record of a stage, undefined where it was never begun. */
  get(name: string): Readonly<StageRecord> | undefined {
    return this.#records[name];
  }

  /** How the stage stands for these settings: `changed` means that it was begun or done with others. */
  state(name: string, hash: string): StageState {
    const record = this.#records[name];
    if (record === undefined) return 'new';
    if (record.hash !== hash) return 'changed';
    return record.finished === undefined ? 'begun' : 'finished';
  }

  /** Notes that a stage runs with these settings; keeps time and commit of what was begun with the same ones. */
  begin(name: string, hash: string, commit: string): void {
    if (this.state(name, hash) === 'begun') return;
    this.#write({ ...this.#records, [name]: { hash, commit, seconds: 0 } });
  }

  /** Adds time to a stage that was begun. */
  addSeconds(name: string, seconds: number): void {
    const record = this.#record(name);
    this.#write({ ...this.#records, [name]: { ...record, seconds: record.seconds + seconds } });
  }

  /** Notes that a stage is done. */
  finish(name: string, summary: string, now: Date = new Date()): void {
    this.#write({ ...this.#records, [name]: { ...this.#record(name), finished: now.toISOString(), summary } });
  }

  /** Makes a stage run again. */
  forget(name: string): void {
    const { [name]: _, ...others } = this.#records;
    this.#write(others);
  }

  #record(name: string): StageRecord {
    const record = this.#records[name];
    if (record === undefined) throw new Error(`stage ${name} was not begun`);
    return record;
  }

  #write(records: Record<string, StageRecord>): void {
    mkdirSync(dirname(this.path), { recursive: true });
    writeFileSync(`${this.path}.writing`, `${JSON.stringify(records, null, 2)}\n`);
    renameSync(`${this.path}.writing`, this.path);
    this.#records = records;
  }
}

function readRecords(path: string): Record<string, StageRecord> {
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, StageRecord>;
  } catch {
    return {};
  }
}
