/**
 * The journal of a data set under construction: one JSON line for what the set is, one for every finished episode, one for every note
 * of the caller. A line counts only once it is complete on disk, so that a killed writer loses the unfinished episode and no more.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { CorruptDatasetError } from './errors.js';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** What must be the same when a writer resumes. */
export interface JournalHeader {
  readonly kind: 'header';
  readonly version: 1;
  readonly options: JsonValue;
}
export interface JournalEpisode {
  readonly kind: 'episode';
  readonly index: number;
  readonly length: number;
  readonly tasks: readonly string[];
  /** Row of tasks.parquet of each entry of `tasks`. */
  readonly dataFile: number;
  /** Size of the data file with this episode's row group. */
  readonly bytes: number;
  readonly rowGroup: unknown;
  /** feature -> statistics JSON. */
  readonly stats: Readonly<Record<string, unknown>>;
  /** feature -> base64 of uint32 counts [3, 256] and the number of frames. */
  readonly histograms: Readonly<Record<string, { readonly counts: string; readonly numFrames: number }>>;
  readonly note: JsonValue;
}
export interface JournalNote {
  readonly kind: 'note';
  readonly note: JsonValue;
}
export type JournalEntry = JournalEpisode | JournalNote;

export class WriterJournal {
  readonly path: string;
  readonly #fd: number;
  #end: number;

  private constructor(path: string, fd: number, end: number) {
    this.path = path;
    this.#fd = fd;
    this.#end = end;
  }

  static create(path: string, options: JsonValue): WriterJournal {
    const journal = new WriterJournal(path, openSync(path, 'w'), 0);
    journal.#write({ kind: 'header', version: 1, options });
    return journal;
  }

  /**
   * Opens an existing journal behind its last complete line. `header` is undefined if not even the first line is complete.
   * Throws CorruptDatasetError if a line before the last one is damaged.
   */
  static resume(path: string): { journal: WriterJournal; header: JournalHeader | undefined; entries: JournalEntry[] } {
    const bytes = readFileSync(path);
    const lines: (JournalHeader | JournalEntry)[] = [];
    let end = 0;
    for (let newline = bytes.indexOf(10); newline >= 0; newline = bytes.indexOf(10, end)) {
      try {
        lines.push(JSON.parse(bytes.toString('utf8', end, newline)) as JournalHeader | JournalEntry);
      } catch (cause) {
        throw new CorruptDatasetError(`Line ${lines.length + 1} of the journal is damaged`, {
          file: path,
          hint: 'Start again with --overwrite',
          cause,
        });
      }
      end = newline + 1;
    }
    const [header, ...entries] = lines;
    const fd = openSync(path, 'r+');
    ftruncateSync(fd, end);
    fsyncSync(fd);
    const journal = new WriterJournal(path, fd, end);
    if (header && header.kind !== 'header')
      throw new CorruptDatasetError('The journal does not begin with its header', { file: path });
    return { journal, header, entries: entries as JournalEntry[] };
  }

  append(entry: JournalEntry): void {
    this.#write(entry);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(line: JournalHeader | JournalEntry): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let written = 0; written < bytes.length; )
      written += writeSync(this.#fd, bytes, written, bytes.length - written, this.#end + written);
    this.#end += bytes.length;
    fsyncSync(this.#fd);
  }
}
