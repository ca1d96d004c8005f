/** `dualvla sim`: the embedded benchmark's tasks, and how often its scripted expert solves them. */
import type { Command } from 'commander';
import { runEvaluation } from './evaluation.js';
import { list, oneOf, wholeNumber } from './options.js';
import { findTasks, findVariants } from './policies.js';
import { withStopSignal } from './stop-signal.js';
import { formatSuccessTable } from './success-lines.js';
import { formatTable } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla sim tasks
  dualvla sim expert-table                                       every task, 200 validation scenes, fixed look
  dualvla sim expert-table --variants vm,va --episodes 50 --tasks google/move-near
`;

interface TableFlags {
  tasks: string[];
  variants: string[];
  episodes: number;
  split: 'validation' | 'test' | 'train';
  json?: boolean;
}

export function registerSim(program: Command): void {
  const sim = program.command('sim').description("the benchmark's tasks and its scripted expert");
  sim
    .command('tasks')
    .description('list the tasks')
    .option('--json', 'print JSON')
    .addHelpText('before', EXAMPLES)
    .action(listTasks);
  sim
    .command('expert-table')
    .description('success of the scripted expert')
    .option('--tasks <a,b>', 'which; all for every one', list, ['all'])
    .option('--variants <a,b>', 'vm, va, va:lighting ...', list, ['vm'])
    .option('--episodes <n>', 'episodes a task and variant', wholeNumber(1), 200)
    .option(
      '--split <name>',
      'validation, test or train scenes',
      oneOf('split', ['validation', 'test', 'train']),
      'validation',
    )
    .option('--json', 'print {"<task>/<variant>": {successes, trials}}')
    .addHelpText('before', EXAMPLES)
    .action(expertTable);
}

async function listTasks({ json }: { json?: boolean }): Promise<void> {
  const { ROBOTS, TASK_IDS, taskOf, VARIANTS } = await import('../sim/index.js');
  const tasks = TASK_IDS.map(taskOf).map(({ id, robot, maxSteps }) => ({
    id,
    robot,
    maxSteps,
    controlHz: ROBOTS[robot].controlHz,
  }));
  if (json) return void process.stdout.write(`${JSON.stringify({ tasks, variants: VARIANTS }, null, 2)}\n`);
  const rows = tasks.map(({ id, maxSteps, controlHz }) => [id, `${maxSteps}`, `${controlHz}`]);
  process.stdout.write(
    `${formatTable([['task', 'step limit', 'Hz'], ...rows], [1, 2])}\nvariants: ${VARIANTS.join(', ')}\n`,
  );
}

async function expertTable(flags: TableFlags): Promise<void> {
  const { EpisodeLog } = await import('../eval/episode-log.js');
  const { cellsOfAll, successTableOf } = await import('../eval/evaluate.js');
  const cells = cellsOfAll(await findTasks(flags.tasks), await findVariants(flags.variants));
  const options = {
    cells,
    trials: flags.episodes,
    split: flags.split,
    policy: { kind: 'expert' },
    log: new EpisodeLog(),
  } as const;
  await withStopSignal(
    (signal) => runEvaluation({ ...options, signal }, 'expert'),
    () => process.stderr.write('stopping\n'),
  );
  const table = successTableOf(options);
  process.stdout.write(`${flags.json ? JSON.stringify(table, null, 2) : formatSuccessTable(table)}\n`);
}
