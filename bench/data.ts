/**
 * The training loader: how long a trainer waits for data, with all pictures in memory and streamed through little of it.
 *
 *   npx tsx bench/data.ts [--frames 20000] [--size 64] [--batch 64] [--step-ms 150] [--steps 400] [--workers 1] [--folder <data set>] [--json]
 *
 * The trainer is a loop that computes for --step-ms without giving way, as a training step does. Without --folder a made-up data set with two
 * cameras is written to a temporary folder first. Build first (npm run build).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LeRobotWriter, Loader, syntheticEpisode, syntheticFeatures } from 'dualvla/data';

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '20000' },
    size: { type: 'string', default: '64' },
    batch: { type: 'string', default: '64' },
    'step-ms': { type: 'string', default: '150' },
    steps: { type: 'string', default: '400' },
    workers: { type: 'string', default: '1' },
    folder: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const [frames, size, batchSize, stepMs, steps, workers] = [
  values.frames,
  values.size,
  values.batch,
  values['step-ms'],
  values.steps,
  values.workers,
].map(Number) as [number, number, number, number, number, number];
const EPISODE = 25;

async function write(folder: string): Promise<number> {
  const options = { imageSize: size, length: EPISODE };
  const writer = await LeRobotWriter.create(folder, {
    fps: 5,
    robotType: 'made-up',
    features: syntheticFeatures(options),
  });
  const start = performance.now();
  for (let i = 0; i < frames / EPISODE; i++) await writer.addEpisode(syntheticEpisode(i, options));
  await writer.finish();
  return frames / ((performance.now() - start) / 1000);
}

interface Row {
  readonly mode: string;
  readonly openSeconds: number;
  readonly firstBatchSeconds: number;
  /** Share of the time that the trainer waited: the steps of the first epoch, and those after it. */
  readonly firstEpochWait: number;
  readonly laterWait: number;
  readonly assembleMs: number;
}

async function measure(mode: string, folder: string, cacheBytes: number | undefined): Promise<Row> {
  const opened = performance.now();
  await using loader = await Loader.open({
    folders: [folder],
    batchSize,
    chunk: 8,
    workers,
    ...(cacheBytes ? { cacheBytes } : {}),
  });
  const openSeconds = (performance.now() - opened) / 1000;
  const waited = { first: 0, later: 0 };
  const total = { first: 0, later: 0 };
  const assembled: number[] = [];
  let firstBatchSeconds = 0;
  for (let step = 0; step < steps; step++) {
    const part = loader.state.epoch === 0 ? 'first' : 'later';
    const start = performance.now();
    const before = loader.timing.assembleSeconds;
    await loader.next();
    const got = performance.now();
    assembled.push((loader.timing.assembleSeconds - before) * 1000);
    if (step === 0) firstBatchSeconds = (got - start) / 1000;
    while (performance.now() - got < stepMs);
    waited[part] += got - start;
    total[part] += performance.now() - start;
  }
  const median = assembled.sort((a, b) => a - b)[assembled.length >> 1] ?? Number.NaN;
  return {
    mode,
    openSeconds,
    firstBatchSeconds,
    firstEpochWait: waited.first / total.first,
    laterWait: waited.later / total.later,
    assembleMs: median,
  };
}

const temporary = values.folder ? undefined : mkdtempSync(join(tmpdir(), 'dualvla-bench-'));
const folder = values.folder ?? join(temporary as string, 'set');
try {
  const framesPerSecond = temporary ? await write(folder) : undefined;
  const bytes = frames * 2 * size * size * 3;
  const rows = [
    await measure('in memory', folder, undefined),
    await measure('streamed through 40 %', folder, Math.round(bytes * 0.4)),
  ];
  if (values.json) console.log(JSON.stringify({ framesPerSecond, rows }));
  else {
    const percent = (share: number): string => (Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : '-');
    console.log(`${cpus()[0]?.model.trim()} (${cpus().length} cores), node ${process.version}`);
    if (framesPerSecond)
      console.log(`written: ${framesPerSecond.toFixed(0)} frames/s with two ${size} px pictures each, PNG`);
    console.log(`${steps} steps of ${stepMs} ms, batch ${batchSize}, ${workers} decoding worker(s)\n`);
    console.log('| pictures | open | first batch | waiting, first epoch | waiting, later | assembling a batch |');
    console.log('|---|---|---|---|---|---|');
    for (const row of rows)
      console.log(
        `| ${row.mode} | ${row.openSeconds.toFixed(2)} s | ${row.firstBatchSeconds.toFixed(2)} s | ${percent(row.firstEpochWait)} | ${percent(row.laterWait)} | ${row.assembleMs.toFixed(2)} ms |`,
      );
  }
} finally {
  if (temporary) rmSync(temporary, { recursive: true });
}
