/**
 * Peak memory of the data and pruning commands against the data set's size: each command in a process of its own, on made-up data sets of two
 * sizes, so that growth shows.
 *
 *   npx tsx bench/memory.ts [--frames 200000,1000000] [--rlds-mb 500,3000] [--ecot-mb 300,1400] [--video-frames 4000,16000]
 *     [--detector-frames 200000] [--only info,validate,...] [--work DIR] [--keep] [--json]
 *
 * Memory is the largest resident set of the process itself, Node's own 50 to 100 MB and the code included; ffmpeg's processes have their own.
 * The detector that ships is slow on a processor and looks at data sets of up to --detector-frames. A million frames with text take about 1 GB of disk, and the whole default run some 12 GB. Build first (npm run build).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EPISODE, makeEcot, makeLeRobot, makeRlds } from './memory-data.js';

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '200000,1000000' },
    'video-frames': { type: 'string', default: '4000,16000' },
    'rlds-mb': { type: 'string', default: '500,3000' },
    'ecot-mb': { type: 'string', default: '300,1400' },
    'detector-frames': { type: 'string', default: '200000' },
    only: { type: 'string' },
    work: { type: 'string' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const sizes = (text: string): number[] =>
  text
    .split(',')
    .map(Number)
    .filter((size) => size > 0);
const BIN = fileURLToPath(new URL('../bin/dualvla.js', import.meta.url));
const work = values.work ? resolve(values.work) : mkdtempSync(join(tmpdir(), 'dualvla-bench-memory-'));
mkdirSync(work, { recursive: true });
const PEAK = join(work, 'peak');
/** Loaded into every measured process: writes its peak when it ends. */
const HOOK = `import{writeFileSync}from'node:fs';import{isMainThread}from'node:worker_threads';if(isMainThread)process.on('exit',()=>writeFileSync(process.env.PEAK_FILE,String(process.resourceUsage().maxRSS)))`;

interface Row {
  readonly command: string;
  readonly size: string;
  readonly peakMb: number;
  readonly seconds: number;
}
const rows: Row[] = [];
const only = values.only?.split(',');

/** Runs one command line and notes its peak. Exit code 1 is accepted where `mayFail`: what validate finds is not the point. */
function measure(name: string, size: string, args: readonly string[], mayFail = false): void {
  if (only && !only.includes(name)) return;
  rmSync(PEAK, { force: true });
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ['--import', `data:text/javascript,${HOOK}`, BIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, PEAK_FILE: PEAK },
    maxBuffer: 1 << 28,
  });
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0 && !(mayFail && status === 1))
    throw new Error(`${args.join(' ')} ended with ${status}\n${stderr.slice(-2000)}`);
  rows.push({ command: name, size, peakMb: Number(readFileSync(PEAK, 'utf8')) / 1024, seconds });
  console.error(`${name}, ${size}: ${rows.at(-1)?.peakMb.toFixed(0)} MB, ${seconds.toFixed(0)} s`);
}

const fresh = (name: string): string => {
  const path = join(work, name);
  rmSync(path, { recursive: true, force: true });
  return path;
};

