/** `dualvla score`: VLA Score of recorded traces by the rule judge, and how valid the stated reasoning was. */
import type { Command } from 'commander';
import { formatTable } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla eval --policy outputs/demo/train --traces traces.jsonl.gz --episodes 20
  dualvla score traces.jsonl.gz                 R, A, I, RA and the score by task, with a 95 % interval over trajectories
  dualvla score traces.jsonl.gz --json

Eq. 8 of the paper, a trajectory at a time, times 100. docs/vla-score.md says what the marks are made of.
`;

export function registerScore(program: Command): void {
  program
    .command('score')
    .description('VLA Score of recorded traces')
    .argument('<traces>', 'a file that dualvla eval --traces has written, .jsonl or .jsonl.gz')
    .option('--json', 'print JSON')
    .addHelpText('before', EXAMPLES)
    .action(score);
}

async function score(path: string, { json }: { json?: boolean }): Promise<void> {
  const { judgeTraces, meanVlaScore, readTraces, RuleJudge, reasoningValidity } = await import('../score/index.js');
  const { CommandError } = await import('./errors.js');
  const traces = readTraces(path);
  if (traces.length === 0) throw new CommandError(`${path} holds no trace; next: dualvla eval --traces ${path}`);
  const judge = new RuleJudge();
  const scores = await judgeTraces(traces, judge);
  const tasks = [...new Set(traces.map(({ task }) => task))];
  const of = (task?: string) =>
    meanVlaScore(
      scores.filter((_, i) => task === undefined || traces[i]?.task === task),
      judge.name,
    );
  const rows = [...tasks.map((task) => ({ task: task as string, ...of(task) })), { task: 'all', ...of() }];
  const validity = reasoningValidity(traces);
  if (json) {
    process.stdout.write(`${JSON.stringify({ scores: rows, reasoning: validity }, null, 2)}\n`);
    return;
  }
  const number = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(1));
  const table = rows.map(({ task, trials, R, A, I, RA, score: value, interval }) => [
    task,
    String(trials),
    ...[R, A, I, RA, value].map(number),
    interval.map(number).join(' to '),
  ]);
  process.stdout.write(`${formatTable([['task', 'n', 'R', 'A', 'I', 'RA', 'score', '95 % interval'], ...table])}\n`);
  if (validity.reasoned === 0) return;
  const { steps, reasoned, ...shares } = validity;
  const parts = Object.entries(shares).map(([part, share]) => `${part} ${(100 * (share as number)).toFixed(0)} %`);
  process.stdout.write(`reasoned on ${reasoned} of ${steps} steps: ${parts.join(', ')}\n`);
}
