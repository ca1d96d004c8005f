/** `dualvla prune`: labels of which frames' reasoning is kept, by dual-layer pruning; `dualvla prune train-scene`: its event detector. */
import { existsSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Agreement, PruneReport, SceneSource, TrainSceneEventsResult } from '../prune/index.js';
import { datasetFolder } from './dataset-argument.js';
import { CommandError, UsageError } from './errors.js';
import { list, oneOf, required, wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { formatDuration, formatRate, formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla prune train-scene outputs/data/demo --labels phases --out outputs/scene
  dualvla prune outputs/data/demo --detector outputs/scene --out outputs/keep.json
  dualvla prune outputs/data/demo --scene motion-energy --out outputs/keep.json      without labels or weights
  dualvla prune outputs/data/demo --scene none --combine motion --out outputs/keep.json
  dualvla prune outputs/data/demo --detector outputs/scene --combine random --seed 1 --out outputs/random.json

A frame's reasoning is kept when an event begins there (scene layer) and the end effector accelerates more than on average
or the gripper changes (motion layer, Eq. 4 of the paper). The data set is only read; the labels are a file of their own.
`;

const SCENES = ['ddm-net', 'motion-energy', 'labels', 'none'] as const;
const MOTIONS = ['eq4', 'none'] as const;
const COMBINATIONS = ['and', 'or', 'scene', 'motion', 'random'] as const;
const FIRST_FRAMES = ['keep', 'label'] as const;

interface PruneFlags {
  out?: string;
  scene: (typeof SCENES)[number];
  detector?: string;
  labels: string;
  camera?: string;
  motion: (typeof MOTIONS)[number];
  combine: (typeof COMBINATIONS)[number];
  tolerance: number;
  firstFrame: (typeof FIRST_FRAMES)[number];
  seed: number;
  writeDataset?: string;
  timeline?: string;
  report?: string;
  overwrite?: boolean;
  json?: boolean;
}

interface TrainFlags {
  out?: string;
  labels: string;
  episodes: number;
  heldOut: number;
  steps: number;
  cameras?: string[];
  seed: number;
  overwrite?: boolean;
  json?: boolean;
}

export function registerPrune(program: Command): void {
  const prune = program
    .command('prune')
    // Both have --out and others: those after train-scene are its own.
    .enablePositionalOptions()
    .description('label which frames keep their reasoning (dual-layer pruning)')
    .argument('<dir>', 'a LeRobot v3.0 data set, a folder of data sets, or owner/name on the Hub')
    .option('--out <file>', 'where the labels go (JSON)')
    .option('--scene <layer>', `scene layer: ${SCENES.join(', ')}`, oneOf('scene layer', SCENES), 'ddm-net')
    .option('--detector <dir>', 'trained by prune train-scene, for --scene ddm-net')
    .option(
      '--labels <file|phases>',
      "boundaries for --scene labels: a JSONL file, or the data set's own phases",
      'phases',
    )
    .option('--camera <name>', 'camera for --scene motion-energy (the first by default)')
    .option('--motion <layer>', `motion layer: ${MOTIONS.join(', ')}`, oneOf('motion layer', MOTIONS), 'eq4')
    .option('--combine <how>', COMBINATIONS.join(', '), oneOf('combination', COMBINATIONS), 'and')
    .option('--tolerance <frames>', 'frames around a boundary that count as the event', wholeNumber(), 0)
    .option(
      '--first-frame <policy>',
      'keep the first frame of every episode, or leave it to the layers (label)',
      oneOf('policy', FIRST_FRAMES),
      'keep',
    )
    .option('--seed <s>', 'for --combine random', wholeNumber(), 0)
    .option('--write-dataset <dir>', 'also write a pruned copy of the data set')
    .option('--timeline <file>', 'also draw some episodes with their labels (HTML)')
    .option('--report <file>', 'also write the summary (JSON)')
    .option('--overwrite', 'replace what is there')
    .option('--json', 'print a summary as JSON')
    .addHelpText('before', EXAMPLES)
    .action(pruneCommand);
  prune
    .command('train-scene')
    .description('train the event detector of the scene layer on some labelled episodes')
    .argument('<dir>', 'a LeRobot v3.0 data set, or a folder of data sets')
    .option('--out <dir>', 'where the detector goes')
    .option('--labels <file|phases>', "boundaries: a JSONL file, or the data set's own phases", 'phases')
    .option('--episodes <n>', 'labelled episodes to train on', wholeNumber(1), 48)
    .option('--held-out <n>', 'other labelled episodes to measure on', wholeNumber(), 100)
    .option('--steps <n>', 'training steps', wholeNumber(1), 300)
    .option('--cameras <a,b>', 'cameras to look through (third by default)', list)
    .option('--seed <s>', 'of the choice of episodes and the weights', wholeNumber(), 0)
    .option('--overwrite', 'replace the detector that is there')
    .option('--json', 'print a summary as JSON')
    .addHelpText('before', EXAMPLES)
    // Options that both verbs have are read by the outer one.
    .action((directory: string, _own: TrainFlags, command: Command) =>
      trainScene(directory, command.optsWithGlobals()),
    );
}

async function pruneCommand(name: string, flags: PruneFlags): Promise<void> {
  const out = required(flags.out, '--out <file>');
  refuseExisting([out, flags.timeline, flags.report], flags.overwrite);
  const directory = await datasetFolder(name);
  const { pruneDatasets, writeKeepLabels } = await import('../prune/index.js');
  const folders = await dataSetsIn(directory);
  const progress = new Progress('pruning', await numFramesOf(folders));
  const result = await stoppable((signal) => {
    const scene = sceneSource(flags);
    return scene.then((source) =>
      pruneDatasets({
        root: directory,
        folders,
        scene: source,
        motion: flags.motion,
        combine: flags.combine,
        tolerance: flags.tolerance,
        firstFrame: flags.firstFrame,
        seed: flags.seed,
        signal,
        onProgress: ({ done }) => progress.update(done),
      }),
    );
  });
  progress.clear();
  writeKeepLabels(out, result.labels);
  if (flags.timeline !== undefined) {
    const { writeTimeline } = await import('../prune/timeline.js');
    await writeTimeline(flags.timeline, { root: directory, folders, result });
  }
  if (flags.writeDataset !== undefined) await writeDatasets(directory, folders, flags, result);
  const { report } = result;
  if (flags.report !== undefined) writeFileSync(flags.report, `${JSON.stringify(report, null, 2)}\n`);
  if (flags.json) return print(JSON.stringify({ ...report, out }));
  printReport(report, flags);
  print(`labels: ${out}`);
  if (flags.timeline !== undefined) print(`timeline: ${flags.timeline}`);
  if (flags.writeDataset !== undefined) print(`data set: ${flags.writeDataset}`);
}

async function sceneSource(flags: PruneFlags): Promise<SceneSource> {
  const { readBoundaryLabels, SceneEventModel } = await import('../prune/index.js');
  switch (flags.scene) {
    case 'none':
      return { kind: 'none' };
    case 'labels':
      return { kind: 'labels', labels: flags.labels === 'phases' ? 'phases' : readBoundaryLabels(flags.labels) };
    case 'motion-energy':
      return { kind: 'motion-energy', ...(flags.camera === undefined ? {} : { camera: flags.camera }) };
    case 'ddm-net':
      if (flags.detector === undefined)
        throw new UsageError(
          '--scene ddm-net needs --detector <dir>; next: dualvla prune train-scene DATASET --out DIR, or --scene motion-energy, which needs none',
        );
      return { kind: 'ddm-net', model: SceneEventModel.load(flags.detector) };
  }
}

async function writeDatasets(
  directory: string,
  folders: readonly string[],
  flags: PruneFlags,
  result: Awaited<ReturnType<typeof import('../prune/index.js').pruneDatasets>>,
): Promise<void> {
  const { writePrunedDatasets } = await import('../prune/write-pruned.js');
  const target = flags.writeDataset as string;
  const progress = new Progress('writing', result.report.frames);
  await stoppable((signal) =>
    writePrunedDatasets({
      root: directory,
      folders,
      target,
      result,
      signal,
      overwrite: flags.overwrite ?? false,
      onProgress: ({ done }) => progress.update(done),
    }),
  );
  progress.clear();
}

function printReport(report: PruneReport, { combine, scene, motion, tolerance }: PruneFlags): void {
  const { episodes, frames, kept, sceneEvents, motionKeyframes, gripperChanges, why, time, tasks, reasoning } = report;
  print(`${episodes} episodes, ${frames} frames; reasoning kept on ${kept} (${formatRate(kept / frames)})`);
  print(`scene layer (${scene}): ${sceneEvents} events${tolerance > 0 ? ` +-${tolerance} frames` : ''}`);
  print(`motion layer (${motion}): ${motionKeyframes} keyframes, ${gripperChanges} of them gripper changes`);
  print(
    `frames by layer: both ${why.both}, scene only ${why.sceneOnly}, motion only ${why.motionOnly}, neither ${why.neither}; ` +
      `first frames of episodes, kept by policy: ${why.firstFrames}; combined by '${combine}'`,
  );
  print(
    `kept over an episode's time, by tenths: ${time.map((bin) => (bin.frames === 0 ? '-' : formatRate(bin.kept / bin.frames))).join(', ')}`,
  );
  const shown = tasks.slice(0, 8);
  print(
    formatTable(
      [
        ['task', 'frames', 'kept'],
        ...shown.map((one) => [one.task, String(one.frames), formatRate(one.kept / one.frames)]),
      ],
      [1, 2],
    ),
  );
  if (tasks.length > shown.length) print(`and ${tasks.length - shown.length} more instructions`);
  if (!reasoning) {
    print('the data set has no reasoning text');
    return;
  }
  const { before, after } = reasoning;
  const row = (name: string, value: (statistics: typeof before) => string): string[] => [
    name,
    value(before),
    value(after),
  ];
  print(
    formatTable(
      [
        ['reasoning', 'before', 'after'],
        row('frames', (s) => String(s.frames)),
        row('words', (s) => String(s.words)),
        row('words a frame', (s) => s.wordsPerFrame.toFixed(1)),
        row('same text as the one before', (s) => formatRate(s.repeated)),
        row('same words at the same place', (s) => formatRate(s.sameWords)),
        row('entropy, bits a word', (s) => s.unigramEntropy.toFixed(2)),
        row('distinct words / words', (s) => s.distinct1.toFixed(4)),
        row('distinct word pairs / pairs', (s) => s.distinct2.toFixed(4)),
      ],
      [1, 2],
    ),
  );
}

