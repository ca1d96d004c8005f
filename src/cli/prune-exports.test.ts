import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnnotationIndex, encodeExample, encodePng, frameTfRecord, LeRobotDataset, parseEcot } from '../data/index.js';
import { readKeepLabels } from '../prune/index.js';
import { dualvla } from './run.test-support.js';

let base = '';
const at = (...names: string[]): string => join(base, ...names);
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-cli-exports-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

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
