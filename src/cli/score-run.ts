/** `dualvla score run`: rollouts, a judge, Eq. 8. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Rollout } from '../score/rollout.js';
import type { NamedSummary } from '../score/score-report.js';
import type { ScoredRollout, ScoreSummary, UnjudgedRollout } from '../score/score-rollouts.js';
import { CommandError, UsageError } from './errors.js';
import { wholeNumber } from './options.js';
import { isEndpoint, type JudgeFlags, judgeOf, type NamedJudge, withJudgeOptions } from './score-judge.js';
import { withStopSignal } from './stop-signal.js';
import { formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla score run outputs/measure/dualvla                         traces of dualvla measure or eval --traces, by the rule judge
  dualvla score run traces.jsonl.gz --judge qwen-vl@http://localhost:8000/v1 --output outputs/score/qwen
  dualvla score run path/to/lerobot --judge gpt-4o@https://api.example.com/v1 --price 2.5,10 --estimate
  dualvla score run folder/of/episodes --judge ... --repeats 3 --beside outputs/score/other/summary.json

Rollouts: traces, a LeRobot data set, or folders of pictures with an episode.json (docs/vla-score.md). A judge's exchanges are kept in --output; the
same command goes on where it was stopped and asks nothing twice. All numbers are 0 to 100.
`;

interface RunFlags extends JudgeFlags {
  output?: string;
  overwrite?: boolean;
  name?: string;
  beside?: string[];
  camera?: string;
  success?: string;
  limit?: number;
  estimate?: boolean;
  partial?: boolean;
  json?: boolean;
}

export function registerScoreRun(score: Command): void {
  withJudgeOptions(
    score
      .command('run', { isDefault: true })
      .description('judge rollouts and score them by Eq. 8')
      .argument('<rollouts>', 'traces (file or folder), a LeRobot data set, or a folder of episodes'),
  )
    .option('--output <dir>', "where results and the judge's exchanges go (with an endpoint: below outputs/score)")
    .option('--overwrite', "replace another run's results in --output; exchanges are kept")
    .option('--name <text>', 'what tables call the model')
    .option('--beside <summaries...>', 'summary.json files of other models, for tables and radar')
    .option('--camera <name>', 'camera of a LeRobot data set')
    .option('--success <what>', 'success of LeRobot episodes that do not say it: all, none, or a JSONL file')
    .option('--limit <n>', 'only the first rollouts', wholeNumber(1))
    .option('--estimate', 'say what it would take, and stop')
    .option('--partial', 'average although some rollouts could not be judged')
    .option('--json', 'print JSON')
    .addHelpText('before', EXAMPLES)
    .action(scoreRun);
}

async function scoreRun(path: string, flags: RunFlags): Promise<void> {
  const { openRollouts } = await import('../score/open-rollouts.js');
  const given = {
    ...(flags.camera ? { camera: flags.camera } : {}),
    ...(flags.success ? { success: flags.success } : {}),
  };
  const all = await openRollouts(path, given);
  const rollouts = flags.limit === undefined ? all : all.slice(0, flags.limit);
  const output = outputOf(path, flags);
  await withStopSignal(
    (signal) => judgeAll(path, rollouts, output, flags, signal),
    () => process.stderr.write('stopping; next: the same command goes on\n'),
  );
}

/** With an endpoint exchanges are always kept: they cost. */
function outputOf(path: string, { output, judge }: RunFlags): string | undefined {
  if (output !== undefined || !isEndpoint(judge)) return output;
  const model = judge.split('@')[0]?.replace(/[^\w.-]+/g, '-') ?? 'judge';
  const hash = createHash('sha256')
    .update(`${judge}\0${resolve(path)}`)
    .digest('hex')
    .slice(0, 8);
  return join('outputs', 'score', `${basename(path).replace(/\..*$/, '')}-${model}-${hash}`);
}

