/**
 * What both layers found, episode by episode, as it is found: a JSON Lines file beside the result. A killed run continues from it; several
 * machines write one each (shards), and whoever has all of them goes on as if he had found everything himself.
 *
 *   {"type": "prune-layers", "version": 1, "method": {...}, "data": [{"name", "episodes"}], "shard": {"index", "count"} | null, "command": [...] | null}
 *   {"folder", "episode", "task", "frames", "boundaries", "scene_score", "motion", "motion_score", "gripper", "origin"}
 *   ...
 *   {"complete": 100}                                                    the number of episodes, when all are there
 *
 * Scores are float32 in base64, so that what is read back is what was found. A last line that is cut off is as if not there.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { makeFolder } from '../data/durable-file.js';
import { PruneError } from './errors.js';
import { bitsToText, textToBits } from './keep-labels.js';
import type { EpisodeOrigin } from './prune-input.js';

/** What the layers found in one episode. */
export interface LayerRecord {
  readonly folder: string;
  readonly episode: number;
  readonly task: string;
  /** T. */
  readonly numFrames: number;
  readonly boundaries: readonly number[] | null;
  readonly sceneScore: Float32Array | null;
  readonly motion: Uint8Array | null;
  readonly motionScore: Float32Array | null;
  readonly gripperChange: Uint8Array | null;
  readonly origin: EpisodeOrigin | null;
}

/** Which part of the episodes: number `index` of `count`, from 0. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** What two parts of one work have in common. */
export interface JournalHeader {
  readonly method: Readonly<Record<string, unknown>>;
  readonly data: readonly { readonly name: string; readonly episodes: number }[];
  readonly shard: Shard | null;
  /** Of a shard: the words after `dualvla prune` that make its result out of what all shards found. */
  readonly command: readonly string[] | null;
}

const bits = z.string().regex(/^[01]*$/);
const recordSchema = z.object({
  folder: z.string(),
  episode: z.number().int().nonnegative(),
  task: z.string(),
  frames: z.number().int().positive(),
  boundaries: z.array(z.number().int().nonnegative()).nullable(),
  scene_score: z.base64().nullable(),
  motion: bits.nullable(),
  motion_score: z.base64().nullable(),
  gripper: bits.nullable(),
  origin: z.object({ filePath: z.string(), episodeId: z.string(), firstStep: z.number() }).nullable(),
});
const headerSchema = z.object({
  type: z.literal('prune-layers'),
  version: z.literal(1),
  method: z.record(z.string(), z.unknown()),
  data: z.array(z.object({ name: z.string(), episodes: z.number() })),
  shard: z.object({ index: z.number(), count: z.number() }).nullable(),
  command: z.array(z.string()).nullable().default(null),
});

export interface JournalContent {
  readonly header: JournalHeader;
  readonly records: LayerRecord[];
  readonly complete: boolean;
  /** Bytes of whole lines. */
  readonly length: number;
}

/** Reads a journal; a last line without its end is left out. Throws PruneError naming file and line. */
export function readJournal(file: string): JournalContent {
  const bytes = readFileSync(file);
  const length = bytes.lastIndexOf(10) + 1;
  const lines = bytes.subarray(0, length).toString('utf8').split('\n').slice(0, -1);
  const fail = (line: number, what: string): never => {
    throw new PruneError(`Line ${line}: ${what}`, { file, hint: 'Delete the file and run the command again' });
  };
  const parse = (line: string, i: number): unknown => {
    try {
      return JSON.parse(line);
    } catch {
      return fail(i + 1, 'not JSON');
    }
  };
  const head = headerSchema.safeParse(lines[0] === undefined ? undefined : parse(lines[0], 0));
  if (!head.success) return fail(1, 'this is no record of pruning layers');
  const records: LayerRecord[] = [];
  let complete = false;
  for (const [i, line] of lines.entries()) {
    if (i === 0) continue;
    const raw = parse(line, i);
    if (typeof raw === 'object' && raw !== null && 'complete' in raw) {
      if (raw.complete !== records.length)
        fail(i + 1, `${String(raw.complete)} episodes, of which ${records.length} are here`);
      complete = true;
      continue;
    }
    const parsed = recordSchema.safeParse(raw);
    if (!parsed.success)
      return fail(i + 1, `${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}`);
    records.push(unpack(parsed.data, (what) => fail(i + 1, what)));
  }
  const { method, data, shard, command } = head.data;
  return { header: { method, data, shard, command }, records, complete, length };
}

