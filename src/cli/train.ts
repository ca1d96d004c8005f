/** `dualvla train`: trains a model from a recipe, a file and flags; resumes exactly. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { TrainConfig } from '../train/config.js';
import type { TrainEvent } from '../train/events.js';
import type { RunMode } from '../train/trainer.js';
import { datasetFolder } from './dataset-argument.js';
import { EXIT, UsageError } from './errors.js';
import { withStopSignal } from './stop-signal.js';

const EXAMPLES = `Examples:
  dualvla data generate --recipe debug --output outputs/data/debug
  dualvla train --recipe debug --dataset.root outputs/data/debug          a few seconds
  dualvla train --recipe demo --dataset.root DIR --optimizer.lr=5e-4      any key of the configuration is a flag
  dualvla train --config_path my.yaml --steps 2000
  dualvla train --recipe full --dataset.root OWNER/NAME                   a data set of the Hub
  dualvla train --resume outputs/train/2026-01-31/14-05-59_demo           continue, bit for bit

Every setting has one name in file and flag; 'dualvla recipes --schema' lists all with their meaning.
`;

interface TrainFlags {
  recipe?: string;
  config_path?: string;
  resume?: string;
  overwrite?: boolean;
  json?: boolean;
}

export function registerTrain(program: Command): void {
  program
    .command('train')
    .description('train a model on a data set')
    .argument('[settings...]', 'settings laid over the recipe: --key=value')
    .option('--recipe <name>', "start from a named configuration ('dualvla recipes')")
    .option('--config_path <file>', 'a YAML or JSON file laid over it')
    .option('--resume <dir>', 'continue a run directory, or a checkpoint in it')
    .option('--overwrite', 'replace the run that is in the output directory')
    .option('--json', 'print events as JSON, one a line')
    .allowUnknownOption()
    .addHelpText('before', EXAMPLES)
    .action(async (settings: string[], flags: TrainFlags) => {
      const { config, mode } = await resolveTraining(settings, flags);
      const { trainInWorker } = await import('../train/trainer.js');
      const { formatTrainEvent } = await import('../train/progress-line.js');
      const show = (event: TrainEvent): void => {
        process.stdout.write(`${flags.json ? JSON.stringify(event) : formatTrainEvent(event)}\n`);
      };
      let last: TrainEvent | undefined;
      await withStopSignal(
        async (signal) => {
          for await (const event of trainInWorker(config, mode, signal)) {
            show(event);
            last = event;
          }
        },
        () =>
          process.stderr.write('stopping: the step is finished and a checkpoint saved; Ctrl-C again ends at once\n'),
      );
      if (last?.type === 'end' && last.reason === 'stopped') {
        process.stderr.write(`stopped; next: dualvla train --resume ${last.checkpoint}\n`);
        process.exitCode = EXIT.interrupted;
      }
    });
}

/** The complete configuration of a new run, or of the run that is continued with flags laid over it. */
async function resolveTraining(
  settings: readonly string[],
  flags: TrainFlags,
): Promise<{ config: TrainConfig; mode: RunMode }> {
  const { parseOverrides, resolveTrainConfig } = await import('../train/config-sources.js');
  const overrides = parseOverrides(settings);
  if (flags.resume !== undefined) {
    const given = (['recipe', 'config_path', 'overwrite'] as const).find((name) => flags[name] !== undefined);
    if (given) throw new UsageError(`--resume continues a run with its own settings; leave out --${given}`);
    const { RUN_CONFIG_FILE } = await import('../train/run-directory.js');
    const { runOfCheckpoint } = await import('../train/checkpoint-files.js');
    const own = join(flags.resume, RUN_CONFIG_FILE);
    const configPath = existsSync(own) ? own : join(runOfCheckpoint(flags.resume), RUN_CONFIG_FILE);
    if (!existsSync(configPath)) throw new UsageError(`--resume: ${flags.resume} holds no training run`);
    return { config: resolveTrainConfig({ configPath, overrides }), mode: { kind: 'resume', path: flags.resume } };
  }
  const { findRecipe } = await import('../recipes/index.js');
  const recipe = flags.recipe === undefined ? undefined : findRecipe(flags.recipe);
  const config = resolveTrainConfig({
    ...(recipe === undefined ? {} : { recipe: { name: recipe.name, config: recipe.train } }),
    ...(flags.config_path === undefined ? {} : { configPath: flags.config_path }),
    overrides,
  });
  if (config.dataset.root === '') {
    const make = recipe === undefined ? '' : `; next: dualvla data generate --recipe ${recipe.name} --output DIR`;
    throw new UsageError(`--dataset.root is needed: the directory of a LeRobot v3.0 data set${make}`);
  }
  const root = await datasetFolder(config.dataset.root);
  return {
    config: { ...config, dataset: { ...config.dataset, root } },
    mode: { kind: 'new', overwrite: flags.overwrite ?? false },
  };
}