async function trainScene(name: string, flags: TrainFlags): Promise<void> {
  const out = required(flags.out, '--out <dir>');
  refuseExisting([out], flags.overwrite);
  const directory = await datasetFolder(name);
  const { readBoundaryLabels, SMALL_SCENE_EVENTS, trainSceneEvents } = await import('../prune/index.js');
  const folders = await dataSetsIn(directory);
  const progress = new Progress('training', flags.steps);
  const result = await stoppable((signal) =>
    trainSceneEvents({
      root: directory,
      folders,
      labels: flags.labels === 'phases' ? 'phases' : readBoundaryLabels(flags.labels),
      episodes: flags.episodes,
      heldOut: flags.heldOut,
      steps: flags.steps,
      seed: flags.seed,
      config: flags.cameras === undefined ? SMALL_SCENE_EVENTS : { ...SMALL_SCENE_EVENTS, cameras: flags.cameras },
      signal,
      onStep: ({ step, loss }) => progress.update(step, `loss ${loss.toFixed(3)}`),
    }),
  );
  progress.clear();
  const { model, ...summary } = result;
  model.save(out, { training: summary, seed: flags.seed, steps: flags.steps });
  if (flags.json) return print(JSON.stringify({ ...summary, out }));
  printTraining(result);
  print(`detector: ${out}; next: dualvla prune ${directory} --detector ${out} --out keep.json`);
}

