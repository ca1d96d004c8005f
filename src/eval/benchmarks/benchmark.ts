/**
 * What a benchmark is: how it asks, and how it scores what came back. One small file a benchmark implements it.
 */
import { BenchmarkError } from './errors.js';
import type { Judge } from './judge.js';
import type { Profile } from './option-inference.js';
import { type Column, cellText, type PredictionFormat, presentText, takeRows, throughFile } from './pandas-column.js';
import type { Wording } from './prompts.js';
import type { QuestionSet, RowIndex } from './question-set.js';

/** Part of a message to a model: words, or the row's picture with this number. */
export type MessagePart = { readonly text: string } | { readonly picture: number };

/** One row's outcome. */
export interface ScoredRow {
  readonly index: RowIndex;
  /** What was taken for the answer; false where the rules (and the judge) do not tell. */
  readonly extracted: string | false;
  /** Which rule or judge took it. */
  readonly by: string;
  /** 1 right, 0 wrong; for MMBench that of the whole group. */
  readonly hit?: 0 | 1;
  /** 0 to 1. */
  readonly score?: number;
  /** MMBench: the question whose rotations belong together, and whether this rotation is right. */
  readonly group?: number;
  readonly right?: 0 | 1;
}

export interface BenchmarkScore {
  /** On the benchmark's own scale, by split or category; null where a category has no row. */
  readonly scores: Readonly<Record<string, number | null>>;
  /** 0 to 100. */
  readonly main: number;
  readonly rows: readonly ScoredRow[];
  /** Rows without a usable answer. */
  readonly uninferable: number;
}

export interface ScoreOptions {
  readonly profile: Profile;
  readonly judge?: Judge;
  /** Questions to the judge at once; 8 by default. */
  readonly judgeAtOnce?: number;
  /** The judges' instructions. */
  readonly wording: Wording;
}

export interface Benchmark {
  /** Short name: `mmstar`. */
  readonly id: string;
  /** As the paper has it: `MMStar`. */
  readonly name: string;
  /** VLMEvalKit's names of its tables, the one that is scored first. */
  readonly tables: readonly string[];
  /** The table's columns it cannot do without. */
  readonly needs: readonly string[];
  /** Longest answer asked for, in tokens. */
  readonly maxTokens: number;
  /** "never": rules alone; "may": a judge helps where rules fail; "must": it scores nothing without one. */
  readonly judge: 'never' | 'may' | 'must';
  ask(set: QuestionSet, row: number, pictures: number, profile: Profile, wording: Wording): MessagePart[];
  score(answers: AnsweredRows, options: ScoreOptions): BenchmarkScore | Promise<BenchmarkScore>;
}

/** Predictions by index. */
export type Predictions = ReadonlyMap<string, string>;

/**
 * The rows that have predictions, as the scoring functions of VLMEvalKit see them: after the way through the prediction file, which turns
 * empty predictions into the word "nan".
 */
export class AnsweredRows {
  readonly indices: readonly RowIndex[];
  /** The table's columns, by VLMEvalKit's lower-cased names (option letters stay). */
  readonly columns: ReadonlyMap<string, Column>;
  readonly predictions: readonly string[];
  /** The predictions themselves, before any file. */
  readonly given: readonly string[];
  /** Rows of the question set, in its order. */
  readonly rows: readonly number[];

  constructor(
    readonly set: QuestionSet,
    predictions: Predictions,
    profile: Profile,
    format: PredictionFormat,
    times = 1,
  ) {
    const rows = set.indices.map((_, row) => row).filter((row) => predictions.has(String(set.indices[row])));
    const formulas = profile === 'instructvla';
    const through = (column: Column): Column => {
      let out = column;
      for (let i = 0; i < times; i++) out = throughFile(out, format, formulas);
      return out;
    };
    const said = rows.map((row) => predictions.get(String(set.indices[row])) as string);
    const prediction = through({ kind: 'text', cells: said });
    this.rows = rows;
    this.given = said;
    this.indices = rows.map((row) => set.indices[row] as RowIndex);
    this.columns = new Map(
      [...set.columns].map(([name, column]) => [columnName(name), through(takeRows(column, rows))]),
    );
    this.predictions = rows.map((_, i) => cellText(prediction, i));
  }

  /** `str(cell)` in the prediction file; undefined where it is empty or there is no such column. */
  text(name: string, i: number): string | undefined {
    return presentText(this.columns.get(name), i);
  }

  /** `str(cell)` where an empty one is "nan". Throws BenchmarkError without the column. */
  shown(name: string, i: number): string {
    const column = this.columns.get(name);
    if (!column) throw new BenchmarkError(`${this.set.path} has no column "${name}"`);
    return cellText(column, i);
  }
}

const columnName = (name: string): string => (/^[A-Z]$/.test(name) ? name : name.toLowerCase());

/** `str(cell)` of the table itself, before any prediction file; "nan" for an empty one. */
export const tableText = (set: QuestionSet, name: string, row: number): string => set.text(name, row) ?? 'nan';
