/** The formats that are fuzzed: how a sound sample is made, how it is damaged, how it is read. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  decodeImage,
  decodeVideo,
  type ExampleValue,
  encodeExample,
  encodePng,
  encodeVideo,
  frameTfRecord,
  LeRobotDataset,
  LeRobotV2Dataset,
  LeRobotWriter,
  parseEcot,
  parseVlaIt,
  probeVideo,
  RldsDataset,
  readAnnotations,
  readMultimodal,
  readQuestionRows,
  rldsSource,
  syntheticEpisode,
  syntheticFeatures,
  validateDataset,
  writeQuestionRows,
} from 'dualvla/data';
import { writeV2 } from '../../dist/data/lerobot-v2.test-support.js';
import { readRldsFeatures } from '../../dist/data/rlds-features.js';
import { readTsv } from '../../dist/eval/benchmarks/tsv.js';
import { readWorkbook } from '../../dist/eval/benchmarks/xlsx.js';
import { TextTokenizer } from '../../dist/model/tokenizer.js';
import { readBoundaryLabels } from '../../dist/prune/boundary-labels.js';
import { readKeepLabels } from '../../dist/prune/keep-labels.js';
import { parseHeader, readHeaderLength } from '../../dist/torch/safetensors-header.js';
import { type Dice, damage, damageJson, damageJsonLines } from './mutations.js';
import { textZip } from './zip.js';

export interface FuzzFormat {
  readonly about: string;
  /** Writes sound files into an empty folder. */
  readonly prepare: (folder: string) => Promise<void> | void;
  /** Damages the files in a copy of that folder. @returns which file */
  readonly damage: (folder: string, dice: Dice) => string;
  /** Reads everything, as a user would. */
  readonly read: (folder: string, dice: Dice) => Promise<void> | void;
}

const put = (path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};

/** Damages one of the files, each in its own way. */
const oneOf =
  (ways: Readonly<Record<string, (bytes: Buffer, dice: Dice) => Uint8Array>>) =>
  (folder: string, dice: Dice): string => {
    const name = dice.pick(Object.keys(ways));
    const path = join(folder, name);
    writeFileSync(path, (ways[name] as (bytes: Buffer, dice: Dice) => Uint8Array)(readFileSync(path), dice));
    return name;
  };
const asBytes = (bytes: Buffer, dice: Dice): Uint8Array => damage(bytes, dice);
const asJson = (bytes: Buffer, dice: Dice): Uint8Array => damageJson(bytes.toString(), dice);
const asLines = (bytes: Buffer, dice: Dice): Uint8Array => damageJsonLines(bytes.toString(), dice);

/** Parquet: half of the damage goes to the footer, which says how all the rest is read. */
function asParquet(bytes: Buffer, dice: Dice): Uint8Array {
  if (dice.chance(0.5)) return damage(bytes, dice);
  const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
  const changed = damage(bytes.subarray(footer, bytes.length - 8), dice);
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(dice.chance(0.9) ? changed.length : dice.below(2 ** 32));
  tail.write('PAR1', 4);
  return Buffer.concat([bytes.subarray(0, footer), changed, tail]);
}

/** TFRecord: most of the damage goes into a payload whose checksums are then right again. */
function asTfRecord(bytes: Buffer, dice: Dice): Uint8Array {
  if (dice.chance(0.25)) return damage(bytes, dice);
  const length = Number(bytes.readBigUInt64LE(0));
  const payload = damage(bytes.subarray(12, 12 + length), dice);
  return Buffer.concat([frameTfRecord(payload), bytes.subarray(12 + length + 4)]);
}

async function readLeRobot(folder: string, dice: Dice): Promise<void> {
  if (dice.chance(0.1)) return void (await validateDataset(folder, { decodeAll: true }));
  const dataset = await LeRobotDataset.open(folder);
  await dataset.readEpisodes({ from: 0, to: dataset.numEpisodes }, { images: true });
}

async function writeLeRobot(folder: string): Promise<void> {
  const options = { cameras: ['third'], length: 6, imageSize: 8 };
  const writer = await LeRobotWriter.create(join(folder, 'set'), {
    fps: 5,
    robotType: 'test',
    features: syntheticFeatures(options),
  });
  for (let i = 0; i < 2; i++) await writer.addEpisode(syntheticEpisode(i, options));
  await writer.finish();
}

const bytes = (values: (string | Uint8Array)[]): ExampleValue => ({
  kind: 'bytes',
  values: values.map((value) => (typeof value === 'string' ? Buffer.from(value) : value)),
});

