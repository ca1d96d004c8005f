/** `dualvla score kb`: the judges' knowledge base of marked trajectories. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { BaseEntry, Correction, KnowledgeBase } from '../score/knowledge-base.js';
import type { Rollout } from '../score/rollout.js';
import { UsageError } from './errors.js';
import { required, wholeNumber } from './options.js';
import { type JudgeFlags, judgeOf, withJudgeOptions } from './score-judge.js';
import { withStopSignal } from './stop-signal.js';
import { formatTable, Progress } from './terminal.js';

const EXAMPLES = `Examples:
  dualvla score kb build rollouts --output my-base --judge gpt-4o@https://api.example.com/v1
  dualvla score kb build --embedded --output knowledge/embedded         the one that ships, made again
  dualvla score kb add more-rollouts --base my-base
  dualvla score kb review --base my-base                                what is in it, and what was corrected
  dualvla score kb review --base my-base --id episode-3 --marks R=6,A=8 --why "the box is wrong" --by Ada

Corrections are appended to corrections.jsonl, never rewritten; the last one counts.
`;

interface BuildFlags extends JudgeFlags {
  output?: string;
  base?: string;
  embedded?: boolean;
  limit?: number;
  camera?: string;
  success?: string;
  json?: boolean;
}

interface ReviewFlags {
  base?: string;
  id?: string;
  marks?: Correction['marks'];
  why?: string;
  by?: string;
  json?: boolean;
}

export function registerScoreKb(score: Command): void {
  const kb = score
    .command('kb')
    .helpCommand(false)
    .description("the judges' knowledge base")
    .addHelpText('before', EXAMPLES);
  const common = (command: Command): Command =>
    withJudgeOptions(command)
      .option('--limit <n>', 'only the first rollouts', wholeNumber(1))
      .option('--camera <name>', 'camera of a LeRobot data set')
      .option('--success <what>', 'success of LeRobot episodes that do not say it: all, none, or a JSONL file')
      .option('--json', 'print JSON')
      .addHelpText('before', EXAMPLES);
  common(
    kb
      .command('build')
      .description('mark rollouts and make a base of them')
      .argument('[rollouts]', 'traces, a LeRobot data set, or a folder of episodes')
      .option('--output <dir>', 'the new base')
      .option('--embedded', 'the base that ships: scripts of the embedded benchmark; replaces what is there'),
  ).action(build);
  common(
    kb
      .command('add')
      .description('mark rollouts and add them to a base')
      .argument('<rollouts>', 'traces, a LeRobot data set, or a folder of episodes'),
  ).action(add);
  kb.command('review')
    .description('show a base, or correct an entry')
    .option('--base <dir>', 'the base (the one that ships)')
    .option('--id <entry>', 'one entry')
    .option('--marks <R=8,A=7>', 'the right marks, 0 to 10; those left out stay', parseMarks)
    .option('--why <text>', 'the right reason')
    .option('--by <name>', 'who says so')
    .option('--json', 'print JSON')
    .addHelpText('before', EXAMPLES)
    .action(review);
}

function parseMarks(text: string): Correction['marks'] {
  const marks: Record<string, number> = {};
  for (const part of text.split(',')) {
    const found = /^\s*(R|A|I|RA)\s*=\s*(\d+(?:\.\d+)?)\s*$/.exec(part);
    const mark = Number(found?.[2]);
    if (!found || mark > 10)
      throw new UsageError(`--marks: '${part}' is none of R=, A=, I=, RA= with a mark from 0 to 10`);
    marks[found[1] as string] = mark;
  }
  return marks;
}

async function build(rollouts: string | undefined, flags: BuildFlags): Promise<void> {
  const output = required(flags.output, '--output <dir>');
  const { KnowledgeBase } = await import('../score/knowledge-base.js');
  if (flags.embedded) {
    if (rollouts !== undefined) throw new UsageError('--embedded makes its own rollouts; leave them out');
    const { buildEmbeddedBase } = await import('../score/embedded-base.js');
    const progress = new Progress('marked', 100);
    const base = await buildEmbeddedBase(output, { onProgress: (done) => progress.update(done) });
    progress.clear();
    return print(base, flags.json);
  }
  if (rollouts === undefined) throw new UsageError('which rollouts? name them, or --embedded');
  const made = `dualvla score kb build, marked by ${flags.judge}`;
  if (existsSync(join(output, 'base.json'))) KnowledgeBase.create(output, made);
  await fill(rollouts, output, flags, () => KnowledgeBase.create(output, made));
}

async function add(path: string, flags: BuildFlags): Promise<void> {
  const { KnowledgeBase } = await import('../score/knowledge-base.js');
  const folder = required(flags.base, '--base <dir>');
  await fill(path, folder, { ...flags, examples: 0 }, () => KnowledgeBase.open(folder));
}

/** Marks everything first, then adds it: a judge that fails leaves the base as it was. */
async function fill(path: string, folder: string, flags: BuildFlags, open: () => KnowledgeBase): Promise<void> {
  const { openRollouts } = await import('../score/open-rollouts.js');
  const { baseMarks, KnowledgeBase, KnowledgeBaseError } = await import('../score/knowledge-base.js');
  const { explainMarks } = await import('../score/rule-explanation.js');
  const { camera, success, limit } = flags;
  const all = await openRollouts(path, { ...(camera ? { camera } : {}), ...(success ? { success } : {}) });
  const rollouts = limit === undefined ? all : all.slice(0, limit);
  // Before the judge is paid.
  const known = existsSync(join(folder, 'base.json')) ? KnowledgeBase.open(folder) : undefined;
  const there = rollouts.find(({ id }) => known?.original(entryName(id)));
  if (there) throw new KnowledgeBaseError(`${folder} has ${entryName(there.id)} already`);
  await withStopSignal(
    async (signal) => {
      const scored = await markAll(rollouts, folder, flags, signal);
      const base = open();
      for (const { id, marks, thought, by } of scored) {
        const rollout = rollouts.find((one) => one.id === id);
        if (!rollout) continue;
        const why = thought ?? (rollout.trace ? explainMarks(rollout.trace) : '');
        await base.add(rollout, { id: entryName(id), marks: baseMarks(marks), why, judge: by, source: id });
      }
      print(base, flags.json);
    },
    () => process.stderr.write('stopping\n'),
  );
}