async function made<T>(path: string, make: () => T): Promise<T | undefined> {
  if (existsSync(path)) return undefined;
  const started = performance.now();
  const result = await make();
  console.error(`made ${path} in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  return result;
}

/** Episodes that share one video: what reads, and pruning without a copy. */
async function lerobot(frames: number): Promise<void> {
  const folder = join(work, `video-${frames}`);
  await made(folder, () => makeLeRobot(folder, Math.round(frames / EPISODE), 'video'));
  const size = `${frames} frames`;
  measure('info', size, ['data', 'info', folder]);
  measure('stats', size, ['data', 'stats', folder]);
  const prune = (name: string, ...args: string[]): void =>
    measure(name, size, ['prune', folder, '--out', fresh('keep.json'), '--overwrite', ...args]);
  prune('prune --scene none', '--scene', 'none', '--combine', 'motion');
  prune('prune --scene motion-energy', '--scene', 'motion-energy');
  prune('prune --report', '--scene', 'motion-energy', '--report', fresh('report'));
  if (frames <= Number(values['detector-frames'])) prune('prune (shipped detector)');
}

/** A picture a frame: what writes. */
async function copies(frames: number): Promise<void> {
  const folder = join(work, `image-${frames}`);
  await made(folder, () => makeLeRobot(folder, Math.round(frames / EPISODE), 'image'));
  const size = `${frames} frames, pictures`;
  measure('validate', size, ['data', 'validate', folder, '--json'], true);
  measure('convert', size, ['data', 'convert', folder, '--output', fresh('out'), '--json']);
  measure('merge', size, ['data', 'merge', folder, folder, '--output', fresh('out'), '--json']);
  measure('split', size, ['data', 'split', folder, '--output', fresh('out'), '--parts', 'train=0.9,val=0.1', '--json']);
  const copy = ['--out', fresh('out'), '--scene', 'none', '--combine', 'motion'];
  measure('prune --out DIR', size, ['prune', folder, ...copy]);
  rmSync(join(work, 'out'), { recursive: true, force: true });
}

/** Videos are cut and joined by ffmpeg, an episode at a time. */
async function videos(frames: number): Promise<void> {
  const folder = join(work, `cut-${frames}`);
  await made(folder, () => makeLeRobot(folder, Math.round(frames / EPISODE), 'video'));
  const size = `${frames} frames, videos`;
  measure('validate (videos)', size, ['data', 'validate', folder, '--json'], true);
  measure('convert (videos)', size, ['data', 'convert', folder, '--output', fresh('out'), '--json']);
}

async function rlds(mb: number, ecotMb: number): Promise<void> {
  const ecot = join(work, `ecot-${ecotMb}.json`);
  await made(ecot, () => makeEcot(ecot, ecotMb * 1e6));
  const folder = join(work, `rlds-${mb}`, '1.0.0');
  const found = await made(folder, () => makeRlds(folder, mb * 1e6));
  if (found !== undefined) writeFileSync(join(work, `rlds-${mb}`, 'episodes'), String(found));
  const episodes = Number(readFileSync(join(work, `rlds-${mb}`, 'episodes'), 'utf8'));
  const gigabytes = (path: string): string => `${(statSync(path).size / 1e9).toFixed(1)} GB`;
  const size = `${episodes * EPISODE} steps of ${(mb / 1000).toFixed(1)} GB, ECoT ${gigabytes(ecot)}`;
  measure('info (RLDS)', size, ['data', 'info', folder]);
  measure('convert (RLDS)', size, ['data', 'convert', folder, '--output', fresh('out'), '--json']);
  measure('convert --ecot', size, ['data', 'convert', folder, '--output', fresh('out'), '--ecot', ecot]);
  const motion = ['--scene', 'none', '--combine', 'motion', '--ecot', ecot, '--export-ecot', fresh('pruned.json')];
  measure('prune --export-ecot', size, ['prune', folder, '--out', fresh('keep.json'), ...motion]);
  rmSync(join(work, 'out'), { recursive: true, force: true });
}

try {
  for (const frames of sizes(values.frames)) {
    await lerobot(frames);
    await copies(frames);
  }
  for (const frames of sizes(values['video-frames'])) await videos(frames);
  const [ecots, sets] = [sizes(values['ecot-mb']), sizes(values['rlds-mb'])];
  for (const [i, mb] of sets.entries()) await rlds(mb, ecots[i] ?? (ecots[0] as number));
  if (values.json) console.log(JSON.stringify(rows));
  else {
    console.log(`${cpus()[0]?.model.trim()} (${cpus().length} cores), node ${process.version}\n`);
    console.log('| command | data | peak MB | s |\n|---|---|---|---|');
    for (const { command, size, peakMb, seconds } of rows)
      console.log(`| ${command} | ${size} | ${peakMb.toFixed(0)} | ${seconds.toFixed(0)} |`);
  }
} finally {
  if (!values.keep) rmSync(work, { recursive: true, force: true });
}