/** An RLDS data set of two episodes with the columns of Bridge. */
function writeRlds(folder: string): void {
  const tensor = (size: number, encoding = 'none'): object => ({
    tensor: { shape: { dimensions: [`${size}`] }, dtype: 'float32', encoding },
  });
  const features = {
    featuresDict: {
      features: {
        steps: {
          sequence: {
            feature: {
              featuresDict: {
                features: {
                  action: tensor(7),
                  is_first: { tensor: { shape: {}, dtype: 'bool', encoding: 'none' } },
                  language_instruction: { text: {} },
                  observation: {
                    featuresDict: {
                      features: {
                        state: tensor(7),
                        raw: tensor(2, 'bytes'),
                        image_0: {
                          image: { shape: { dimensions: ['4', '4', '3'] }, dtype: 'uint8', encodingFormat: 'png' },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
        episode_metadata: {
          featuresDict: {
            features: { file_path: { text: {} }, episode_id: { tensor: { shape: {}, dtype: 'int32' } } },
          },
        },
      },
    },
  };
  const T = 5;
  const picture = encodePng(new Uint8Array(48).fill(7), 4, 4);
  const record = (e: number): Uint8Array =>
    encodeExample([
      ['steps/action', { kind: 'float', values: new Float32Array(T * 7).fill(0.1 * e) }],
      ['steps/is_first', { kind: 'int64', values: BigInt64Array.from({ length: T }, (_, t) => (t === 0 ? 1n : 0n)) }],
      ['steps/language_instruction', bytes(new Array<string>(T).fill('lift the block'))],
      ['steps/observation/state', { kind: 'float', values: Float32Array.from({ length: T * 7 }, (_, i) => i) }],
      ['steps/observation/raw', bytes(new Array<Uint8Array>(T).fill(new Uint8Array(8)))],
      ['steps/observation/image_0', bytes(new Array<Uint8Array>(T).fill(picture))],
      ['episode_metadata/file_path', bytes(['/a/b.npy'])],
      ['episode_metadata/episode_id', { kind: 'int64', values: BigInt64Array.of(-3n) }],
    ]);
  put(join(folder, 'features.json'), JSON.stringify(features));
  put(
    join(folder, 'dataset_info.json'),
    JSON.stringify({
      name: 'made_up',
      version: '1.0.0',
      fileFormat: 'tfrecord',
      splits: [
        { name: 'train', shardLengths: ['2'], filepathTemplate: '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}' },
      ],
    }),
  );
  const records = Buffer.concat([frameTfRecord(record(0)), frameTfRecord(record(1))]);
  put(join(folder, 'made_up-train.tfrecord-00000-of-00001'), records);
}

async function readRlds(folder: string): Promise<void> {
  const source = rldsSource(RldsDataset.open(folder));
  for await (const one of source.episodes(0))
    if ('frames' in one)
      for (const frames of Object.values(one.frames))
        if (frames.kind === 'pictures') for (const picture of frames.pictures) await decodeImage(picture, 4, 4);
}

const ECOT = {
  '/data/a.npy': {
    '5': {
      metadata: { episode_id: '5' },
      features: {
        state_3d: [[0, 1, 2]],
        move_primitive: ['stop', 'move up'],
        gripper_position: [[1, 2]],
        bboxes: [[[0.9, 'pot', [1, 2, 3, 4]]]],
      },
      reasoning: {
        '0': { task: 'put', plan: 'a', subtask: 'b', subtask_reason: 'c', move: 'd', move_reason: 'e' },
        '1': { task: 'put' },
      },
    },
    '6': { metadata: {}, features: {}, reasoning: {} },
  },
};
const VLA_IT = {
  '/data/a.npy': {
    '5': {
      features: { move_primitive: ['stop', null, 'move up'] },
      alt_instruction: {
        Caption: 'a pot',
        QA: [{ question: 'what?', answer: 'a pot' }],
        CR: { question: 'q', answer: 'a' },
      },
    },
  },
};
const LLAVA = [
  {
    id: 1,
    image: 'a.png',
    family: 'colour',
    conversations: [
      { from: 'human', value: '<image>\nWhat?' },
      { from: 'gpt', value: 'A pot.' },
    ],
  },
  {
    id: 'b',
    image: 'a.png',
    conversations: [
      { from: 'human', value: 'Who?' },
      { from: 'gpt', value: 'Me.' },
    ],
  },
];

const safetensors = (): Uint8Array => {
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: { format: 'pt' },
      'a.weight': { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
      b: { dtype: 'BF16', shape: [4], data_offsets: [24, 32] },
    }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(32, 1)]);
};

/** Damages the header's JSON and makes its length right again, or damages bytes. */
function asSafetensors(content: Buffer, dice: Dice): Uint8Array {
  if (dice.chance(0.4)) return damage(content, dice);
  const length = Number(content.readBigUInt64LE(0));
  const header = damageJson(content.subarray(8, 8 + length).toString(), dice);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([prefix, header, content.subarray(8 + length)]);
}

function readSafetensors(folder: string): void {
  const file = join(folder, 'model.safetensors');
  const content = readFileSync(file);
  const length = readHeaderLength(file, content.subarray(0, 8), content.length);
  parseHeader(file, content.subarray(8, 8 + length), content.length);
}

const TOKENIZER = {
  version: '1.0',
  added_tokens: [
    { id: 3, content: '<pad>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: { type: 'BPE', dropout: null, unk_token: null, vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
};

const json =
  (name: string, value: unknown): ((folder: string) => void) =>
  (folder) =>
    put(join(folder, name), JSON.stringify(value));

export const FORMATS: Readonly<Record<string, FuzzFormat>> = {
  parquet: {
    about: 'LeRobot v3.0: data, tasks and episode table',
    prepare: writeLeRobot,
    damage: oneOf({
      'set/data/chunk-000/file-000.parquet': asParquet,
      'set/meta/tasks.parquet': asParquet,
      'set/meta/episodes/chunk-000/file-000.parquet': asParquet,
    }),
    read: (folder, dice) => readLeRobot(join(folder, 'set'), dice),
  },
  'lerobot-json': {
    about: 'LeRobot v3.0: meta/info.json, meta/stats.json',
    prepare: writeLeRobot,
    damage: oneOf({ 'set/meta/info.json': asJson, 'set/meta/stats.json': asJson }),
    read: (folder, dice) => readLeRobot(join(folder, 'set'), dice),
  },
  'lerobot-v2': {
    about: 'LeRobot v2.1: info.json, episodes.jsonl, tasks.jsonl, an episode',
    prepare: (folder) => writeV2(folder, { episodes: 2 }),
    damage: oneOf({
      'meta/info.json': asJson,
      'meta/episodes.jsonl': asLines,
      'meta/tasks.jsonl': asLines,
      'data/chunk-000/episode_000000.parquet': asParquet,
    }),
    read: async (folder) => {
      const dataset = LeRobotV2Dataset.open(folder);
      for (const { index } of dataset.episodes) await dataset.read(index);
    },
  },
  rlds: {
    about: 'RLDS: TFRecord, dataset_info.json, features.json',
    prepare: writeRlds,
    damage: (folder, dice) =>
      oneOf({
        'made_up-train.tfrecord-00000-of-00001': asTfRecord,
        ...(dice.chance(0.3) ? { 'dataset_info.json': asJson, 'features.json': asJson } : {}),
      })(folder, dice),
    read: readRlds,
  },
  features: {
    about: "RLDS: features.json's tree",
    prepare: writeRlds,
    damage: oneOf({ 'features.json': asJson }),
    read: (folder) => void readRldsFeatures(join(folder, 'features.json')),
  },
  ecot: {
    about: 'ECoT JSON',
    prepare: json('ecot.json', ECOT),
    damage: oneOf({ 'ecot.json': asJson }),
    read: (folder) => {
      const file = join(folder, 'ecot.json');
      for (const entry of readAnnotations(file)) parseEcot(entry, file);
    },
  },
  'vla-it': {
    about: 'VLA-IT JSON',
    prepare: json('vla-it.json', VLA_IT),
    damage: oneOf({ 'vla-it.json': asJson }),
    read: (folder) => {
      const file = join(folder, 'vla-it.json');
      for (const entry of readAnnotations(file)) parseVlaIt(entry, file);
    },
  },
  llava: {
    about: 'LLaVA JSON',
    prepare: (folder) => {
      json('train.json', LLAVA)(folder);
      put(join(folder, 'a.png'), encodePng(new Uint8Array(48), 4, 4));
    },
    damage: oneOf({ 'train.json': asJson }),
    read: (folder) => void readMultimodal({ root: folder }),
  },
  picture: {
    about: 'PNG and JPEG',
    prepare: async (folder) => {
      const { default: sharp } = await import('sharp');
      const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 7) & 255);
      put(join(folder, 'a.png'), encodePng(pixels, 16, 16));
      const raw = sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } });
      put(join(folder, 'a.jpg'), await raw.clone().jpeg().toBuffer());
      put(join(folder, 'b.png'), await raw.clone().png({ palette: true }).toBuffer());
    },
    damage: oneOf({ 'a.png': asBytes, 'a.jpg': asBytes, 'b.png': asBytes }),
    read: async (folder) => {
      for (const name of ['a.png', 'a.jpg', 'b.png']) await decodeImage(readFileSync(join(folder, name)), 16, 16);
    },
  },
  video: {
    about: 'mp4 (a process each: some hundreds will do)',
    prepare: (folder) => {
      const frames = Uint8Array.from({ length: 6 * 32 * 32 * 3 }, (_, i) => (i * 7) & 255);
      return encodeVideo({ path: join(folder, 'a.mp4'), frames, width: 32, height: 32, fps: 5, codec: 'libx264' });
    },
    damage: oneOf({ 'a.mp4': asBytes }),
    read: async (folder) => {
      const path = join(folder, 'a.mp4');
      await probeVideo(path);
      await decodeVideo({ path, from: 0, numFrames: 6, fps: 5, width: 32, height: 32 });
    },
  },
  safetensors: {
    about: 'the header of a safetensors file',
    prepare: (folder) => put(join(folder, 'model.safetensors'), safetensors()),
    damage: oneOf({ 'model.safetensors': asSafetensors }),
    read: readSafetensors,
  },
  tokenizer: {
    about: 'tokenizer.json',
    prepare: json('tokenizer.json', TOKENIZER),
    damage: oneOf({ 'tokenizer.json': asJson }),
    read: (folder) => {
      const tokenizer = TextTokenizer.load(folder);
      const ids = tokenizer.encode('abba');
      if (ids.length > 0) tokenizer.decode(ids);
    },
  },
  tsv: {
    about: 'question sets and tables of benchmarks, TSV',
    prepare: (folder) =>
      writeQuestionRows(join(folder, 'a.tsv'), [
        {
          index: 0,
          image: Buffer.from('abc'),
          question: 'a "b"\n\tc',
          options: ['x', 'y'],
          answer: 'A',
          category: 'k',
          novelty: 'seen',
          chance: 0.5,
        },
        {
          index: 1,
          image: Buffer.from('def'),
          question: 'who',
          answer: 'me',
          facts: ['me'],
          category: 'k',
          novelty: 'seen',
          chance: 0,
        },
      ]),
    damage: oneOf({ 'a.tsv': asBytes }),
    read: (folder, dice) => void (dice.chance(0.5) ? readTsv : readQuestionRows)(join(folder, 'a.tsv')),
  },
  xlsx: {
    about: 'predictions in a spreadsheet',
    prepare: (folder) => put(join(folder, 'a.xlsx'), workbook()),
    damage: oneOf({ 'a.xlsx': asBytes }),
    read: (folder) => void readWorkbook(join(folder, 'a.xlsx')),
  },
  labels: {
    about: "pruning's labels: boundaries (JSONL) and keep labels (JSON)",
    prepare: (folder) => {
      put(join(folder, 'boundaries.jsonl'), '{"episode": 0, "boundaries": [1, 5]}\n{"episode": 1, "boundaries": []}\n');
      json('keep.json', {
        type: 'keep-labels',
        version: 1,
        method: { scene: 'none', motion: 'eq4', combine: 'and' },
        dataset: { numFrames: 4 },
        kept: 2,
        episodes: [{ folder: '', episode: 0, keep: '0110' }],
      })(folder);
    },
    damage: oneOf({ 'boundaries.jsonl': asLines, 'keep.json': asJson }),
    read: (folder, dice) =>
      void (dice.chance(0.5)
        ? readBoundaryLabels(join(folder, 'boundaries.jsonl'))
        : readKeepLabels(join(folder, 'keep.json'))),
  },
};

/** A spreadsheet of two rows, stored without compression so that damage reaches its XML. */
function workbook(): Uint8Array {
  const cell = (text: string): string => `<c t="inlineStr"><is><t>${text}</t></is></c>`;
  return textZip({
    'xl/workbook.xml':
      '<workbook xmlns:r="r"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    'xl/_rels/workbook.xml.rels':
      '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>',
    'xl/sharedStrings.xml': '<sst count="1" uniqueCount="1"><si><t>shared</t></si></sst>',
    'xl/worksheets/sheet1.xml': `<worksheet><sheetData><row r="1">${cell('index')}${cell('prediction')}</row><row r="2"><c r="A2"><v>1</v></c><c r="B2" t="s"><v>0</v></c></row></sheetData></worksheet>`,
  });
}
