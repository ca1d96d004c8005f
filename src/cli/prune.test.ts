import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  AnnotationIndex,
  type Episode,
  encodeExample,
  encodePng,
  frameTfRecord,
  LeRobotDataset,
  LeRobotWriter,
  parseEcot,
  syntheticEpisode,
  syntheticFeatures,
  validateDataset,
} from '../data/index.js';
import { readKeepLabels } from '../prune/index.js';
import { run } from './main.js';
import { shard } from './prune-options.js';

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

/** Runs a command line; gives its exit code and what it printed. */
async function dualvla(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const texts = { out: '', err: '' };
  const keep =
    (key: 'out' | 'err') =>
    (text: string | Uint8Array): boolean => {
      texts[key] += String(text);
      return true;
    };
  const out = vi.spyOn(process.stdout, 'write').mockImplementation(keep('out'));
  const err = vi.spyOn(process.stderr, 'write').mockImplementation(keep('err'));
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    return { code: await run(args), ...texts };
  } finally {
    process.exitCode = before;
    out.mockRestore();
    err.mockRestore();
  }
}

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
    const head = JSON.stringify({ ...(JSON.parse(lines[0]!) as object), shard: null });
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
    expect(await merge(...flags)).toMatchObject({ code: 0 });
    expect(contents(parts)).toEqual(contents(one));
    expect(contents(at('parts', 'r'))).toEqual(contents(at('one', 'r')));
    const file = join(`${parts}.shards`, '1-of-3.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/\{"complete.*\n$/, ''));
    expect(await merge('--overwrite', ...flags)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/part 1 of 3 is not done.*--shard 1\/3 --resume/),
    });
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

