/** `dualvla data convert | merge | split | stats`: data sets of other formats in, LeRobot v3.0 out; edits write a new data set. */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { ConvertOptions, ConvertSummary, RldsTransformName, VideoCodecOptions } from '../data/index.js';
import { datasetFolder, HUB_ID_HELP } from './dataset-argument.js';
import { UsageError } from './errors.js';
import { list, oneOf, required, wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla data convert bridge_dataset/1.0.0 --output outputs/data/bridge --cameras image_0
  dualvla data convert bridge_dataset/1.0.0 --output outputs/data/bridge --ecot embodied_features_bridge.json
  dualvla data convert old-v2.1 --output outputs/data/new          continue a stopped one with --resume
  dualvla data convert lerobot/pusht --output outputs/data/pusht   from the Hub
  dualvla data merge a b --output c
  dualvla data merge pruned.shards --output pruned                 what dualvla prune --shard began
  dualvla data split a --output parts --parts train=0.9,val=0.1
`;

type Passed = Pick<ConvertOptions, 'resume' | 'overwrite' | 'signal' | 'onProgress'>;

interface EditFlags {
  output?: string;
  resume?: boolean | undefined;
  overwrite?: boolean | undefined;
  json?: boolean;
}

interface ConvertFlags extends EditFlags {
  split?: string;
  transform?: RldsTransformName;
  fps?: number;
  robot?: string;
  cameras?: string[];
  ecot?: string;
  vlaIt?: string;
  stepOffset?: number;
  defaultTask?: string;
  images: 'same' | 'image' | 'video';
  codec?: NonNullable<VideoCodecOptions['codec']>;
  skipDamaged?: boolean;
}

const CODECS = ['libsvtav1', 'libx264', 'libx265', 'libvpx-vp9'] as const;

export function registerDataEdits(data: Command): void {
  const edit = (name: string, description: string): Command =>
    data
      .command(name)
      .description(description)
      .option('--output <dir>', 'where the new data set goes')
      .option('--resume', 'continue an unfinished one')
      .option('--overwrite', 'replace what is there')
      .option('--json', 'print a summary as JSON')
      .addHelpText('before', EXAMPLES);
  edit('convert', 'turn an RLDS, LeRobot v2.0, v2.1 or v3.0 data set into LeRobot v3.0')
    .argument('<dir>', `the data set; ${HUB_ID_HELP}`)
    .option('--split <name>', 'of an RLDS data set', 'train')
    .option(
      '--transform <name>',
      'bridge, fractal or plain; guessed from the columns',
      oneOf('transform', ['bridge', 'fractal', 'plain']),
    )
    .option('--fps <n>', 'of an RLDS data set that is neither Bridge nor Fractal', wholeNumber(1))
    .option('--robot <name>', 'robot type of an RLDS data set')
    .option('--cameras <a,b>', 'cameras of an RLDS data set to keep; all by default', list)
    .option('--ecot <file>', 'reasoning of an RLDS data set, from an ECoT file')
    .option('--vla-it <file>', 'reasoning of an RLDS data set, from a VLA-IT file')
    .option(
      '--step-offset <n>',
      'frame t takes annotation t + n; by default that of its own raw step (Bridge: 1)',
      wholeNumber(),
    )
    .option('--default-task <text>', 'for episodes without an instruction, which are left out otherwise')
    .option(
      '--images <how>',
      'same (as they are stored), image or video',
      oneOf('way', ['same', 'image', 'video']),
      'same',
    )
    .option('--codec <name>', `encode videos anew: ${CODECS.join(', ')}`, oneOf('codec', CODECS))
    .option('--skip-damaged', 'leave damaged episodes out and name them, instead of stopping')
    .action(convert);
  edit('merge', 'join data sets of the same robot, fps and columns; put the shards of dualvla prune together')
    .argument('<dirs...>', 'LeRobot v3.0 data sets; or the OUT.shards of dualvla prune --shard, which it finishes')
    .action(merge);
  edit('split', 'write parts of a data set as data sets of their own, OUTPUT/PART')
    .argument('<dir>', 'a LeRobot v3.0 data set')
    .option('--parts <name=share,...>', 'consecutive parts, e.g. train=0.9,val=0.1', list)
    .option('--episodes <a:b,c>', 'these episodes alone, as OUTPUT/part: ranges (end exclusive) and numbers', list)
    .action(split);
  data
    .command('stats')
    .description('statistics of every numeric column, computed from the data')
    .argument('<dir>', 'a LeRobot v3.0 data set')
    .option('--json', 'print JSON in the form of meta/stats.json')
    .action(stats);
}

async function convert(name: string, flags: ConvertFlags): Promise<void> {
  if (flags.ecot !== undefined && flags.vlaIt !== undefined) throw new UsageError('give --ecot or --vla-it, not both');
  const target = required(flags.output, '--output <dir>');
  const directory = await datasetFolder(name);
  const data = await import('../data/index.js');
  const skip = flags.skipDamaged === true;
  const version = data.leRobotVersion(directory);
  const source = (async () => {
    if (version === undefined) {
      const file = flags.ecot ?? flags.vlaIt;
      return data.rldsSource(data.RldsDataset.open(directory, { split: flags.split ?? 'train' }), {
        transform: flags.transform,
        fps: flags.fps,
        robotType: flags.robot,
        cameras: flags.cameras,
        annotations: file === undefined ? undefined : { format: flags.ecot === undefined ? 'vla-it' : 'ecot', file },
        stepOffset: flags.stepOffset,
      });
    }
    const asked = [
      flags.ecot && '--ecot',
      flags.vlaIt && '--vla-it',
      flags.transform && '--transform',
      flags.cameras && '--cameras',
    ];
    const wrong = asked.find(Boolean);
    if (wrong) throw new UsageError(`${wrong} is for RLDS data sets; this one is LeRobot ${version}`);
    if (/^v?2\./.test(version))
      return data.leRobotV2Source(data.LeRobotV2Dataset.open(directory), { skipDamaged: skip });
    return data.leRobotSource(await data.LeRobotDataset.open(directory), { skipDamaged: skip });
  })();
  const sources = [await source];
  const summary = await working(
    (passed) =>
      data.convertDataset({
        ...passed,
        sources,
        target,
        images: flags.images,
        skipDamaged: skip,
        defaultTask: flags.defaultTask,
        ...(flags.codec ? { video: { codec: flags.codec } } : {}),
      }),
    flags,
  );
  tell(summary, flags.json);
}

async function merge(names: string[], flags: EditFlags): Promise<void> {
  const target = required(flags.output, '--output <dir>');
  const { arePruneShards, mergePruneShards } = await import('./prune-merge.js');
  if (arePruneShards(names)) return mergePruneShards(names, target, flags);
  const directories: string[] = [];
  for (const name of names) directories.push(await datasetFolder(name));
  const { mergeDatasets } = await import('../data/index.js');
  tell(await working((passed) => mergeDatasets(directories, target, passed), flags), flags.json);
}

async function split(name: string, flags: EditFlags & { parts?: string[]; episodes?: string[] }): Promise<void> {
  const target = required(flags.output, '--output <dir>');
  if ((flags.parts === undefined) === (flags.episodes === undefined))
    throw new UsageError('give --parts or --episodes');
  const { LeRobotDataset, partsByShare, splitDataset } = await import('../data/index.js');
  const directory = await datasetFolder(name);
  const { numEpisodes } = await LeRobotDataset.open(directory);
  const parts = flags.parts
    ? usage(() => partsByShare(numEpisodes, sharesOf(flags.parts ?? [])))
    : [{ name: 'part', episodes: episodesOf(flags.episodes ?? [], numEpisodes) }];
  const summaries = await working((passed) => splitDataset(directory, parts, target, passed), flags);
  if (flags.json) return print(JSON.stringify(summaries, null, 2));
  for (const summary of summaries) tellConverted(summary, print);
}

function usage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

function sharesOf(parts: readonly string[]): Record<string, number> {
  const entries = parts.map((part): [string, number] => {
    const [name = '', share] = part.split('=');
    const value = Number(share);
    if (name === '' || !(value > 0 && value <= 1))
      throw new UsageError(`'${part}' is no name=share with a share up to 1`);
    return [name, value];
  });
  return Object.fromEntries(entries);
}

function episodesOf(words: readonly string[], numEpisodes: number): number[] {
  return words.flatMap((word) => {
    const match = /^(\d+)(?::(\d+))?$/.exec(word);
    const from = Number(match?.[1]);
    const to = match?.[2] === undefined ? from + 1 : Number(match[2]);
    if (!match || to <= from || to > numEpisodes)
      throw new UsageError(`'${word}' names no episodes of 0:${numEpisodes}`);
    return Array.from({ length: to - from }, (_, i) => from + i);
  });
}

async function stats(name: string, { json }: { json?: boolean }): Promise<void> {
  const { LeRobotDataset, numericDatasetStats, parquetPaths, statsToJson } = await import('../data/index.js');
  const dataset = await LeRobotDataset.open(await datasetFolder(name));
  const paths = await parquetPaths(join(dataset.folder, 'data'));
  const exact = await numericDatasetStats(paths, dataset.features);
  if (json)
    return print(
      JSON.stringify(
        Object.fromEntries(Object.entries(exact).map(([key, one]) => [key, statsToJson(one, false)])),
        null,
        2,
      ),
    );
  const short = (value: number | undefined): string =>
    value === undefined ? '' : String(Number(value.toPrecision(5)));
  const rows = Object.entries(exact).flatMap(([key, { min, max, mean, std, quantiles }]) =>
    mean.map((_, d) => {
      const name = mean.length === 1 ? key : `${key}[${d}]`;
      const values = [min[d], quantiles?.q01[d], quantiles?.q50[d], quantiles?.q99[d], max[d], mean[d], std[d]];
      return [name, ...values.map(short)];
    }),
  );
  print(formatTable([['column', 'min', 'q01', 'q50', 'q99', 'max', 'mean', 'std'], ...rows], [1, 2, 3, 4, 5, 6, 7]));
}

/** Runs an edit with progress; the first Ctrl-C stops it in order. */
export function working<T>(
  work: (passed: Passed) => Promise<T>,
  { resume, overwrite }: { resume?: boolean | undefined; overwrite?: boolean | undefined },
): Promise<T> {
  let progress: Progress | undefined;
  return withStopSignal(
    (signal) =>
      work({
        signal,
        ...(resume ? { resume } : {}),
        ...(overwrite ? { overwrite } : {}),
        onProgress: ({ done, total }) => {
          progress ??= new Progress('episodes', total);
          progress.update(done);
        },
      }).finally(() => progress?.clear()),
    () => process.stderr.write('stopping; next: the same command with --resume\n'),
  );
}

/** Says what came out and what was left out. */
export function tellConverted(summary: ConvertSummary, say: (text: string) => void): void {
  const { folder, episodes, frames, leftOut, ignored, annotatedFrames } = summary;
  for (const [name, reason] of Object.entries(ignored)) say(`ignored: ${name}: ${reason}`);
  for (const { source, episode, reason } of leftOut) say(`left out: episode ${episode} of ${source}: ${reason}`);
  if (annotatedFrames !== undefined) say(`${annotatedFrames} of ${frames} frames have reasoning`);
  if (annotatedFrames === 0)
    say('warning: no episode of the annotation file is in the data set; do file_path and episode_id fit?');
  say(`${folder}: ${episodes} episodes, ${frames} frames${leftOut.length > 0 ? `, ${leftOut.length} left out` : ''}`);
}

function tell(summary: ConvertSummary, json = false): void {
  if (json) print(JSON.stringify(summary, null, 2));
  else tellConverted(summary, print);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
