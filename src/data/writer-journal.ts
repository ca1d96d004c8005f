/**
 * The journal of a data set under construction: one JSON line for what the set is, one for every finished episode, one for every note
 * of the caller. A line counts only once it is complete on disk, so that a killed writer loses the unfinished episode and no more.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
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

/** Where in the journal a line lies, bytes, without its line end. */
export interface JournalPlace {
  readonly offset: number;
  readonly bytes: number;
}

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
    const journal = new WriterJournal(path, openSync(path, 'w+'), 0);
    journal.#write({ kind: 'header', version: 1, options });
    return journal;
  }

  /**
   * Opens an existing journal behind its last complete line. Each entry is shown to `visit` and then forgotten: a long journal does not fit
   * into memory. `header` is undefined if not even the first line is complete.
   * Throws CorruptDatasetError if a line before the last one is damaged.
   */
  static resume(
    path: string,
    visit: (entry: JournalEntry, place: JournalPlace) => void,
  ): { journal: WriterJournal; header: JournalHeader | undefined } {
    const fd = openSync(path, 'r+');
    let header: JournalHeader | undefined;
    let end = 0;
    let number = 0;
    for (const { bytes, offset } of lines(fd)) {
      number++;
      let line: JournalHeader | JournalEntry;
      try {
        line = JSON.parse(bytes.toString()) as JournalHeader | JournalEntry;
      } catch (cause) {
        closeSync(fd);
        throw new CorruptDatasetError(`Line ${number} of the journal is damaged`, {
          file: path,
          hint: 'Start again with --overwrite',
          cause,
        });
      }
      if ((number === 1) !== (line.kind === 'header')) {
        closeSync(fd);
        throw new CorruptDatasetError('The journal does not begin with its header', { file: path });
      }
      if (line.kind === 'header') header = line;
      else visit(line, { offset, bytes: bytes.length });
      end = offset + bytes.length + 1;
    }
    ftruncateSync(fd, end);
    fsyncSync(fd);
    return { journal: new WriterJournal(path, fd, end), header };
  }

  /** @returns where the entry lies, to read it again */
  append(entry: JournalEntry): JournalPlace {
    const offset = this.#end;
    this.#write(entry);
    return { offset, bytes: this.#end - offset - 1 };
  }

  /** An entry once more. */
  read({ offset, bytes }: JournalPlace): JournalEntry {
    const line = Buffer.alloc(bytes);
    for (let got = 0; got < bytes; ) {
      const count = readSync(this.#fd, line, got, bytes - got, offset + got);
      if (count === 0) throw new CorruptDatasetError('The journal became shorter', { file: this.path });
      got += count;
    }
    return JSON.parse(line.toString()) as JournalEntry;
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

const BLOCK_BYTES = 1 << 20;

/** The complete lines of a file, in order. */
function* lines(fd: number): Generator<{ bytes: Buffer; offset: number }> {
  const block = Buffer.alloc(BLOCK_BYTES);
  let parts: Buffer[] = [];
  let offset = 0;
  for (let at = 0; ; ) {
    const count = readSync(fd, block, 0, BLOCK_BYTES, at);
    if (count === 0) return;
    at += count;
    let from = 0;
    for (let end = block.indexOf(10); end >= 0 && end < count; end = block.indexOf(10, from)) {
      const bytes = Buffer.concat([...parts, block.subarray(from, end)]);
      parts = [];
      yield { bytes, offset };
      offset += bytes.length + 1;
      from = end + 1;
    }
    if (from < count) parts.push(Buffer.from(block.subarray(from, count)));
  }
}
