/** `dualvla prune` at work: layers found and journalled, combined, and written in every form that was asked for. */
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalHeader, LayerJournal, LayerOptions, PruneInput, PruneResult } from '../prune/index.js';
import { datasetFolder } from './dataset-argument.js';
import { CommandError, UsageError } from './errors.js';
import { required } from './options.js';
import { mergedLayers } from './prune-merge.js';
import { checkFlags, inputOptions, motionOptions, type PruneFlags, sceneSource } from './prune-options.js';
import { print, printReport } from './prune-print.js';
import { withStopSignal } from './stop-signal.js';
import { Progress } from './terminal.js';

/** Where the results go. */
interface Targets {
  /** Keep labels, or null. */
  readonly labels: string | null;
  /** The pruned copy, or null. */
  readonly dataset: string | null;
  readonly report: { readonly page: string | null; readonly json: string | null };
}

/** What a run is besides its flags. */
export interface PruneContext {
  /** What a shard remembers for those who merge it. */
  readonly command?: readonly string[];
  /** Where the parts lie that `--merge` puts together; default: OUT.shards. */
  readonly partFolders?: readonly string[];
}

export async function runPrune(name: string, flags: PruneFlags, context: PruneContext = {}): Promise<void> {
  const out = required(flags.out, '--out <path>').replace(/\/+$/, '');
  checkFlags(flags);
  const targets = targetsOf(out, flags);
  const journalFile = `${out}.layers`;
  const resuming = flags.resume === true && existsSync(journalFile);
  if (!flags.shard && !resuming) refuseExisting(filesOf(targets, flags), flags.overwrite);
  const directory = await datasetFolder(name);
  const { isRlds } = await import('../data/index.js');
  const prune = await import('../prune/index.js');
  const rlds = isRlds(directory);
  const inputs = await prune.openPruneInputs(directory, inputOptions(flags, rlds));
  if (targets.dataset !== null && !flags.shard) for (const input of inputs) prune.checkReasoning(input);
  if ((flags.exportEcot ?? flags.exportVlaIt) !== undefined) inputs.forEach(prune.checkOrigins);
  const layers: LayerOptions = {
    inputs,
    scene: await sceneSource(flags),
    motion: motionOptions(flags),
    onWarning: (warning) => process.stderr.write(`warning: ${warning}\n`),
  };
  if (flags.shard) return pruneShard(out, flags, layers, context.command ?? null);
  const options = {
    ...layers,
    combine: flags.combine,
    tolerance: flags.tolerance,
    firstFrame: flags.firstFrame,
    mode: flags.mode,
    seed: flags.seed,
  };
  const header = prune.journalHeader(layers, null);
  const parts = flags.merge ? await mergedLayers(context.partFolders ?? [`${out}.shards`], header) : [];
  const found = await journalled(journalFile, header, flags, (journal) => {
    // Parts go where an undivided run keeps what it found: killed while it writes, the rest is the same.
    if (flags.merge) journal.append(parts.slice(journal.records.length));
    return stoppable((signal) => withProgress(layers, (more) => prune.findLayers({ ...more, signal }, { journal })));
  });
  const result = await prune.combineFound(found, options);
  await writeAll(targets, { inputs, result, flags, resuming });
  rmSync(journalFile, { force: true });
  tell(result, targets, flags);
  if (flags.merge && !flags.json)
    print(`the parts in ${(context.partFolders ?? [`${out}.shards`]).join(', ')} are no longer needed`);
}

function targetsOf(out: string, flags: PruneFlags): Targets {
  const isLabels = out.endsWith('.json');
  if (!isLabels && flags.writeDataset !== undefined)
    throw new UsageError('--out is a pruned copy already; give --out FILE.json, or leave out --write-dataset');
  const { report } = flags;
  const folder = report !== undefined && !/\.(json|html)$/.test(report);
  return {
    labels: isLabels ? out : null,
    dataset: isLabels ? (flags.writeDataset ?? null) : out,
    report: {
      page: report === undefined || report.endsWith('.json') ? null : folder ? join(report, 'report.html') : report,
      json: report === undefined || report.endsWith('.html') ? null : folder ? join(report, 'report.json') : report,
    },
  };
}

const filesOf = ({ labels, dataset, report }: Targets, flags: PruneFlags): (string | null | undefined)[] => [
  labels,
  dataset,
  report.page,
  report.json,
  flags.timeline,
  flags.exportEcot,
  flags.exportVlaIt,
];

/** Runs `work` with a journal that outlives a crash; when work ends in time it is complete. */
async function journalled<T>(
  file: string,
  header: JournalHeader,
  { resume = false, overwrite = false }: PruneFlags,
  work: (journal: LayerJournal) => Promise<T>,
): Promise<T> {
  const { LayerJournal } = await import('../prune/index.js');
  const journal = LayerJournal.open(file, header, { resume, overwrite });
  try {
    const result = await work(journal);
    journal.finish();
    return result;
  } finally {
    journal.close();
    // Nothing was found: there is nothing to continue.
    if (journal.records.length === 0) rmSync(file, { force: true });
  }
}