function printTraining(result: TrainSceneEventsResult): void {
  const { trainEpisodes, numFrames, numBoundaries, numHeldOut, heldOut, seconds } = result;
  print(
    `${trainEpisodes.length} episodes, ${numFrames} frames, ${numBoundaries} boundaries; trained in ${formatDuration(seconds.training)}`,
  );
  if (!heldOut) {
    print('no labelled episodes left to measure on');
    return;
  }
  const f1 = (name: string, at: readonly Agreement[]): string[] => [name, ...at.map((one) => one.f1.toFixed(3))];
  print(
    formatTable(
      [
        [`F1 on ${numHeldOut} other episodes`, 'exact', '+-1 frame', '+-2 frames'],
        f1('DDM-Net', heldOut.ddmNet),
        f1('motion-energy valleys', heldOut.motionEnergy),
        f1('every second frame', heldOut.everySecondFrame),
      ],
      [1, 2, 3],
    ),
  );
}

function refuseExisting(paths: readonly (string | undefined)[], overwrite: boolean | undefined): void {
  const there = paths.find((path) => path !== undefined && existsSync(path));
  if (there !== undefined && !overwrite)
    throw new CommandError(`${there} exists already; next: give another name, or --overwrite`);
}

async function dataSetsIn(directory: string): Promise<string[]> {
  if (!existsSync(directory)) throw new UsageError(`there is no folder ${directory}`);
  const { datasetFolders } = await import('../data/dataset-folders.js');
  return datasetFolders(directory.length > 1 ? directory.replace(/\/+$/, '') : directory);
}

async function numFramesOf(folders: readonly string[]): Promise<number> {
  const { LeRobotDataset } = await import('../data/index.js');
  let frames = 0;
  for (const folder of folders) frames += (await LeRobotDataset.open(folder)).numFrames;
  return frames;
}

/** Runs work that Ctrl-C stops; nothing is written before it is done, so nothing half is left. */
function stoppable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withStopSignal(work, () => process.stderr.write('stopping; nothing was written\n'));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
