import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DataError,
  DatasetConflictError,
  MissingDatasetError,
  questionWithOptions,
  readMultimodal,
  readQuestionRows,
} from '../../data/index.js';
import {
  FAMILIES,
  type Family,
  generateMultimodal,
  type MultimodalOptions,
  type MultimodalSummary,
} from '../../sim/index.js';
import type { Answerer } from './answerer.js';
import {
  answerMultimodal,
  chanceByFamily,
  countBy,
  evaluateMultimodal,
  questionFamilies,
} from './evaluate-multimodal.js';

const SIDE = 64;
let folder: string;
let root: string;
let summary: MultimodalSummary;

async function generate(options: MultimodalOptions, stopAfter = Number.POSITIVE_INFINITY): Promise<MultimodalSummary> {
  const abort = new AbortController();
  const events = generateMultimodal({ ...options, signal: abort.signal });
  for (let pictures = 0; ; ) {
    const { value, done } = await events.next();
    if (done) return value;
    if (value.kind === 'pictures' && ++pictures >= stopAfter) abort.abort(new Error('stopped'));
  }
}

/** Every file below a folder, with its content. */
function contentOf(path: string): Record<string, string> {
  const names = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((file) => [file.slice(path.length), readFileSync(file).toString('base64')]),
  );
}

/** A model that answers from a table of questions and pictures. */
function knowing(answerOf: (family: Family, question: string, image: Uint8Array) => string): Answerer {
  let family: Family = 'attribute';
  const byQuestion = new Map<string, Family>();
  for (const name of questionFamilies(root) as Family[])
    for (const row of readQuestionRows(join(root, 'test', `${name}.tsv`))) byQuestion.set(asked(row), name);
  return {
    imageSize: SIDE,
    answer: (images, questions) =>
      questions.map((question, i) => {
        family = byQuestion.get(question) ?? family;
        return answerOf(family, question, images[i] as Uint8Array);
      }),
  };
}

const asked = ({ question, options }: { question: string; options?: readonly string[] }): string =>
  options ? questionWithOptions(question, options) : question;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'multimodal-families-'));
  root = join(folder, 'data');
  summary = await generate({ out: root, samples: 160, test: 40, validation: 2 });
}, 240_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe('a generated data set', () => {
  it('is read by the training loader, with every family and no missing picture', () => {
    const { samples } = readMultimodal({ root });
    // A description of every picture besides.
    expect(samples).toHaveLength(160 + summary.pictures);
    expect(samples.filter(({ family }) => family === 'description')).toHaveLength(summary.pictures);
    for (const family of FAMILIES) expect(samples.filter((sample) => sample.family === family)).toHaveLength(20);
    expect(new Set(samples.map(({ image }) => image)).size).toBe(summary.pictures);
    const choices = samples.filter(({ question }) => question.includes('\nA. '));
    expect(choices.length).toBeGreaterThan(10);
    for (const { question, answer } of choices) {
      expect(question).toMatch(/\nA\. .+\nB\. .+\nC\. .+\nD\. .+\nAnswer with the letter\.$/);
      expect(answer).toMatch(/^[ABCD]$/);
    }
  });

  it('says its options, counts and chance levels', () => {
    const info = JSON.parse(readFileSync(join(root, 'info.json'), 'utf8'));
    expect(info).toMatchObject({ type: 'multimodal', options: { samples: 160, seed: 0, imageSize: SIDE } });
    expect(Object.keys(info.splits.test.families).sort()).toEqual([...FAMILIES].sort());
    expect(info.splits.test.questions).toBe(320);
    expect(info.splits.validation.questions).toBe(16);
    for (const family of FAMILIES) expect(summary.chance[family]).toBe(info.splits.test.families[family].chance);
    expect(existsSync(`${root}.partial`)).toBe(false);
  });

  it('is the same after an interruption and with another number of workers', async () => {
    const families = ['attribute', 'chart'] as const;
    const options = { samples: 60, test: 3, validation: 1, seed: 5, families };
    await generate({ ...options, out: join(folder, 'whole'), workers: 1 });
    const out = join(folder, 'stopped');
    await expect(generate({ ...options, out, workers: 2 }, 1)).rejects.toThrow('stopped');
    expect(existsSync(out)).toBe(false);
    await expect(generate({ ...options, out })).rejects.toThrow(DatasetConflictError);
    await expect(generate({ ...options, out, seed: 6, resume: true })).rejects.toThrow(/begun with other options/);
    await generate({ ...options, out, resume: true });
    expect(contentOf(out)).toEqual(contentOf(join(folder, 'whole')));
    await expect(generate({ ...options, out })).rejects.toThrow(DatasetConflictError);
    expect((await generate({ ...options, out, resume: true })).samples).toBe(60);
    // Another seed: other training pictures, the same test.
    await generate({ ...options, out, seed: 6, overwrite: true });
    expect(contentOf(join(out, 'test'))).toEqual(contentOf(join(folder, 'whole', 'test')));
    expect(contentOf(join(out, 'images'))).not.toEqual(contentOf(join(folder, 'whole', 'images')));
  }, 240_000);
});

