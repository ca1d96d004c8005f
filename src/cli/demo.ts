/**
 * `dualvla demo`: demonstrations -> specialist -> closed-loop evaluation -> report, in one command that continues where it
 * was stopped.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { commitOf } from '../eval/provenance.js';
import type { StageRecords } from '../eval/stage-record.js';
import type { Recipe } from '../recipes/index.js';
import type { DemoPaths, DemoStage } from './demo-stages.js';
import { wholeNumber } from './options.js';
import { withStopSignal } from './stop-signal.js';
import { formatSuccessTable } from './success-lines.js';
import { coloursFor, formatDuration } from './terminal.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Films and page take about this long. */
const REPORT_SECONDS = 15;

const EXAMPLES = `Examples:
  dualvla demo                            a quarter of an hour on two cores; Ctrl-C and again continues
  dualvla demo --recipe debug --output outputs/debug     every stage once, in a minute
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
    .description('demonstrations, training, evaluation and a report in one command')
    .option('--recipe <name>', "which ('dualvla recipes')", 'demo')
    .option('--output <dir>', 'where everything goes', 'outputs/demo')
    .option('--seed <s>', 'of demonstrations and training, 0 to 99', wholeNumber(), 0)
    .option('--overwrite', 'start anew instead of continuing')
    .addHelpText('before', EXAMPLES)
    .action(runDemo);
}

async function runDemo(flags: DemoFlags): Promise<void> {
  const { findRecipe } = await import('../recipes/index.js');
  const { demoPaths, demoStages } = await import('./demo-stages.js');
  const { StageRecords } = await import('../eval/stage-record.js');
  const recipe = findRecipe(flags.recipe);
  const out = resolve(flags.output);
  const paths = demoPaths(out);
  if (flags.overwrite) for (const path of Object.values(paths)) rmSync(path, { recursive: true, force: true });
  const records = new StageRecords(paths.stages);
  const stages = await demoStages(recipe, flags.seed, paths, availableParallelism());
  const left = stages.filter(({ name, hash }) => records.state(name, hash) !== 'finished');
  const estimate = left.reduce((sum, stage) => sum + stage.estimate, left.length > 0 ? REPORT_SECONDS : 0);
  say(`DualVLA demo, recipe ${recipe.name}: ${recipe.summary}`);
  if (estimate > 0)
    say(`About ${formatDuration(estimate)} on two cores; stopped with Ctrl-C it continues where it was.`);
  const again = `${process.env.npm_lifecycle_event === 'demo' ? 'npm run demo' : 'the same command'}`;
  await withStopSignal(
    async (signal) => {
      for (const [i, stage] of stages.entries())
        await runStage(stage, `[${i + 1}/${stages.length + 1}]`, records, signal);
      await writeReport(recipe, flags.seed, paths, records, stages, signal);
    },
    () => process.stderr.write(`stopping; ${again} continues here (Ctrl-C again ends at once)\n`),
  );
}

/** Runs a stage unless it is finished with the same settings. */
async function runStage(stage: DemoStage, number: string, records: StageRecords, signal: AbortSignal): Promise<void> {
  const { bold, dim } = coloursFor(process.stdout);
  const state = records.state(stage.name, stage.hash);
  if (state === 'finished') {
    const { summary, seconds } = records.get(stage.name) ?? { summary: '', seconds: 0 };
    say(dim(`${number} ${stage.name}: already done (${summary}, ${formatDuration(seconds)})`));
    return;
  }
  const how = { new: '', begun: ' (continuing)', changed: ' (settings changed: anew)' }[state];
  say(`${bold(`${number} ${stage.name}`)}: ${stage.what}${how}, about ${formatDuration(stage.estimate)}`);
  records.begin(stage.name, stage.hash, commitOf(ROOT));
  const started = performance.now();
  try {
    signal.throwIfAborted();
    const summary = await stage.run(state, signal);
    records.finish(stage.name, summary);
  } finally {
    records.addSeconds(stage.name, (performance.now() - started) / 1000);
  }
  const { summary, seconds } = records.get(stage.name) ?? { summary: '', seconds: 0 };
  say(`      ${summary}, ${formatDuration(seconds)}`);
}

/** result.json and report.html from what the stages left behind; @returns nothing, the last line printed is the path. */
async function writeReport(
  recipe: Recipe,
  seed: number,
  paths: DemoPaths,
  records: StageRecords,
  stages: readonly DemoStage[],
  signal: AbortSignal,
): Promise<void> {
  const { EpisodeLog } = await import('../eval/episode-log.js');
  const { successTableOf } = await import('../eval/evaluate.js');
  const { hashOf } = await import('../eval/stage-record.js');
  const { evaluationCells } = await import('./demo-stages.js');
  const log = new EpisodeLog(paths.episodes);
  const cells = await evaluationCells(recipe);
  const success = successTableOf({ cells, trials: recipe.evaluation.trials, split: 'test', log });
  if (!existsSync(paths.report) || !existsSync(paths.result)) records.forget('report');
  const report: DemoStage = {
    name: 'report',
    what: 'films a few episodes and writes the page',
    estimate: REPORT_SECONDS,
    hash: hashOf(stages.map((stage) => stage.hash)),
    run: async () => {
      const { resultOf, writePage } = await import('./demo-page.js');
      const result = await resultOf({ recipe, seed, stages, records, success });
      await writePage({ recipe, paths, records, stages, result, episodes: log.records, signal });
      writeFileSync(paths.result, `${JSON.stringify(result, null, 2)}\n`);
      return 'report.html, result.json';
    },
  };
  await runStage(report, `[${stages.length + 1}/${stages.length + 1}]`, records, signal);
  say(`\n${formatSuccessTable(success)}\n`);
  say(`numbers: ${paths.result}\nreport, to open in a browser:\n${paths.report}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
