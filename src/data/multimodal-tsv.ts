/**
 * Question sets in the tab-separated layout of VLMEvalKit: `index, image (base64), question, [A, B, C, D], answer, category, ...`, one line a
 * question, cells with quotes, tabs or line breaks quoted as pandas does. Also the wording that shows options to a model.
 *
 * Knows nothing about scoring.
 */
import { existsSync, readFileSync } from 'node:fs';
import { writeDurable } from './durable-file.js';
import { CorruptDatasetError, MissingDatasetError } from './errors.js';

export const OPTION_LETTERS = ['A', 'B', 'C', 'D'] as const;
export type OptionLetter = (typeof OPTION_LETTERS)[number];

/** One question of a test set. */
export interface QuestionRow {
  readonly index: number;
  /** The picture file's bytes. */
  readonly image: Uint8Array;
  /** Without its options. */
  readonly question: string;
  /** Texts of A to D; absent for free answers. */
  readonly options?: readonly string[];
  /** The letter of the right option, or the expected words. */
  readonly answer: string;
  /** What a free answer has to contain; absent where the answer is compared as a whole. */
  readonly facts?: readonly string[];
  /** Kind of question within the file. */
  readonly category: string;
  /** "seen" or "held-out": whether training shows the combination that is asked about. */
  readonly novelty: string;
  /** Probability of guessing right, 0..1. */
  readonly chance: number;
}

const COLUMNS = [
  'index',
  'image',
  'question',
  ...OPTION_LETTERS,
  'answer',
  'category',
  'l2-category',
  'facts',
  'chance',
] as const;

/** A question with its options, as models see it in training and in tests. */
export function questionWithOptions(question: string, options: readonly string[]): string {
  const lines = options.map((option, i) => `${OPTION_LETTERS[i]}. ${option}`);
  return [question, ...lines, 'Answer with the letter.'].join('\n');
}

const cell = (text: string): string => (/["\t\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Writes a question set, whole or not at all. */
export function writeQuestionRows(path: string, rows: readonly QuestionRow[]): void {
  const lines = rows.map((row) =>
    [
      String(row.index),
      Buffer.from(row.image).toString('base64'),
      row.question,
      ...OPTION_LETTERS.map((_, i) => row.options?.[i] ?? ''),
      row.answer,
      row.category,
      row.novelty,
      row.facts ? JSON.stringify(row.facts) : '',
      String(row.chance),
    ]
      .map(cell)
      .join('\t'),
  );
  writeDurable(path, `${[COLUMNS.join('\t'), ...lines].join('\n')}\n`);
}

/**
 * Reads a question set. Columns may come in any order; `facts`, `chance` and the options may be missing.
 * Throws MissingDatasetError without the file, and CorruptDatasetError with the row and column for what is out of shape.
 */
export function readQuestionRows(path: string): QuestionRow[] {
  if (!existsSync(path)) throw new MissingDatasetError('There is no such question set', { file: path });
  const [header, ...body] = parseTsv(readFileSync(path, 'utf8'), path);
  const columns = new Map((header ?? []).map((name, i) => [name, i]));
  for (const name of ['index', 'image', 'question', 'answer'])
    if (!columns.has(name))
      throw new CorruptDatasetError(`There is no column "${name}"`, { file: path, field: 'line 1' });
  return body.map((cells, i) => {
    const wrong = (what: string, column: string): CorruptDatasetError =>
      new CorruptDatasetError(what, { file: path, field: `row ${i}, ${column}` });
    if (cells.length !== columns.size)
      throw wrong(`${cells.length} cells under ${columns.size} columns`, 'number of cells');
    const at = (name: string): string => {
      const column = columns.get(name);
      return column === undefined ? '' : (cells[column] as string);
    };
    const index = Number(at('index'));
    if (at('index') === '' || !Number.isInteger(index)) throw wrong(`'${at('index')}' is no whole number`, 'index');
    for (const name of ['image', 'question', 'answer']) if (at(name) === '') throw wrong('The cell is empty', name);
    const options = OPTION_LETTERS.map(at).filter((text) => text !== '');
    const chance = Number(at('chance') || (options.length > 0 ? 1 / options.length : 0));
    if (!(chance >= 0 && chance <= 1)) throw wrong(`'${at('chance')}' is no probability`, 'chance');
    const facts =
      at('facts') === '' ? undefined : parseFacts(at('facts'), () => wrong('No JSON list of texts', 'facts'));
    return {
      index,
      image: Buffer.from(at('image'), 'base64'),
      question: at('question'),
      ...(options.length > 0 ? { options } : {}),
      answer: at('answer'),
      ...(facts ? { facts } : {}),
      category: at('category'),
      novelty: at('l2-category'),
      chance,
    };
  });
}

function parseFacts(text: string, wrong: () => Error): string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw wrong();
  }
  if (!Array.isArray(parsed) || parsed.length === 0 || !parsed.every((fact) => typeof fact === 'string')) throw wrong();
  return parsed as string[];
}

/** Lines of cells; quoted cells may hold tabs and line breaks, "" in them is a quote. */
function parseTsv(text: string, file: string): string[][] {
  const lines: string[][] = [];
  let cells: string[] = [];
  let at = 0;
  while (at < text.length) {
    let value: string;
    if (text[at] === '"') {
      let from = at + 1;
      value = '';
      for (;;) {
        const quote = text.indexOf('"', from);
        if (quote < 0)
          throw new CorruptDatasetError('A quoted cell does not end', { file, field: `line ${lines.length + 1}` });
        value += text.slice(from, quote);
        at = quote + 1;
        if (text[at] !== '"') break;
        value += '"';
        from = at + 1;
      }
    } else {
      let end = at;
      while (end < text.length && text[end] !== '\t' && text[end] !== '\n') end++;
      value = text.slice(at, end).replace(/\r$/, '');
      at = end;
    }
    cells.push(value);
    if (text[at] === '\r') at++;
    if (text[at] === '\t') {
      at++;
      if (at < text.length) continue;
      cells.push('');
    }
    at++;
    lines.push(cells);
    cells = [];
  }
  return lines;
}
