/** `dualvla eval`: success table of a policy over tasks and variants, resumable, with a result file. */
import { existsSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { EpisodeLog } from '../eval/episode-log.js';
import type { TraceWriter } from '../eval/trace.js';
import { UsageError } from './errors.js';
import { registerEvalMm } from './eval-mm.js';
import { registerEvalSimpler } from './eval-simpler.js';
import { runEvaluation } from './evaluation.js';
import { list, oneOf, required, wholeNumber } from './options.js';
import { findPolicy, findTasks, findVariants } from './policies.js';
import { withStopSignal } from './stop-signal.js';
import { formatSuccessTable } from './success-lines.js';

const EXAMPLES = `Examples:
  dualvla eval --policy models/specialist --tasks widowx/put-carrot-on-plate,google/pick-coke-can
  dualvla eval --policy outputs/train/2026-01-31/14-05-59_full --tasks all --variants vm,va --episodes 200 --output outputs/eval/full
  dualvla eval --policy outputs/train/... --tasks all --output outputs/eval/full --resume

Scenes 0 to N-1 of the split, the same for every policy. With --output finished episodes are kept one by one
(episodes.jsonl) and the table goes to result.json.
`;

interface EvalFlags {
  policy?: string;
  tasks: string[];
  variants: string[];
  episodes: number;
  split: 'test' | 'validation' | 'train';
  output?: string;
  traces?: string;
  resume?: boolean;
  overwrite?: boolean;
  device: string;
  json?: boolean;
}

export function registerEval(program: Command): void {
  const evaluation = program
    .command('eval')
    // Those after mm and simpler are their own.
    .enablePositionalOptions()
    .description('success table of a policy over tasks and variants')
    .option('--policy <who>', 'expert, random, or a checkpoint (a run, a checkpoint or its pretrained_model)')
    .option('--tasks <a,b>', "which; all for every one ('dualvla sim tasks')", list, ['all'])
    .option('--variants <a,b>', 'vm, va, va:lighting ...', list, ['vm'])
    .option('--episodes <n>', 'episodes a task and variant', wholeNumber(1), 100)
    .option(
      '--split <name>',
      'test, validation or train scenes',
      oneOf('split', ['test', 'validation', 'train']),
      'test',
    )
    .option('--output <dir>', 'keep episodes and the result there')
    .option(
      '--traces <file>',
      "record every step of the episodes run now there, for 'dualvla score'; .jsonl or .jsonl.gz",
    )
    .option('--resume', 'continue the evaluation in --output')
    .option('--overwrite', 'replace the evaluation in --output')
    .option('--device <name>', 'cpu, cuda, cuda:1 ...', 'cpu')
    .option('--json', 'print the result as JSON')
    .addHelpText('before', EXAMPLES)
    .action(runEval);
  registerEvalMm(evaluation);
  registerEvalSimpler(evaluation);
}

async function runEval(flags: EvalFlags): Promise<void> {
  const { cellsOfAll, successTableOf } = await import('../eval/evaluate.js');
  const who = required(flags.policy, '--policy <who>');
  const cells = cellsOfAll(await findTasks(flags.tasks), await findVariants(flags.variants));
  const log = await openLog(flags, who);
  const policy = await findPolicy(who, flags.device);
  const tracing = flags.traces === undefined ? undefined : await openTraces(flags.traces, flags.overwrite);
  const options = { cells, trials: flags.episodes, split: flags.split, policy, log, trace: tracing !== undefined };
  const next = flags.output === undefined ? 'stopping' : 'stopping; next: the same command with --resume';
  await withStopSignal(
    (signal) => runEvaluation({ ...options, signal }, who, (trace) => tracing?.add(trace)),
    () => process.stderr.write(`${next}\n`),
  );
  const success = successTableOf(options);
  const stepLimits = Object.fromEntries(log.records.map(({ task, maxSteps }) => [task, maxSteps]));
  const { split, episodes: trials } = flags;
  const result = { ...(await provenanceOf(who)), split, trials, stepLimits, success };
  if (flags.output !== undefined) {
    writeFileSync(join(flags.output, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  }
  process.stdout.write(`${flags.json ? JSON.stringify(result, null, 2) : formatSuccessTable(success)}\n`);
}

async function openTraces(path: string, overwrite = false): Promise<TraceWriter> {
  if (existsSync(path) && !overwrite) throw new UsageError(`--traces: ${path} is there already; add --overwrite`);
  const { TraceWriter } = await import('../eval/trace.js');
  return new TraceWriter(path);
}

/**
 * The episodes of an earlier run of this evaluation: continued, replaced or refused. settings.json says whose they are, so
 * that episodes of two policies never mix.
 */
async function openLog({ output, traces, resume, overwrite, split }: EvalFlags, policy: string): Promise<EpisodeLog> {
  const { EpisodeLog } = await import('../eval/episode-log.js');
  if (output === undefined) {
    if (resume || (overwrite && traces === undefined)) {
      throw new UsageError('--resume and --overwrite need --output');
    }
    return new EpisodeLog();
  }
  const path = join(output, 'episodes.jsonl');
  const settingsPath = join(output, 'settings.json');
  const settings = JSON.stringify({ policy: await policyIdentity(policy), split }, null, 2);
  const there = existsSync(path) || existsSync(settingsPath);
  if (there && !resume && !overwrite) {
    throw new UsageError(`${output} holds an evaluation; continue it with --resume or replace it with --overwrite`);
  }
  if (there && resume && (!existsSync(settingsPath) || readFileSync(settingsPath, 'utf8') !== settings)) {
    throw new UsageError(
      `${output} holds the evaluation of another policy or split; give another --output or --overwrite`,
    );
  }
  const log = new EpisodeLog(path);
  if (overwrite) log.clear();
  mkdirSync(output, { recursive: true });
  writeFileSync(settingsPath, settings);
  return log;
}

/** Who was evaluated by which code: the policy, its recipe and seed where it has been trained, commit and engine. */
async function provenanceOf(policy: string): Promise<Record<string, unknown>> {
  const { commitOf } = await import('../eval/provenance.js');
  const commit = commitOf(fileURLToPath(new URL('../..', import.meta.url)));
  if (!existsSync(policy)) return { policy, commit };
  const { findPretrained } = await import('../train/pretrained.js');
  const { torch } = await import('../torch/index.js');
  const trained = join(findPretrained(policy), 'train_config.json');
  const { recipe, seed } = JSON.parse(readFileSync(trained, 'utf8')) as { recipe: string; seed: number };
  return { policy, recipe, seed, commit, engine: `libtorch ${torch.version}` };
}

/** What tells one policy from another: a script's name, or a checkpoint's place and the state of its weights. */
async function policyIdentity(name: string): Promise<unknown> {
  if (name === 'expert' || name === 'random' || !existsSync(name)) return name;
  const { findPretrained } = await import('../train/pretrained.js');
  const weights = realpathSync(join(findPretrained(name), 'model.safetensors'));
  const { size, mtimeMs } = statSync(weights);
  return { weights, size, mtimeMs };
}
