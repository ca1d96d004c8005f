/** `dualvla data`: generates demonstrations, tells what a data set holds, checks one frame by frame and mends it. */
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import type { LeRobotDataset } from '../data/index.js';
import type { DemonstrationsRecipe } from '../recipes/index.js';
import type { ReasoningStyle } from '../sim/annotation.js';
import { registerDataEdits, tellConverted, working } from './data-edits.js';
import { datasetFolder, HUB_ID_HELP } from './dataset-argument.js';
import { demonstrationOptions, runDemonstrations } from './demonstrations.js';
import { CommandError, EXIT, UsageError } from './errors.js';
import { registerMultimodal } from './multimodal.js';
import { list, required, wholeNumber } from './options.js';
import { keepHeapSmall } from './small-heap.js';
import { withStopSignal } from './stop-signal.js';
import { formatTable } from './terminal.js';

const GENERATE_EXAMPLES = `Examples:
  dualvla data generate --recipe demo --output outputs/data/demo
  dualvla data generate --tasks widowx/put-carrot-on-plate --episodes 400 --output outputs/data/carrot
  dualvla data generate --recipe full --output outputs/data/full --resume      continue where it was stopped

Demonstrations are the scripted expert's successes on training scenes, as LeRobot v3.0 data sets; tasks of two robots go
into one data set each, OUTPUT/widowx and OUTPUT/google.
`;

const READ_EXAMPLES = `Examples:
  dualvla data info outputs/data/demo             episodes, frames, tasks, columns
  dualvla data validate outputs/data/demo         reads every frame and every picture
  dualvla data validate DIR --fix OUT             and writes what can be saved of it to OUT
  dualvla data info lerobot/pusht                 of the Hub: fetches its metadata alone
`;

interface GenerateFlags {
  recipe: string;
  output?: string;
  tasks?: string[];
  episodes?: number;
  imageSize?: number;
  reasoning?: ReasoningStyle;
  seed: number;
  workers: number;
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
}

export function registerData(program: Command): void {
  const data = program
    .command('data')
    .description('generate demonstrations; look at, check, convert, merge and split data sets')
    .hook('preAction', keepHeapSmall);
  data
    .command('generate')
    .description("record the scripted expert's successes as a LeRobot v3.0 data set")
    .option('--output <dir>', 'where the data set goes')
    .option('--recipe <name>', 'the demonstrations of this recipe', 'demo')
    .option('--tasks <a,b>', "other tasks than the recipe's", list)
    .option('--episodes <n>', 'other number of episodes a task', wholeNumber(1))
    .option(
      '--reasoning <style>',
      'ecot, ecot-long, ecot-hindsight, vla-it or privileged (docs/annotations.md); default ecot',
    )
    .option('--image-size <pixels>', 'other side of the pictures', wholeNumber(16))
    .option('--seed <s>', 'other scenes, 0 to 99', wholeNumber(), 0)
    .option('--workers <n>', 'simulation threads', wholeNumber(1), 2)
    .option('--resume', 'continue an unfinished data set')
    .option('--overwrite', 'replace the data set that is there')
    .option('--json', 'print a summary as JSON')
    .addHelpText('before', GENERATE_EXAMPLES)
    .action(generate);
  data
    .command('info')
    .description('what a data set holds')
    .argument('<dir>', `a LeRobot (v2.0, v2.1, v3.0) or RLDS data set, or a folder of v3.0 ones; ${HUB_ID_HELP}`)
    .option('--split <name>', 'of an RLDS data set')
    .option('--json', 'print JSON')
    .addHelpText('before', READ_EXAMPLES)
    .action(info);
  data
    .command('reasoning-stats')
    .description('length, repetition, bits a frame, lag and errors of the reasoning in a generated data set')
    .argument('<dir>', 'a data set, or a folder of data sets')
    .option(
      '--vocabulary <n>',
      'count the tokens of a BPE of this size trained on the same texts',
      wholeNumber(300),
      1024,
    )
    .option('--json', 'print JSON')
    .action(reasoningStats);
  data
    .command('validate')
    .description('read every frame and picture of a data set and check them against its declaration')
    .argument('<dir>', `a data set, or a folder of data sets; ${HUB_ID_HELP}`)
    .option('--fix <dir>', 'write what can be saved as a new data set; damaged episodes are left out and named')
    .option('--resume', 'continue an unfinished --fix')
    .option('--overwrite', 'replace what is at --fix')
    .option('--json', 'print {ok, errors: [{file, episode, frame, code, message, fix}], warnings}')
    .addHelpText('before', READ_EXAMPLES)
    .action(validate);
  registerDataEdits(data);
  registerMultimodal(data);
}

