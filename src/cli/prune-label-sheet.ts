/** `dualvla prune label-sheet`: a contact sheet of an episode, to label event boundaries from. */
import type { Command } from 'commander';
import { datasetFolder } from './dataset-argument.js';
import { CommandError, UsageError } from './errors.js';
import { ownOptions, required, wholeNumber } from './options.js';
import { print } from './prune-print.js';
import { refuseExisting } from './prune-run.js';

const EXAMPLES = `Examples:
  dualvla prune label-sheet outputs/data/demo --episode 3 --out sheet.png
  dualvla prune label-sheet data/two-robots --folder widowx --episode 3 --labels labels.jsonl --out sheet.png

Frames with their numbers; beneath them the acceleration over its mean (dashed; large dots: the motion layer says 1), a blue
triangle where the gripper changes, an orange bar at frames that --labels has already.
`;

interface SheetFlags {
  out?: string;
  episode?: number;
  folder: string;
  camera?: string[];
  labels?: string;
  every?: number;
  columns: number;
  size: number;
  overwrite?: boolean;
  json?: boolean;
}

/** Frames of a sheet without --every. */
const MOST_FRAMES = 240;

export function registerLabelSheet(prune: Command): void {
  prune
    .command('label-sheet')
    .description("draw an episode's frames with their numbers, to label events from")
    .argument('<dir>', 'a data set, or a folder of data sets')
    .option('--out <file>', 'where the picture goes (PNG)')
    .option('--episode <n>', 'which episode', wholeNumber())
    .option('--folder <name>', 'which of several data sets', '')
    .option('--camera <name>', 'which camera; default: the first', (text) => [text])
    .option('--labels <file>', 'show the labels that are there already')
    .option('--every <n>', `every n-th frame; default: so that there are ${MOST_FRAMES} or fewer`, wholeNumber(1))
    .option('--columns <n>', 'frames a row', wholeNumber(1), 8)
    .option('--size <pixels>', 'side of a frame', wholeNumber(16), 144)
    .option('--overwrite', 'replace the picture that is there')
    .option('--json', 'print a summary as JSON')
    .addHelpText('before', EXAMPLES)
    .action((directory: string, _own: SheetFlags, command: Command) => labelSheet(directory, ownOptions(command)));
}

async function labelSheet(name: string, flags: SheetFlags): Promise<void> {
  const out = required(flags.out, '--out <file>');
  const wanted = required(flags.episode, '--episode <n>');
  refuseExisting([out], flags.overwrite);
  const {
    checkBoundaries,
    inputEpisodes,
    MotionLayer,
    openPruneInputs,
    PruneError,
    readBoundaryLabels,
    writeContactSheet,
  } = await import('../prune/index.js');
  const inputs = await openPruneInputs(await datasetFolder(name));
  const input = inputs.find((one) => one.name === flags.folder);
  if (!input)
    throw new UsageError(
      `there is no data set "${flags.folder}" in ${name}; give --folder: ${inputs.map((one) => one.name || '(none)').join(', ')}`,
    );
  if (wanted >= input.numEpisodes)
    throw new UsageError(`there is no episode ${wanted}: ${input.label} has 0 to ${input.numEpisodes - 1}`);
  const camera = flags.camera?.[0] ?? input.cameras[0];
  if (camera === undefined) throw new CommandError(`${input.label} has no camera`);
  const given = flags.labels === undefined ? [] : readBoundaryLabels(flags.labels);
  const line = given.find(({ folder, episode }) => folder === input.name && episode === wanted);
  for await (const { episode, frames } of inputEpisodes(input, wanted, wanted + 1, {
    cameras: [camera],
    size: flags.size,
  })) {
    if (!frames) throw new CommandError(`${input.label}: episode ${wanted} has no pictures`);
    if (line) checkBoundaries(line.boundaries, episode.length, { file: flags.labels as string, episode: wanted });
    let motion = null;
    let without = '';
    try {
      motion = new MotionLayer(input).labels(episode);
    } catch (error) {
      if (!(error instanceof PruneError)) throw error;
      without = error.message;
    }
    const every = flags.every ?? Math.ceil(episode.length / MOST_FRAMES);
    const { columns } = flags;
    const boundaries = line?.boundaries ?? [];
    const shown = await writeContactSheet(out, { frames, motion, boundaries, every, columns });
    const template = { folder: input.name, episode: wanted, boundaries };
    if (flags.json)
      return print(JSON.stringify({ out, camera, frames: episode.length, shown: shown.length, every, line: template }));
    print(
      `${out}: ${shown.length} of ${episode.length} frames${every > 1 ? `, every ${every}th` : ''}; camera ${camera}; "${episode.task}"`,
    );
    if (without) print(`without acceleration: ${without}`);
    print(`the line for labels.jsonl, boundaries to be filled in: ${JSON.stringify(template)}`);
  }
}