async function judgeAll(
  path: string,
  rollouts: readonly Rollout[],
  output: string | undefined,
  flags: RunFlags,
  signal: AbortSignal,
): Promise<void> {
  const named = await judgeOf(flags, output, signal);
  const estimate = named.vlm?.estimate(rollouts);
  if (estimate) process.stderr.write(`at most ${estimateLine(estimate)}${output ? `; kept in ${output}` : ''}\n`);
  if (flags.estimate) {
    process.stdout.write(`${JSON.stringify(estimate ?? { questions: 0, promptTokens: 0, replyTokens: 0 })}\n`);
    return;
  }
  if (output !== undefined) refuseOther(output, path, flags);
  const lock = output === undefined ? undefined : await lockOf(output);
  try {
    const { scoreRollouts } = await import('../score/score-rollouts.js');
    const progress = new Progress('judged', rollouts.length);
    const { scored, unjudged } = await scoreRollouts(rollouts, named.judge, {
      atOnce: named.vlm ? flags.concurrency : 1,
      onProgress: (done) => progress.update(done),
      signal,
    });
    progress.clear();
    if (unjudged.length > 0 && (!flags.partial || scored.length === 0)) {
      throw new CommandError(
        `${unjudged.length} of ${rollouts.length} rollouts were not judged, the first: ${unjudged[0]?.why}; next: more --asks (replies so far are kept), or --partial, which averages the others`,
      );
    }
    await report({ path, flags, output, named, rollouts, scored, unjudged, estimate });
  } finally {
    lock?.release();
  }
}

const estimateLine = (e: { questions: number; promptTokens: number; replyTokens: number; cost?: number }): string =>
  `${e.questions} questions, about ${Math.round(e.promptTokens / 1000)}k tokens asked and ${Math.round(e.replyTokens / 1000)}k answered${e.cost === undefined ? '' : `, cost ${e.cost.toFixed(2)}`}`;

function refuseOther(output: string, path: string, { judge, overwrite }: RunFlags): void {
  const file = join(output, 'summary.json');
  if (overwrite || !existsSync(file)) return;
  const { judgeFlag, rollouts } = JSON.parse(readFileSync(file, 'utf8')) as { judgeFlag?: string; rollouts?: string };
  if (judgeFlag === judge && rollouts === resolve(path)) return;
  throw new UsageError(
    `${output} has the scores of ${rollouts} by ${judgeFlag}; give another --output, or --overwrite`,
  );
}

async function lockOf(output: string): Promise<{ release(): void }> {
  const { ProcessLock } = await import('../data/process-lock.js');
  mkdirSync(output, { recursive: true });
  const lock = ProcessLock.take(join(output, '.lock'));
  if (lock instanceof ProcessLock) return lock;
  throw new CommandError(`${output} is being written by process ${lock.pid} on ${lock.host}; next: another --output`);
}

interface Outcome {
  readonly path: string;
  readonly flags: RunFlags;
  readonly output: string | undefined;
  readonly named: NamedJudge;
  readonly rollouts: readonly Rollout[];
  readonly scored: readonly ScoredRollout[];
  readonly unjudged: readonly UnjudgedRollout[];
  readonly estimate: object | undefined;
}

async function report(outcome: Outcome): Promise<void> {
  const { path, flags, output, named, rollouts, scored, unjudged, estimate } = outcome;
  const { summarize } = await import('../score/score-rollouts.js');
  const { reasoningValidity } = await import('../score/reasoning-validity.js');
  const { judge, endpoint } = named;
  const whole = summarize(scored);
  const tasks = [...new Set(scored.map(({ task }) => task))].map((task) => ({
    task,
    ...summarize(scored.filter((one) => one.task === task)),
  }));
  const traces = rollouts.flatMap(({ trace }) => trace ?? []);
  const validity = traces.length > 0 ? reasoningValidity(traces) : undefined;
  const opined = scored.filter(({ judgeSuccess }) => judgeSuccess !== undefined);
  const summary = {
    judge: judge.name,
    ...whole,
    name: flags.name ?? basename(resolve(path)),
    tasks,
    ...(judge.settings ? { settings: judge.settings } : {}),
    ...(unjudged.length > 0 ? { unjudged } : {}),
    ...(opined.length > 0
      ? {
          successAsJudged: { n: opined.length, right: opined.filter((one) => one.judgeSuccess === one.success).length },
        }
      : {}),
    ...(named.vlm ? { suspicious: scored.filter(({ suspicious = [] }) => suspicious.length > 0).length } : {}),
    ...(validity && validity.reasoned > 0 ? { reasoning: validity } : {}),
    ...(endpoint ? { estimate, usage: endpoint.usage } : {}),
    judgeFlag: flags.judge,
    rollouts: resolve(path),
  };
  if (output !== undefined) await writeResults(output, flags, summary, scored);
  process.stdout.write(flags.json ? `${JSON.stringify(summary, null, 2)}\n` : `${textOf(summary, tasks)}\n`);
}

