import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type Episode,
  LeRobotDataset,
  LeRobotWriter,
  syntheticEpisode,
  syntheticFeatures,
  validateDataset,
} from '../data/index.js';
import { readKeepLabels } from '../prune/index.js';
import { shard } from './prune-options.js';
import { dualvla } from './run.test-support.js';

let base = '';
let data = '';
const at = (...names: string[]): string => join(base, ...names);
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-cli-prune-'));
  data = at('data');
  for (const [name, episodes] of [
    ['a', 3],
    ['b', 4],
  ] as const) {
    const writer = await LeRobotWriter.create(join(data, name), {
      fps: 5,
      robotType: 'test',
      features: syntheticFeatures({ cameras: ['third'] }),
    });
    for (let i = 0; i < episodes; i++)
      await writer.addEpisode(syntheticEpisode(i + (name === 'a' ? 0 : 9), { cameras: ['third'] }));
    await writer.finish();
  }
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Every file below a folder by name. */
function contents(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(folder, name)).isFile(),
  );
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder, name)).toString('base64')]));
}
const keepOf = ({ columns }: Episode): number[] => Array.from(columns['reasoning.keep']?.values as Uint8Array);
/** Scene events from the subtasks: quick, and no engine. */
const EASY = ['--scene', 'labels'];

