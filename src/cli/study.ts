/**
 * `dualvla study`: all models of a study trained and measured (`run`), how far it is (`status`), its tables and page (`report`).
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ProcessLock } from '../data/process-lock.js';
import { StageRecords } from '../eval/stage-record.js';
import { readStudyRecord, studyPaths, writeStudyRecord } from '../eval/study-folder.js';
import type { Study } from '../recipes/index.js';
import { CommandError, EXIT, UsageError } from './errors.js';
import { list, oneOf, required, wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { estimateLeft, estimateOf } from './study-estimate.js';
import { type PlanOptions, planStudy, type StudyStep } from './study-plan.js';
import { isFinished, runStudy, type StudyEvent, StudyStepError, stepsLeft } from './study-runner.js';
import { formatDuration, formatTable } from './terminal.js';

const RUN_EXAMPLES = `Examples:
  dualvla study run paper-debug --output outputs/paper-debug --seeds 0,1        every step once, in minutes
  dualvla study run paper-discrete --output outputs/paper-discrete --seeds 0-7
  dualvla study run paper-discrete --output outputs/paper-discrete --seeds 0 --only specialist,base,continued
  dualvla study run paper-discrete --output outputs/joined --seeds 9 --given specialist=models/specialist    not trained again
  dualvla study run paper-discrete --output outputs/tuning --seeds 100 --split validation --episodes 50

Stopped with Ctrl-C (or killed), the same command continues. Steps that are done with the same settings are left out; a changed
setting makes its step and all that follow from it run again. Each step is a command of its own: its words stand in its log.
`;

const REPORT_EXAMPLES = `Examples:
  dualvla study report outputs/paper-discrete outputs/paper-frozen --out results
`;

const SPLITS = ['test', 'validation'] as const;

interface RunFlags {
  output?: string;
  seeds: number[];
  only?: string[];
  jobs: number;
  split: (typeof SPLITS)[number];
  episodes?: number;
  device: string;
  given?: string[];
  plan?: boolean;
}

interface ReportFlags {
  out?: string;
  split: (typeof SPLITS)[number];
}

export function registerStudy(program: Command): void {
  const study = program
    .command('study')
    .description('train and measure all models of a study, several seeds, resumable');
  study
    .command('run')
    .description('do what is not done yet')
    .argument('<recipe>', "a study ('dualvla recipes')")
    .option('--output <dir>', 'where everything goes')
    .option('--seeds <list>', 'training seeds, as 0-7 or 0,2,5', seedList, [0])
    .option('--only <a,b>', 'measure only these models; what they are made from is trained too', list)
    .option('--jobs <n>', 'steps at a time, which share the cores', wholeNumber(1), availableParallelism())
    .option('--split <name>', 'scenes to measure on; choices are made on validation', oneOf('split', SPLITS), 'test')
    .option('--episodes <n>', "scenes a task and variant, in place of the recipe's", wholeNumber(1))
    .option('--device <name>', 'cpu, cuda ...; auto: a GPU if there is one', 'auto')
    .option('--given <model=folder,...>', 'take models of this study that were made elsewhere, with its settings', list)
    .option('--plan', 'only print the steps, as commands')
    .addHelpText('before', RUN_EXAMPLES)
    .action(run);
  study
    .command('status')
    .description('what is done, what runs, what is left')
    .argument('<dir>', 'output of a study')
    .option('--split <name>', 'scenes measured on', oneOf('split', SPLITS), 'test')
    .option('--only <a,b>', 'as in study run', list)
    .option('--json', 'print JSON')
    .action(status);
  study
    .command('report')
    .description('tables, verdicts and a page from what has been measured')
    .argument('<dirs...>', 'outputs of studies')
    .option('--out <dir>', 'where the report goes')
    .option('--split <name>', 'scenes measured on', oneOf('split', SPLITS), 'test')
    .addHelpText('before', REPORT_EXAMPLES)
    .action(report);
}

/** `0-7`, `0,2,5` or both mixed. */
export function seedList(text: string): number[] {
  const seeds = list(text).flatMap((part) => {
    const [, from = '', to] = part.match(/^(\d+)(?:-(\d+))?$/) ?? [];
    if (from === '') throw new UsageError(`'${text}' are no seeds; they look like 0-7 or 0,2,5`);
    const [first, last] = [Number(from), Number(to ?? from)];
    if (last < first) throw new UsageError(`'${part}' ends before it begins`);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (seeds.length === 0) throw new UsageError(`'${text}' are no seeds; they look like 0-7 or 0,2,5`);
  return [...new Set(seeds)];
}

/** @throws UsageError for a recipe that trains one model only */
export async function findStudy(name: string): Promise<Study> {
  const { findRecipe, isStudy, recipeNames } = await import('../recipes/index.js');
  const recipe = findRecipe(name);
  if (isStudy(recipe)) return recipe;
  const studies = recipeNames.filter((other) => isStudy(findRecipe(other)));
  throw new UsageError(`recipe ${name} is no study; studies are ${studies.join(', ')}`);
}

async function run(name: string, flags: RunFlags): Promise<void> {
  const study = await findStudy(name);
  const out = resolve(required(flags.output, '--output <dir>'));
  const { seeds, split, only, episodes, jobs } = flags;
  const planned = planStudy({
    ...{ study, out, seeds, split },
    threads: Math.max(1, Math.floor(availableParallelism() / jobs)),
    device: await deviceOf(flags.device),
    ...(only === undefined ? {} : { only }),
    ...(episodes === undefined ? {} : { trials: episodes }),
  });
  if (flags.plan) {
    for (const step of planned) say(`${step.name.padEnd(36)} dualvla ${step.words.join(' ')}`);
    return;
  }
  using _lock = takeStudy(out);
  writeStudyRecord(out, { study, seeds });
  const records = new StageRecords(studyPaths(out).records);
  for (const given of flags.given ?? []) {
    const { parseGiven, takeGiven } = await import('./study-given.js');
    for (const name of takeGiven(parseGiven(given), planned, records)) say(`given: ${name}`);
  }
  const steps = stepsLeft(planned, records);
  const left = steps.filter((step) => !isFinished(step, records)).length;
  say(`${study.name}: ${study.summary}`);
  const time = left === 0 ? '' : `, about ${formatDuration(estimateLeft(steps, records, jobs))}`;
  say(`${steps.length} steps, ${steps.length - left} done, ${jobs} at a time${time}`);
  const done = await runSteps({ steps, out, records, jobs, onEvent: progressLines(steps, records, jobs) });
  if (done) say(`done; next: dualvla study report ${flags.output} --out results`);
}

export interface RunStepsOptions {
  steps: readonly StudyStep[];
  out: string;
  records: StageRecords;
  jobs: number;
  onEvent: (event: StudyEvent) => void;
  progressEvery?: number;
  /** What to repeat, for the message at Ctrl-C. */
  again?: string;
}

/** Runs steps until they are done, one fails or Ctrl-C; @returns whether they are done. A failure is printed. */
export async function runSteps({ out, again = 'the same command', ...options }: RunStepsOptions): Promise<boolean> {
  const paths = studyPaths(out);
  const files = (step: string) => ({ log: paths.log(step), running: paths.running(step) });
  try {
    await withStopSignal(
      (signal) => runStudy({ ...options, files, signal }),
      () =>
        process.stderr.write(
          `stopping, steps save what they have; ${again} continues here (Ctrl-C again ends at once)\n`,
        ),
    );
    return true;
  } catch (error) {
    if (!(error instanceof StudyStepError)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = EXIT.failed;
    return false;
  }
}

/** The lock of a study's folder: two runners would run the same steps. @throws CommandError */
export function takeStudy(out: string): Disposable {
  mkdirSync(out, { recursive: true });
  const lock = ProcessLock.take(studyPaths(out).lock);
  if (!(lock instanceof ProcessLock))
    throw new CommandError(
      `process ${lock.pid} has been working in ${out} since ${lock.since}; next: dualvla study status ${out}`,
    );
  return { [Symbol.dispose]: () => lock.release() };
}

/** A line when a step starts and one when it ends, with time taken and left. */
function progressLines(steps: readonly StudyStep[], records: StageRecords, jobs: number): (event: StudyEvent) => void {
  const began = new Map<string, number>();
  const done = new Set<string>();
  const runningFor = (): Map<string, number> =>
    new Map([...began].map(([name, at]) => [name, (performance.now() - at) / 1000]));
  const place = (): string => `[${done.size}/${steps.length}]`;
  return (event) => {
    const { step } = event;
    if (event.type === 'skip') done.add(step.name);
    if (event.type === 'left behind')
      say(`${step.name}: an earlier run's process is still at work; ending it in order`);
    if (event.type === 'start') {
      began.set(step.name, performance.now());
      const how = { new: '', resumed: ' (continuing)', changed: ' (settings changed: anew)' }[event.how];
      const time = formatDuration(estimateOf(step, steps, records));
      say(`${place()} start ${step.name}${how}: ${step.what}, about ${time}`);
    }
    if (event.type === 'done' || event.type === 'failed') began.delete(step.name);
    if (event.type === 'done') {
      done.add(step.name);
      const left = estimateLeft(steps, records, jobs, runningFor());
      const time = done.size === steps.length ? '' : `, about ${formatDuration(left)} left`;
      say(`${place()} done ${step.name} in ${formatDuration(event.seconds)}${time}`);
    }
    if (event.type === 'failed') {
      const rest = event.running > 0 ? `; waiting for ${event.running} that run` : '';
      say(`${place()} failed ${step.name}${rest}`);
    }
  };
}

async function deviceOf(asked: string): Promise<string> {
  if (asked !== 'auto') return asked;
  const { cuda } = await import('../torch/cuda.js');
  return cuda.is_available() ? 'cuda' : 'cpu';
}

async function status(
  dir: string,
  flags: { split: (typeof SPLITS)[number]; only?: string[]; json?: boolean },
): Promise<void> {
  const out = resolve(dir);
  const { study, seeds } = readStudyRecord(out);
  const { split, only } = flags;
  const plan: PlanOptions = { study, out, seeds, split, threads: 1, ...(only === undefined ? {} : { only }) };
  const paths = studyPaths(out);
  const records = new StageRecords(paths.records);
  const { isStepRunning } = await import('./study-process.js');
  // What was planned with other numbers of scenes is done for its own: names decide here, not settings.
  const steps = planStudy(plan).map((step) => ({ ...step, hash: records.get(step.name)?.hash ?? step.hash }));
  const state = (step: StudyStep): string => {
    if (isFinished(step, records)) return 'done';
    if (isStepRunning(paths.running(step.name))) return 'running';
    return records.get(step.name) === undefined ? 'left' : 'begun';
  };
  const rows = steps.map((step) => ({
    step: step.name,
    state: state(step),
    seconds: Math.round(records.get(step.name)?.seconds ?? 0),
    estimate: Math.round(estimateOf(step, steps, records)),
  }));
  const left = estimateLeft(steps, records, availableParallelism());
  if (flags.json) return say(JSON.stringify({ study: study.name, seeds, steps: rows, secondsLeft: Math.round(left) }));
  say(`${study.name}, seeds ${seeds.join(', ')}, ${split} scenes`);
  say(
    formatTable(
      [
        ['step', 'state', 'time'],
        ...rows.map((row) => [
          row.step,
          row.state,
          row.state === 'done' ? formatDuration(row.seconds) : `about ${formatDuration(row.estimate)}`,
        ]),
      ],
      [2],
    ),
  );
  const count = (name: string): number => rows.filter((row) => row.state === name).length;
  const time = left > 0 ? `; about ${formatDuration(left)} left, ${availableParallelism()} at a time` : '';
  say(`${count('done')} done, ${count('running')} running, ${count('begun')} begun, ${count('left')} left${time}`);
}

async function report(dirs: string[], flags: ReportFlags): Promise<void> {
  const out = resolve(required(flags.out, '--out <dir>'));
  const { writeStudyReports } = await import('../eval/study-report.js');
  const written = await writeStudyReports({ folders: dirs.map((dir) => resolve(dir)), out, split: flags.split });
  for (const { study, lines } of written.studies) {
    say(study);
    for (const line of lines) say(`  ${line}`);
  }
  for (const path of written.files) say(path);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
