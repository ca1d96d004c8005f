/**
 * `metrics.jsonl` (one line an optimiser step, one a validation pass) and the TensorBoard file beside it.
 *
 * On resume, lines after the checkpoint's step, and a last line cut short by a kill, are removed, so that the file always
 * reads as one uninterrupted run. Numbers keep all their digits. Knows nothing about the training loop.
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { OutputWriteError } from './errors.js';
import { TensorBoardWriter } from './tensorboard.js';

/** One line of metrics.jsonl: the step it belongs to and scalars by name. */
export interface MetricsRecord {
  step: number;
  [name: string]: number | string;
}

export const METRICS_FILE = 'metrics.jsonl';

/** Reads the records of a run; a cut last line is left out. */
export function readMetrics(runDir: string): MetricsRecord[] {
  const path = join(runDir, METRICS_FILE);
  if (!existsSync(path)) return [];
  return completeLines(readFileSync(path, 'utf8')).map((line) => JSON.parse(line) as MetricsRecord);
}

function completeLines(text: string): string[] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '');
}

export class MetricsLog {
  readonly #path: string;
  readonly #lastGood: () => string | null;
  readonly #file: number;
  readonly #tensorboard: TensorBoardWriter | null;

  /**
   * @param afterStep keep only records up to this step (the checkpoint's; 0 for a fresh run)
   * @param lastGood names the checkpoint to continue from if writing fails
   * @throws OutputWriteError
   */
  constructor(runDir: string, afterStep: number, options: { tensorboard: boolean; lastGood: () => string | null }) {
    this.#path = join(runDir, METRICS_FILE);
    this.#lastGood = options.lastGood;
    this.#file = this.#named(() => {
      if (afterStep > 0 && existsSync(this.#path)) truncateAfter(this.#path, afterStep);
      return openSync(this.#path, afterStep > 0 ? 'a' : 'w');
    });
    this.#tensorboard = options.tensorboard
      ? this.#named(() => new TensorBoardWriter(runDir, afterStep > 0 ? afterStep : undefined))
      : null;
  }

  /** Appends a record. TensorBoard gets every number of it as `<group>/<name>`. @throws OutputWriteError */
  write(record: MetricsRecord, group: 'train' | 'validation'): void {
    this.#named(() => {
      const line = Buffer.from(`${JSON.stringify(record)}\n`);
      let written = 0;
      while (written < line.length) written += writeSync(this.#file, line, written);
      const scalars: Record<string, number> = {};
      for (const [name, value] of Object.entries(record)) {
        if (name !== 'step' && typeof value === 'number') scalars[`${group}/${name}`] = value;
      }
      this.#tensorboard?.writeScalars(record.step, scalars);
    });
  }

  #named<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw new OutputWriteError(this.#path, (error as Error).message, this.#lastGood());
    }
  }

  close(): void {
    closeSync(this.#file);
    this.#tensorboard?.close();
  }
}

function truncateAfter(path: string, afterStep: number): void {
  const kept = completeLines(readFileSync(path, 'utf8')).filter(
    (line) => (JSON.parse(line) as MetricsRecord).step <= afterStep,
  );
  const rewritten = `${path}.rewriting`;
  writeFileSync(rewritten, kept.map((line) => `${line}\n`).join(''), { flush: true });
  renameSync(rewritten, path);
}