describe('dualvla prune', () => {
  it('writes keep labels, or a copy, by the name of --out; both say the same', async () => {
    const labels = await dualvla('prune', data, '--out', at('keep.json'), '--json', ...EASY);
    expect(labels).toMatchObject({ code: 0, err: '' });
    const summary = JSON.parse(labels.out) as Record<string, number>;
    expect(summary).toMatchObject({ episodes: 7, out: at('keep.json') });
    for (const key of ['frames', 'kept', 'sceneEvents', 'motionKeyframes']) expect(summary[key]).toBeGreaterThan(0);

    const copy = await dualvla('prune', data, '--out', at('copy'), '--report', at('report'), ...EASY);
    expect(copy).toMatchObject({ code: 0, err: '' });
    expect(copy.out).toContain(`data set: ${at('copy')}`);
    const file = readKeepLabels(at('keep.json'));
    for (const { folder, episode, keep } of file.episodes) {
      const read = await (await LeRobotDataset.open(at('copy', folder))).episode(episode);
      expect(keepOf(read).join('')).toBe(keep);
    }
    expect((await validateDataset(at('copy', 'b'))).problems.filter(({ severity }) => severity === 'error')).toEqual(
      [],
    );
    const { out: _, ...same } = summary;
    expect(JSON.parse(readFileSync(at('report', 'report.json'), 'utf8'))).toEqual(same);
    expect(readFileSync(at('report', 'report.html'), 'utf8')).toMatch(/Dual-layer pruning.*<svg/s);
    expect(existsSync(at('copy.layers'))).toBe(false);
    // Nothing is replaced unasked.
    expect(await dualvla('prune', data, '--out', at('copy'), ...EASY)).toMatchObject({ code: 1 });
    expect(await dualvla('prune', data, '--out', at('keep.json'), '--overwrite', ...EASY)).toMatchObject({ code: 0 });
  });

  it('with a label mask keeps the text and marks the frames', async () => {
    await dualvla('prune', data, '--out', at('masked'), '--mode', 'label-mask', ...EASY);
    const [before, after] = await Promise.all(
      [join(data, 'a'), at('masked', 'a')].map(async (folder) => (await LeRobotDataset.open(folder)).episode(2)),
    );
    expect(after?.columns['reasoning.text']).toEqual(before?.columns['reasoning.text']);
    expect(after?.columns['reasoning.keep']).not.toEqual(before?.columns['reasoning.keep']);
    expect(
      await dualvla('prune', data, '--out', at('x'), '--mode', 'label-mask', '--ecot', 'f', '--export-ecot', 'g'),
    ).toMatchObject({ code: 2, err: expect.stringMatching(/no place for a label mask/) });
  });

  it('goes on where it was killed, and gives the same bytes', async () => {
    const flags = [...EASY, '--motion', 'quantile', '--combine', 'random', '--seed', '3'];
    await dualvla('prune', data, '--out', at('whole.json'), ...flags);
    await dualvla('prune', data, '--out', at('cut'), '--shard', '0/1', ...flags);
    // What a run leaves that dies in the middle of a line: the head, four episodes, and half of one.
    const lines = readFileSync(at('cut.shards', '0-of-1.jsonl'), 'utf8').split('\n');
    const head = JSON.stringify({ ...(JSON.parse(lines[0]!) as object), shard: null, command: null });
    const left = `${[head, ...lines.slice(1, 5)].join('\n')}\n${lines[5]!.slice(0, 40)}`;
    writeFileSync(at('cut.json.layers'), left);
    expect(await dualvla('prune', data, '--out', at('cut.json'), ...flags)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/Unfinished work.*--resume/),
    });
    const other = flags.map((flag) => (flag === 'quantile' ? 'mad' : flag));
    expect(await dualvla('prune', data, '--out', at('cut.json'), '--resume', ...other)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/begun with other options: motion was "quantile", now "mad"/),
    });
    expect(await dualvla('prune', data, '--out', at('cut.json'), '--resume', ...flags)).toMatchObject({ code: 0 });
    expect(readFileSync(at('cut.json'))).toEqual(readFileSync(at('whole.json')));
    expect(existsSync(at('cut.json.layers'))).toBe(false);
    // Damage that is no cut is not guessed at.
    writeFileSync(at('cut2.json.layers'), left.replace('"frames":', '"fames":'));
    expect(await dualvla('prune', data, '--out', at('cut2.json'), '--resume', ...flags)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/Line 2: frames.*cut2\.json\.layers/),
    });
  });

  it('split over machines and merged is byte for byte the undivided result', async () => {
    const flags = [...EASY, '--combine', 'random', '--first-frame', 'label'];
    // The same name in two folders, because a copy remembers none of it.
    const [one, parts] = [at('one', 'pruned'), at('parts', 'pruned')];
    await dualvla('prune', data, '--out', one, '--report', at('one', 'r'), ...flags);
    for (const part of ['2/3', '0/3'])
      expect(await dualvla('prune', data, '--out', parts, '--shard', part, ...flags)).toMatchObject({ code: 0 });
    const merge = (...more: string[]) =>
      dualvla('prune', data, '--out', parts, '--merge', '--report', at('parts', 'r'), ...more);
    expect(await merge(...flags)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/part 1 of 3 is missing.*--shard 1\/3/),
    });
    vi.stubEnv('SLURM_ARRAY_TASK_ID', '11');
    vi.stubEnv('SLURM_ARRAY_TASK_MIN', '10');
    vi.stubEnv('SLURM_ARRAY_TASK_COUNT', '3');
    const third = await dualvla('prune', data, '--out', parts, '--shard', 'auto', '--json', ...flags);
    vi.unstubAllEnvs();
    expect(JSON.parse(third.out)).toMatchObject({ shard: { index: 1, count: 3 }, episodes: 2 });
    expect(await merge(...EASY, '--motion', 'mad')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/other options/),
    });
    // What a machine leaves that is killed between finding and writing.
    const found = ['0', '1', '2'].map((part) =>
      readFileSync(join(`${parts}.shards`, `${part}-of-3.jsonl`), 'utf8').split('\n'),
    );
    const head = { ...(JSON.parse(found[0]?.[0] ?? '') as object), shard: null, command: null };
    writeFileSync(`${parts}.layers`, `${JSON.stringify(head)}\n${found[0]?.[1]}\n${found[0]?.[2]?.slice(0, 30)}`);
    expect(await merge(...flags)).toMatchObject({ code: 1, err: expect.stringMatching(/Unfinished work.*--resume/) });
    expect(await merge('--resume', ...flags)).toMatchObject({ code: 0 });
    expect(existsSync(`${parts}.layers`)).toBe(false);
    expect(contents(parts)).toEqual(contents(one));
    expect(contents(at('parts', 'r'))).toEqual(contents(at('one', 'r')));
    const file = join(`${parts}.shards`, '1-of-3.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/\{"complete.*\n$/, ''));
    expect(await merge('--overwrite', ...flags)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/part 1 of 3 is not done.*--shard 1\/3 --resume/),
    });
  });

  it('is finished by data merge with the options that its parts remember, in one folder or in several', async () => {
    const flags = [...EASY, '--combine', 'random', '--seed=5', '--mode', 'label-mask', '--gripper-range', '0,1'];
    const [one, parts, labels] = [at('m1', 'pruned'), at('m2', 'pruned'), at('m2', 'keep.json')];
    const page = ['--report', at('m', 'report')];
    await dualvla('prune', data, '--out', one, ...flags, ...page);
    await dualvla('prune', data, '--out', at('m1', 'keep.json'), ...flags);
    const report = contents(at('m', 'report'));
    rmSync(at('m'), { recursive: true });
    // As on machines that share no disk.
    const elsewhere = at('m2', 'other', 'pruned');
    for (const [out, part] of [
      [elsewhere, '0/2'],
      [parts, '1/2'],
    ] as const)
      expect(await dualvla('prune', data, '--out', out, '--shard', part, ...flags, ...page)).toMatchObject({
        code: 0,
        out: expect.stringContaining(`dualvla data merge ${out}.shards --output ${out}`),
      });
    const merge = (output: string, ...folders: string[]) => dualvla('data', 'merge', ...folders, '--output', output);
    expect(await merge(parts, `${parts}.shards`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/part 0 of 2 is missing/),
    });
    expect(await merge(parts, `${parts}.shards`, at('data', 'a'))).toMatchObject({ code: 2 });
    expect(await merge(parts, `${parts}.shards/`, `${elsewhere}.shards`)).toMatchObject({ code: 0, err: '' });
    expect(contents(parts)).toEqual(contents(one));
    expect(contents(at('m', 'report'))).toEqual(report);
    // Another form of the same result.
    const summary = await merge(labels, `${parts}.shards`, `${elsewhere}.shards`, '--overwrite', '--json');
    expect(JSON.parse(summary.out)).toMatchObject({ episodes: 7, out: labels });
    expect(readFileSync(labels)).toEqual(readFileSync(at('m1', 'keep.json')));
    // Parts of two works are not one.
    await dualvla('prune', data, '--out', parts, '--shard', '0/2', ...flags, '--tolerance', '1');
    expect(await merge(labels, `${parts}.shards`, '--overwrite')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/1-of-2.*--report.*0-of-2.*--tolerance=1.*next: make one of them again/),
    });
    expect(await merge(labels, `${parts}.shards`, `${elsewhere}.shards`)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/part 0 of 2 is there twice/),
    });
    expect(await merge(labels, at('none.shards'))).toMatchObject({ code: 1, err: expect.stringMatching(/no parts/) });
  });

  it('says which part it is by SLURM or Kubernetes, and refuses what is none', () => {
    const slurm = { SLURM_ARRAY_TASK_ID: '3', SLURM_ARRAY_TASK_COUNT: '4', JOB_COMPLETION_INDEX: '1' };
    expect(shard('auto', slurm)).toEqual({ index: 3, count: 4 });
    expect(shard('auto/6', { JOB_COMPLETION_INDEX: '5' })).toEqual({ index: 5, count: 6 });
    expect(shard('auto', { JOB_COMPLETION_INDEX: '0', JOB_COMPLETIONS: '2' })).toEqual({ index: 0, count: 2 });
    expect(shard('0/1', {})).toEqual({ index: 0, count: 1 });
    expect(() => shard('auto', { JOB_COMPLETION_INDEX: '0' })).toThrow(/auto\/n, or set JOB_COMPLETIONS/);
    expect(() => shard('auto', {})).toThrow(/neither SLURM_ARRAY_TASK_ID nor/);
    expect(() => shard('auto', { SLURM_ARRAY_TASK_ID: 'x' })).toThrow(/SLURM_ARRAY_TASK_ID is 'x'/);
    expect(() => shard('4/4', {})).toThrow(/parts are 0 to 3/);
    expect(() => shard('4', {})).toThrow(/i from 0/);
  });

  it('names what is wrong with the input, with the right exit code', async () => {
    const fails = async (code: number, message: RegExp, ...args: string[]): Promise<void> => {
      expect(await dualvla('prune', data, '--out', at('no.json'), ...args)).toMatchObject({
        code,
        err: expect.stringMatching(message),
      });
      expect(existsSync(at('no.json'))).toBe(false);
      expect(existsSync(at('no.json.layers'))).toBe(false);
    };
    await fails(1, /no camera "left"; it has: third/, '--scene', 'motion-energy', '--camera', 'left');
    await fails(
      1,
      /joint "elbow" is not among.*--motion-layout/,
      ...EASY,
      '--motion-from',
      'joints',
      '--urdf',
      urdf('elbow'),
    );
    await fails(
      1,
      /URDF file cannot be read.*none\.urdf/,
      ...EASY,
      '--motion-from',
      'joints',
      '--urdf',
      at('none.urdf'),
    );
    await fails(1, /layout names 2 dimensions, the data have 7/, ...EASY, '--motion-layout', 'x,y');
    await fails(2, /no motion layer 'eq5'/, '--motion', 'eq5');
    await fails(2, /'2' is no number from 0 to 1/, '--quantile', '2');
    await fails(2, /neither pixels, nor flow, nor a folder/, '--scene', 'kts', '--features', at('none'));
    await fails(2, /--export-ecot needs the file/, '--export-ecot', at('e.json'));
    await fails(2, /--urdf is for --motion-from joints/, '--urdf', 'a.urdf');
    await fails(
      1,
      /does not remember which episodes/,
      ...EASY,
      '--ecot',
      at('keep.json'),
      '--export-ecot',
      at('e.json'),
    );
    writeFileSync(at('labels.jsonl'), '{"folder":"a","episode":0,"boundaries":[400]}\n');
    await fails(
      1,
      /frame 400 of an episode with \d+ frames.*episode 0/,
      '--scene',
      'labels',
      '--labels',
      at('labels.jsonl'),
    );
    writeFileSync(at('labels.jsonl'), '{"folder":"a","episode":0,"boundaries":[3,2]}\n');
    await fails(1, /Line 1: boundaries are not ascending/, '--scene', 'labels', '--labels', at('labels.jsonl'));
    expect(await dualvla('prune', data, ...EASY)).toMatchObject({ code: 2, err: expect.stringMatching(/--out/) });
    expect(await dualvla('prune', at('nowhere'), '--out', at('no.json'))).toMatchObject({ code: 2 });
  });

  it('takes reasoning from language rows where there is no text', async () => {
    const { 'reasoning.text': _, 'reasoning.keep': _k, ...features } = syntheticFeatures({ cameras: ['third'] });
    const writer = await LeRobotWriter.create(at('rows'), { fps: 5, robotType: 'test', features });
    const { columns, ...episode } = syntheticEpisode(1, { cameras: ['third'] });
    const { 'reasoning.text': _t, 'reasoning.keep': _l, ...left } = columns;
    await writer.addEpisode({ ...episode, columns: left });
    await writer.finish();
    expect(await dualvla('prune', at('rows'), '--out', at('rows-pruned'), '--combine', 'or', ...EASY)).toMatchObject({
      code: 0,
    });
    const read = await (await LeRobotDataset.open(at('rows-pruned'))).episode(0);
    const texts = read.columns['reasoning.text']?.values as string[];
    expect(texts[0]).toBe('PLAN: grasp the block and lift it\nSUBTASK: reach for the block');
    expect(read.languagePersistent).toEqual(episode.languagePersistent);
    expect(texts.map((text) => Number(text !== ''))).toEqual(keepOf(read));
  });
});

