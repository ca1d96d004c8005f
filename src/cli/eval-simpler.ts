/** `dualvla eval simpler`: SimplerEnv's runs planned, and their results as the tables that the paper has. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { SimplerResults, SimplerSummary, StepLimits } from '../eval/simpler-env/index.js';
import { UsageError } from './errors.js';
import { oneOf, wholeNumber } from './options.js';
import { formatTable } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla eval simpler --plan                                        340 runs: what there is to do
  dualvla eval simpler --plan --results mine.jsonl --output left.jsonl   what is left, a run a line
  dualvla eval simpler --results mine.jsonl                          the table, beside the paper's
  dualvla eval simpler --results mine.jsonl --against other.jsonl --markdown table.md
  dualvla eval simpler --results mine.jsonl --json

Results are JSON lines that whoever drives SimplerEnv appends (docs/simpler-env.md); nothing here needs SimplerEnv.
`;

const DUPLICATES = ['same', 'last'] as const;

interface SimplerFlags {
  results?: string[];
  plan?: boolean;
  output?: string;
  overwrite?: boolean;
  stepLimits: StepLimits;
  widowxRepeats: number;
  paperOnly?: boolean;
  against?: string[];
  name?: string;
  duplicates: (typeof DUPLICATES)[number];
  markdown?: string;
  json?: boolean;
}

export function registerEvalSimpler(evaluation: Command): void {
  evaluation
    .command('simpler')
    .description("SimplerEnv's runs and tables, averaged as its scripts average them")
    .option('--results <files...>', 'JSON lines of one policy')
    .option('--plan', 'which runs are done and which are left')
    .option('--output <file>', 'with --plan: the runs that are left, as JSON lines')
    .option('--overwrite', 'replace the files of --output and --markdown')
    .option(
      '--step-limits <whose>',
      "with --plan: official, or instructvla's 120 for every WidowX task",
      oneOf('step limits', ['official', 'instructvla']),
      'official',
    )
    .option('--widowx-repeats <n>', 'with --plan: times that WidowX runs are made', wholeNumber(1), 1)
    .option('--paper-only', "with --plan: leave out runs that are in none of the paper's averages")
    .option('--against <files...>', 'results of another policy, compared over the same episodes')
    .option('--name <name>', "the policy's name in tables (the results may say it themselves)")
    .option(
      '--duplicates <rule>',
      'an episode that is there twice: same (an error where outcomes differ), last (the later line counts)',
      oneOf('rule', DUPLICATES),
      'same',
    )
    .option('--markdown <file>', 'write the tables there')
    .option('--json', 'print JSON')
    .addHelpText('before', EXAMPLES)
    .action(evalSimpler);
}

async function evalSimpler(flags: SimplerFlags): Promise<void> {
  checkFlags(flags);
  const { readSimplerResults } = await import('../eval/simpler-env/index.js');
  const { duplicates } = flags;
  const results = readSimplerResults(flags.results ?? [], { duplicates });
  if (flags.plan) return plan(flags, results);
  await tables(flags, results);
}

function checkFlags({ plan: planned, results, output, markdown, against, overwrite }: SimplerFlags): void {
  if (!planned && !results) throw new UsageError('option --results <files...> or --plan is needed');
  if (planned && (markdown ?? against) !== undefined)
    throw new UsageError('--plan has no tables; leave --markdown and --against out');
  if (!planned && output !== undefined)
    throw new UsageError('--output belongs to --plan; tables go to --markdown <file>');
  for (const path of [output, markdown]) {
    if (path !== undefined && existsSync(path) && !overwrite)
      throw new UsageError(`${path} is there already; add --overwrite`);
  }
}

async function plan(flags: SimplerFlags, { episodes }: SimplerResults): Promise<void> {
  const { planSimpler } = await import('../eval/simpler-env/index.js');
  const { stepLimits, widowxRepeats } = flags;
  const planned = planSimpler(episodes, { stepLimits, widowxRepeats, everything: !flags.paperOnly });
  if (flags.output !== undefined) {
    const { writeDurable } = await import('../data/durable-file.js');
    writeDurable(flags.output, planned.runs.map((run) => `${JSON.stringify(run)}\n`).join(''));
  }
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(planned)}\n`);
    return;
  }
  const rows = planned.tasks.map((task) => [
    task.task,
    task.setting,
    `${task.runs.done}/${task.runs.total}`,
    `${task.episodes.done}/${task.episodes.total}`,
  ]);
  const runs = planned.tasks.reduce((sum, task) => sum + task.runs.total, 0);
  const all = [
    'all',
    '',
    `${runs - planned.runs.length}/${runs}`,
    `${planned.episodes.done}/${planned.episodes.total}`,
  ];
  process.stdout.write(`${formatTable([['task', 'setting', 'runs done', 'episodes done'], ...rows, all], [2, 3])}\n`);
}

async function tables(flags: SimplerFlags, results: SimplerResults): Promise<void> {
  const simpler = await import('../eval/simpler-env/index.js');
  const summary = simpler.summariseSimpler(results);
  const name = flags.name ?? summary.policy ?? 'yours';
  const against = flags.against && (await compare(flags, results));
  if (flags.markdown !== undefined) {
    const { writeDurable } = await import('../data/durable-file.js');
    writeDurable(flags.markdown, simpler.simplerMarkdown(summary, name, against));
  }
  if (flags.json) {
    const { comparison, name: second } = against ?? {};
    const compared = comparison ? { against: { policy: second, ...comparison } } : {};
    process.stdout.write(`${JSON.stringify({ ...summary, paper: simpler.checkPaperTable(), ...compared })}\n`);
    return;
  }
  const show = (table: readonly (readonly string[])[]): string =>
    formatTable(table, (table[0] ?? []).map((_, i) => i).slice(1));
  const parts = [
    show(simpler.besideThePaper(summary, name)),
    simpler.PAPER_MARKS.join('\n'),
    show(simpler.columnTable(summary)),
    noteLines(summary),
  ];
  if (against) {
    parts.push(
      `${name} minus ${against.name}, over the same episodes:\n${show(simpler.comparisonTable(against.comparison))}`,
    );
    parts.push(noteLines(against.comparison));
  }
  process.stdout.write(`${parts.filter((part) => part !== '').join('\n\n')}\n`);
}

async function compare({ against = [], duplicates }: SimplerFlags, first: SimplerResults) {
  const { compareSimpler, readSimplerResults } = await import('../eval/simpler-env/index.js');
  const second = readSimplerResults(against, { duplicates });
  return { name: second.header?.policy ?? 'the other', comparison: compareSimpler(first, second) };
}

const noteLines = ({ notes }: Pick<SimplerSummary, 'notes'>): string => notes.map((note) => `note: ${note}`).join('\n');
