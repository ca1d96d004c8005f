/** SimplerEnv's manifest, results, averages and actions against the official values, copied rows always, all of them where they are shared. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GOLDEN_MISSING, goldenJson, goldenLines, goldenPath } from '../benchmarks/golden.test-support.js';
import {
  ActionProcessor,
  checkPaperTable,
  compareSimpler,
  PAPER_TABLE,
  PROCESSING,
  planSimpler,
  proprioception,
  readSimplerResults,
  SIMPLER_ROBOTS,
  SIMPLER_RUNS,
  type SimplerPolicy,
  type SimplerRobot,
  type SimplerRun,
  simplerMarkdown,
  summariseSimpler,
} from './index.js';
import * as official from './official-values.test-support.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'simpler-env-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A file of these lines. */
function file(name: string, lines: readonly unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

/** A line a run, with the copied outcomes. */
function runLines(): { run: number; success: string; grasped?: string; max_episode_steps: number }[] {
  const [success, grasped] = [official.SUCCESS_BITS, official.GRASPED_BITS].map((bits) => {
    let at = 0;
    return (count: number): string => {
      at += count;
      return bits.slice(at - count, at);
    };
  }) as [(count: number) => string, (count: number) => string];
  return SIMPLER_RUNS.map(({ run, n_episodes, task, max_episode_steps }) => ({
    run,
    success: success(n_episodes),
    ...(task === 'bridge' ? { grasped: grasped(n_episodes) } : {}),
    max_episode_steps,
  }));
}

/** The same, a line an episode. */
const episodeLines = () =>
  runLines().flatMap(({ run, success, grasped, max_episode_steps }) =>
    [...success].map((bit, episode) => ({
      run,
      episode,
      success: bit === '1',
      ...(grasped ? { grasped: grasped[episode] === '1' } : {}),
      max_episode_steps,
    })),
  );

const read = (...paths: readonly string[]) => readSimplerResults(paths);

describe('runs', () => {
  test('340 of them, numbered through, with the episodes and step limits of the protocol', () => {
    expect(SIMPLER_RUNS.map(({ run }) => run)).toEqual(Array.from({ length: 340 }, (_, i) => i));
    const count = (task: string, setting: string) =>
      SIMPLER_RUNS.filter((run) => run.task === task && run.setting === setting && run.in_average).reduce(
        (sum, { n_episodes }) => sum + n_episodes,
        0,
      );
    expect(count('pick_coke_can', 'visual_matching')).toBe(300);
    expect(count('pick_coke_can', 'variant_agg')).toBe(675);
    expect(count('move_near', 'visual_matching')).toBe(240);
    expect(count('move_near', 'variant_agg')).toBe(480);
    expect(count('drawer', 'visual_matching')).toBe(216);
    expect(count('drawer', 'variant_agg')).toBe(378);
    expect(count('put_apple_in_drawer', 'visual_matching')).toBe(108);
    expect(count('put_apple_in_drawer', 'variant_agg')).toBe(189);
    expect(count('bridge', 'visual_matching')).toBe(96);
    const limits = SIMPLER_RUNS.map(({ task, env, max_episode_steps }) => [
      env.startsWith('PutEggplant') ? 'eggplant' : task,
      max_episode_steps,
    ]);
    expect(new Map(limits as [string, number][])).toEqual(
      new Map([
        ['pick_coke_can', 80],
        ['move_near', 80],
        ['drawer', 113],
        ['put_apple_in_drawer', 200],
        ['bridge', 60],
        ['eggplant', 120],
      ]),
    );
  });

  test.skipIf(GOLDEN_MISSING)(`are the official ones in every field (${GOLDEN_MISSING ?? 'shared'})`, () => {
    const golden = goldenLines<SimplerRun & { success?: string; grasped?: string }>('simpler', 'runs.jsonl');
    const stripped = golden.map(({ success: _success, grasped: _grasped, ...run }) => run);
    expect(SIMPLER_RUNS).toEqual(stripped);
    expect(SIMPLER_ROBOTS).toEqual(goldenJson<{ common: unknown }>('simpler', 'expected.json').common);
  });
});

describe('averages', () => {
  test('of the copied outcomes are the official ones to the last bit, from run lines and from episode lines', () => {
    for (const lines of [runLines(), episodeLines().reverse()]) {
      const summary = summariseSimpler(read(file('all.jsonl', lines)));
      expect(summary.groups).toEqual(official.OFFICIAL_GROUPS);
      expect(summary.columns).toEqual(official.OFFICIAL_COLUMNS);
      expect(summary.average).toBe(official.OFFICIAL_AVERAGE);
      expect(summary.average?.toFixed(6)).toBe('0.502780');
      expect(summary.partial).toBe(false);
      expect(summary.episodes).toBe(2952);
    }
  });

  test.skipIf(GOLDEN_MISSING)(`of the shared runs are the official ones (${GOLDEN_MISSING ?? 'shared'})`, () => {
    const expected = goldenJson<{
      upstream_calc: Record<string, number>;
      dualvla_table_columns: Record<string, number>;
      dualvla_avg_of_9: number;
      instructvla_easy_percent_rounded1: Record<'variant_agg' | 'visual_matching', Record<string, number>>;
    }>('simpler', 'expected.json');
    const summary = summariseSimpler(read(goldenPath('simpler', 'runs.jsonl')));
    expect(summary.groups).toEqual(expected.upstream_calc);
    expect(summary.columns).toEqual(expected.dualvla_table_columns);
    expect(summary.average).toBe(expected.dualvla_avg_of_9);
    const easy = expected.instructvla_easy_percent_rounded1;
    for (const [setting, short] of [
      ['variant_agg', 'VA'],
      ['visual_matching', 'VM'],
    ] as const) {
      for (const [task, name] of [
        ['pick_coke_can', 'pick_can'],
        ['move_near', 'move_near'],
        ['drawer', 'drawer'],
        ['put_apple_in_drawer', 'apple_in_drawer'],
      ] as const) {
        const rate = summary.details.find((one) => one.name === `${name}/${short}`)?.rate ?? Number.NaN;
        expect(Number((100 * rate).toFixed(1))).toBe(easy[setting][task]);
      }
    }
  });

  test('of a part say so, and are over what is there', () => {
    const lines = episodeLines().filter(({ run }) => run === 336 || (run < 12 && run % 3 === 0));
    const summary = summariseSimpler(read(file('part.jsonl', lines.slice(0, -1))));
    expect(summary.partial).toBe(true);
    expect(summary.columns['drawer/VM']).toBeNull();
    // Of the three poses one was run.
    expect(summary.columns['pick_can/VM']).toBe(official.OFFICIAL_GROUPS['pick_coke_can/horizontal/visual_matching']);
    const can = summary.details.find(({ name }) => name === 'pick_can/VM');
    expect(can).toMatchObject({ trials: 100, expected: 300, partial: true });
    expect(summary.averages.nine).toMatchObject({ columns: 2, of: 9, partial: true });
    expect(summary.average).toBeCloseTo(
      ((summary.columns['pick_can/VM'] ?? 0) + (summary.columns.put_carrot ?? 0)) / 2,
      15,
    );
    expect(summary.notes.join('\n')).toMatch(/Partial: .*put_carrot 23\/24/);
    expect(summary.notes.join('\n')).toMatch(/Too few trials .*put_carrot: 23/);
  });

  test('of looks tried unequally often weigh looks alike, and the interval knows', () => {
    const lines = [
      ...Array.from({ length: 60 }, (_, episode) => ({ run: 45, episode, success: true })),
      { run: 46, episode: 0, success: false },
    ];
    const [column] = summariseSimpler(read(file('unequal.jsonl', lines))).details.filter(
      ({ name }) => name === 'move_near/VM',
    );
    expect(column?.rate).toBe(0.5);
    // 1 / (0.25/60 + 0.25/1)
    expect(column?.effectiveTrials).toBeCloseTo(3.934, 3);
    expect(column?.interval?.low).toBeLessThan(0.16);
    expect(column?.interval?.high).toBeGreaterThan(0.84);
  });

  test('of none are none', () => {
    const summary = summariseSimpler(read(file('none.jsonl', [])));
    expect(summary).toMatchObject({ average: null, episodes: 0, partial: true });
  });

  test('count repeats as trials of the same column', () => {
    const once = runLines().filter(({ run }) => run === 336);
    const lines = [0, 1, 2, 3].flatMap((repeat) => once.map((line) => ({ ...line, repeat })));
    const [column] = summariseSimpler(read(file('repeats.jsonl', lines))).details.filter(
      ({ name }) => name === 'put_carrot',
    );
    expect(column).toMatchObject({ rate: 0.5, trials: 96, expected: 96, partial: false });
  });

  test('name step limits, mixed ones and ones of others', () => {
    const lines = [
      { run: 336, episode: 0, success: true, max_episode_steps: 120 },
      { run: 336, episode: 1, success: true, max_episode_steps: 60 },
      { run: 338, episode: 1, success: true },
    ];
    const { notes, details } = summariseSimpler(read(file('steps.jsonl', lines)));
    expect(details.find(({ name }) => name === 'put_carrot')?.stepLimits).toEqual([60, 120]);
    expect(notes).toContain('put_carrot mixes step limits: 60, 120.');
    expect(notes).toContain("Step limits other than SimplerEnv's: PutCarrotOnPlateInScene-v0 120 for 60.");
    expect(notes).toContain('1 episodes do not state their step limit (max_episode_steps).');
  });
});

describe('results', () => {
  const episode = { run: 12, episode: 3, success: true, max_episode_steps: 80 };

  test('a last line that was cut off does not count; one in between is an error', () => {
    const path = file('cut.jsonl', [episode]);
    appendFileSync(path, '{"run": 12, "episode": 4, "succ');
    expect(read(path)).toMatchObject({ truncated: true, episodes: [{ run: 12, episode: 3 }] });
    appendFileSync(path, '\n{"run": 12, "episode": 5, "success": false}\n');
    expect(() => read(path)).toThrow(/cut\.jsonl, line 2 is no JSON/);
  });

  test('a whole last line without a line end counts', () => {
    const path = file('whole.jsonl', []);
    appendFileSync(path, JSON.stringify(episode));
    expect(read(path)).toMatchObject({ truncated: false, episodes: [{ run: 12, episode: 3, maxSteps: 80 }] });
  });

  test('the same outcome twice is counted once, another outcome is an error unless the last is wanted', () => {
    expect(read(file('twice.jsonl', [episode, episode]))).toMatchObject({ replaced: 1, episodes: [{ success: true }] });
    const path = file('differ.jsonl', [episode, { ...episode, success: false }]);
    expect(() => read(path)).toThrow(/differ\.jsonl, line 2: run 12, episode 3, repeat 0 .*differ\.jsonl, line 1/);
    expect(readSimplerResults([path], { duplicates: 'last' })).toMatchObject({
      replaced: 1,
      episodes: [{ success: false }],
    });
  });

  test.each([
    [{ ...episode, run: 340 }, /there is no run 340/],
    [{ ...episode, episode: 25 }, /run 12 has episodes 0 to 24, not 25/],
    [{ ...episode, success: 1 }, /line 1, field success/],
    [{ ...episode, success: '10x' }, /field success: is not made of 0 and 1/],
    [{ ...episode, run: 336, success: '1'.repeat(25) }, /run 336 has 24 episodes, and 25 are here/],
    [{ run: 336, success: '101', grasped: '10' }, /3 episodes in success, 2 in grasped/],
    [{ ...episode, env: 'MoveNearGoogleInScene-v0' }, /field env: "MoveNearGoogleInScene-v0", but run 12 has/],
    [{ ...episode, max_episode_steps: 'many' }, /field max_episode_steps/],
    [{ episode: 3, success: true }, /no "run"/],
    [{ env: 'GraspSingleOpenedCokeCanInScene-v0', episode: 3, success: true }, /settings are those of \d+ runs/],
    [[1, 2], /line 1/],
    [null, /line 1/],
  ])('%j is refused', (line, message) => {
    expect(() => read(file('bad.jsonl', [line]))).toThrow(message);
  });

  test('a run is also found by what it says of its environment', () => {
    const { run, n_episodes: _episodes, in_average: _average, ...settings } = SIMPLER_RUNS[21] as SimplerRun;
    const [found] = read(file('settings.jsonl', [{ ...settings, success: '01' }])).episodes;
    expect(found).toMatchObject({ run, episode: 0, success: false });
  });

  test('files of two policies are no result', () => {
    const header = (policy: string) => ({ type: 'simpler-env', version: 1, policy });
    const [a, b] = [file('a.jsonl', [header('a'), episode]), file('b.jsonl', [header('b')])];
    expect(read(a).header?.policy).toBe('a');
    expect(() => read(a, b)).toThrow(/b\.jsonl, line 1: these are results of .*"b"/);
    expect(() => read(file('c.jsonl', [{ type: 'predictions', version: 1 }]))).toThrow(/c\.jsonl, line 1, field type/);
  });
});

describe('plan', () => {
  test('names the runs and episodes that are left, and nothing when all are done', () => {
    const lines = episodeLines().filter(({ run, episode }) => run !== 7 && !(run === 339 && episode > 20));
    const plan = planSimpler(read(file('some.jsonl', lines)).episodes);
    expect(plan.runs.map(({ run, left }) => [run, left.length])).toEqual([
      [7, 25],
      [339, 3],
    ]);
    expect(plan.runs[1]?.left).toEqual([21, 22, 23]);
    expect(plan.episodes).toEqual({ done: 2924, total: 2952 });
    expect(planSimpler(read(file('all.jsonl', runLines())).episodes).runs).toEqual([]);
  });

  test('repeats WidowX runs, gives them other step limits, leaves out what the paper has not', () => {
    const plan = planSimpler([], { widowxRepeats: 5, stepLimits: 'instructvla', everything: false });
    const widowx = plan.runs.filter(({ task }) => task === 'bridge');
    expect(widowx.map(({ run, repeat }) => [run, repeat])).toEqual(
      [336, 337, 338].flatMap((run) => [0, 1, 2, 3, 4].map((repeat) => [run, repeat])),
    );
    expect(widowx.every(({ max_episode_steps }) => max_episode_steps === 120)).toBe(true);
    expect(plan.episodes.total).toBe(300 + 675 + 240 + 480 + 216 + 378 + 5 * 72);
  });
});

describe('comparison and tables', () => {
  test('pairs are the same episodes; the mean is over nine columns', () => {
    const first = read(file('first.jsonl', runLines()));
    const flipped = runLines().map((line) =>
      line.run === 336 ? { ...line, success: line.success.replace(/^1/, '0') } : line,
    );
    const second = read(file('second.jsonl', flipped.slice(1)));
    const comparison = compareSimpler(first, second);
    expect(comparison.pairs).toBe(2952 - 25);
    expect(comparison.columns.put_carrot).toMatchObject({ pairs: 24, onlyFirst: 1, onlySecond: 0, p: 1 });
    expect(comparison.average?.difference).toBeCloseTo(1 / 24 / 9, 15);
    expect(comparison.notes).toEqual(['25 episodes were run by one of the two only, and do not count.']);
    const markdown = simplerMarkdown(summariseSimpler(first), 'a|b', { name: 'other', comparison });
    expect(markdown).toContain('# SimplerEnv: a\\|b');
    expect(markdown).toContain(
      '| a\\|b | 44.9 | 50.8 | 57.7 | 53.9 | 62.1 | 58.1 | 45.8 | 50.0 | 29.2 | 50.3 | 50.3 |',
    );
    expect(markdown).toContain('| DualVLA | 63.9 |');
    expect(() => compareSimpler(first, read(file('none.jsonl', [])))).toThrow('share no episode');
  });

  test("which of the paper's averages are means of their nine columns", () => {
    const comparable = checkPaperTable().filter((row) => row.comparable);
    expect(comparable.map(({ model }) => model)).toEqual([
      'InstructVLA-E',
      'ECoT',
      'Emma-X',
      'ThinkAct',
      'InstructVLA-G',
      'DualVLA',
    ]);
    expect(PAPER_TABLE.every(({ cells }) => cells.length === 9)).toBe(true);
  });

  test.skipIf(GOLDEN_MISSING)(`the paper's table is the shared one (${GOLDEN_MISSING ?? 'shared'})`, () => {
    type Rows = Record<string, (number | null)[]>;
    const { simplerEnv } = goldenJson<{ simplerEnv: { specialist: Rows; reasoning: Rows } }>(
      '..',
      'reference',
      'paper-tables.json',
    );
    const rows = (['specialist', 'reasoning'] as const).flatMap((kind) =>
      Object.entries(simplerEnv[kind]).map(([model, cells]) => ({
        kind,
        model,
        cells: cells.slice(0, 9),
        average: cells[9] ?? null,
      })),
    );
    expect(PAPER_TABLE).toEqual(rows);
  });
});

describe('actions', () => {
  const near = (actual: readonly number[], expected: readonly number[]) => {
    expect(actual).toHaveLength(expected.length);
    for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 12);
  };

  test.each([
    ['octo', 'google_robot', official.OCTO_GOOGLE],
    ['instructvla', 'google_robot', official.INSTRUCTVLA_GOOGLE],
    ['instructvla', 'widowx_bridge', official.INSTRUCTVLA_WIDOWX],
  ] as const)('%s on %s: the first official steps, twice with a reset between', (policy, robot, steps) => {
    const processor = new ActionProcessor(robot, PROCESSING[policy][robot]);
    for (let episode = 0; episode < 2; episode++) {
      processor.reset();
      for (const { chunk, rotation, gripper } of steps) {
        const { action } = processor.step(chunk);
        near(action.rot_axangle, rotation);
        near([action.gripper], [gripper]);
      }
    }
  });

  interface Golden {
    chunk: number[][];
    raw: { world_vector: number[]; rotation_delta: number[]; open_gripper: number[] };
    action: { world_vector: number[]; rot_axangle: number[]; gripper: number[]; terminate_episode: number[] };
  }
  const robots: readonly SimplerRobot[] = ['google_robot', 'widowx_bridge'];
  const cases = (['octo', 'instructvla'] as const).flatMap((policy: SimplerPolicy) =>
    robots.map((robot) => [policy, robot] as const),
  );
  test.skipIf(GOLDEN_MISSING).each(cases)('%s on %s: the shared traces, 40 steps', (policy, robot) => {
    const processor = new ActionProcessor(robot, PROCESSING[policy][robot]);
    const steps = goldenLines<Golden>('simpler', `actions_${policy}_${robot}.jsonl`);
    expect(steps).toHaveLength(40);
    for (const { chunk, raw: wantedRaw, action: wanted } of steps) {
      const { raw, action } = processor.step(chunk);
      near([...raw.world_vector, ...raw.rotation_delta, raw.open_gripper], Object.values(wantedRaw).flat());
      near(
        [...action.world_vector, ...action.rot_axangle, action.gripper, action.terminate_episode],
        [...wanted.world_vector, ...wanted.rot_axangle, ...wanted.gripper, ...wanted.terminate_episode],
      );
    }
  });

  test.skipIf(GOLDEN_MISSING).each(robots)('the state of %s as in the shared rows', (robot) => {
    const rows = goldenLines<{ eef_pos: number[]; proprio: number[] }>('simpler', `proprio_${robot}.jsonl`);
    for (const { eef_pos, proprio } of rows) near(proprioception(robot, eef_pos), proprio);
  });

  test('the state of the WidowX as in the copied rows; lengths are checked', () => {
    for (const { eef_pos, proprio } of official.WIDOWX_STATES) near(proprioception('widowx_bridge', eef_pos), proprio);
    expect(() => proprioception('google_robot', [1, 2, 3])).toThrow('eef_pos has 3 numbers, not 8');
  });

  test('no rotation has no axis; chunks of wrong shape are errors', () => {
    const processor = new ActionProcessor('widowx_bridge', PROCESSING.octo.widowx_bridge);
    expect(processor.step([[0, 0, 0, 0, 0, 0, 0]]).action).toEqual({
      world_vector: [0, 0, 0],
      rot_axangle: [0, 0, 0],
      gripper: -1,
      terminate_episode: 0,
    });
    expect(() => processor.step([[1, 2, 3]])).toThrow('a step of 3 numbers, not 7');
    expect(() => processor.step([[0, 0, 0, 0, 0, 0, 0]])).toThrow('a chunk of 1 steps is too short for a window of 4');
  });
});