async function pruneShard(
  out: string,
  flags: PruneFlags,
  layers: LayerOptions,
  command: readonly string[] | null,
): Promise<void> {
  const { findLayers, journalHeader } = await import('../prune/index.js');
  const shard = flags.shard as NonNullable<PruneFlags['shard']>;
  const file = join(`${out}.shards`, `${shard.index}-of-${shard.count}.jsonl`);
  const header = journalHeader(layers, shard, command);
  const records = await journalled(file, header, flags, (journal) =>
    stoppable((signal) => withProgress(layers, (more) => findLayers({ ...more, signal }, { journal, shard }))),
  );
  const frames = records.reduce((sum, { numFrames }) => sum + numFrames, 0);
  if (flags.json) return print(JSON.stringify({ shard, episodes: records.length, frames, file }));
  print(`part ${shard.index} of ${shard.count}: ${records.length} episodes, ${frames} frames; ${file}`);
  print(`when all parts are done: dualvla data merge ${out}.shards --output ${out}`);
}

async function writeAll(
  targets: Targets,
  context: { inputs: readonly PruneInput[]; result: PruneResult; flags: PruneFlags; resuming: boolean },
): Promise<void> {
  const { inputs, result, flags } = context;
  const prune = await import('../prune/index.js');
  if (targets.dataset !== null) await writeCopy(targets.dataset, context);
  const episodes = result.episodes;
  for (const [format, input, output] of [
    ['ecot', flags.ecot, flags.exportEcot],
    ['vla-it', flags.vlaIt, flags.exportVlaIt],
  ] as const) {
    if (input === undefined || output === undefined) continue;
    const { stepOffset } = flags;
    const summary = prune.exportAnnotations({ format, input, output, episodes, stepOffset });
    const { joined, untouched, kept, steps, withoutFrame } = summary;
    process.stderr.write(
      `${output}: ${kept} of ${steps} steps keep their reasoning; ${joined} episodes joined, ${untouched} not among the data and left whole` +
        `${withoutFrame > 0 ? `; ${withoutFrame} steps have no frame and lost it` : ''}\n`,
    );
  }
  const page = { inputs, result, ...(flags.camera?.[0] ? { camera: flags.camera[0] } : {}) };
  if (flags.timeline !== undefined) await prune.writeTimeline(flags.timeline, page);
  const { writeDurable } = await import('../data/durable-file.js');
  if (targets.report.page !== null) await prune.writeReportPage(targets.report.page, page);
  if (targets.report.json !== null) writeDurable(targets.report.json, `${JSON.stringify(result.report, null, 2)}\n`);
  if (targets.labels !== null) prune.writeKeepLabels(targets.labels, result.labels);
}

async function writeCopy(
  target: string,
  {
    inputs,
    result,
    flags,
    resuming,
  }: { inputs: readonly PruneInput[]; result: PruneResult; flags: PruneFlags; resuming: boolean },
): Promise<void> {
  const { datasetState } = await import('../data/index.js');
  const { writePrunedDatasets } = await import('../prune/index.js');
  // Written whole before the run that is continued was stopped.
  const left = inputs.filter(({ name }) => !resuming || datasetState(join(target, name)) !== 'finished');
  const progress = new Progress('writing, episodes', result.report.episodes);
  await stoppable((signal) =>
    writePrunedDatasets({
      inputs: left,
      target,
      result,
      mode: flags.mode,
      signal,
      // Whatever lies there unfinished was begun with this result, or is replaced.
      ...(resuming ? { resume: true } : flags.overwrite ? { overwrite: true } : {}),
      onProgress: ({ done }) => progress.update(done),
    }),
  );
  progress.clear();
}

function tell({ report }: PruneResult, targets: Targets, flags: PruneFlags): void {
  if (flags.json) {
    print(JSON.stringify({ ...report, out: targets.labels ?? targets.dataset }));
    return;
  }
  printReport(report, flags);
  const written: [string, string | null | undefined][] = [
    ['labels', targets.labels],
    ['data set', targets.dataset],
    ['ECoT', flags.exportEcot],
    ['VLA-IT', flags.exportVlaIt],
    ['timeline', flags.timeline],
    ['report', targets.report.page ?? targets.report.json],
  ];
  for (const [name, path] of written) if (path) print(`${name}: ${path}`);
}

async function withProgress<T>(layers: LayerOptions, work: (options: LayerOptions) => Promise<T>): Promise<T> {
  let progress: Progress | undefined;
  const onProgress = ({ done, total }: { done: number; total: number }): void => {
    progress ??= new Progress('pruning', total);
    progress.update(done);
  };
  try {
    return await work({ ...layers, onProgress });
  } finally {
    progress?.clear();
  }
}

export function refuseExisting(paths: readonly (string | null | undefined)[], overwrite: boolean | undefined): void {
  const there = paths.find((path) => path !== undefined && path !== null && existsSync(path));
  if (there && !overwrite) throw new CommandError(`${there} exists already; next: give another name, or --overwrite`);
}

export async function dataSetsIn(directory: string): Promise<string[]> {
  if (!existsSync(directory) || !statSync(directory).isDirectory())
    throw new UsageError(`there is no folder ${directory}`);
  const { datasetFolders } = await import('../data/dataset-folders.js');
  return datasetFolders(directory.length > 1 ? directory.replace(/\/+$/, '') : directory);
}

/** Runs work that Ctrl-C stops; what was found so far is kept. */
function stoppable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withStopSignal(work, () => process.stderr.write('stopping; next: the same command with --resume\n'));
}
