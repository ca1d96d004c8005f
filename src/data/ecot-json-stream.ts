/**
 * Streaming over annotation files of the shape `{file_path: {episode_id: value}}` (ECoT, VLA-IT): one episode's value at a time, so that a
 * file larger than memory or than V8's longest string is no trouble. Rewriting is streamed too and appears under its name only when whole.
 *
 * Memory: one block of the file and one value; both have limits. Knows nothing about what a value holds.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from './durable-file.js';
import { CorruptDatasetError, MissingDatasetError, StorageError, UnsupportedDatasetError } from './errors.js';

export interface AnnotationEntry {
  readonly filePath: string;
  readonly episodeId: string;
  /** The episode's parsed value. */
  readonly value: unknown;
  /** Where the value lies in the file, bytes. */
  readonly offset: number;
  readonly length: number;
}

export interface AnnotationStreamOptions {
  /** Largest value of one episode, bytes. */
  readonly maxEpisodeBytes?: number;
}

const BLOCK_BYTES = 1 << 20;
const MAX_KEY_BYTES = 1 << 16;
const MAX_DEPTH = 128;
const DEFAULT_MAX_EPISODE = 64 << 20;

const [QUOTE, BACKSLASH, COMMA, COLON, OPEN, CLOSE, LIST, END_LIST] = [34, 92, 44, 58, 123, 125, 91, 93];

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Bytes of a file with one byte of look-ahead, and the errors that name them. */
class Bytes {
  readonly #fd: number;
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #start = 0;
  #size = 0;
  #at = 0;
  #last = '';

  constructor(readonly file: string) {
    try {
      this.#fd = openSync(file, 'r');
    } catch (cause) {
      throw new MissingDatasetError('There is no such annotation file', { file, cause });
    }
  }

  get position(): number {
    return this.#start + this.#at;
  }

  /** Remembers the latest whole episode, for errors. */
  passed(filePath: string, episodeId: string): void {
    this.#last = ` (after episode ${episodeId} of ${filePath})`;
  }

  /** The next byte without taking it; -1 at the end. */
  peek(): number {
    if (this.#at === this.#size && !this.#fill()) return -1;
    return this.#block[this.#at] as number;
  }

  take(): number {
    const byte = this.peek();
    if (byte >= 0) this.#at++;
    return byte;
  }

  /** The next byte that is no white space, taken. */
  token(): number {
    for (;;) {
      const byte = this.take();
      if (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) return byte;
    }
  }

  expect(byte: number, what: string): void {
    const found = this.token();
    if (found !== byte) throw this.error(`expected ${what}, found ${describe(found)}`);
  }

  /** A JSON string whose opening quote has been taken. */
  key(): string {
    const bytes: number[] = [QUOTE];
    for (;;) {
      const byte = this.take();
      if (byte < 0) throw this.error('the file ends within a key');
      bytes.push(byte);
      if (bytes.length > MAX_KEY_BYTES) throw this.error(`a key of more than ${MAX_KEY_BYTES} bytes`);
      if (byte === BACKSLASH) bytes.push(Math.max(this.take(), 0));
      else if (byte === QUOTE) break;
    }
    const key: unknown = this.parse(Uint8Array.from(bytes));
    return String(key);
  }

  /** The bytes of one whole value that begins with `first` (already taken). */
  value(first: number, maxBytes: number): Uint8Array {
    if (first !== OPEN) throw this.error(`expected an episode's object, found ${describe(first)}`);
    const parts: Uint8Array[] = [Uint8Array.of(first)];
    let total = 1;
    let depth = 1;
    let quoted = false;
    let escaped = false;
    while (depth > 0) {
      if (this.#at === this.#size && !this.#fill()) throw this.error('the file ends within an episode');
      const from = this.#at;
      const length = this.#size;
      const block = this.#block;
      let at = from;
      for (; at < length && depth > 0; at++) {
        const byte = block[at] as number;
        if (quoted) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) quoted = false;
        } else if (byte === QUOTE) quoted = true;
        else if (byte === OPEN || byte === LIST) {
          if (++depth > MAX_DEPTH) throw this.error(`more than ${MAX_DEPTH} levels of nesting`);
        } else if (byte === CLOSE || byte === END_LIST) depth--;
      }
      this.#at = at;
      total += at - from;
      if (total > maxBytes)
        throw new UnsupportedDatasetError(`An episode's annotation has more than ${maxBytes} bytes`, {
          file: this.file,
          field: `byte ${this.position}`,
        });
      parts.push(block.slice(from, at));
    }
    return Buffer.concat(parts, total);
  }

  parse(bytes: Uint8Array): unknown {
    try {
      return JSON.parse(utf8.decode(bytes)) as unknown;
    } catch (cause) {
      throw this.error(cause instanceof Error ? cause.message.slice(0, 200) : String(cause), cause);
    }
  }

  error(what: string, cause?: unknown): CorruptDatasetError {
    return new CorruptDatasetError(`The annotation file is wrong before byte ${this.position}${this.#last}: ${what}`, {
      file: this.file,
      cause,
    });
  }