async function generate(flags: GenerateFlags): Promise<void> {
  const { findRecipe } = await import('../recipes/index.js');
  const { demonstrations } = findRecipe(flags.recipe);
  const recipe: DemonstrationsRecipe = {
    ...demonstrations,
    ...(flags.tasks === undefined ? {} : { tasks: flags.tasks }),
    ...(flags.episodes === undefined ? {} : { episodes_per_task: flags.episodes }),
    ...(flags.imageSize === undefined ? {} : { image_size: flags.imageSize }),
  };
  const options = {
    ...demonstrationOptions(recipe, required(flags.output, '--output <dir>'), flags.seed),
    workers: flags.workers,
    // What is no style is refused where it is used.
    ...(flags.reasoning === undefined ? {} : { reasoning: flags.reasoning }),
  };
  const summaries = await withStopSignal(
    (signal) =>
      runDemonstrations({
        ...options,
        signal,
        ...(flags.resume ? { resume: true } : {}),
        ...(flags.overwrite ? { overwrite: true } : {}),
      }),
    () => process.stderr.write(`stopping; next: the same command with --resume\n`),
  );
  if (flags.json) print(JSON.stringify(summaries));
  else for (const { folder, episodes, frames } of summaries) print(`${folder}: ${episodes} episodes, ${frames} frames`);
}

async function info(name: string, flags: { json?: boolean; split?: string }): Promise<void> {
  const { isRlds, leRobotVersion } = await import('../data/index.js');
  const directory = await datasetFolder(name, { metadataOnly: true });
  if (isRlds(directory)) return rldsInfo(directory, flags);
  const version = leRobotVersion(directory);
  if (version !== undefined && /^v?2\./.test(version)) return v2Info(directory, flags);
  const described = [];
  for (const folder of dataSetsIn(directory)) described.push(describe(await open(folder)));
  printInfo(described, flags.json);
}

interface Described {
  folder: string;
  robot: string | null;
  fps: number | null;
  episodes: number;
  frames: number | null;
  tasks: readonly string[];
  columns: Record<string, string>;
}

function printInfo(described: readonly Described[], json = false): void {
  if (json) {
    print(JSON.stringify(described, null, 2));
    return;
  }
  for (const { folder, robot, fps, episodes, frames, tasks, columns } of described) {
    const facts = [robot, fps && `${fps} Hz`, `${episodes} episodes`, frames !== null && `${frames} frames`];
    print(`${folder}: ${facts.filter(Boolean).join(', ')}`);
    print(formatTable(Object.entries(columns).map(([name, type]) => ['  ', name, type])));
    print(`   ${tasks.length} instructions: ${tasks.slice(0, 5).join('; ')}${tasks.length > 5 ? ' ...' : ''}`);
  }
}

async function v2Info(directory: string, { json }: { json?: boolean }): Promise<void> {
  const { LeRobotV2Dataset } = await import('../data/index.js');
  const { folder, version, robotType, fps, features, tasks, episodes } = LeRobotV2Dataset.open(directory);
  const columns = Object.fromEntries(
    Object.entries(features).map(([name, { dtype, shape }]) => [name, `${dtype}[${shape.join(', ')}]`]),
  );
  const frames = episodes.reduce((sum, { length }) => sum + length, 0);
  const facts = { folder, format: version, robot: robotType, fps, episodes: episodes.length, frames };
  printInfo([{ ...facts, tasks: [...tasks.values()], columns }], json);
}

async function rldsInfo(directory: string, { json, split }: { json?: boolean; split?: string }): Promise<void> {
  const { guessRldsTransform, RldsDataset } = await import('../data/index.js');
  const dataset = RldsDataset.open(directory, split === undefined ? {} : { split });
  const columns = Object.fromEntries(
    dataset.leaves.map(({ path, kind, dtype, shape }) => [
      path,
      `${kind === 'numeric' ? dtype : kind}[${shape.join(', ')}]`,
    ]),
  );
  const tasks = new Set<string>();
  let frames = 0;
  for (const { length, steps } of dataset.episodes()) {
    frames += length;
    const text = steps.language_instruction ?? steps['observation/natural_language_instruction'];
    if (text?.kind === 'text') tasks.add(text.values[0] ?? '');
  }
  const transform = guessRldsTransform(new Set(dataset.leaves.map(({ path }) => path)));
  const { folder, name, version, numEpisodes: episodes, split: read } = dataset;
  const facts = {
    folder,
    format: 'rlds',
    name,
    version,
    split: read,
    transform,
    robot: `${name} ${version}, split ${read}`,
  };
  printInfo([{ ...facts, fps: null, episodes, frames, tasks: [...tasks], columns }], json);
}

function describe({ folder, info, tasks }: LeRobotDataset): Described {
  const { robotType, fps, totalEpisodes, totalFrames, features } = info;
  const columns = Object.fromEntries(
    Object.entries(features).map(([name, { dtype, shape }]) => [name, `${dtype}[${shape.join(', ')}]`]),
  );
  return { folder, robot: robotType, fps, episodes: totalEpisodes, frames: totalFrames, tasks, columns };
}

