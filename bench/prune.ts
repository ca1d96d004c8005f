/**
 * Pruning end to end against bare decoding of the same videos in the same run.
 *
 *   npx tsx bench/prune.ts [--episodes 10] [--frames 300] [--width 640] [--height 480] [--codec libsvtav1,libx264] [--rounds 3] [--detector DIR] [--json]
 *
 * Made-up videos of moving patterns with camera noise. Bare decoding is `ffmpeg -i FILE -f null -`; both sides use all cores. Best of the rounds.
 * The scene network is measured where --detector names one (dualvla prune train-scene), or the one that ships is there. Build first (npm run build).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LeRobotWriter, syntheticEpisode, syntheticFeatures } from 'dualvla/data';
import { emptyHistogram } from '../dist/data/statistics.js';
import { pruneDatasets } from '../dist/prune/prune-dataset.js';
import { openPruneInputs } from '../dist/prune/prune-input.js';
import { SceneEventModel } from '../dist/prune/scene-events.js';
import type { SceneSource } from '../dist/prune/scene-layer.js';

const { values } = parseArgs({
  options: {
    episodes: { type: 'string', default: '10' },
    frames: { type: 'string', default: '300' },
    width: { type: 'string', default: '640' },
    height: { type: 'string', default: '480' },
    codec: { type: 'string', default: 'libsvtav1,libx264' },
    rounds: { type: 'string', default: '3' },
    detector: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const [episodes, frames, width, height, rounds] = [
  values.episodes,
  values.frames,
  values.width,
  values.height,
  values.rounds,
].map(Number) as [number, number, number, number, number];
const FPS = 30;
const CAMERA = 'third';

function ffmpeg(...args: string[]): void {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

type Codec = 'libsvtav1' | 'libx264';

async function write(folder: string, codec: Codec): Promise<void> {
  const all = syntheticFeatures({ cameras: [CAMERA], imageStorage: 'video' });
  const key = `observation.images.${CAMERA}`;
  const features = {
    ...all,
    [key]: { ...all[key], dtype: 'video' as const, shape: [height, width, 3], names: ['height', 'width', 'channels'] },
  };
  const writer = await LeRobotWriter.create(folder, { fps: FPS, robotType: 'made-up', features, video: { codec } });
  const histogram = emptyHistogram();
  histogram.counts.fill(1);
  histogram.numFrames = 1;
  for (let e = 0; e < episodes; e++) {
    const video = join(folder, '..', `episode-${e}.mp4`);
    const pattern = `testsrc2=size=${width}x${height}:rate=${FPS},hue=h=${e * 30},noise=alls=3:allf=t`;
    const speed =
      codec === 'libsvtav1'
        ? ['-preset', '12', '-g', '2', '-crf', '30']
        : ['-preset', 'veryfast', '-g', '2', '-crf', '23'];
    ffmpeg(
      '-f',
      'lavfi',
      '-i',
      pattern,
      '-frames:v',
      String(frames),
      '-pix_fmt',
      'yuv420p',
      '-c:v',
      codec,
      ...speed,
      '-movie_timescale',
      '15360',
      video,
    );
    const episode = syntheticEpisode(e, { cameras: [], length: frames, fps: FPS });
    await writer.addEpisode(episode, { encoded: { [CAMERA]: { video, histogram } } });
    rmSync(video);
  }
  await writer.finish();
}

const seconds = async (work: () => unknown): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

function decode(folder: string): void {
  const files = readdirSync(join(folder, 'videos'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.mp4'),
  );
  for (const file of files) ffmpeg('-i', join(folder, 'videos', file), '-fps_mode', 'passthrough', '-f', 'null', '-');
}

async function prune(folder: string, scene: SceneSource): Promise<void> {
  const combine = scene.kind === 'none' ? 'motion' : 'and';
  await pruneDatasets({ inputs: await openPruneInputs(folder), scene, combine });
}

/** A detector that keeps its own time. */
function timed(model: SceneEventModel): { model: SceneEventModel; spent: () => number } {
  let [spent, depth] = [0, 0];
  const score = model.score.bind(model);
  model.score = (...args: Parameters<typeof score>) => {
    const start = performance.now();
    depth++;
    const result = score(...args);
    // It calls itself for every other frame.
    if (--depth === 0) spent += (performance.now() - start) / 1000;
    return result;
  };
  return { model, spent: () => spent };
}

interface Row {
  readonly codec: string;
  readonly decode: number;
  readonly motionEnergy: number;
  readonly none: number;
  readonly network: number | null;
  readonly networkShare: number | null;
}

async function measure(codec: Codec, base: string): Promise<Row> {
  const folder = join(base, codec);
  await write(folder, codec);
  const total = episodes * frames;
  const best = { decode: Infinity, energy: Infinity, none: Infinity, network: Infinity };
  let share: number | null = null;
  for (let round = 0; round < rounds; round++) {
    best.decode = Math.min(best.decode, await seconds(() => decode(folder)));
    best.energy = Math.min(best.energy, await seconds(() => prune(folder, { kind: 'motion-energy' })));
    best.none = Math.min(best.none, await seconds(() => prune(folder, { kind: 'none' })));
    if (values.detector === undefined) continue;
    const { model, spent } = timed(SceneEventModel.load(values.detector));
    const took = await seconds(() =>
      prune(folder, { kind: 'ddm-net', model, cameras: model.config.cameras.map(() => CAMERA) }),
    );
    if (took < best.network) [best.network, share] = [took, spent() / took];
  }
  const network = Number.isFinite(best.network) ? total / best.network : null;
  return {
    codec,
    decode: total / best.decode,
    motionEnergy: total / best.energy,
    none: total / best.none,
    network,
    networkShare: share,
  };
}

const base = mkdtempSync(join(tmpdir(), 'dualvla-bench-prune-'));
try {
  const rows = [];
  for (const codec of values.codec.split(',')) rows.push(await measure(codec as Codec, base));
  if (values.json) console.log(JSON.stringify({ width, height, episodes, frames, rows }));
  else {
    console.log(
      `${cpus()[0]?.model.trim()} (${cpus().length} cores), node ${process.version}; ${episodes} episodes of ${frames} frames, ${width}x${height}\n`,
    );
    console.log(
      "| codec | bare decode, frames/s | motion energy, frames/s | of decode | no scene layer, frames/s | scene network, frames/s | network's share |\n|---|---|---|---|---|---|---|",
    );
    for (const row of rows)
      console.log(
        `| ${row.codec} | ${row.decode.toFixed(0)} | ${row.motionEnergy.toFixed(0)} | ${(row.motionEnergy / row.decode).toFixed(2)} | ${row.none.toFixed(0)} | ${row.network?.toFixed(0) ?? '-'} | ${row.networkShare === null ? '-' : `${(100 * row.networkShare).toFixed(0)} %`} |`,
      );
  }
} finally {
  rmSync(base, { recursive: true });
}
