import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertDataset } from './convert.js';
import { CorruptDatasetError, DataError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { encodePng } from './image-codec.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { RldsDataset } from './rlds-dataset.js';
import { rldsLeaves } from './rlds-features.js';
import { rldsSource } from './rlds-source.js';
import {
  absoluteGripper,
  binarizeGripper,
  decodeTransformed,
  guessRldsTransform,
  transformRlds,
} from './rlds-transforms.js';
import { frameTfRecord } from './tfrecord.js';
import { type ExampleValue, encodeExample } from './tfrecord-example.js';
import { validateDataset } from './validate-dataset.js';

const BRIDGE = join(fileURLToPath(new URL('../../..', import.meta.url)), 'shared/data/bridge-rlds');
const CRASH = fileURLToPath(new URL('./rlds-crash.test-support.js', import.meta.url));

let base = '';
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-rlds-'));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const tensor = (shape: number[], dtype = 'float32', encoding = 'none'): object => ({
  pythonClassName: 'tensorflow_datasets.core.features.tensor_feature.Tensor',
  tensor: { shape: { dimensions: shape.map(String) }, dtype, encoding },
});
const text = { pythonClassName: 'Text', text: {} };
const image = {
  pythonClassName: 'Image',
  image: { shape: { dimensions: ['4', '4', '3'] }, dtype: 'uint8', encodingFormat: 'png' },
};
const dict = (features: object): object => ({ pythonClassName: 'FeaturesDict', featuresDict: { features } });
const steps = (features: object): object =>
  dict({ steps: { pythonClassName: 'Dataset', sequence: { feature: dict(features) } } });

const bytes = (values: (string | Uint8Array)[]): ExampleValue => ({
  kind: 'bytes',
  values: values.map((value) => (typeof value === 'string' ? new TextEncoder().encode(value) : value)),
});
const floats = (...values: number[]): ExampleValue => ({ kind: 'float', values: Float32Array.from(values) });
const ints = (...values: number[]): ExampleValue => ({ kind: 'int64', values: BigInt64Array.from(values, BigInt) });
const pictures = (n: number): Uint8Array[] =>
  Array.from({ length: n }, (_, i) => encodePng(new Uint8Array(48).fill(i * 20), 4, 4));

let sets = 0;
function write(features: object, records: [string, ExampleValue][][], lengths = [records.length]): string {
  const folder = join(base, `set-${sets++}`, '0.1.0');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'features.json'), JSON.stringify(features));
  const splits = [{ name: 'train', shardLengths: lengths.map(String), filepathTemplate: '' }];
  writeFileSync(join(folder, 'dataset_info.json'), JSON.stringify({ name: 'toy', version: '0.1.0', splits }));
  let from = 0;
  for (const [i, length] of lengths.entries()) {
    const name = `toy-train.tfrecord-${String(i).padStart(5, '0')}-of-${String(lengths.length).padStart(5, '0')}`;
    const framed = records.slice(from, from + length).map((record) => frameTfRecord(encodeExample(record)));
    writeFileSync(join(folder, name), Buffer.concat(framed));
    from += length;
  }
  return folder;
}

const FRACTAL = steps({
  action: dict({ world_vector: tensor([3]), rotation_delta: tensor([3]), gripper_closedness_action: tensor([1]) }),
  observation: dict({
    image,
    base_pose_tool_reached: tensor([7]),
    gripper_closed: tensor([1]),
    natural_language_instruction: text,
  }),
});
const fractalRecord = (commands: number[]): [string, ExampleValue][] => {
  const n = commands.length;
  return [
    ['steps/action/world_vector', floats(...commands.flatMap((_, i) => [i, 0, 0]))],
    ['steps/action/rotation_delta', floats(...commands.flatMap((_, i) => [0, i, 0]))],
    ['steps/action/gripper_closedness_action', floats(...commands)],
    ['steps/observation/base_pose_tool_reached', floats(...commands.flatMap((_, i) => [i, 1, 2, 0, 0, 0, 1]))],
    ['steps/observation/gripper_closed', floats(...commands.map(() => 0.5))],
    ['steps/observation/natural_language_instruction', bytes(commands.map(() => 'pick can'))],
    ['steps/observation/image', bytes(pictures(n))],
  ];
};
const PLAIN = steps({
  action: tensor([2]),
  is_first: tensor([], 'bool'),
  language_instruction: text,
  observation: dict({
    state: tensor([3], 'float64'),
    image,
    depth: tensor([2], 'uint16', 'zlib'),
    count: tensor([], 'int32'),
  }),
  odd: { pythonClassName: 'Audio', audio: {} },
});
const depth = (i: number): Uint8Array => deflateSync(Uint8Array.of(i, 1, 2, 0));
const plainRecord = (n: number): [string, ExampleValue][] => [
  ['steps/action', floats(...Array.from({ length: n * 2 }, (_, i) => i))],
  ['steps/is_first', ints(1, ...new Array<number>(n - 1).fill(0))],
  ['steps/language_instruction', bytes(new Array<string>(n).fill('wipe'))],
  ['steps/observation/state', floats(...Array.from({ length: n * 3 }, (_, i) => i / 2))],
  ['steps/observation/image', bytes(pictures(n))],
  ['steps/observation/depth', bytes(Array.from({ length: n }, (_, i) => depth(i)))],
  ['steps/observation/count', ints(...Array.from({ length: n }, (_, i) => -i))],
];

