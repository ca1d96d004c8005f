/**
 * Text for people: durations, percentages, tables, colour, progress. Colour and redrawn lines only on a terminal;
 * NO_COLOR switches colour off (https://no-color.org); pipes get plain lines.
 */
import { createColors } from 'picocolors';
import type { Interval } from '../eval/wilson.js';

/** A stream that progress can be written to. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
}

/** Colours for a stream: none in pipes or with NO_COLOR. */
export function coloursFor(stream: Output): ReturnType<typeof createColors> {
  return createColors(Boolean(stream.isTTY) && !process.env.NO_COLOR);
}

/** @param seconds >= 0 @returns `4.2 s`, `48 s`, `3 min 20 s`, `2 h 5 min` */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** @returns `82 %` of 0.82 */
export function formatRate(rate: number): string {
  return `${Math.round(rate * 100)} %`;
}

/** @returns `73-88` of a 95 % interval, in percent */
export function formatInterval({ low, high }: Interval): string {
  return `${Math.round(low * 100)}-${Math.round(high * 100)}`;
}

/** Columns aligned by their widest cell; numbers (`right`) to the right. */
export function formatTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = rows.reduce<number[]>((max, row) => row.map((cell, i) => Math.max(max[i] ?? 0, cell.length)), []);
  return rows
    .map((row) =>
      row
        .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/**
 * Progress of something countable with an estimate of the time left. Silent for the first three seconds; on a terminal
 * one redrawn line, in a pipe a line every ten seconds.
 */
export class Progress {
  readonly #started: number;
  #written = Number.NEGATIVE_INFINITY;
  #first: number | undefined;
  #drawn = false;

  constructor(
    readonly label: string,
    readonly total: number,
    readonly stream: Output = process.stderr,
    readonly now: () => number = () => performance.now() / 1000,
  ) {
    this.#started = now();
  }

  /** @param done how many of `total` are done, those of an earlier run included */
  update(done: number, note = ''): void {
    this.#first ??= done;
    const at = this.now();
    const elapsed = at - this.#started;
    if (elapsed < 3 || at - this.#written < (this.stream.isTTY ? 0.1 : 10)) return;
    this.#written = at;
    const fresh = done - this.#first;
    const left = fresh > 0 ? `, about ${formatDuration((elapsed / fresh) * (this.total - done))} left` : '';
    const share = formatRate(this.total > 0 ? done / this.total : 1);
    const line = `${this.label}  ${done}/${this.total}  ${share}  ${formatDuration(elapsed)}${left}${note ? `  ${note}` : ''}`;
    this.stream.write(this.stream.isTTY ? `\r\x1b[2K${line}` : `${line}\n`);
    this.#drawn = true;
  }

  /** Removes the redrawn line. */
  clear(): void {
    if (this.#drawn && this.stream.isTTY) this.stream.write('\r\x1b[2K');
    this.#drawn = false;
  }

  /** Says how it went, in place of the redrawn line. */
  finish(note: string): void {
    this.clear();
    this.stream.write(`${this.label}  ${note}  ${formatDuration(this.now() - this.#started)}\n`);
  }
}
