/**
 * Large made-up data sets, written cheaply, for bench/memory.ts: LeRobot v3.0 with one video that all episodes share (or a small picture a
 * frame), RLDS in the shape of Bridge, and an ECoT file. Episodes differ in numbers and in text.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Episode, encodePng, frameTfRecord, numericDatasetStats, statsToJson } from 'dualvla/data';
import sharp from 'sharp';
import { fillPath, infoToJson, VIDEO_PATH } from '../dist/data/dataset-info.js';
import { encodeColumns } from '../dist/data/episode-columns.js';
import { AUTOMATIC_FEATURES, type Features, robotFeatures } from '../dist/data/features.js';
import { writeEpisodes, writeTasks } from '../dist/data/lerobot-metadata-files.js';
import { ParquetAppender } from '../dist/data/parquet-append.js';
import { dataSchema } from '../dist/data/parquet-schema.js';
import { encodeExample } from '../dist/data/tfrecord-example.js';
import { episodeStats } from '../dist/data/writer-statistics.js';

/** Frames of an episode. */
export const EPISODE = 40;
const FPS = 10;
const SIZE = 64;
const CAMERA = 'third';
const KEY = `observation.images.${CAMERA}`;
const DIMS = ['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'];
const TASKS = Array.from({ length: 200 }, (_, i) => `put block ${i} on plate ${i % 7}`);
/** Episodes in the shared video. */
const IN_VIDEO = 32;
const DATA_FILE_BYTES = 100 << 20;

const NAMES = ['block', 'cup', 'spoon', 'towel', 'plate', 'pot', 'carrot', 'can'];
const pick = (n: number): string => NAMES[n % NAMES.length] as string;

/** ECoT's fields of one step. */
export function reasoning(episode: number, t: number): Record<string, string> {
  const phase = Math.floor(t / 8);
  return {
    task: TASKS[episode % TASKS.length] as string,
    plan: `reach the ${pick(episode)}, grasp it, lift it, move it over the ${pick(episode + 3)}, put it down`,
    subtask_reason: `The ${pick(episode)} is ${phase < 2 ? 'still on the table' : 'in the gripper'} and the arm is near it, so this comes next.`,
    subtask: ['reach', 'grasp', 'lift', 'move', 'put down'][phase % 5] as string,
    move_reason: `The gripper is at ${(episode * 31 + t * 7) % 256}, ${(episode * 17 + t * 3) % 256}; the target lies further on.`,
    move: t % 3 === 0 ? 'move left and down' : 'move forward',
  };
}

const textOf = (episode: number, t: number): string =>
  Object.entries(reasoning(episode, t))
    .map(([key, value]) => `${key.toUpperCase().replace('_', ' ')}: ${value}`)
    .join('\n');

function madeEpisode(index: number): Episode {
  const state = new Float32Array(EPISODE * 7);
  const action = new Float32Array(EPISODE * 7);
  for (let t = 0; t < EPISODE; t++)
    for (let d = 0; d < 7; d++) {
      const gripper = t > 12 && t < 32 ? 0 : 1;
      state[t * 7 + d] = d === 6 ? gripper : Math.sin(index + t * (0.1 + 0.01 * d));
      action[t * 7 + d] = d === 6 ? gripper : 0.02 * Math.cos(index * 0.7 + t * 0.3 + d);
    }
  return {
    index,
    task: TASKS[index % TASKS.length] as string,
    fps: FPS,
    length: EPISODE,
    state,
    stateDim: 7,
    action,
    actionDim: 7,
    images: {},
    columns: {
      'reasoning.text': { dtype: 'string', values: Array.from({ length: EPISODE }, (_, t) => textOf(index, t)) },
      'reasoning.keep': { dtype: 'bool', shape: [1], values: new Uint8Array(EPISODE).fill(1) },
      'reasoning.scene_score': { dtype: 'float32', shape: [1], values: new Float32Array(EPISODE) },
      'reasoning.motion_score': { dtype: 'float32', shape: [1], values: new Float32Array(EPISODE) },
    },
    languagePersistent: [],
    languageEvents: [],
  };
}

function sharedVideo(path: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  const source = `testsrc2=size=${SIZE}x${SIZE}:rate=${FPS}`;
  const frames = String(EPISODE * IN_VIDEO);
  const encode = [
    '-frames:v',
    frames,
    '-pix_fmt',
    'yuv420p',
    '-c:v',
    'libx264',
    '-g',
    '2',
    '-movie_timescale',
    '15360',
  ];
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, ...encode, path], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
}

