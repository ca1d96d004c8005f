/** Rollouts from traces, data sets and folders; the marked examples of the base that ships. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePng, encodeVideo, LeRobotWriter, syntheticEpisode, syntheticFeatures } from '../data/index.js';
import { type EpisodeTrace, TraceWriter } from '../eval/trace.js';
import { Env, TASK_IDS } from '../sim/index.js';
import { plantedRollouts } from './calibration.js';
import { DualRetrieval, exampleText } from './dual-retrieval.js';
import { buildEmbeddedBase, EMBEDDED_BASE } from './embedded-base.js';
import { GridImageEmbedder, HashedTextEmbedder, type ImageEmbedder, similarity } from './embedding.js';
import { cutStrip, filmStrip, joinStrip, STRIP_SIDE } from './film-strip.js';
import { sampleMoments } from './frame-sampling.js';
import { baseMarks, KnowledgeBase, KnowledgeBaseError } from './knowledge-base.js';
import { openRollouts } from './open-rollouts.js';
import { plantedCases, runScript, withWords } from './planted-defects.js';
import { type Rollout, RolloutError } from './rollout.js';
import { RuleJudge } from './rule-judge.js';
import { ruleRolloutJudge, scoreRollouts, summarize } from './score-rollouts.js';
import { Theatre, traceRollout } from './trace-rollouts.js';

let folder: string;
let trace: EpisodeTrace;
/** Pictures of the trace's episode as it was run. */
let seen: Uint8Array[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rollouts-'));
  const env = await Env.create({ task: 'google/pick-coke-can', cameras: [] });
  const run = runScript(env, 'expert', { split: 'validation', index: 0 });
  trace = withWords(run.trace, run.words.true);
  env.reset(trace.seed);
  seen = [env.render('third', 48).slice()];
  for (const { action } of trace.trace) {
    env.step(Float32Array.from(action));
    seen.push(env.render('third', 48).slice());
  }
  env.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('traces', () => {
  it('give back the pictures of their episode, through a file', async () => {
    const path = join(folder, 'run');
    mkdirSync(path);
    new TraceWriter(join(path, 'traces.jsonl.gz')).add(trace);
    const [rollout] = (await openRollouts(path)) as [Rollout];
    expect(rollout.thoughts).toHaveLength(trace.steps + 1);
    expect(rollout).toMatchObject({ id: 'google/pick-coke-can/vm/validation/0', success: true, reasons: true });
    const moments = [0, trace.steps, 5];
    const pictures = await rollout.pictures(moments, 48);
    for (const [i, moment] of moments.entries()) {
      expect(Buffer.compare(pictures[i]?.data as Uint8Array, seen[moment] as Uint8Array)).toBe(0);
    }
  });

  it('of another simulator are noticed', async () => {
    const other = structuredClone(trace);
    (other.trace[3] as { state: number[] }).state[0] = 0.9;
    await expect(traceRollout(other).pictures([0], 32)).rejects.toThrow(/goes another way.*at step 3/);
  });

  it('that do not fit the episodes beside them are refused', async () => {
    const path = join(folder, 'unfit');
    mkdirSync(path);
    const writer = new TraceWriter(join(path, 'traces.jsonl.gz'));
    writer.add(trace);
    const { trace: _, ...record } = trace;
    writeFileSync(join(path, 'episodes.jsonl'), `${JSON.stringify({ ...record, index: 1 })}\n`);
    await expect(openRollouts(path)).rejects.toThrow(/validation\/1 has no trace/);
    writeFileSync(join(path, 'episodes.jsonl'), `${JSON.stringify({ ...record, success: false })}\n`);
    await expect(openRollouts(path)).rejects.toThrow(/another outcome/);
    writeFileSync(join(path, 'episodes.jsonl'), `${JSON.stringify(record)}\n`);
    expect(await openRollouts(path)).toHaveLength(1);
    writer.add(trace);
    await expect(openRollouts(path)).rejects.toThrow(/twice/);
  });
});

describe('folders of pictures', () => {
  const episode = { instruction: 'stack the cups', success: true };
  const make = (name: string, json: object): string => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    for (const i of [1, 2, 10]) {
      writeFileSync(join(path, `frame${i}.png`), encodePng(new Uint8Array(40 * 20 * 3).fill(i), 40, 20));
    }
    writeFileSync(join(path, 'episode.json'), JSON.stringify(json));
    return path;
  };

  it('are read in the order of their numbers, in proportion', async () => {
    const reasoning = [
      { from: 0, text: 'reach' },
      { from: 2, text: null },
    ];
    const [rollout] = (await openRollouts(make('pictures', { ...episode, reasoning }))) as [Rollout];
    expect(rollout).toMatchObject({ id: 'pictures', thoughts: ['reach', 'reach', null], reasons: true, fps: 5 });
    const pictures = await rollout.pictures([2, 0], 10);
    expect(pictures.map(({ width, height, data }) => [width, height, data[0]])).toEqual([
      [10, 5, 10],
      [10, 5, 1],
    ]);
    expect((await rollout.pictures([0], 400))[0]).toMatchObject({ width: 40, height: 20 });
  });

  it('may be videos', async () => {
    const path = make('film', { ...episode, video: 'film.mp4' });
    const frames = Uint8Array.from({ length: 12 * 32 * 16 * 3 }, (_, i) => 20 * Math.floor(i / (32 * 16 * 3)));
    await encodeVideo({
      path: join(path, 'film.mp4'),
      frames,
      width: 32,
      height: 16,
      fps: 7,
      codec: 'libx264',
      crf: 5,
    });
    const [rollout] = (await openRollouts(path)) as [Rollout];
    expect(rollout.thoughts).toHaveLength(12);
    const pictures = await rollout.pictures([11, 0, 3], 16);
    expect(pictures.map(({ width, height }) => [width, height])).toEqual(new Array(3).fill([16, 8]));
    for (const [i, moment] of [11, 0, 3].entries()) {
      expect(Math.abs((pictures[i]?.data[60] as number) - 20 * moment)).toBeLessThan(8);
    }
  });

  it.each([
    [{ success: true }, /instruction/],
    [{ ...episode, succes: true }, /succes/],
    [{ ...episode, pictures: ['../outside.png'] }, /file in the folder/],
    [{ ...episode, pictures: ['none.png'] }, /has no none.png/],
    [{ ...episode, video: 'none.mp4' }, /there is no .*none.mp4/],
    [{ ...episode, reasoning: [{ from: 3, text: 'late' }] }, /reasoning from 3/],
  ])('that are wrong are named errors: %j', async (json, message) => {
    await expect(openRollouts(make('wrong', json))).rejects.toThrow(message);
    await expect(openRollouts(make('wrong', json))).rejects.toThrow(RolloutError);
  });

  it('that are none at all say what was looked for', async () => {
    await expect(openRollouts(join(folder, 'nowhere'))).rejects.toThrow(/there is no/);
    mkdirSync(join(folder, 'empty'));
    await expect(openRollouts(join(folder, 'empty'))).rejects.toThrow(/traces.jsonl.gz.*meta\/info.json.*episode.json/);
  });
});

