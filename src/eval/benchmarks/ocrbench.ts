/**
 * OCRBench: reading text, forms and formulas. An answer counts where it contains the reference; out of 1,000. An empty prediction is the word "nan" and may
 * hit "a" or "n", as in the official tool.
 */
import { type Benchmark, type ScoredRow, tableText } from './benchmark.js';
import { BenchmarkError } from './errors.js';
import { picturesFirst } from './prompts.js';
import { PythonLiteralError, parsePythonLiteral } from './python-literal.js';
import { lower, strip } from './python-text.js';

/** Reported together as "Text Recognition". */
const RECOGNITION = [
  'Regular Text Recognition',
  'Irregular Text Recognition',
  'Artistic Text Recognition',
  'Handwriting Recognition',
  'Digit String Recognition',
  'Non-Semantic Text Recognition',
];
const MATHEMATICS = 'Handwritten Mathematical Expression Recognition';
const OTHERS = ['Scene Text-centric VQA', 'Doc-oriented VQA', 'Key Information Extraction', MATHEMATICS];
const CATEGORIES: ReadonlySet<string> = new Set([...RECOGNITION, ...OTHERS]);

export const ocrbench: Benchmark = {
  id: 'ocrbench',
  name: 'OCRBench',
  tables: ['OCRBench'],
  needs: ['question', 'answer', 'category'],
  maxTokens: 128,
  judge: 'never',
  ask: (set, row, pictures) => picturesFirst(pictures, tableText(set, 'question', row)),
  score: (answers) => {
    const counts = new Map<string, number>();
    const rows = answers.predictions.map((prediction, i): ScoredRow => {
      const index = answers.indices[i] as number | string;
      const category = answers.shown('category', i);
      if (!CATEGORIES.has(category)) {
        throw new BenchmarkError(
          `${answers.set.path}: row ${index} has the category '${category}', which OCRBench does not have`,
        );
      }
      const references = referencesOf(answers.shown('answer', i), index, answers.set.path);
      const hit = contains(prediction, references, category === MATHEMATICS);
      if (hit) counts.set(category, (counts.get(category) ?? 0) + 1);
      return { index, extracted: prediction, by: 'containment', hit: hit ? 1 : 0 };
    });
    const count = (category: string): number => counts.get(category) ?? 0;
    const scores: Record<string, number> = {
      'Text Recognition': RECOGNITION.map(count).reduce((a, b) => a + b, 0),
      ...Object.fromEntries(OTHERS.map((category) => [category, count(category)])),
    };
    const total = Object.values(scores).reduce((a, b) => a + b, 0);
    const main = total / 10;
    return { scores: { ...scores, 'Final Score': total, 'Final Score Norm': main }, main, rows, uninferable: 0 };
  },
};

/** The cell has to be a list of texts (a single text would be compared letter by letter, and is). */
function referencesOf(cell: string, index: number | string, path: string): readonly string[] {
  const wrong = (why: string): never => {
    throw new BenchmarkError(`${path}: the answer of row ${index} is no list of texts: ${why}`);
  };
  try {
    const value = parsePythonLiteral(cell);
    if (typeof value === 'string') return [...value];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value as string[];
    return wrong(cell.slice(0, 80));
  } catch (error) {
    if (error instanceof PythonLiteralError) return wrong(error.message);
    throw error;
  }
}

/** Formulas: spaces do not count, capitals do. Else capitals do not count, and a line break is a space. */
export function contains(prediction: string, references: readonly string[], formula: boolean): boolean {
  const evened = (text: string): string =>
    formula ? strip(text).replaceAll('\n', ' ').replaceAll(' ', '') : strip(lower(text)).replaceAll('\n', ' ');
  const given = evened(prediction);
  return references.some((reference) => given.includes(evened(reference)));
}
