/** `dualvla launch`: the N processes of a data-parallel run on this machine, with the variables that torchrun sets. */
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CommandError, UsageError } from './errors.js';
import { required, wholeNumber } from './options.js';

const EXAMPLES = `Examples:
  dualvla launch --nproc 2 -- train --recipe demo            two processes on this machine
  dualvla launch --nproc 8 --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29500 -- train --recipe full

Elsewhere torchrun, SLURM or Kubernetes set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; then start
'dualvla train ...' itself, once a process.
`;

interface LaunchFlags {
  nproc?: number;
  nnodes: number;
  nodeRank: number;
  masterAddr?: string;
  masterPort?: number;
}

export function registerLaunch(program: Command): void {
  program
    .command('launch')
    .description('start the processes of a data-parallel run on this machine')
    .argument('<verb...>', 'the verb to run and its options, after --')
    .option('--nproc <n>', 'processes on this machine', wholeNumber(1))
    .option('--nnodes <n>', 'machines of the run', wholeNumber(1), 1)
    .option('--node-rank <n>', 'which of them this is, from 0', wholeNumber(), 0)
    .option('--master-addr <host>', 'address of machine 0 (needed with more than one)')
    .option('--master-port <port>', 'free port on machine 0 (needed with more than one)', wholeNumber(1))
    .addHelpText('before', EXAMPLES)
    .action(async (verb: string[], flags: LaunchFlags) => {
      const { LaunchError, launch } = await import('../torch/launch.js');
      const bin = fileURLToPath(new URL('../../bin/dualvla.js', import.meta.url));
      const started = await launch({
        nproc: required(flags.nproc, '--nproc <n>'),
        nnodes: flags.nnodes,
        nodeRank: flags.nodeRank,
        ...(flags.masterAddr === undefined ? {} : { masterAddr: flags.masterAddr }),
        ...(flags.masterPort === undefined ? {} : { masterPort: flags.masterPort }),
        command: [process.execPath, bin, ...verb],
        onLine: (rank, stream, line) => void process[stream].write(`[${rank}] ${line}\n`),
      }).catch((error: unknown) => {
        throw error instanceof LaunchError ? new UsageError(error.message) : error;
      });
      const stop = (signal: NodeJS.Signals): void => started.signal(signal);
      process.on('SIGINT', stop);
      process.on('SIGTERM', stop);
      const { exitCode, failure } = await started.finished;
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      if (failure !== null && exitCode !== 0) {
        const problem = new CommandError(`${failure.message}; see its last lines above`);
        throw exitCode === 2 ? new UsageError(problem.message) : problem;
      }
    });
}