  close(): void {
    closeSync(this.#fd);
  }

  #fill(): boolean {
    this.#start += this.#size;
    this.#size = readSync(this.#fd, this.#block, 0, this.#block.length, this.#start);
    this.#at = 0;
    return this.#size > 0;
  }
}

const describe = (byte: number): string =>
  byte < 0 ? 'the end of the file' : JSON.stringify(String.fromCharCode(byte));

/**
 * The episodes of an annotation file in its order. Throws MissingDatasetError, CorruptDatasetError (with the byte and the last whole
 * episode) for anything that is not JSON of this shape, UnsupportedDatasetError for an episode above the limit.
 */
export function* readAnnotations(file: string, options: AnnotationStreamOptions = {}): Generator<AnnotationEntry> {
  const { maxEpisodeBytes = DEFAULT_MAX_EPISODE } = options;
  const bytes = new Bytes(file);
  try {
    bytes.expect(OPEN, 'an object of files');
    for (const filePath of keys(bytes)) {
      bytes.expect(OPEN, 'an object of episodes');
      for (const episodeId of keys(bytes)) {
        const first = bytes.token();
        const offset = bytes.position - 1;
        const raw = bytes.value(first, maxEpisodeBytes);
        yield { filePath, episodeId, value: bytes.parse(raw), offset, length: raw.length };
        bytes.passed(filePath, episodeId);
      }
    }
    const rest = bytes.token();
    if (rest >= 0) throw bytes.error(`${describe(rest)} behind the end of the JSON`);
  } finally {
    bytes.close();
  }
}

/** The keys of an object whose brace has been taken, each with its colon; the caller takes the value. */
function* keys(bytes: Bytes): Generator<string> {
  for (let first = true; ; first = false) {
    let token = bytes.token();
    if (token === CLOSE && first) return;
    if (!first) {
      if (token === CLOSE) return;
      if (token !== COMMA) throw bytes.error(`expected "," or "}", found ${describe(token)}`);
      token = bytes.token();
    }
    if (token !== QUOTE) throw bytes.error(`expected a key, found ${describe(token)}`);
    const key = bytes.key();
    bytes.expect(COLON, '":"');
    yield key;
  }
}

/** Reads the value of one episode again, found before by `readAnnotations`. */
export function annotationAt(file: string, entry: Pick<AnnotationEntry, 'offset' | 'length'>): unknown {
  const fd = openSync(file, 'r');
  try {
    const bytes = new Uint8Array(entry.length);
    for (let got = 0; got < bytes.length; ) {
      const count = readSync(fd, bytes, got, bytes.length - got, entry.offset + got);
      if (count === 0) throw new CorruptDatasetError('The annotation file became shorter', { file });
      got += count;
    }
    return JSON.parse(utf8.decode(bytes)) as unknown;
  } catch (cause) {
    if (cause instanceof SyntaxError || cause instanceof TypeError)
      throw new CorruptDatasetError('The annotation file changed while it was in use', { file, cause });
    throw cause;
  } finally {
    closeSync(fd);
  }
}

export interface RewriteSummary {
  readonly episodes: number;
  readonly bytes: number;
}

/**
 * Copies an annotation file, each value passed through `edit`. The copy appears at `output` only when it is whole and on disk; a killed copy
 * leaves `output` as it was. Throws what `readAnnotations` throws, StorageError when the disk refuses.
 */
export function rewriteAnnotations(
  input: string,
  output: string,
  edit: (entry: AnnotationEntry) => unknown,
  options: AnnotationStreamOptions = {},
): RewriteSummary {
  const temporary = `${output}.tmp`;
  let episodes = 0;
  let written = 0;
  const fd = storing(output, () => {
    mkdirSync(dirname(output), { recursive: true });
    return openSync(temporary, 'w');
  });
  let buffered: string[] = [];
  let size = 0;
  const flush = (): void => {
    const bytes = Buffer.from(buffered.join(''));
    storing(output, () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    });
    written += bytes.length;
    buffered = [];
    size = 0;
  };
  const put = (text: string): void => {
    buffered.push(text);
    size += text.length;
    if (size >= BLOCK_BYTES) flush();
  };
  let whole = false;
  try {
    let open: string | undefined;
    put('{');
    for (const entry of readAnnotations(input, options)) {
      if (entry.filePath === open) put(',');
      else put(`${open === undefined ? '' : '},'}${JSON.stringify(entry.filePath)}:{`);
      open = entry.filePath;
      put(`${JSON.stringify(entry.episodeId)}:${JSON.stringify(edit(entry))}`);
      episodes++;
    }
    put(`${open === undefined ? '' : '}'}}`);
    flush();
    storing(output, () => fsyncSync(fd));
    whole = true;
  } finally {
    closeSync(fd);
    if (!whole) rmSync(temporary, { force: true });
  }
  storing(output, () => {
    renameSync(temporary, output);
    syncFolder(dirname(output));
  });
  return { episodes, bytes: written };
}

function storing<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new StorageError(`The file cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, {
      file,
      hint: 'Make room or choose another place, then run it again',
      cause,
    });
  }
}
