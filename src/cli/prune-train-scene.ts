/** `dualvla prune train-scene`: the scene layer's event detector, trained on some labelled episodes. */
import type { Command } from 'commander';
import { datasetFolder } from './dataset-argument.js';
import { list, ownOptions, required, wholeNumber } from './options.js';
import { print, printTraining } from './prune-print.js';
import { dataSetsIn, refuseExisting } from './prune-run.js';
import { withStopSignal } from './stop-signal.js';
import { Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla prune train-scene my-robot --labels labels.jsonl --out outputs/scene
  dualvla prune train-scene outputs/data/demo --labels phases --out outputs/scene
  dualvla prune train-scene my-robot --labels labels.jsonl --backbone resnet50.safetensors --image-size 112 --out outputs/scene

A labels file has a line an episode: {"folder": "", "episode": 3, "boundaries": [4, 9, 15]}. A boundary is the first frame of a
new event; 'dualvla prune label-sheet' draws an episode's frames with their numbers.
`;

interface TrainFlags {
  out?: string;
  labels: string;
  episodes: number;
  heldOut: number;
  steps: number;
  cameras?: string[];
  imageSize?: number;
  backbone?: string;
  seed: number;
  overwrite?: boolean;
  json?: boolean;
}

export function registerTrainScene(prune: Command): void {
  prune
    .command('train-scene')
    .description('train the event detector of the scene layer on some labelled episodes')
    .argument('<dir>', 'a LeRobot v3.0 data set, or a folder of data sets')
    .option('--out <dir>', 'where the detector goes')
    .option('--labels <file|phases>', "boundaries: a JSONL file, or the data set's own phases", 'phases')
    .option('--episodes <n>', 'labelled episodes to train on', wholeNumber(1), 48)
    .option('--held-out <n>', 'other labelled episodes to measure on', wholeNumber(), 100)
    .option('--steps <n>', 'training steps', wholeNumber(1), 300)
    .option('--cameras <a,b>', 'cameras to look through; default: the first, or "third" where it is there', list)
    .option('--image-size <pixels>', 'side of the pictures; default 64', wholeNumber(32))
    .option('--backbone <file>', 'start from the weights of a ResNet (safetensors, names of torchvision)')
    .option('--seed <s>', 'of the choice of episodes and the weights', wholeNumber(), 0)
    .option('--overwrite', 'replace the detector that is there')
    .option('--json', 'print a summary as JSON')
    .addHelpText('before', EXAMPLES)
    .action((directory: string, _own: TrainFlags, command: Command) => trainScene(directory, ownOptions(command)));
}

async function trainScene(name: string, flags: TrainFlags): Promise<void> {
  const out = required(flags.out, '--out <dir>');
  refuseExisting([out], flags.overwrite);
  const directory = await datasetFolder(name);
  const { backboneConfig, readBoundaryLabels, SMALL_SCENE_EVENTS, trainSceneEvents } = await import(
    '../prune/index.js'
  );
  const { LeRobotDataset } = await import('../data/index.js');
  const folders = await dataSetsIn(directory);
  const labels = flags.labels === 'phases' ? 'phases' : readBoundaryLabels(flags.labels);
  const known = Object.keys((await LeRobotDataset.open(folders[0] as string)).cameras);
  const small = SMALL_SCENE_EVENTS;
  const cameras = flags.cameras ?? (known.includes(small.cameras[0] as string) ? small.cameras : known.slice(0, 1));
  const config = {
    ...small,
    cameras,
    image_size: flags.imageSize ?? small.image_size,
    net: flags.backbone === undefined ? small.net : backboneConfig(flags.backbone, small.net),
  };
  const progress = new Progress('training', flags.steps);
  const result = await withStopSignal(
    (signal) =>
      trainSceneEvents({
        root: directory,
        folders,
        labels,
        episodes: flags.episodes,
        heldOut: flags.heldOut,
        steps: flags.steps,
        seed: flags.seed,
        config,
        ...(flags.backbone === undefined ? {} : { backbone: flags.backbone }),
        signal,
        onStep: ({ step, loss }) => progress.update(step, `loss ${loss.toFixed(3)}`),
      }),
    () => process.stderr.write('stopping; nothing was written\n'),
  );
  progress.clear();
  const { model, ...summary } = result;
  model.save(out, { training: summary, seed: flags.seed, steps: flags.steps });
  if (flags.json) return print(JSON.stringify({ ...summary, out }));
  printTraining(result);
  print(`detector: ${out}; next: dualvla prune ${directory} --detector ${out} --out keep.json`);
}