/** A LeRobot v3.0 data set of `episodes` episodes. Pictures are of 16 x 16 and the same in every frame. */
export async function makeLeRobot(folder: string, episodes: number, images: 'video' | 'image'): Promise<void> {
  const side = images === 'video' ? SIZE : 16;
  const {
    language_persistent: _,
    language_events: __,
    ...own
  } = robotFeatures({
    state: DIMS,
    action: DIMS,
    cameras: [{ name: CAMERA, width: side, height: side }],
    reasoning: true,
    imageStorage: images,
  }) as Record<string, Features[string]>;
  const features: Features = { ...own, ...AUTOMATIC_FEATURES };
  const picture = encodePng(
    new Uint8Array(side * side * 3).map((_, i) => (i * 7) & 255),
    side,
    side,
  );
  const pictures = images === 'image' ? { [KEY]: new Array<Uint8Array>(EPISODE).fill(picture) } : {};
  const histogram = { counts: new Float64Array(768).fill(1), numFrames: EPISODE };
  const shared = { features, taskIndex: (task: string) => TASKS.indexOf(task), histograms: { [KEY]: histogram } };
  const schema = dataSchema(features);
  const paths: string[] = [];
  const files: number[] = [];
  let file: ParquetAppender | undefined;
  for (let index = 0; index < episodes; index++) {
    if (!file || file.bytes >= DATA_FILE_BYTES) {
      file?.close();
      const path = join(folder, `data/chunk-000/file-${String(paths.length).padStart(3, '0')}.parquet`);
      mkdirSync(join(path, '..'), { recursive: true });
      paths.push(path);
      file = new ParquetAppender(path, schema);
    }
    const episode = madeEpisode(index);
    file.append(encodeColumns(episode, { ...shared, episodeIndex: index, firstIndex: index * EPISODE, pictures }));
    files.push(paths.length - 1);
  }
  file?.close();
  writeTasks(folder, TASKS.slice(0, episodes));
  const records = files.map((dataFile, index) => {
    const from = ((index % IN_VIDEO) * EPISODE) / FPS;
    const video = { chunkIndex: 0, fileIndex: 0, fromTimestamp: from, toTimestamp: from + EPISODE / FPS };
    return {
      index,
      tasks: [TASKS[index % TASKS.length] as string],
      length: EPISODE,
      fromIndex: index * EPISODE,
      toIndex: (index + 1) * EPISODE,
      dataChunk: 0,
      dataFile,
      videos: images === 'video' ? { [KEY]: video } : {},
    };
  });
  writeEpisodes(folder, features, records, (index) =>
    episodeStats(madeEpisode(index), { ...shared, episodeIndex: index, firstIndex: index * EPISODE }),
  );
  if (images === 'video')
    sharedVideo(join(folder, fillPath(VIDEO_PATH, { video_key: KEY, chunk_index: 0, file_index: 0 })));
  const channels = (value: number): unknown => [0, 1, 2].map(() => [[value]]);
  const stats: Record<string, unknown> = {
    [KEY]: Object.fromEntries(
      ['min', 'max', 'mean', 'std', 'q01', 'q10', 'q50', 'q90', 'q99'].map((name, i): [string, unknown] => [
        name,
        channels(i / 9),
      ]),
    ),
  };
  Object.assign(stats[KEY] as object, { count: [episodes * EPISODE] });
  for (const [key, value] of Object.entries(await numericDatasetStats(paths, features)))
    stats[key] = statsToJson(value, false);
  writeFileSync(join(folder, 'meta/stats.json'), JSON.stringify(stats));
  const video = { 'video.height': side, 'video.width': side, 'video.codec': 'h264', 'video.fps': FPS };
  const info = infoToJson({
    robotType: 'made-up',
    fps: FPS,
    totalEpisodes: episodes,
    totalFrames: episodes * EPISODE,
    totalTasks: Math.min(TASKS.length, episodes),
    chunksSize: 1000,
    dataFilesSizeInMb: 100,
    videoFilesSizeInMb: 200,
    dataPath: 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
    videoPath: images === 'video' ? VIDEO_PATH : null,
    splits: { train: `0:${episodes}` },
    features:
      images === 'video' ? { ...features, [KEY]: { ...(features[KEY] as Features[string]), info: video } } : features,
  });
  writeFileSync(join(folder, 'meta/info.json'), JSON.stringify(info));
}