describe('LeRobot data sets', () => {
  it('are rollouts once their success is known', async () => {
    const path = join(folder, 'lerobot');
    const size = { imageSize: 16 };
    const writer = await LeRobotWriter.create(path, { fps: 5, features: syntheticFeatures(size), robotType: 'test' });
    for (let i = 0; i < 2; i++) await writer.addEpisode(syntheticEpisode(i, { ...size, length: 6 }));
    await writer.finish();
    await expect(openRollouts(path)).rejects.toThrow(/next.success.*--success all/);
    const rollouts = await openRollouts(path, { success: 'all' });
    expect(rollouts.map(({ id, success }) => [id, success])).toEqual([
      ['episode 0', true],
      ['episode 1', true],
    ]);
    const [picture] = await (rollouts[1] as Rollout).pictures([5], 8);
    expect(picture).toMatchObject({ width: 8, height: 8 });
    const list = join(folder, 'success.jsonl');
    writeFileSync(list, '{"episode": 0, "success": false}\n');
    await expect(openRollouts(path, { success: list })).rejects.toThrow(/nothing of episode 1/);
    writeFileSync(list, '{"episode": 0, "success": false}\n{"episode": 1, "success": true}\n');
    expect((await openRollouts(path, { success: list })).map(({ success }) => success)).toEqual([false, true]);
    await expect(openRollouts(path, { success: 'all', camera: 'roof' })).rejects.toThrow(/no camera roof/);
  });
});