const entryName = (id: string): string => id.replace(/[^\w.-]+/g, '-');

async function markAll(rollouts: readonly Rollout[], folder: string, flags: BuildFlags, signal: AbortSignal) {
  const { scoreRollouts } = await import('../score/score-rollouts.js');
  const { judge, vlm } = await judgeOf(flags, `${folder}.audit`, signal);
  const progress = new Progress('marked', rollouts.length);
  const { scored, unjudged } = await scoreRollouts(rollouts, judge, {
    atOnce: vlm ? flags.concurrency : 1,
    onProgress: (done) => progress.update(done),
    signal,
  });
  progress.clear();
  for (const { why } of unjudged) process.stderr.write(`left out: ${why}\n`);
  return scored.map((one) => ({ ...one, by: judge.name }));
}

function print(base: KnowledgeBase, json = false): void {
  const { entries, folder } = base;
  const tasks = new Set(entries.map(({ task }) => task)).size;
  const said = { folder, entries: entries.length, tasks, hash: base.hash };
  process.stdout.write(
    json ? `${JSON.stringify(said)}\n` : `${folder}: ${entries.length} trajectories of ${tasks} tasks\n`,
  );
}

async function review(flags: ReviewFlags): Promise<void> {
  const { KnowledgeBase } = await import('../score/knowledge-base.js');
  const { EMBEDDED_BASE } = await import('../score/embedded-base.js');
  const base = KnowledgeBase.open(flags.base ?? EMBEDDED_BASE);
  const { id, marks, why, by } = flags;
  if (marks !== undefined || why !== undefined) {
    if (flags.base === undefined)
      throw new UsageError('a correction needs --base: the shipped one is replaced by updates; copy it');
    const correction = {
      id: required(id, '--id <entry>'),
      marks: marks ?? {},
      ...(why === undefined ? {} : { why }),
      ...(by === undefined ? {} : { by }),
      at: new Date().toISOString(),
    };
    base.correct(correction);
  } else if (by !== undefined) throw new UsageError('--by belongs to a correction: --marks or --why');
  const shown = id === undefined ? base.entries : base.entries.filter((entry) => entry.id === id);
  if (shown.length === 0) throw new UsageError(`${base.folder} has no ${id}`);
  if (flags.json) {
    const withHistory = shown.map((entry) => ({
      ...entry,
      first: base.original(entry.id)?.marks,
      corrections: base.correctionsOf(entry.id),
    }));
    process.stdout.write(`${JSON.stringify(withHistory, null, 2)}\n`);
    return;
  }
  const row = ({ id: name, marks: { R, A, I, RA }, success }: BaseEntry): string[] => [
    name,
    success ? 'yes' : 'no',
    ...[R, A, I, RA].map((value) => (value === undefined ? '-' : String(value))),
    String(base.correctionsOf(name).length || '-'),
  ];
  process.stdout.write(
    `${formatTable([['entry', 'success', 'R', 'A', 'I', 'RA', 'corrections'], ...shown.map(row)], [2, 3, 4, 5, 6])}\n`,
  );
  if (id !== undefined) process.stdout.write(`${shown[0]?.instruction}: ${shown[0]?.why}\n`);
}