describe('records', () => {
  it('are decoded by what features.json declares', () => {
    const [episode] = RldsDataset.open(write(PLAIN, [plainRecord(3)])).episodes();
    expect(episode).toMatchObject({
      index: 0,
      length: 3,
      leftOut: { 'steps/odd': 'a class of feature that is not known' },
    });
    expect(episode?.steps['observation/state']).toMatchObject({
      dtype: 'float64',
      values: Float64Array.from([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]),
    });
    expect(episode?.steps['observation/depth']).toMatchObject({ values: Int32Array.of(256, 2, 257, 2, 258, 2) });
    expect(episode?.steps['observation/count']).toMatchObject({ values: Int32Array.of(0, -1, -2) });
    expect(episode?.steps.is_first).toMatchObject({ dtype: 'bool', values: Uint8Array.of(1, 0, 0) });
  });

  it('may be nested, one Example a step', () => {
    const flat = plainRecord(3);
    const nested = Array.from({ length: 3 }, (_, t) =>
      encodeExample(
        flat.map(([key, value]): [string, ExampleValue] => {
          const size = value.values.length / 3;
          const part = value.values.slice(t * size, (t + 1) * size);
          return [key.slice('steps/'.length), { kind: value.kind, values: part } as ExampleValue];
        }),
      ),
    );
    const [one] = RldsDataset.open(write(PLAIN, [flat])).episodes();
    const [two] = RldsDataset.open(write(PLAIN, [[['steps', bytes(nested)]]])).episodes();
    expect(two?.steps).toEqual(one?.steps);
  });

  it('of several files come in order, from any episode on', () => {
    const folder = write(PLAIN, [2, 3, 4, 5].map(plainRecord), [1, 3]);
    const dataset = RldsDataset.open(join(folder, '..'));
    expect(dataset.numEpisodes).toBe(4);
    expect([...dataset.episodes(2)].map(({ index, length }) => [index, length])).toEqual([
      [2, 4],
      [3, 5],
    ]);
  });

  it.each([
    ['a wrong number of values', [['steps/action', floats(1, 2, 3)]], /3 values for steps of 2.*steps\/action/],
    ['columns that disagree', [['steps/action', floats(1, 2)]], /3 steps, steps\/action has 1/],
    ['text for numbers', [['steps/action', bytes(['a', 'b'])]], CorruptDatasetError],
    ['no UTF-8', [['steps/language_instruction', bytes([Uint8Array.of(255), 'b', 'c'])]], /no UTF-8.*frame 0/],
    [
      'an inflated tensor',
      [['steps/observation/depth', bytes([1, 2, 3].map(() => deflateSync(new Uint8Array(1e6))))]],
      /does not decompress to its size/,
    ],
  ] as [string, [string, ExampleValue][], RegExp | typeof DataError][])('with %s are refused', (_, change, message) => {
    const record = new Map([...plainRecord(3), ...change]);
    expect(() => [...RldsDataset.open(write(PLAIN, [[...record]])).episodes()]).toThrow(message as RegExp);
  });

  it('are counted against dataset_info.json', () => {
    expect(() => [...RldsDataset.open(write(PLAIN, [plainRecord(2)], [2])).episodes()]).toThrow(
      /1 records.*declares 2/,
    );
    const folder = write(PLAIN, [plainRecord(2)]);
    const info = join(folder, 'dataset_info.json');
    writeFileSync(info, readFileSync(info, 'utf8').replace('"1"', '"0"'));
    expect([...RldsDataset.open(folder).episodes()]).toEqual([]);
    rmSync(join(folder, 'toy-train.tfrecord-00000-of-00001'));
    expect(() => RldsDataset.open(folder)).toThrow(MissingDatasetError);
    expect(() => RldsDataset.open(folder, { split: 'val' })).toThrow(/no split "val"; there are: train/);
    rmSync(join(folder, 'features.json'));
    expect(() => RldsDataset.open(folder)).toThrow(MissingDatasetError);
  });

  it('and features.json, damaged anywhere, end in a named error or a result', () => {
    const folder = write(PLAIN, [plainRecord(2)]);
    const path = join(folder, 'features.json');
    const whole = readFileSync(path);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] as number) ^ flip;
        writeFileSync(path, damaged);
        try {
          for (const episode of RldsDataset.open(folder).episodes()) transformRlds(episode, 'plain', { fps: 5 });
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 100 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        try {
          rldsLeaves(value, 'x');
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('transforms', () => {
  it('binarise the gripper backwards', () => {
    expect([...binarizeGripper(Float32Array.of(1, 0.5, 0.5, 0, 0.5, 0.97, 0.5))]).toEqual([1, 0, 0, 0, 1, 1, 0.5]);
  });

  it('make relative gripper commands absolute', () => {
    expect([...absoluteGripper(Float32Array.of(0, 1, 0, -1, 0))]).toEqual([1, 0, 0, 1, 1]);
    expect([...absoluteGripper(Float32Array.of(0, -1, 0))]).toEqual([0, 1, 1]);
    expect([...absoluteGripper(Float32Array.of(0, 0.05))]).toEqual([1, 1]);
  });

  it('know Fractal', () => {
    const dataset = RldsDataset.open(write(FRACTAL, [fractalRecord([0, 1, 0])]));
    expect(guessRldsTransform(new Set(dataset.leaves.map(({ path }) => path)))).toBe('fractal');
    const [raw] = dataset.episodes();
    const { episode, firstStep, stateNames, encoded } = transformRlds(raw as never, 'fractal');
    expect(episode).toMatchObject({ fps: 3, length: 3, task: 'pick can', actionDim: 7, stateDim: 8 });
    expect([...episode.action.subarray(7, 14)]).toEqual([1, 0, 0, 0, 1, 0, 0]);
    expect([...episode.state.subarray(8, 16)]).toEqual([1, 1, 2, 0, 0, 0, 1, 0.5]);
    expect(stateNames.at(-1)).toBe('gripper_closed');
    expect([firstStep, encoded.image?.length]).toEqual([0, 3]);
  });

  it('ask for what RLDS does not store', () => {
    const [raw] = RldsDataset.open(write(PLAIN, [plainRecord(3)])).episodes();
    expect(() => transformRlds(raw as never, 'plain')).toThrow(UnsupportedDatasetError);
    expect(() => transformRlds(raw as never, 'bridge')).toThrow(CorruptDatasetError);
  });
});

describe.skipIf(!existsSync(BRIDGE))('the real Bridge sample', () => {
  it('gives actions that reach the next state, and pictures', async () => {
    let episodes = 0;
    for (const raw of RldsDataset.open(BRIDGE).episodes()) {
      const transformed = transformRlds(raw, 'bridge');
      const { episode } = transformed;
      expect(episode.length).toBe(raw.length - 2);
      for (let t = 0; t + 1 < episode.length; t++)
        for (let d = 0; d < 6; d++) {
          const reached = (episode.state[t * 7 + d] as number) + (episode.action[t * 7 + d] as number);
          expect(reached).toBeCloseTo(episode.state[(t + 1) * 7 + d] as number, 5);
        }
      expect(new Set(episode.action.filter((_, i) => i % 7 === 6)).size).toBeLessThanOrEqual(2);
      if (episodes++ > 0) continue;
      const sizes = Object.fromEntries(Object.keys(transformed.encoded).map((name) => [name, [64, 64] as const]));
      const { images } = await decodeTransformed(transformed, sizes, {});
      expect(Object.keys(images).sort()).toEqual(['image_0', 'image_1', 'image_2', 'image_3']);
      expect(images.image_0?.data.some((value) => value > 100)).toBe(true);
    }
    expect(episodes).toBe(25);
  });

  it('becomes a valid LeRobot v3.0 data set with the same numbers and the same JPEG bytes', async () => {
    const target = join(base, 'bridge');
    const source = rldsSource(RldsDataset.open(BRIDGE), { cameras: ['image_0'] });
    const summary = await convertDataset({ sources: [source], target });
    expect(summary).toMatchObject({ episodes: 25, frames: 200, leftOut: [] });
    expect((await validateDataset(target)).problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    const dataset = await LeRobotDataset.open(target);
    expect(dataset).toMatchObject({ numEpisodes: 25, fps: 5 });
    const cells = await dataset.readColumns(['observation.images.image_0']);
    const stored = cells.get('observation.images.image_0') as { bytes: Uint8Array }[];
    let row = 0;
    for (const raw of RldsDataset.open(BRIDGE).episodes()) {
      const { episode, encoded } = transformRlds(raw, 'bridge');
      const read = await dataset.episode(episode.index);
      expect(read.task).toBe(episode.task);
      expect(read.state).toEqual(episode.state);
      expect(read.action).toEqual(episode.action);
      for (const picture of encoded.image_0 ?? [])
        expect(Buffer.compare(Buffer.from((stored[row++] as { bytes: Uint8Array }).bytes), Buffer.from(picture))).toBe(
          0,
        );
    }
  });

  it('takes reasoning from an annotation file, and counts it', async () => {
    const file = join(base, 'ecot.json');
    const all: Record<string, Record<string, object>> = {};
    for (const { index, length, metadata } of RldsDataset.open(BRIDGE).episodes()) {
      if (index === 1) continue;
      const path = String(metadata['episode_metadata/file_path']);
      const steps = Array.from({ length }, (_, i) => [i, { subtask: `step ${i} of ${index}` }]);
      all[path] = {
        ...all[path],
        [String(metadata['episode_metadata/episode_id'])]: { reasoning: Object.fromEntries(steps) },
      };
    }
    writeFileSync(file, JSON.stringify(all));
    const target = join(base, 'annotated');
    const annotations = { format: 'ecot', file } as const;
    const sources = [rldsSource(RldsDataset.open(BRIDGE), { cameras: ['image_0'], annotations })];
    expect(await convertDataset({ sources, target })).toMatchObject({ episodes: 25, annotatedFrames: 192 });
    const dataset = await LeRobotDataset.open(target);
    const texts = async (index: number): Promise<unknown> =>
      (await dataset.episode(index)).columns['reasoning.text']?.values;
    expect(await texts(2)).toEqual(Array.from({ length: 8 }, (_, t) => `SUBTASK: step ${t + 1} of 2`));
    expect(await texts(1)).toEqual(new Array(8).fill(''));
    expect((await validateDataset(target)).problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  it('is converted to the same bytes when the process is killed on the way and continued', async () => {
    const [whole, killed] = [join(base, 'whole'), join(base, 'killed')];
    const run = (target: string, kill: boolean): Promise<void> =>
      new Promise((ended) => {
        const child = spawn(process.execPath, [CRASH, BRIDGE, target], { stdio: ['ignore', 'pipe', 'inherit'] });
        child.stdout.on('data', (data: Buffer) => {
          if (kill && data.toString().includes('7/25')) child.kill('SIGKILL');
        });
        child.once('close', () => ended());
      });
    await Promise.all([run(whole, false), run(killed, true)]);
    expect(existsSync(killed)).toBe(false);
    await run(killed, false);
    const names = (folder: string): string[] =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.\w+$/.test(name))
        .sort();
    expect(names(killed)).toEqual(names(whole));
    for (const name of names(whole))
      expect(readFileSync(join(killed, name)).equals(readFileSync(join(whole, name))), name).toBe(true);
  }, 120_000);

  it('ends in a named error where a file is damaged', () => {
    const folder = join(base, 'damaged-bridge');
    cpSync(join(BRIDGE, '1.0.0'), folder, { recursive: true });
    const path = join(folder, 'bridge_dataset-train.tfrecord-00000-of-00001');
    const damaged = readFileSync(path);
    damaged[200_000] = (damaged[200_000] as number) ^ 1;
    rmSync(path);
    writeFileSync(path, damaged);
    expect(() => [...RldsDataset.open(folder).episodes()]).toThrow(/Record \d+ at byte \d+: its checksum is wrong/);
  });
});