describe('annotation files of the original code bases', () => {
  const RAW = 9;
  /** Bridge: step 0 and the last one are dropped, frame t is raw step t + 1. */
  function bridge(): string {
    const folder = at('toy', '1.0.0');
    if (existsSync(folder)) return folder;
    mkdirSync(folder, { recursive: true });
    const tensor = (size: number): object => ({
      pythonClassName: 'Tensor',
      tensor: { shape: { dimensions: [String(size)] }, dtype: 'float32', encoding: 'none' },
    });
    const text = { pythonClassName: 'Text', text: {} };
    const image = {
      pythonClassName: 'Image',
      image: { shape: { dimensions: ['64', '64', '3'] }, dtype: 'uint8', encodingFormat: 'png' },
    };
    const dict = (features: object): object => ({ pythonClassName: 'FeaturesDict', featuresDict: { features } });
    const steps = dict({
      action: tensor(7),
      observation: dict({ image_0: image, state: tensor(7) }),
      language_instruction: text,
    });
    const root = dict({
      steps: { pythonClassName: 'Dataset', sequence: { feature: steps } },
      episode_metadata: dict({
        file_path: text,
        episode_id: { pythonClassName: 'Scalar', tensor: { shape: {}, dtype: 'int64', encoding: 'none' } },
      }),
    });
    writeFileSync(join(folder, 'features.json'), JSON.stringify(root));
    writeFileSync(
      join(folder, 'dataset_info.json'),
      JSON.stringify({
        name: 'toy',
        version: '1.0.0',
        splits: [{ name: 'train', shardLengths: ['2'], filepathTemplate: '' }],
      }),
    );
    const utf8 = (words: string[]) => ({
      kind: 'bytes' as const,
      values: words.map((word) => new TextEncoder().encode(word)),
    });
    const records = [0, 1].map((e) => {
      const frames = Array.from({ length: RAW }, (_, i) => i);
      // At rest but for steps 3 to 5.
      const x = (i: number): number => (i < 3 ? 0 : i > 5 ? 0.3 : 0.1 * (i - 2));
      return frameTfRecord(
        encodeExample([
          [
            'steps/action',
            { kind: 'float', values: Float32Array.from(frames.flatMap((i) => [0, 0, 0, 0, 0, 0, i < 6 ? 1 : 0])) },
          ],
          [
            'steps/observation/state',
            { kind: 'float', values: Float32Array.from(frames.flatMap((i) => [x(i), 0, 0, 0, 0, 0, i < 6 ? 1 : 0])) },
          ],
          [
            'steps/observation/image_0',
            {
              kind: 'bytes',
              values: frames.map((i) =>
                encodePng(
                  Uint8Array.from({ length: 64 * 64 * 3 }, (_, p) => (p * 7 + i * (i < 5 ? 31 : 2)) % 251),
                  64,
                  64,
                ),
              ),
            },
          ],
          ['steps/language_instruction', utf8(frames.map(() => 'put it there'))],
          ['episode_metadata/file_path', utf8([`/bridge/${e}/out.npy`])],
          ['episode_metadata/episode_id', { kind: 'int64', values: BigInt64Array.of(BigInt(e)) }],
        ]),
      );
    });
    writeFileSync(join(folder, 'toy-train.tfrecord-00000-of-00001'), Buffer.concat(records));
    return folder;
  }

  const step = (e: number, i: number) => ({
    task: 't',
    plan: 'p',
    subtask: `s${e}`,
    subtask_reason: '',
    move: `m${i}`,
    move_reason: '',
  });
  const ecot = (): string => {
    const file = at('ecot.json');
    const episode = (e: number) => ({
      metadata: { episode_id: String(e) },
      features: { move_primitive: ['x'] },
      reasoning: Object.fromEntries(Array.from({ length: RAW }, (_, i) => [String(i), step(e, i)])),
    });
    const other = { '/bridge/7/out.npy': { '7': episode(7) } };
    writeFileSync(
      file,
      JSON.stringify({ '/bridge/0/out.npy': { '0': episode(0) }, '/bridge/1/out.npy': { '1': episode(1) }, ...other }),
    );
    return file;
  };
  const flags = ['--scene', 'none', '--combine', 'motion', '--first-frame', 'label'];

  it('an ECoT file loses the reasoning of pruned frames, by raw step; other episodes stay whole', async () => {
    const { code, err } = await dualvla(
      'prune',
      bridge(),
      '--ecot',
      ecot(),
      '--out',
      at('bridge'),
      '--export-ecot',
      at('ecot-pruned.json'),
      ...flags,
    );
    expect({ code, err }).toMatchObject({
      code: 0,
      err: expect.stringMatching(/2 episodes joined, 1 not among the data.*steps have no frame/),
    });
    const dataset = await LeRobotDataset.open(at('bridge'));
    const index = AnnotationIndex.open(at('ecot-pruned.json'));
    for (const e of [0, 1]) {
      const { columns, length } = await dataset.episode(e);
      const keep = columns['reasoning.keep']?.values as Uint8Array;
      const texts = columns['reasoning.text']?.values as string[];
      expect(length).toBe(RAW - 2);
      expect(keep.includes(1) && keep.includes(0)).toBe(true);
      const kept = [...keep.keys()].filter((t) => keep[t] === 1);
      // Frame t shows raw step t + 1, in the copy and in the file.
      for (const t of kept) expect(texts[t]).toContain(`MOVE: m${t + 1}`);
      const entry = index.find(`/bridge/${e}/out.npy`, String(e))!;
      const { reasoning, features } = parseEcot(entry, 'pruned');
      expect(Object.keys(reasoning!)).toEqual(kept.map((t) => String(t + 1)));
      expect(reasoning![String(kept[0]! + 1)]).toEqual(step(e, kept[0]! + 1));
      expect(features).toEqual({ move_primitive: ['x'] });
    }
    const whole = parseEcot(index.find('/bridge/7/out.npy', '7')!, 'pruned');
    expect(Object.keys(whole.reasoning!)).toHaveLength(RAW);
  });

  it('the same from the converted data set, which remembers its episodes; --step-offset moves the steps', async () => {
    await dualvla('data', 'convert', bridge(), '--ecot', ecot(), '--output', at('converted'));
    const exported = async (name: string, ...more: string[]): Promise<string> => {
      const result = await dualvla(
        'prune',
        at('converted'),
        '--ecot',
        ecot(),
        '--out',
        at(`${name}.json`),
        '--export-ecot',
        at(name),
        ...flags,
        ...more,
      );
      expect(result.code).toBe(0);
      return readFileSync(at(name), 'utf8');
    };
    expect(await exported('same')).toBe(readFileSync(at('ecot-pruned.json'), 'utf8'));
    const moved = JSON.parse(await exported('moved', '--step-offset', '0')) as Record<
      string,
      Record<string, { reasoning: object }>
    >;
    const before = JSON.parse(readFileSync(at('same'), 'utf8')) as typeof moved;
    const keys = (file: typeof moved): number[] => Object.keys(file['/bridge/0/out.npy']!['0']!.reasoning).map(Number);
    expect(keys(moved)).toEqual(keys(before).map((i) => i - 1));
  });

  it('a VLA-IT file keeps its lists as long as they were, with null where nothing is left', async () => {
    const file = at('vla-it.json');
    const features = { move_primitive: Array.from({ length: RAW }, (_, i) => `move ${i}`) };
    const alt = { Caption: 'a table', QA: [{ question: 'what?', answer: 'this' }] };
    writeFileSync(file, JSON.stringify({ '/bridge/0/out.npy': { '0': { features, alt_instruction: alt } } }));
    const args = [
      'prune',
      bridge(),
      '--vla-it',
      file,
      '--out',
      at('vla.json'),
      '--export-vla-it',
      at('vla-pruned.json'),
      ...flags,
    ];
    expect(await dualvla(...args)).toMatchObject({ code: 0 });
    const read = JSON.parse(readFileSync(at('vla-pruned.json'), 'utf8')) as Record<
      string,
      Record<string, { features: { move_primitive: (string | null)[] }; alt_instruction: object }>
    >;
    const { features: own, alt_instruction } = read['/bridge/0/out.npy']!['0']!;
    const keep = readKeepLabels(at('vla.json')).episodes[0]!.keep;
    expect(own.move_primitive).toEqual(
      Array.from({ length: RAW }, (_, i) => (keep[i - 1] === '1' ? `move ${i}` : null)),
    );
    expect(alt_instruction).toEqual(alt);
  });

  it('an RLDS data set goes through the scene layer too, in parts as in whole', async () => {
    const args = (out: string, ...more: string[]) =>
      dualvla('prune', bridge(), '--ecot', ecot(), '--out', at(out), '--scene', 'motion-energy', ...more);
    expect(await args('m1.json')).toMatchObject({ code: 0 });
    for (const part of ['0/2', '1/2']) expect(await args('m2.json', '--shard', part)).toMatchObject({ code: 0 });
    expect(await args('m2.json', '--merge')).toMatchObject({ code: 0 });
    expect(readFileSync(at('m2.json'))).toEqual(readFileSync(at('m1.json')));
    cpSync(bridge(), at('toy2', '1.0.0'), { recursive: true });
    expect(await dualvla('prune', at('toy2', '1.0.0'), '--out', at('plain'), ...flags)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no reasoning text to prune.*--ecot/),
    });
  });
});