function urdf(joint: string): string {
  writeFileSync(
    at('arm.urdf'),
    `<robot name="r"><joint name="${joint}" type="revolute"><parent link="a"/><child link="b"/></joint></robot>`,
  );
  return at('arm.urdf');
}

describe('training the event detector', () => {
  it('takes the labels of the file, and names what does not fit the data', async () => {
    const train = (line: string, ...args: string[]) => {
      writeFileSync(at('train.jsonl'), `${line}\n`);
      return dualvla('prune', 'train-scene', data, '--labels', at('train.jsonl'), '--out', at('scene'), ...args);
    };
    expect(await train('{"folder":"b","episode":1,"boundaries":[300]}')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/frame 300 of an episode with \d+ frames.*data\/b, episode 1.*mend its line/),
    });
    expect(await train('{"folder":"c","episode":1,"boundaries":[3]}')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/name an episode of "c" that is not in the data/),
    });
    expect(await train('{"folder":"b","episode":1,"boundaries":[3]}', '--backbone', at('keep.json'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/weights cannot be read/),
    });
  });
});

describe('label sheets', () => {
  it('show every frame, and what is labelled', async () => {
    const sheet = (...more: string[]) =>
      dualvla(
        'prune',
        'label-sheet',
        data,
        '--folder',
        'b',
        '--episode',
        '1',
        '--size',
        '32',
        '--columns',
        '4',
        ...more,
      );
    const { code, out } = await sheet('--out', at('sheet.png'), '--json');
    expect(code).toBe(0);
    const { frames } = JSON.parse(out) as { frames: number };
    const { width, height } = await sharp(at('sheet.png')).metadata();
    expect(width).toBe(32 + 4 * 38);
    expect(height).toBe(32 + Math.ceil(frames / 4) * (22 + 32 + 54 + 6));
    // Another frame labelled is another picture, and the same file twice the same.
    writeFileSync(at('some.jsonl'), '{"folder":"b","episode":1,"boundaries":[2]}\n');
    await sheet('--labels', at('some.jsonl'), '--out', at('sheet2.png'));
    await sheet('--labels', at('some.jsonl'), '--out', at('sheet3.png'));
    expect(readFileSync(at('sheet2.png'))).not.toEqual(readFileSync(at('sheet.png')));
    expect(readFileSync(at('sheet2.png'))).toEqual(readFileSync(at('sheet3.png')));
    expect(JSON.parse((await sheet('--every', '3', '--out', at('sheet4.png'), '--json')).out)).toMatchObject({
      shown: Math.ceil(frames / 3),
      line: { folder: 'b', episode: 1, boundaries: [] },
    });
    writeFileSync(at('some.jsonl'), '{"folder":"b","episode":1,"boundaries":[200]}\n');
    expect(await sheet('--labels', at('some.jsonl'), '--out', at('sheet5.png'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/frame 200.*some\.jsonl, episode 1.*mend its line/),
    });
    expect(await sheet('--out', at('sheet.png'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/exists already/),
    });
  });

  it('name what is not there', async () => {
    const sheet = (...args: string[]) => dualvla('prune', 'label-sheet', data, '--out', at('s.png'), ...args);
    expect(await sheet('--episode', '0')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no data set "".*a, b/),
    });
    expect(await sheet('--folder', 'a', '--episode', '9')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/0 to 2/),
    });
    expect(await sheet('--folder', 'a')).toMatchObject({ code: 2, err: expect.stringMatching(/--episode/) });
    expect(await sheet('--folder', 'a', '--episode', '0', '--camera', 'left')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no camera "left"/),
    });
  });
});