const tensor = (size: number[], dtype = 'float32'): object => ({
  tensor: { shape: { dimensions: size.map(String) }, dtype, encoding: 'none' },
});
const dict = (features: object): object => ({ featuresDict: { features } });

/** RLDS of `bytes` bytes as Bridge has it, JPEGs of 70 kB, in shards of some 64 MB. Returns the number of episodes. */
export async function makeRlds(folder: string, bytes: number): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const noise = new Uint8Array(256 * 256 * 3).map((_, i) => ((i * 2654435761) >>> 13) & 255);
  const jpeg = await sharp(noise, { raw: { width: 256, height: 256, channels: 3 } })
    .jpeg({ quality: 85 })
    .toBuffer();
  const image = { image: { shape: { dimensions: ['256', '256', '3'] }, dtype: 'uint8', encodingFormat: 'jpeg' } };
  const observation = dict({ image_0: image, state: tensor([7]) });
  const steps = { action: tensor([7]), observation, language_instruction: { text: {} }, is_first: tensor([], 'bool') };
  const metadata = dict({ file_path: { text: {} }, episode_id: tensor([], 'int32') });
  const features = dict({ steps: { sequence: { feature: dict(steps) } }, episode_metadata: metadata });
  writeFileSync(join(folder, 'features.json'), JSON.stringify(features));
  const perShard = Math.max(1, Math.round(64e6 / (jpeg.length * EPISODE)));
  const numShards = Math.max(1, Math.round(bytes / (jpeg.length * EPISODE * perShard)));
  const text = new TextEncoder();
  const five = (value: number): string => String(value).padStart(5, '0');
  for (let shard = 0; shard < numShards; shard++) {
    const fd = openSync(join(folder, `bridge-train.tfrecord-${five(shard)}-of-${five(numShards)}`), 'w');
    for (let i = 0; i < perShard; i++) {
      const index = shard * perShard + i;
      const { state, action, task } = madeEpisode(index);
      const record = encodeExample([
        ['steps/action', { kind: 'float', values: action }],
        ['steps/observation/state', { kind: 'float', values: state }],
        ['steps/observation/image_0', { kind: 'bytes', values: new Array<Uint8Array>(EPISODE).fill(jpeg) }],
        ['steps/language_instruction', { kind: 'bytes', values: new Array(EPISODE).fill(text.encode(task)) }],
        ['steps/is_first', { kind: 'int64', values: BigInt64Array.from({ length: EPISODE }, (_, t) => (t ? 0n : 1n)) }],
        ['episode_metadata/file_path', { kind: 'bytes', values: [text.encode(filePath(index))] }],
        ['episode_metadata/episode_id', { kind: 'int64', values: BigInt64Array.of(BigInt(index)) }],
      ]);
      writeSync(fd, frameTfRecord(record));
    }
    closeSync(fd);
  }
  const splits = [{ name: 'train', shardLengths: new Array(numShards).fill(String(perShard)), filepathTemplate: '' }];
  writeFileSync(join(folder, 'dataset_info.json'), JSON.stringify({ name: 'bridge', version: '1.0.0', splits }));
  return perShard * numShards;
}

const filePath = (index: number): string => `/data/bridge/${Math.floor(index / 50)}/out.npy`;

/** An ECoT file of `bytes` bytes, whose first episodes are those of `makeRlds`. Returns the number of episodes. */
export function makeEcot(file: string, bytes: number): number {
  const fd = openSync(file, 'w');
  let written = 0;
  let index = 0;
  for (; written < bytes; index++) {
    const steps = Object.fromEntries(Array.from({ length: EPISODE }, (_, t) => [t, reasoning(index, t)]));
    const positions = Array.from({ length: EPISODE }, (_, t) => [(index + t) % 256, (index * 3 + t) % 256]);
    const features = { state_3d: positions.map(([x = 0, y = 0]) => [x, y, 0]), gripper_position: positions };
    const episode = JSON.stringify({ metadata: { episode_id: String(index) }, features, reasoning: steps });
    const opens = index % 50 === 0;
    const head = opens ? `${index === 0 ? '{' : '},'}${JSON.stringify(filePath(index))}:{` : ',';
    written += writeSync(fd, `${head}"${index}":${episode}`);
  }
  writeSync(fd, '}}');
  closeSync(fd);
  return index;
}
