/**
 * How fast predictions are scored: rows a second and seconds for 100,000 rows, reading of table and predictions apart. Rows are made up in the layout of
 * the benchmarks' tables, with pictures of 2 kB that scoring leaves in the file. Run: npm run build && npx tsx bench/score.ts [--rows 100000]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findBenchmark } from '../dist/eval/benchmarks/index.js';
import { PROFILES } from '../dist/eval/benchmarks/option-inference.js';
import { readPredictions } from '../dist/eval/benchmarks/predictions.js';
import { QuestionSet } from '../dist/eval/benchmarks/question-set.js';
import { scoreBenchmark } from '../dist/eval/benchmarks/results.js';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '100000' }, picture: { type: 'string', default: '2000' } },
});
const rows = Number(values.rows);
const picture = 'A'.repeat(Number(values.picture));
const folder = mkdtempSync(join(tmpdir(), 'bench-score-'));

/** Always the same sequence. */
let state = 1;
const pick = <T>(items: readonly T[]): T => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return items[Math.floor((state / 2 ** 32) * items.length)] as T;
};
const THINGS = ['red mug', 'spoon', 'blue plate', 'naïve café', 'top drawer', '3.0', '50 %', 'a green towel'];
const LETTERS = ['A', 'B', 'C', 'D'];
const REPLIES = [
  () => pick(LETTERS),
  () => `The answer is ${pick(LETTERS)}.`,
  () => `I think it is the ${pick(THINGS)}, as it stands by the window.`,
  () => 'Hard to say from this picture alone, it may be one or the other.',
];
const short = (): string => pick([pick(THINGS), `${pick(THINGS)}.`, `The ${pick(THINGS)}`, '1,000', 'two']);

interface Kind {
  readonly id: string;
  readonly header: readonly string[];
  row(i: number): readonly string[];
  reply(): string;
}

const choice = (id: string, more: readonly string[], rest: () => readonly string[]): Kind => ({
  id,
  header: ['index', 'question', ...LETTERS, 'answer', 'category', ...more, 'image'],
  row: (i) => [
    String(i),
    `What is number ${i}?`,
    ...LETTERS.map(() => pick(THINGS)),
    pick(LETTERS),
    pick(['math', 'ocr']),
    ...rest(),
    picture,
  ],
  reply: () => pick(REPLIES)(),
});
const free = (id: string, answers: number, category: string): Kind => ({
  id,
  header: ['index', 'question', 'answer', 'category', 'image'],
  row: (i) => {
    const list = Array.from({ length: answers }, () => `'${short()}'`).join(', ');
    return [String(i), `What does sign ${i} say?`, `[${list}]`, category, picture];
  },
  reply: short,
});

const KINDS: readonly Kind[] = [
  choice('mmstar', [], () => []),
  choice('mmmu', ['split'], () => [pick(['dev', 'validation'])]),
  choice('mmbench', ['split'], () => [pick(['dev', 'test'])]),
  free('textvqa', 10, 'any'),
  free('docvqa', 2, 'any'),
  free('ocrbench', 1, 'Scene Text-centric VQA'),
];

console.log(
  '| benchmark | profile | rows | read, s | score, s | rows/s scored | rows/s in all |\n|---|---|---|---|---|---|---|',
);
try {
  for (const { id, header, row, reply } of KINDS) {
    const benchmark = findBenchmark(id);
    if (!benchmark) throw new Error(`no benchmark ${id}`);
    const table = join(folder, `${id}.tsv`);
    const lines = Array.from({ length: rows }, (_, i) => row(i).join('\t'));
    writeFileSync(table, `${[header.join('\t'), ...lines].join('\n')}\n`);
    const predictions = join(folder, `${id}.jsonl`);
    const said = Array.from({ length: rows }, (_, index) => JSON.stringify({ index, prediction: reply() }));
    writeFileSync(predictions, `${said.join('\n')}\n`);
    for (const profile of PROFILES) {
      const start = performance.now();
      const request = { benchmark, set: QuestionSet.open(table), predictions: readPredictions(predictions), profile };
      const read = performance.now();
      await scoreBenchmark(request);
      const end = performance.now();
      const seconds = (ms: number): string => (ms / 1000).toFixed(2);
      const rate = (ms: number): string => String(Math.round(rows / (ms / 1000)));
      console.log(
        `| ${benchmark.name} | ${profile} | ${rows} | ${seconds(read - start)} | ${seconds(end - read)} | ${rate(end - read)} | ${rate(end - start)} |`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
