/**
 * `dualvla prune`: dual-layer pruning of a data set, as keep labels or as a pruned copy. Its verbs `train-scene` (the scene layer's event
 * detector) and `label-sheet` (frames to label events from) are in files of their own.
 */
import type { Command } from 'commander';
import { registerLabelSheet } from './prune-label-sheet.js';
import { rememberedCommand } from './prune-merge.js';
import { addPruneOptions, type PruneFlags } from './prune-options.js';
import { runPrune } from './prune-run.js';
import { registerTrainScene } from './prune-train-scene.js';
import { keepHeapSmall } from './small-heap.js';

const EXAMPLES = `Examples:
  dualvla prune outputs/data/demo --out outputs/keep.json                            keep labels, with the detector that ships
  dualvla prune outputs/data/demo --out outputs/data/pruned --report outputs/report  a pruned copy, and a page about it
  dualvla prune my-robot --scene motion-energy --out keep.json                       without labels or weights
  dualvla prune my-robot --scene kts --features flow --out keep.json
  dualvla prune my-arm --motion-from joints --urdf arm.urdf --scene none --combine motion --out keep.json
  dualvla prune bridge/1.0.0 --ecot embodied.json --out pruned --export-ecot embodied_pruned.json
  dualvla prune big --out pruned --shard 2/8        part 2 of 0 to 7; on SLURM --shard auto
  dualvla data merge pruned.shards --output pruned  when all parts are done

  dualvla prune label-sheet my-robot --episode 3 --out sheet.png                     frames to label events from
  dualvla prune train-scene my-robot --labels labels.jsonl --out outputs/scene       your own event detector

A frame's reasoning is kept when an event begins there (scene layer) and the end effector accelerates more than on average
or the gripper changes (motion layer, Eq. 4 of the paper). The data set is only read. docs/pruning.md explains every option.
`;

export function registerPrune(program: Command): void {
  const prune = program
    .command('prune')
    // Its verbs have --out and others of their own.
    .enablePositionalOptions()
    .description('label which frames keep their reasoning (dual-layer pruning)')
    .hook('preAction', keepHeapSmall)
    .argument('<dir>', 'a LeRobot (v3.0, v2.x) or RLDS data set, a folder of v3.0 ones, or owner/name on the Hub');
  addPruneOptions(prune)
    .addHelpText('before', EXAMPLES)
    .action((name: string, flags: PruneFlags, command: Command) =>
      runPrune(name, flags, { command: rememberedCommand(name, command) }),
    );
  registerTrainScene(prune);
  registerLabelSheet(prune);
}