export class LayerJournal {
  #fd: number;

  private constructor(
    readonly file: string,
    /** Episodes found so far, those of an earlier run included. */
    readonly records: LayerRecord[],
    fd: number,
    readonly complete: boolean,
  ) {
    this.#fd = fd;
  }

  /**
   * Begins a journal, or continues one. Throws PruneError where one lies there already (without `resume` or `overwrite`), or was begun with
   * other options.
   */
  static open(file: string, header: JournalHeader, mode: { resume?: boolean; overwrite?: boolean } = {}): LayerJournal {
    makeFolder(dirname(file));
    const there = existsSync(file);
    if (there && !mode.resume && !mode.overwrite)
      throw new PruneError('Unfinished work lies here', {
        file,
        hint: 'Continue it with --resume, or drop it with --overwrite',
      });
    if (there && mode.resume && readFileSync(file).includes(10)) {
      const { header: begun, records, complete, length } = readJournal(file);
      checkSame(begun, header, file);
      const fd = openSync(file, 'r+');
      ftruncateSync(fd, length);
      return new LayerJournal(file, records, fd, complete).#at(length);
    }
    const journal = new LayerJournal(file, [], openSync(file, 'w'), false);
    journal.#write([{ type: 'prune-layers', version: 1, ...header }]);
    return journal;
  }

  #position = 0;
  #at(position: number): this {
    this.#position = position;
    return this;
  }

  /** Adds episodes; they are on disk when it returns. */
  append(records: readonly LayerRecord[]): void {
    this.#write(records.map(pack));
    this.records.push(...records);
  }

  /** Says that all episodes are there. */
  finish(): void {
    if (!this.complete) this.#write([{ complete: this.records.length }]);
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #write(lines: readonly unknown[]): void {
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    for (let written = 0; written < bytes.length; )
      written += writeSync(this.#fd, bytes, written, bytes.length - written, this.#position + written);
    this.#position += bytes.length;
    fsyncSync(this.#fd);
  }
}

/** Throws PruneError naming the first option in which two parts of a work differ. */
export function checkSame(begun: JournalHeader, wanted: JournalHeader, file: string): void {
  const [a, b] = [begun, wanted].map((header) => JSON.parse(JSON.stringify(header)) as Record<string, unknown>) as [
    Record<string, Record<string, unknown>>,
    Record<string, Record<string, unknown>>,
  ];
  if (isDeepStrictEqual(a, b)) return;
  const [x, y] = [a, b].map(({ method, ...rest }) => ({ ...rest, ...method })) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const key = Object.keys({ ...x, ...y }).find((name) => !isDeepStrictEqual(x[name], y[name])) ?? '';
  const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
  throw new PruneError(`This was begun with other options: ${key} was ${shown(x[key])}, now ${shown(y[key])}`, {
    file,
    hint: 'Use the same options and data, or drop it with --overwrite',
  });
}

function pack(record: LayerRecord): z.infer<typeof recordSchema> {
  const { folder, episode, task, numFrames, boundaries, sceneScore, motion, motionScore, gripperChange, origin } =
    record;
  return {
    folder,
    episode,
    task,
    frames: numFrames,
    boundaries: boundaries && [...boundaries],
    scene_score: sceneScore && floatsToText(sceneScore),
    motion: motion && bitsToText(motion),
    motion_score: motionScore && floatsToText(motionScore),
    gripper: gripperChange && bitsToText(gripperChange),
    origin,
  };
}

function unpack(raw: z.infer<typeof recordSchema>, fail: (what: string) => never): LayerRecord {
  const { folder, episode, task, frames: numFrames, boundaries, motion, gripper, origin } = raw;
  const record: LayerRecord = {
    folder,
    episode,
    task,
    numFrames,
    boundaries,
    sceneScore: raw.scene_score === null ? null : textToFloats(raw.scene_score),
    motion: motion === null ? null : textToBits(motion),
    motionScore: raw.motion_score === null ? null : textToFloats(raw.motion_score),
    gripperChange: gripper === null ? null : textToBits(gripper),
    origin,
  };
  for (const layer of [record.sceneScore, record.motion, record.motionScore, record.gripperChange])
    if (layer && layer.length !== numFrames) fail(`${layer.length} values for ${numFrames} frames`);
  return record;
}

const floatsToText = (values: Float32Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');

function textToFloats(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
