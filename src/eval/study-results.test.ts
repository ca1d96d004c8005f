import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { paper, type Study } from '../recipes/index.js';
import type { EpisodeRecord } from './episode-log.js';
import { studyPaths } from './study-folder.js';
import { writeMadeUpStudy } from './study-folder.test-support.js';
import { NothingMeasuredError, writeStudyReports } from './study-report.js';
import { answer, compare, pairedHalfWidth, pooledCounts, readStudyResults, verdictOf } from './study-results.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-study-'));
  const plain = { reasons: false, time: 0.01 };
  const thinking = { reasons: true, time: 0.05 };
  writeMadeUpStudy(join(folder, 'four'), {
    specialist: { successes: [17], correct: [5], ...plain },
    base: { successes: [12, 13, 12, 11], correct: [30, 31, 30, 29], ...thinking },
    continued: { successes: [18, 18, 19, 18], correct: [5, 5, 5, 5], ...plain },
    'no-text': { successes: [17, 18, 17, 17], correct: [28, 29, 28, 29], ...plain },
    dualvla: { successes: [16, 17, 16, 17], correct: [30, 30, 31, 30], reasons: true, time: 0.03 },
    'random-pruning': { successes: [17, 16, 16, 17], correct: [30, 30, 31, 30], reasons: true, time: 0.03 },
    'no-reasoning-teacher': { successes: [16, 17, 16, 17], correct: [33, 34, 33, 34], reasons: true, time: 0.03 },
  });
  writeMadeUpStudy(join(folder, 'one'), {
    base: { successes: [12], correct: [30], ...thinking },
    dualvla: { successes: [16], correct: [30], ...thinking },
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('several seeds', () => {
  test('differences are paired by seed, with a t interval', () => {
    const results = readStudyResults(join(folder, 'four'), 'test');
    const difference = compare(results, { a: 'base', b: 'continued', measure: 'success' });
    // Of 20 scenes: -6, -5, -7, -7, i.e. -30, -25, -35, -35 points: mean -31.25, s = 4.7871, t(3) = 3.18245.
    expect(difference?.seeds).toEqual([0, 1, 2, 3]);
    expect(difference?.estimate.mean).toBeCloseTo(-31.25, 10);
    const half = (3.182446 * 4.787136) / 2;
    expect(difference?.estimate.interval?.[0]).toBeCloseTo(-31.25 - half, 4);
    expect(difference?.estimate.interval?.[1]).toBeCloseTo(-31.25 + half, 4);
    expect(difference?.withinSeed).toBeNull();
  });

  test('each hypothesis has its answer', () => {
    const answers = answer(readStudyResults(join(folder, 'four'), 'test'));
    expect(Object.fromEntries(answers.map(({ hypothesis, verdict }) => [hypothesis.id, verdict]))).toEqual({
      H1: 'shown',
      H2: 'shown',
      H3: 'not shown',
      H4: 'not shown',
      H5: 'reversed',
      H6: 'shown',
    });
  });

  test('a model that is trained once stands beside every seed', () => {
    const results = readStudyResults(join(folder, 'four'), 'test');
    const difference = compare(results, { a: 'dualvla', b: 'specialist', measure: 'success' });
    // 16, 17, 16 and 17 of 20 beside 17.
    expect(difference?.seeds).toEqual([0, 1, 2, 3]);
    expect(difference?.estimate.mean).toBeCloseTo(-2.5, 10);
    const reversed = compare(results, { a: 'specialist', b: 'dualvla', measure: 'success' });
    expect(reversed?.seeds).toEqual([0, 1, 2, 3]);
    expect(reversed?.estimate.mean).toBeCloseTo(2.5, 10);
  });

  test('counts of all seeds together', () => {
    const continued = readStudyResults(join(folder, 'four'), 'test').models.find(({ name }) => name === 'continued');
    expect(Object.values(pooledCounts(continued as NonNullable<typeof continued>))[0]).toEqual({
      successes: 73,
      trials: 80,
    });
  });
});

describe('one seed', () => {
  test('gives a difference over paired scenes and no verdict', () => {
    const [h2] = answer(readStudyResults(join(folder, 'one'), 'test'));
    expect(h2?.hypothesis.id).toBe('H2');
    expect(h2?.verdict).toBeNull();
    const [part] = h2?.parts ?? [];
    expect(part?.estimate).toMatchObject({ n: 1, interval: null });
    expect(part?.estimate.mean).toBeCloseTo(20, 10);
    expect(part?.withinSeed?.over).toBe('paired scenes');
  });

  test('the paired interval by hand', () => {
    const scenes = (successes: readonly number[]): EpisodeRecord[] =>
      successes.map((success, index) => ({
        ...{
          task: 'google/open-drawer',
          variant: 'vm',
          split: 'test',
          seed: 0,
          steps: 1,
          maxSteps: 1,
          instruction: '',
        },
        index,
        success: success === 1,
      })) as EpisodeRecord[];
    // Four pairs: one for a alone, none for b alone: variance (1 + 1 - 1 / 6) / 36.
    const half = pairedHalfWidth(scenes([1, 1, 0, 0]), scenes([1, 0, 0, 0]));
    expect(half).toBeCloseTo(1.959964 * Math.sqrt((2 - 1 / 6) / 36), 6);
    expect(pairedHalfWidth(scenes([1]), [])).toBeNull();
  });
});

test('verdicts follow from where the interval lies', () => {
  const at = (low: number, high: number) => ({ estimate: { mean: 0, n: 8, interval: [low, high] as const } });
  const below = { a: '', b: '', measure: 'success', side: 'below' } as const;
  const above = { ...below, side: 'above', margin: 3 } as const;
  expect(verdictOf(below, at(-5, -1))).toBe('shown');
  expect(verdictOf(below, at(-5, 1))).toBe('not shown');
  expect(verdictOf(below, at(1, 5))).toBe('reversed');
  expect(verdictOf(above, at(-2.9, 1))).toBe('shown');
  expect(verdictOf(above, at(-3.1, 1))).toBe('not shown');
  expect(verdictOf(above, at(-9, -4))).toBe('reversed');
  expect(verdictOf(above, null)).toBeNull();
});

/** The study with another training of one model. */
function changed(name: string): Study {
  const flow = paper('flow');
  const models = flow.models.map((model) => (model.name === name ? { ...model, train: { steps: 7 } } : model));
  return { ...flow, models };
}

describe('the report', () => {
  test('keeps what it holds of other studies and says where the numbers are', async () => {
    const out = join(folder, 'results');
    await writeStudyReports({ folders: [join(folder, 'four')], out, split: 'test' });
    const numbers = JSON.parse(readFileSync(join(out, 'paper.json'), 'utf8'));
    expect(numbers['paper-flow'].models.base.seeds['2'].success['google/open-drawer/vm']).toEqual({
      successes: 12,
      trials: 20,
    });
    expect(numbers['paper-flow'].models.base.means.success.n).toBe(4);
    const text = readFileSync(join(out, 'paper-flow.md'), 'utf8');
    expect(text).toMatch(
      /\| H1 \|.*\| shown \| base - continued, success: -31\.[23] points \(-38\.9 to -23\.6; 4 seeds\)/,
    );
    expect(text).toMatch(/\| dualvla \|.*\| 61\.0 \(DualVLA\) \|/);
    const page = readFileSync(join(out, 'paper-flow.html'), 'utf8');
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(7);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  const measured = { correct: [30, 30], reasons: false, time: 0.01 };
  const sittings = async (name: string, second: Study) => {
    const out = join(folder, name);
    const [first, later] = [join(folder, `${name}-1`), join(folder, `${name}-2`)];
    writeMadeUpStudy(first, { base: { successes: [10, 12], ...measured } });
    writeMadeUpStudy(later, { base: { successes: [14, 16], ...measured } }, { study: second, first: 1 });
    await writeStudyReports({ folders: [first], out, split: 'test' });
    await writeStudyReports({ folders: [later], out, split: 'test' });
    const { models, seeds } = JSON.parse(readFileSync(join(out, 'paper.json'), 'utf8'))['paper-flow'];
    return { models, seeds, success: models.base.means.success };
  };

  test('seeds of an earlier sitting stay; those measured again are replaced', async () => {
    const { seeds, success } = await sittings('same', paper('flow'));
    expect(seeds).toEqual([0, 1, 2]);
    // 10, 14 and 16 of 20.
    expect(success.n).toBe(3);
    expect(success.mean).toBeCloseTo(200 / 3, 10);
  });

  test('another model in the study changes nothing of those that are there; one that is gone stays', async () => {
    const flow = paper('flow');
    const more = { ...flow, models: [...flow.models, { name: 'new', role: '', from: 'base', train: {} }] };
    expect((await sittings('more', more)).success.n).toBe(3);
    const fewer = { ...flow, models: flow.models.filter(({ name }) => name !== 'base') };
    const out = join(folder, 'more');
    const last = join(folder, 'fewer');
    writeMadeUpStudy(last, { dualvla: { successes: [15], ...measured } }, { study: fewer, first: 7 });
    await writeStudyReports({ folders: [last], out, split: 'test' });
    const { models } = JSON.parse(readFileSync(join(out, 'paper.json'), 'utf8'))['paper-flow'];
    expect(Object.keys(models.base.seeds)).toEqual(['0', '1', '2']);
    expect(Object.keys(models.dualvla.seeds)).toEqual(['7']);
  });

  test.each([
    ['data', { ...paper('flow'), held_out_per_task: 1 }],
    ['training of what it is made from', changed('specialist')],
  ])('seeds that were made with other settings (%s) are refused, and stay', async (what, second) => {
    await expect(sittings(`other ${what}`, second)).rejects.toThrow(/paper.json: paper-flow has .* base \(seeds 0\);/);
    const { models } = JSON.parse(readFileSync(join(folder, `other ${what}`, 'paper.json'), 'utf8'))['paper-flow'];
    expect(Object.keys(models.base.seeds)).toEqual(['0', '1']);
  });

  test('seeds that are made from another specialist are refused, and stay', async () => {
    const out = join(folder, 'specialists');
    const sitting = async (name: string, first: number, weights: string): Promise<void> => {
      const from = join(folder, name);
      writeMadeUpStudy(from, { base: { successes: [10], ...measured } }, { first });
      const { records, run } = studyPaths(from);
      const pretrained = join(run(0, 'specialist'), 'checkpoints', 'last', 'pretrained_model');
      mkdirSync(pretrained, { recursive: true });
      writeFileSync(join(pretrained, 'model.safetensors'), weights);
      writeFileSync(
        records,
        JSON.stringify({ 'seed-0/train/specialist': { hash: '', commit: '', seconds: 1, finished: '-' } }),
      );
      await writeStudyReports({ folders: [from], out, split: 'test' });
    };
    const read = () => JSON.parse(readFileSync(join(out, 'paper.json'), 'utf8'))['paper-flow'];
    await sitting('one specialist', 0, 'these weights');
    await sitting('the same specialist', 1, 'these weights');
    expect(read().seeds).toEqual([0, 1]);
    await expect(sitting('another specialist', 2, 'other weights')).rejects.toThrow(
      /paper.json: paper-flow has seeds that are made from other weights of specialist \([0-9a-f]{16}, here [0-9a-f]{16}\);/,
    );
    expect(read().seeds).toEqual([0, 1]);
  });

  test('drawings travel with the results: curves of seeds and prunings that are not in the folder stay', async () => {
    const out = join(folder, 'travels');
    const [first, later] = [join(folder, 'travels-1'), join(folder, 'travels-2')];
    writeMadeUpStudy(first, { base: { successes: [10, 12], ...measured }, dualvla: { successes: [15], ...measured } });
    const report = studyPaths(first).pruneReport('dual-layer');
    mkdirSync(dirname(report), { recursive: true });
    writeFileSync(report, JSON.stringify({ frames: 100, kept: 20, time: [], reasoning: null }));
    writeMadeUpStudy(later, { base: { successes: [14], ...measured } }, { first: 2 });
    const read = () => JSON.parse(readFileSync(join(out, 'drawings.json'), 'utf8'))['paper-flow'];
    await writeStudyReports({ folders: [first], out, split: 'test' });
    const before = read();
    await writeStudyReports({ folders: [later], out, split: 'test' });
    const { curves, prunings } = read();

    expect(curves.dualvla).toEqual(before.curves.dualvla);
    expect(curves.base.loss.seeds).toEqual([0, 1, 2]);
    // The loss of seed s at step 1 is 2 + 0.02 sin(s), to five digits before and after.
    expect(curves.base.loss.points[0][0]).toBe(1);
    expect(curves.base.loss.points[0][1]).toBeCloseTo(2 + (0.02 * (Math.sin(1) + Math.sin(2))) / 3, 3);
    expect(prunings['dual-layer'].kept).toBe(20);
    expect(readFileSync(join(out, 'paper-flow.md'), 'utf8')).toContain('20 of 100 frames');
    // Once more: seeds that are there already do not count twice.
    await writeStudyReports({ folders: [later], out, split: 'test' });
    expect(read().curves).toEqual(curves);
  });

  test('what guessing would answer stands under the models, by the questions of the split', async () => {
    const [from, out] = [join(folder, 'guesses'), join(folder, 'guesses-out')];
    writeMadeUpStudy(from, { base: { successes: [10], ...measured } });
    const tables = async () => {
      await writeStudyReports({ folders: [from], out, split: 'test' });
      return readFileSync(join(out, 'paper-flow.md'), 'utf8');
    };
    expect(await tables()).not.toContain('guessing');
    const chances = { attribute: 0.25, chart: 0.31, counting: 0.24, open: 0.02 };
    const families = Object.fromEntries(Object.entries(chances).map(([family, chance]) => [family, { chance }]));
    mkdirSync(studyPaths(from).questions, { recursive: true });
    const info = { splits: { test: { families }, validation: { families: { counting: { chance: 0.5 } } } } };
    writeFileSync(join(studyPaths(from).questions, 'info.json'), JSON.stringify(info));
    expect(await tables()).toContain('| (guessing) | 20.5 | 25 | 31 | 24 | 2 |');
    expect(JSON.parse(readFileSync(join(out, 'paper.json'), 'utf8'))['paper-flow'].guessing).toEqual(chances);
  });

  test('a study without measurements is refused', async () => {
    const options = { folders: [join(folder, 'four')], out: join(folder, 'none'), split: 'validation' };
    await expect(writeStudyReports(options)).rejects.toThrow(NothingMeasuredError);
  });
});
