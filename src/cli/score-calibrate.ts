/** `dualvla score calibrate`: can this judge evaluate a policy? */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Agreement } from '../score/agreement.js';
import type { DefectResult, Dimension } from '../score/calibration.js';
import type { ScoredRollout, ScoreSummary } from '../score/score-rollouts.js';
import { UsageError } from './errors.js';
import { wholeNumber } from './options.js';
import { findTasks } from './policies.js';
import { isEndpoint, type JudgeFlags, judgeOf, withJudgeOptions } from './score-judge.js';
import { withStopSignal } from './stop-signal.js';
import { formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla score calibrate --scenes 5                                    the rule judge under planted defects
  dualvla score calibrate --judge qwen-vl@http://localhost:8000/v1 --scenes 2 --output outputs/calibrate/qwen
  dualvla score calibrate --judge ... --rollouts traces.jsonl.gz --human labels.jsonl

Without --rollouts: scripts with planted defects in validation scenes (swapped reasoning, jittered actions, wrong object, reversed video), beside the sound
ones. Agreement with the rule judge, and with people where --human is given: a line {"id": "...", "R": 7, "A": 8, "I": 9, "RA": 6} a trajectory.
`;

interface CalibrateFlags extends JudgeFlags {
  scenes: number;
  tasks: string[];
  rollouts?: string;
  human?: string;
  output?: string;
  estimate?: boolean;
  json?: boolean;
}

export function registerScoreCalibrate(score: Command): void {
  withJudgeOptions(
    score
      .command('calibrate')
      .description("a judge's agreement with the rule judge and with people, and planted defects"),
  )
    .option('--scenes <n>', 'validation scenes a task', wholeNumber(2), 2)
    .option('--tasks <a,b>', 'which; all for every one', (text: string) => text.split(','), ['all'])
    .option('--rollouts <path>', 'judge these instead of planted defects')
    .option('--human <file>', "people's marks, JSONL")
    .option('--output <dir>', "where the result and the judge's exchanges go (with an endpoint: outputs/calibrate)")
    .option('--estimate', 'say what it would take, and stop')
    .option('--json', 'print JSON')
    .addHelpText('before', EXAMPLES)
    .action(calibrate);
}

type Marked = ScoredRollout & { kind: string; scene: string };
type Agreements = Partial<Record<Dimension, Agreement>>;

interface Calibration {
  judge: string;
  settings?: object;
  kinds?: (ScoreSummary & { kind: string })[];
  defects?: DefectResult[];
  withRule?: Agreements;
  withHuman?: Agreements;
  usage?: object;
}

async function calibrate(flags: CalibrateFlags): Promise<void> {
  if (flags.rollouts !== undefined && flags.human === undefined && !isEndpoint(flags.judge)) {
    throw new UsageError('the rule judge agrees with itself: give --human, another --judge, or leave --rollouts out');
  }
  const output = flags.output ?? (isEndpoint(flags.judge) ? join('outputs', 'calibrate') : undefined);
  await withStopSignal(
    (signal) => run(flags, output, signal),
    () => process.stderr.write('stopping; next: the same command goes on\n'),
  );
}

async function run(flags: CalibrateFlags, output: string | undefined, signal: AbortSignal): Promise<void> {
  const { agreementByDimension, comparableMarks, defectResults, readHumanLabels, summarizeKinds } = await import(
    '../score/calibration.js'
  );
  const { ruleRolloutJudge, scoreRollouts } = await import('../score/score-rollouts.js');
  const human = flags.human === undefined ? undefined : readHumanLabels(flags.human);
  const set = await rolloutsOf(flags, signal);
  const { judge, vlm, endpoint } = await judgeOf(flags, output, signal);
  const rollouts = set.map(({ rollout }) => rollout);
  const estimate = vlm?.estimate(rollouts);
  if (estimate) process.stderr.write(`at most ${JSON.stringify(estimate)}\n`);
  if (flags.estimate) return void process.stdout.write(`${JSON.stringify(estimate ?? {})}\n`);
  const progress = new Progress('judged', rollouts.length);
  const { scored, unjudged } = await scoreRollouts(rollouts, judge, {
    atOnce: vlm ? flags.concurrency : 1,
    onProgress: (done) => progress.update(done),
    signal,
  });
  progress.clear();
  for (const { why } of unjudged) process.stderr.write(`left out: ${why}\n`);
  const marked = scored.map(
    (one): Marked => ({
      ...one,
      ...(set.find(({ rollout }) => rollout.id === one.id) as { kind: string; scene: string }),
    }),
  );
  const byId = new Map(scored.map((one) => [one.id, comparableMarks(one)]));
  const known = rollouts.filter(({ trace }) => trace !== undefined);
  const rule = vlm && known.length > 0 ? await scoreRollouts(known, ruleRolloutJudge()) : undefined;
  const result: Calibration = {
    judge: judge.name,
    ...(judge.settings ? { settings: judge.settings } : {}),
    ...(flags.rollouts === undefined ? { kinds: summarizeKinds(marked), defects: defectResults(marked) } : {}),
    ...(rule
      ? { withRule: agreementByDimension(byId, new Map(rule.scored.map((one) => [one.id, comparableMarks(one)]))) }
      : {}),
    ...(human ? { withHuman: agreementByDimension(byId, human) } : {}),
    ...(endpoint ? { usage: endpoint.usage } : {}),
  };
  if (human && Object.keys(result.withHuman ?? {}).length === 0) {
    throw new UsageError(`${flags.human} marks none of these trajectories; an id is for example '${rollouts[0]?.id}'`);
  }
  if (output !== undefined) {
    const { writeDurable } = await import('../data/durable-file.js');
    mkdirSync(output, { recursive: true });
    writeDurable(
      join(output, 'calibration.json'),
      `${JSON.stringify({ ...result, marks: marked.map(plain) }, null, 2)}\n`,
    );
  }
  process.stdout.write(`${flags.json ? JSON.stringify(result, null, 2) : textOf(result)}\n`);
}

const plain = ({ id, kind, scene, marks, score }: Marked) => ({ id, kind, scene, marks, score });

async function rolloutsOf(flags: CalibrateFlags, signal: AbortSignal) {
  if (flags.rollouts !== undefined) {
    const { openRollouts } = await import('../score/open-rollouts.js');
    return (await openRollouts(flags.rollouts)).map((rollout) => ({ kind: 'rollout', scene: rollout.id, rollout }));
  }
  const { plantedCases } = await import('../score/planted-defects.js');
  const { plantedRollouts } = await import('../score/calibration.js');
  const tasks = await findTasks(flags.tasks);
  const progress = new Progress('scenes', tasks.length * flags.scenes);
  const onProgress = (done: number): void => progress.update(done);
  const cases = await plantedCases({ scenes: flags.scenes, tasks, signal, onProgress });
  progress.clear();
  return plantedRollouts(cases);
}

function textOf({ judge, kinds, defects, withRule, withHuman }: Calibration): string {
  const number = (value: number | null | undefined, digits = 1): string =>
    value === null || value === undefined ? '-' : value.toFixed(digits);
  const parts = [`judge: ${judge}`];
  if (kinds) {
    const rows = kinds.map((one) => [
      one.kind,
      String(one.trajectories),
      ...[one.success, one.R, one.A, one.I, one.R === null ? null : one.RA, one.vlaScore].map((v) => number(v)),
      (one.intervals.vlaScore ?? []).map((v) => number(v)).join('-'),
    ]);
    const head = ['script', 'n', 'success', 'R', 'A', 'I', 'RA', 'score', 'interval'];
    parts.push('', formatTable([head, ...rows], [1, 2, 3, 4, 5, 6, 7]));
  }
  if (defects) {
    const rows = defects.map((one) => [
      one.kind,
      one.mark,
      ...[one.soundMark, one.defectMark, one.cost].map((v) => number(v)),
      one.interval.map((v) => number(v)).join(' to '),
      `${(100 * one.noticed).toFixed(0)} %`,
    ]);
    parts.push(
      '',
      formatTable([['defect', 'mark', 'sound', 'defect', 'cost', '95 % interval', 'noticed'], ...rows], [2, 3, 4, 6]),
    );
  }
  for (const [name, agreements] of [
    ['the rule judge', withRule],
    ['people', withHuman],
  ] as const) {
    if (!agreements) continue;
    const rows = Object.entries(agreements).map(([mark, { n, spearman, kappa, bias, meanDistance }]) => [
      mark,
      String(n),
      ...[spearman, kappa, bias, meanDistance].map((v) => number(v, 2)),
    ]);
    parts.push(
      '',
      `agreement with ${name}`,
      formatTable([['mark', 'n', 'Spearman', 'kappa', 'bias', 'distance'], ...rows], [1, 2, 3, 4, 5]),
    );
  }
  return parts.join('\n');
}
