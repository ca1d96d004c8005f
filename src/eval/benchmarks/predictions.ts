/**
 * Predictions of a model, one JSON object a line: `{"index": 12, "prediction": "B"}`, after an optional first line that says whose they are. Lines are
 * appended as answers come in, so that a stopped or killed run goes on where it was; a last line that was cut off does not count.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname, extname } from 'node:path';
import { z } from 'zod';
import type { Predictions } from './benchmark.js';
import { BenchmarkError } from './errors.js';
import { formatFloatAsPython } from './python-float.js';
import { strip } from './python-text.js';
import type { RowIndex } from './question-set.js';
import { readTsv } from './tsv.js';
import { readWorkbook } from './xlsx.js';

/** What the first line of our own files holds: answers to other questions or of another model are never mixed in. */
export const PREDICTIONS_HEADER = z.strictObject({
  type: z.literal('predictions'),
  version: z.literal(1),
  benchmark: z.string(),
  profile: z.string(),
  model: z.string(),
  /** Of the table, its questions and the wording. */
  questions: z.string(),
});
export type PredictionsHeader = z.infer<typeof PREDICTIONS_HEADER>;

/** Every other line. Further fields (tokens, seconds) are allowed. */
export const PREDICTION = z.looseObject({
  index: z.union([z.number(), z.string()]),
  prediction: z.union([z.string(), z.number()]),
});

export interface PredictionFile {
  readonly header?: PredictionsHeader;
  readonly predictions: Map<string, string>;
  /** Bytes up to the end of the last whole line. */
  readonly wholeBytes: number;
}

/** Throws BenchmarkError with the line for what is no prediction or is there twice. */
export function readPredictionLines(path: string): PredictionFile {
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const text = bytes.toString('utf8');
  const lines = text.split('\n');
  const predictions = new Map<string, string>();
  let header: PredictionsHeader | undefined;
  let wholeBytes = end;
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const last = i === lines.length - 1;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      if (last) continue;
      throw new BenchmarkError(`${path}, line ${i + 1}, is no JSON: ${(error as Error).message}`);
    }
    if (last) wholeBytes = bytes.length;
    if (i === 0 && PREDICTIONS_HEADER.safeParse(value).success) {
      header = PREDICTIONS_HEADER.parse(value);
      continue;
    }
    const parsed = PREDICTION.safeParse(value);
    if (!parsed.success) {
      throw new BenchmarkError(`${path}, line ${i + 1}, is no {"index": ..., "prediction": "..."}`);
    }
    const index = String(parsed.data.index);
    if (predictions.has(index)) throw new BenchmarkError(`${path}, line ${i + 1}: index ${index} is there twice`);
    const { prediction } = parsed.data;
    predictions.set(index, typeof prediction === 'string' ? prediction : numberText(prediction));
  }
  return { ...(header ? { header } : {}), predictions, wholeBytes };
}

const numberText = (value: number): string => (Number.isInteger(value) ? String(value) : formatFloatAsPython(value));

/** Predictions from our JSONL, or from the files that VLMEvalKit writes (.tsv, .xlsx). */
export function readPredictions(path: string): Predictions {
  if (!existsSync(path)) throw new BenchmarkError(`There is no file of predictions ${path}`);
  const kind = extname(path).toLowerCase();
  if (kind === '.jsonl') return readPredictionLines(path).predictions;
  if (kind === '.tsv') {
    const { columns } = readTsv(path);
    return pair(path, columns.get('index'), columns.get('prediction'));
  }
  if (kind === '.xlsx') {
    const [header = [], ...rows] = readWorkbook(path);
    const column = (name: string): string[] | undefined => {
      const at = header.indexOf(name);
      return at < 0 ? undefined : rows.map((row) => row[at] ?? '');
    };
    return pair(path, column('index'), column('prediction'));
  }
  throw new BenchmarkError(`${path}: predictions are .jsonl, or VLMEvalKit's .tsv or .xlsx`);
}

function pair(path: string, indices?: readonly string[], predictions?: readonly string[]): Predictions {
  if (!indices || !predictions) throw new BenchmarkError(`${path} has no columns "index" and "prediction"`);
  const pairs = new Map(indices.map((index, i) => [index, predictions[i] as string]));
  if (pairs.size !== indices.length) throw new BenchmarkError(`${path} has an index twice`);
  return pairs;
}

/** What a model thinks aloud does not count: the text after the last `</think>`. */
export function withoutThinking(predictions: Predictions): Predictions {
  const end = '</think>';
  return new Map(
    [...predictions].map(([index, text]) => [
      index,
      text.includes(end) ? strip(text.slice(text.lastIndexOf(end) + end.length)) : text,
    ]),
  );
}

/** A file of predictions that is being written. */
export class PredictionWriter {
  readonly predictions: Map<string, string>;
  readonly #fd: number;

  /**
   * Begins a file or goes on with it. Throws BenchmarkError if it belongs to another model, profile or table.
   */
  constructor(
    readonly path: string,
    header: PredictionsHeader,
  ) {
    mkdirSync(dirname(path), { recursive: true });
    const there = existsSync(path) ? readPredictionLines(path) : undefined;
    if (there && there.wholeBytes > 0 && JSON.stringify(there.header) !== JSON.stringify(header)) {
      throw new BenchmarkError(`${path} holds answers of another model, profile or table; name another --output`);
    }
    this.predictions = there?.predictions ?? new Map();
    this.#fd = openSync(path, 'a');
    if (there) ftruncateSync(this.#fd, there.wholeBytes);
    if (!there || there.wholeBytes === 0) this.#write(header);
  }

  /** On disk when it returns. */
  add(index: RowIndex, prediction: string, more: Readonly<Record<string, unknown>> = {}): void {
    this.#write({ index, prediction, ...more });
    this.predictions.set(String(index), prediction);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd, bytes, written);
    fsyncSync(this.#fd);
  }
}
