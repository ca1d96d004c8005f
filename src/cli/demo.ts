/**
 * `dualvla demo`: the paper's story as a small study on this machine, in one command that continues where it was stopped:
 * demonstrations and questions -> specialist (where none ships) -> reasoning base -> pruning -> DualVLA -> measurements -> report.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { hashOf, StageRecords } from '../eval/stage-record.js';
import { studyPaths, writeStudyRecord } from '../eval/study-folder.js';
import { wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { findStudy, runSteps, takeStudy } from './study.js';
import { estimateLeft, estimateOf } from './study-estimate.js';
import { planStudy, type StudyStep } from './study-plan.js';
import { isFinished, type StudyEvent } from './study-runner.js';
import { coloursFor, formatDuration } from './terminal.js';

/** Films and page take about this long. */
const REPORT_SECONDS = 25;
/** The models of the story. */
const MODELS = ['specialist', 'base', 'dualvla'];

const EXAMPLES = `Examples:
  dualvla demo                            a quarter of an hour on two cores; Ctrl-C and again continues
  dualvla demo --recipe debug --output outputs/debug     every stage once, in a minute
  dualvla demo --recipe demo-scratch --output outputs/scratch     the specialist trained too
  dualvla demo --seed 1 --output outputs/demo-1          another seed of everything
`;

interface DemoFlags {
  recipe: string;
  output: string;
  seed: number;
  overwrite?: boolean;
}

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('from a specialist to a reasoning base and DualVLA: trained, measured and reported in one command')
    .option('--recipe <name>', "which study ('dualvla recipes')", 'demo')
    .option('--output <dir>', 'where everything goes', 'outputs/demo')
    .option('--seed <s>', 'of demonstrations and training, 0 to 98', wholeNumber(), 0)
    .option('--overwrite', 'start anew instead of continuing')
    .addHelpText('before', EXAMPLES)
    .action(runDemo);
}

async function runDemo({ recipe, output, seed, overwrite }: DemoFlags): Promise<void> {
  const study = await findStudy(recipe);
  const out = resolve(output);
  const paths = studyPaths(out);
  const cores = availableParallelism();
  // One step at a time with all cores: the demo's models follow from one another.
  const steps = planStudy({
    ...{ study, out, seeds: [seed], split: 'test', threads: cores, dataSeed: seed },
    only: MODELS.filter((name) => study.models.some((model) => model.name === name)),
  });
  using _lock = takeStudy(out);
  const report = join(out, 'report.html');
  const result = join(out, 'result.json');
  if (overwrite) {
    for (const step of steps) for (const path of step.leftovers) rmSync(path, { recursive: true, force: true });
    for (const path of [paths.records, report, result]) rmSync(path, { force: true });
  }
  writeStudyRecord(out, { study, seeds: [seed] });
  const records = new StageRecords(paths.records);
  const reportHash = hashOf(steps.map(({ hash }) => hash));
  const isReported = existsSync(report) && existsSync(result) && records.state('report', reportHash) === 'finished';
  const left = estimateLeft(steps, records, 1) + (isReported ? 0 : REPORT_SECONDS);
  say(`DualVLA demo, recipe ${study.name}: ${study.summary}`);
  if (left > 0) say(`About ${formatDuration(left)} on two cores; stopped with Ctrl-C it continues where it was.`);
  const again = process.env.npm_lifecycle_event === 'demo' ? 'npm run demo' : 'the same command';
  const place = numbered(steps);
  const show = stageLines(steps, records, place);
  const done = await runSteps({ steps, out, records, jobs: 1, onEvent: show, progressEvery: 15, again });
  if (!done) return;

  const { demoResult, resultLines, writeDemoReport } = await import('./demo-page.js');
  const { readStudyResults } = await import('../eval/study-results.js');
  const { readDrawings } = await import('../eval/study-drawings.js');
  const all = readStudyResults(out, 'test');
  const results = {
    ...all,
    models: all.models.map((model) => ({ ...model, runs: model.runs.filter((run) => run.seed === seed) })),
  };
  const drawings = readDrawings(results);
  if (isReported) {
    const seconds = formatDuration(records.get('report')?.seconds ?? 0);
    say(dim(`${place('report')} report: already done (${seconds})`));
  } else {
    say(
      `${bold(`${place('report')} report`)}: films the same scenes with base and DualVLA and writes the page, about ${formatDuration(REPORT_SECONDS)}`,
    );
    records.begin('report', reportHash, records.get(steps.at(-1)?.name ?? '')?.commit ?? 'unknown');
    const began = performance.now();
    const parts = { study, seed, steps, records, results, drawings };
    const numbers = demoResult(parts);
    await withStopSignal(
      (signal) => writeDemoReport({ out, ...parts, numbers, report, result, signal }),
      () => process.stderr.write(`stopping; ${again} continues here (Ctrl-C again ends at once)\n`),
    );
    writeFileSync(result, `${JSON.stringify(numbers, null, 2)}\n`);
    records.addSeconds('report', (performance.now() - began) / 1000);
    records.finish('report', 'report.html, result.json');
  }
  say(`\n${resultLines(results, drawings)}\n`);
  say(`numbers: ${result}\nreport, to open in a browser:\n${report}`);
}

/** Places of the stages, the report last: `[3/12]`. */
function numbered(steps: readonly StudyStep[]): (name: string) => string {
  const names = [...steps.map(({ name }) => name), 'report'];
  return (name) => `[${names.indexOf(name) + 1}/${names.length}]`;
}

/** Names without the seed: a demo has one. */
const short = (name: string): string => name.replace(/^seed-\d+\//, '').replace(/^test\//, 'measure/');

function stageLines(
  steps: readonly StudyStep[],
  records: StageRecords,
  place: (name: string) => string,
): (event: StudyEvent) => void {
  return (event) => {
    const { step } = event;
    const name = `${place(step.name)} ${short(step.name)}`;
    if (event.type === 'skip') say(dim(`${name}: already done (${formatDuration(event.seconds)})`));
    if (event.type === 'left behind') say(`${name}: an earlier run is still at work; ending it in order`);
    if (event.type === 'start') {
      const how = { new: '', resumed: ' (continuing)', changed: ' (settings changed: anew)' }[event.how];
      say(`${bold(name)}: ${step.what}${how}, about ${formatDuration(estimateOf(step, steps, records))}`);
    }
    if (event.type === 'progress') process.stderr.write(`      ${event.text.trim().slice(0, 150)}\n`);
    if (event.type === 'done' && isFinished(step, records)) say(`      ${formatDuration(event.seconds)}`);
  };
}

const bold = (text: string): string => coloursFor(process.stdout).bold(text);
const dim = (text: string): string => coloursFor(process.stdout).dim(text);

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