async function writeResults(
  output: string,
  { beside = [] }: RunFlags,
  summary: NamedSummary,
  scored: readonly ScoredRollout[],
): Promise<void> {
  const { writeDurable } = await import('../data/durable-file.js');
  const { scoreRadar, scoreTables } = await import('../score/score-report.js');
  const others = beside.map((file) => readSummary(file));
  const models = [summary, ...others];
  writeDurable(join(output, 'scores.jsonl'), scored.map((one) => `${JSON.stringify(one)}\n`).join(''));
  writeDurable(join(output, 'tables.md'), scoreTables(models));
  writeDurable(join(output, 'radar.svg'), scoreRadar(models));
  writeDurable(join(output, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
}

function readSummary(file: string): NamedSummary {
  let summary: Partial<NamedSummary>;
  try {
    summary = JSON.parse(readFileSync(file, 'utf8')) as Partial<NamedSummary>;
  } catch (error) {
    throw new UsageError(`--beside: ${file} cannot be read: ${(error as Error).message}`);
  }
  if (typeof summary.vlaScore !== 'number' || summary.intervals === undefined) {
    throw new UsageError(`--beside: ${file} is no summary.json of dualvla score run`);
  }
  return summary as NamedSummary;
}

type Summary = ScoreSummary & {
  judge: string;
  reasoning?: { steps: number; reasoned: number };
  usage?: { requests: number; promptTokens: number; replyTokens: number; cost?: number };
  unjudged?: readonly UnjudgedRollout[];
  suspicious?: number;
};

function textOf(summary: Summary, tasks: readonly (ScoreSummary & { task: string })[]): string {
  const number = (value: number | null): string => (value === null ? '-' : value.toFixed(1));
  const rows = [...tasks, ...(tasks.length > 1 ? [{ task: 'all', ...summary }] : [])].map((one) => [
    one.task.slice(0, 60),
    String(one.trajectories),
    ...[one.R, one.A, one.I, one.R === null ? null : one.RA, one.success, one.vlaScore].map(number),
    (one.intervals.vlaScore ?? []).map(number).join(' to '),
  ]);
  const head = ['task', 'n', 'R', 'A', 'I', 'RA', 'success', 'VLA Score', '95 % interval'];
  const lines = [formatTable([head, ...rows], [1, 2, 3, 4, 5, 6, 7]), `judge: ${summary.judge}`];
  const { reasoning, usage, unjudged = [], suspicious = 0 } = summary;
  if (reasoning) {
    const { steps, reasoned, ...shares } = reasoning;
    const parts = Object.entries(shares).map(([part, share]) => `${part} ${(100 * (share as number)).toFixed(0)} %`);
    lines.push(`reasoned on ${reasoned} of ${steps} steps: ${parts.join(', ')}`);
  }
  if (suspicious > 0)
    lines.push(`${suspicious} rollouts have thoughts that look like orders to the judge (scores.jsonl says where)`);
  if (unjudged.length > 0) lines.push(`not judged, left out: ${unjudged.map(({ id }) => id).join(', ')}`);
  if (usage) {
    const cost = usage.cost === undefined ? '' : `, cost ${usage.cost.toFixed(4)}`;
    lines.push(`${usage.requests} requests now, ${usage.promptTokens} + ${usage.replyTokens} tokens${cost}`);
  }
  return lines.join('\n');
}