describe('evaluateMultimodal', () => {
  it('gives full marks to a model that is right', async () => {
    const answers = new Map<string, string>();
    for (const family of FAMILIES)
      for (const row of readQuestionRows(join(root, 'test', `${family}.tsv`))) answers.set(asked(row), '');
    // Questions repeat, pictures do not: the order of asking tells them apart.
    const expected = FAMILIES.toSorted().flatMap((family) => readQuestionRows(join(root, 'test', `${family}.tsv`)));
    let at = 0;
    const answerer: Answerer = {
      imageSize: SIDE,
      answer: (images, questions) =>
        questions.map((question, i) => {
          expect(images[i]).toHaveLength(SIDE * SIDE * 3);
          const row = expected[at++] as (typeof expected)[number];
          expect(question).toBe(asked(row));
          return `The ${row.answer}.`;
        }),
    };
    const progress: number[] = [];
    const counts = await evaluateMultimodal({
      root,
      answerer,
      batchSize: 15,
      onProgress: (done) => progress.push(done),
    });
    expect(counts).toEqual(
      Object.fromEntries(FAMILIES.toSorted().map((family) => [family, { correct: 40, total: 40 }])),
    );
    expect(progress.at(-1)).toBe(320);
    expect(answers.size).toBeGreaterThan(100);
  });

  it('gives about chance to a model that says what is said most, and nothing to one that says nothing', async () => {
    const most = new Map<string, string>();
    for (const family of FAMILIES) {
      const counts = new Map<string, number>();
      for (const { answer } of readQuestionRows(join(root, 'test', `${family}.tsv`)))
        counts.set(answer, (counts.get(answer) ?? 0) + 1);
      most.set(family, [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] as string);
    }
    const answered = await answerMultimodal({ root, answerer: knowing((family) => most.get(family) as string) });
    const chance = chanceByFamily(answered);
    for (const [family, { correct, total }] of Object.entries(countBy(answered, (question) => question.family))) {
      expect(total).toBe(40);
      expect(correct / total, family).toBeLessThanOrEqual((chance[family] as number) + 0.06);
      expect(chance[family], family).toBeCloseTo(summary.chance[family] as number, 3);
    }
    const silent = await evaluateMultimodal({ root, answerer: knowing(() => '') });
    for (const { correct } of Object.values(silent)) expect(correct).toBe(0);
  });

  it('stops between batches when it is told to', async () => {
    let asked = 0;
    const answerer: Answerer = { imageSize: SIDE, answer: (_, questions) => questions.map(() => `${asked++}`) };
    // A timer is heard as Ctrl-C is: only if the event loop gets its turn.
    const signal = AbortSignal.timeout(5);
    await expect(evaluateMultimodal({ root, answerer, batchSize: 1, signal })).rejects.toThrow('timeout');
    expect(asked).toBeLessThan(40 * FAMILIES.length);
  });

  it('asks as much as it is told to, and names what is wrong', async () => {
    const answerer = knowing(() => 'red');
    const some = await evaluateMultimodal({ root, answerer, limit: 3, split: 'validation', families: ['chart'] });
    expect(some).toEqual({ chart: { correct: expect.any(Number), total: 2 } });
    await expect(evaluateMultimodal({ root: folder, answerer })).rejects.toThrow(MissingDatasetError);
    const short: Answerer = { imageSize: SIDE, answer: () => ['red'] };
    await expect(evaluateMultimodal({ root, answerer: short, limit: 2 })).rejects.toThrow(DataError);
    const lines = readFileSync(join(root, 'test', 'chart.tsv'), 'utf8').split('\n');
    const broken = join(folder, 'broken.tsv');
    writeFileSync(broken, [lines[0], lines[1]?.replace('\t', '')].join('\n'));
    expect(() => readQuestionRows(broken)).toThrow(/row 0, number of cells/);
    writeFileSync(broken, 'index\tquestion\tanswer\n');
    expect(() => readQuestionRows(broken)).toThrow(/no column "image"/);
  });
});