describe('moments', () => {
  it('have the first, the last, events, and no long gap', () => {
    expect(sampleMoments(5, 9)).toEqual([0, 1, 2, 3, 4]);
    expect(sampleMoments(100, 2, [50])).toEqual([0, 99]);
    const chosen = sampleMoments(100, 10, [3, 4, 60]);
    expect(chosen).toHaveLength(10);
    expect(chosen).toEqual(expect.arrayContaining([0, 3, 4, 60, 99]));
    expect(Math.max(...chosen.slice(1).map((t, i) => t - (chosen[i] as number)))).toBeLessThan(30);
    expect(() => sampleMoments(10, 1)).toThrow(RangeError);
  });
});

describe('the base that ships', () => {
  const base = KnowledgeBase.open(EMBEDDED_BASE);

  it('has 100 trajectories of all tasks, good and bad, with pictures', async () => {
    const { entries } = base;
    expect(entries).toHaveLength(100);
    for (const task of TASK_IDS) {
      const own = entries.filter((entry) => entry.task === task);
      expect(own.length).toBeGreaterThanOrEqual(12);
      expect(new Set(own.map(({ success }) => success)).size).toBe(2);
      expect(Math.max(...own.map(({ marks }) => marks.A))).toBeGreaterThan(9);
      expect(Math.min(...own.map(({ marks }) => marks.A))).toBeLessThan(4.5);
    }
    expect(entries.every(({ source }) => source.includes('/train/'))).toBe(true);
    for (const { id } of entries) expect(existsSync(join(EMBEDDED_BASE, 'strips', `${id}.jpg`))).toBe(true);
    expect(await base.strip(entries[0]?.id as string)).toMatchObject({ width: 5 * STRIP_SIDE, height: STRIP_SIDE });
  });

  it('is found again: an entry made anew has the same marks', async () => {
    const entry = base.original('google.pick-coke-can.expert-true');
    const env = await Env.create({ task: 'google/pick-coke-can', cameras: [] });
    const index = Number(entry?.source.split('/').at(-1));
    const run = runScript(env, 'expert', { split: 'train', index });
    env.dispose();
    expect(baseMarks(new RuleJudge().judge(withWords(run.trace, run.words.true)))).toEqual(entry?.marks);
  });

  it('gives the task by the words and the case by the scene', async () => {
    const retrieval = new DualRetrieval({
      base,
      text: new HashedTextEmbedder(),
      image: new GridImageEmbedder(),
      count: 3,
    });
    const found = await retrieval.retrieve(traceRollout(trace));
    expect(found.task).toBe('google/pick-coke-can');
    expect(found.cases).toHaveLength(3);
    // Of policies that reason, as this one; the look that is always the same is nearer than changed ones.
    expect(found.cases.every(({ entry }) => entry.reasons)).toBe(true);
    const sims = found.cases.map(({ imageSimilarity }) => imageSimilarity);
    expect(sims).toEqual([...sims].sort((a, b) => b - a));
    expect(found.cases[0]?.entry.source).toContain('/vm/');
    const drawer = { ...traceRollout(trace), instruction: 'please pull the drawer open' };
    expect((await retrieval.retrieve(drawer)).task).toBe('google/open-drawer');
    const [example] = await retrieval.examplesFor(traceRollout(trace));
    expect(example?.text).toContain('Thoughts then: "SUBTASK: ');
    expect(example?.text).toMatch(/^Task: ".*Marks: \{"Reasoning":\d+,"Action":\d+,"Intention":\d+,"Alignment":\d+\}/s);
    // What it was made of is no example for itself.
    const own = found.cases[0]?.entry.source as string;
    const again = await retrieval.retrieve({ ...traceRollout(trace), id: own });
    expect(again.cases.map(({ entry }) => entry.source)).not.toContain(own);
  });

  it('gives the same scene first under any embedding', async () => {
    const entry = base.entries.find(({ id }) => id === 'widowx.put-carrot-on-plate.noisy');
    const strip = await base.strip(entry?.id as string);
    const rollout: Rollout = {
      id: 'a copy',
      task: '',
      instruction: entry?.instruction as string,
      success: true,
      reasons: false,
      fps: 5,
      thoughts: new Array<null>(5).fill(null),
      pictures: async (moments) => moments.map((t) => cutStrip(strip)[t] as never),
    };
    const means: ImageEmbedder = {
      name: 'bytes',
      embed: async (pictures) => pictures.map(({ data }) => Float32Array.from(data, (v) => v / 255 - 0.5)),
    };
    for (const image of [new GridImageEmbedder(), means]) {
      const retrieval = new DualRetrieval({ base, text: new HashedTextEmbedder(), image });
      expect((await retrieval.retrieve(rollout)).cases[0]?.entry.id).toBe(entry?.id);
    }
  });
});

describe('a base of one', () => {
  it('keeps corrections by appending, and shows the last', async () => {
    const path = join(folder, 'base');
    const base = KnowledgeBase.create(path, 'a test');
    const entry = { id: 'can', why: 'it does', judge: 'rule', source: 'here', marks: { R: 9, A: 9.5, I: 10, RA: 9 } };
    await base.add(traceRollout(trace), entry);
    await expect(base.add(traceRollout(trace), entry)).rejects.toThrow(/has can already/);
    expect(() => KnowledgeBase.create(path, 'again')).toThrow(KnowledgeBaseError);
    const { hash } = base;
    base.correct({ id: 'can', marks: { R: 3 }, by: 'Ada' });
    base.correct({ id: 'can', marks: { RA: 2 }, why: 'the words are old' });
    const again = KnowledgeBase.open(path);
    expect(again.entries[0]).toMatchObject({ marks: { R: 3, A: 9.5, I: 10, RA: 2 }, why: 'the words are old' });
    expect(again.original('can')?.marks.R).toBe(9);
    expect(again.correctionsOf('can').map(({ by }) => by)).toEqual(['Ada', undefined]);
    expect(again.hash).not.toBe(hash);
    expect(exampleText(again.entries[0] as never)).toContain('"Reasoning":3');
    expect(() => base.correct({ id: 'cup', marks: {} })).toThrow(/has no cup/);
    expect(() => base.correct({ id: 'can', marks: { A: 12 } })).toThrow(KnowledgeBaseError);
    expect(readFileSync(join(path, 'corrections.jsonl'), 'utf8').split('\n')).toHaveLength(3);
    cpSync(path, `${path}2`, { recursive: true });
    writeFileSync(join(`${path}2`, 'entries.jsonl'), '{"id": "../x"}\n');
    expect(() => KnowledgeBase.open(`${path}2`)).toThrow(/entries.jsonl, line 1/);
  });
});

describe('the base that ships, made again', () => {
  it('replaces no other folder, and keeps corrections', async () => {
    const precious = join(folder, 'precious');
    mkdirSync(precious);
    writeFileSync(join(precious, 'thesis.txt'), 'years of work');
    await expect(buildEmbeddedBase(precious)).rejects.toThrow(KnowledgeBaseError);
    expect(existsSync(join(precious, 'thesis.txt'))).toBe(true);
    const own = join(folder, 'own');
    KnowledgeBase.create(own, 'mine');
    await expect(buildEmbeddedBase(own)).rejects.toThrow(/other trajectories/);
    const again = join(folder, 'again');
    const tasks = ['google/close-drawer'] as const;
    const first = await buildEmbeddedBase(again, { tasks });
    expect(first.entries).toHaveLength(13);
    first.correct({ id: 'google.close-drawer.random', marks: { A: 0 } });
    const second = await buildEmbeddedBase(again, { tasks });
    expect(second.entries.find(({ id }) => id === 'google.close-drawer.random')?.marks.A).toBe(0);
    expect(second.entries.map(({ id }) => id)).toEqual(first.entries.map(({ id }) => id));
    expect(existsSync(`${again}.new`)).toBe(false);
  }, 240_000);
});

describe('strips and embeddings', () => {
  it('strips are cut as they were joined', async () => {
    const strip = await filmStrip(traceRollout(trace));
    expect(joinStrip(cutStrip(strip))).toEqual(strip);
  });

  it('likeness is of what is seen and said', async () => {
    const [a, b, c] = (await new HashedTextEmbedder().embed([
      'pick up the can',
      'picking the cans up',
      'close the drawer',
    ])) as [Float32Array, Float32Array, Float32Array];
    expect(similarity(a, a)).toBeCloseTo(1, 5);
    expect(similarity(a, b)).toBeGreaterThan(similarity(a, c) + 0.2);
    const [red, redder, blue] = (await new GridImageEmbedder().embed(
      [
        [200, 30],
        [220, 30],
        [30, 200],
      ].map(([left, right]) => ({
        width: 16,
        height: 16,
        data: Uint8Array.from({ length: 768 }, (_, i) =>
          i % 3 === 0 ? (((i / 3) % 16 < 8 ? left : right) as number) : 90,
        ),
      })),
    )) as [Float32Array, Float32Array, Float32Array];
    expect(similarity(red, redder)).toBeGreaterThan(similarity(red, blue) + 0.5);
  });
});

describe('planted defects', () => {
  it('cost what they should under the rule judge, and their pictures are those of the episode', async () => {
    const cases = await plantedCases({ scenes: 2, tasks: ['google/pick-coke-can', 'google/close-drawer'] });
    const set = plantedRollouts(cases);
    expect(new Set(set.map(({ rollout }) => rollout.id)).size).toBe(set.length);
    const { scored } = await scoreRollouts(
      set.map(({ rollout }) => rollout),
      ruleRolloutJudge(),
    );
    const of = (kind: string) => summarize(scored.filter((_, i) => set[i]?.kind === kind));
    expect(of('expert').vlaScore).toBeGreaterThan(90);
    expect(of('expert, true words')).toMatchObject({ R: 100, RA: 100 });
    expect(of('jittered').A).toBeLessThan(of('expert').A - 20);
    expect(of('wrong object').I).toBeLessThan(30);
    expect(of('reversed').I).toBeLessThan(30);
    expect(of('reversed, true words').RA).toBeLessThan(85);
    expect(of('expert, shuffled words').R).toBeLessThan(80);
    const find = (kind: string) => set.find((one) => one.kind === kind)?.rollout as Rollout;
    const forward = await find('expert').pictures([0, 7], 24);
    const last = find('expert').thoughts.length - 1;
    expect(await find('reversed').pictures([last, last - 7], 24)).toEqual(forward);
  });

  // A timer is heard as Ctrl-C is: only if neither keeps the event loop to itself.
  it('are made, and judged, until they are stopped', async () => {
    const soon = (): AbortSignal => AbortSignal.timeout(5);
    const tasks = ['google/close-drawer'] as const;
    await expect(plantedCases({ scenes: 1000, tasks, signal: soon() })).rejects.toThrow('timeout');
    const [one] = plantedRollouts(await plantedCases({ scenes: 2, tasks }));
    const many = new Array<Rollout>(100_000).fill((one as { rollout: Rollout }).rollout);
    await expect(scoreRollouts(many, ruleRolloutJudge(), { signal: soon() })).rejects.toThrow('timeout');
  });
});

describe('an environment for replays', () => {
  it('takes requests in turn, also after one that fails', async () => {
    const theatre = new Theatre();
    const other = { ...trace, end: { ...trace.end, state: trace.end.state.map((v) => v + 1) } };
    const [bad, good] = await Promise.allSettled([
      traceRollout(other, theatre).pictures([0], 48),
      traceRollout(trace, theatre).pictures([0], 48),
    ]);
    expect(bad.status).toBe('rejected');
    expect(
      good.status === 'fulfilled' && Buffer.compare(good.value[0]?.data as Uint8Array, seen[0] as Uint8Array),
    ).toBe(0);
  });
});