async function reasoningStats(directory: string, flags: { json?: boolean; vocabulary: number }): Promise<void> {
  const { annotatedTexts, reasoningStats: measure } = await import('../sim/annotation-stats.js');
  const { trainBpe } = await import('../model/bpe-trainer.js');
  const { TextTokenizer } = await import('../model/tokenizer.js');
  const folders = [];
  for (const folder of dataSetsIn(directory)) folders.push(await annotatedTexts(await open(folder)));
  const episodes = folders.flat();
  const tokenizer = new TextTokenizer(
    trainBpe(
      episodes.flatMap(({ texts }) => texts),
      { vocabularySize: flags.vocabulary },
    ),
  );
  const stats = measure(episodes, (text) => tokenizer.encode(text).length);
  if (flags.json) return print(JSON.stringify(stats, null, 2));
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const { length, bits, spans, lag, subtaskErrors } = stats;
  const rows = [
    ['episodes, frames, different texts', `${stats.episodes}, ${stats.frames}, ${stats.distinctTexts}`],
    ['tokens a frame', `${length.mean.toFixed(1)} (${length.min} to ${length.max})`],
    ['equal to the frame before', percent(stats.repeated)],
    ...Object.entries(stats.repeatedByField).map(([tag, share]) => [`  ${tag}`, percent(share)]),
    ['bits a frame, of a first frame', `${bits.frame.toFixed(0)}, ${bits.first.toFixed(0)}`],
    ['subtask spans an episode', `${spans.perEpisode.toFixed(1)} of ${spans.seconds.toFixed(1)} s`],
    ['lag of cuts', lag ? `${lag.mean.toFixed(2)} s, standard deviation ${lag.sd.toFixed(2)} s` : 'unknown'],
    ['subtask not of the true phase', subtaskErrors === null ? 'unknown' : percent(subtaskErrors)],
  ];
  print(formatTable(rows));
}

interface ValidateFlags {
  json?: boolean;
  fix?: string;
  resume?: boolean;
  overwrite?: boolean;
}

async function validate(name: string, { json, fix, resume, overwrite }: ValidateFlags): Promise<void> {
  const { isRlds, validateDataset } = await import('../data/index.js');
  const directory = await datasetFolder(name);
  const folders = dataSetsIn(directory, isRlds);
  const reports = [];
  for (const folder of folders) reports.push(await validateDataset(folder, { decodeAll: true }));
  const found = reports.flatMap(({ folder, problems }) =>
    problems.map(({ severity, check: code, message, file, episode, frame, fix: mend }) => ({
      severity,
      file: relative(directory, join(folder, file ?? '.')) || '.',
      episode: episode ?? null,
      frame: frame ?? null,
      code,
      message,
      fix: mend,
    })),
  );
  const ok = !found.some(isError);
  if (json) {
    const [errors, warnings] = [found.filter(isError), found.filter((one) => !isError(one))].map((list) =>
      list.map(({ severity: _, ...one }) => one),
    );
    print(JSON.stringify({ ok, errors, warnings }, null, 2));
  } else {
    for (const { severity, code, message, fix: mend } of found)
      print(`${severity}: ${code}: ${message}; next: ${mend}`);
    for (const { folder, episodes, frames, problems } of reports)
      print(`${folder}: ${problems.some(isError) ? 'invalid' : 'valid'}, ${episodes} episodes, ${frames} frames`);
  }
  if (!ok) process.exitCode = EXIT.failed;
  if (fix === undefined) return;
  const { datasetState, repairDataset } = await import('../data/index.js');
  for (const folder of folders) {
    const target = join(fix, relative(directory, folder));
    // Of several, those that an earlier run mended.
    if (resume && folders.length > 1 && datasetState(target) === 'finished') continue;
    const summary = await working((passed) => repairDataset(folder, target, passed), { resume, overwrite });
    // With --json the report alone goes to standard output.
    tellConverted(summary, (text) => process.stderr.write(`${text}\n`));
  }
  process.exitCode = EXIT.done;
}

const isError = ({ severity }: { severity: 'error' | 'warning' }): boolean => severity === 'error';

async function open(folder: string): Promise<LeRobotDataset> {
  const { LeRobotDataset } = await import('../data/index.js');
  return LeRobotDataset.open(folder);
}

/** The folder itself, or the data sets right below it. */
function dataSetsIn(directory: string, isRlds: (folder: string) => boolean = () => false): string[] {
  if (!existsSync(directory)) throw new UsageError(`there is no folder ${directory}`);
  const isDataSet = (folder: string): boolean => existsSync(join(folder, 'meta', 'info.json'));
  if (isDataSet(directory)) return [directory];
  const below = readdirSync(directory)
    .map((name) => join(directory, name))
    .filter(isDataSet);
  if (below.length > 0) return below;
  if (isRlds(directory))
    throw new CommandError(
      `${directory} is an RLDS data set, whose checksums are checked whenever it is read; next: dualvla data convert ${directory} --output NEW`,
    );
  throw new CommandError(`${directory} holds no LeRobot data set; next: dualvla data generate --output ${directory}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
