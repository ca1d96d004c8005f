/**
 * What the parts of a divided `dualvla prune` (`--shard i/n`) found, put together: by `dualvla data merge OUT.shards`, with the options
 * that every part remembers, or by `dualvla prune --merge`, which is given them. The result is that of an undivided run, byte for byte.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { JournalHeader, LayerRecord } from '../prune/index.js';
import { CommandError, UsageError } from './errors.js';
import { addPruneOptions, type PruneFlags } from './prune-options.js';

/** `{index}-of-{count}.jsonl` */
const PART = /^(\d+)-of-([1-9]\d*)\.jsonl$/;
/** Options that say what a single run does, not what comes out in the end. */
const OF_ONE_RUN = new Set(['out', 'shard', 'merge', 'resume', 'overwrite', 'json']);

/** The words after `dualvla prune` that were given, in the order of the options. */
export function rememberedCommand(name: string, command: Command): string[] {
  const given = command.options.filter((option) => {
    const key = option.attributeName();
    return !OF_ONE_RUN.has(key) && command.getOptionValueSource(key) === 'cli';
  });
  return [
    name,
    ...given.map((option) => {
      const value: unknown = command.getOptionValue(option.attributeName());
      return value === true ? `${option.long}` : `${option.long}=${[value].flat().join(',')}`;
    }),
  ];
}

/** Whether all of these are folders of parts. Throws UsageError where only some are. */
export function arePruneShards(folders: readonly string[]): boolean {
  const parts = folders.filter((folder) => /\.shards\/*$/.test(folder) || partsIn(folder).length > 0);
  if (parts.length > 0 && parts.length < folders.length)
    throw new UsageError(
      `${parts[0]} holds parts of a pruning, the others do not; next: merge parts and data sets in two commands`,
    );
  return parts.length > 0;
}

/** Finishes what `dualvla prune --shard` began in these folders, as `target`. Throws CommandError naming the part that is missing. */
export async function mergePruneShards(
  folders: readonly string[],
  target: string,
  { resume, overwrite, json }: { resume?: boolean | undefined; overwrite?: boolean | undefined; json?: boolean },
): Promise<void> {
  const { readJournal } = await import('../prune/index.js');
  const files = partFiles(folders);
  const commands = files.map((file) => readJournal(file).header.command);
  const [command] = commands;
  const forgetful = commands.indexOf(null);
  if (!command || forgetful >= 0)
    throw new CommandError(
      `${files[Math.max(forgetful, 0)]} does not remember its options; next: dualvla prune DATASET --out ${target} --merge with them`,
    );
  const other = commands.findIndex((one) => JSON.stringify(one) !== JSON.stringify(command));
  if (other >= 0)
    throw new CommandError(
      `${files[other]} was made by 'dualvla prune ${commands[other]?.join(' ')}', ${files[0]} by 'dualvla prune ${command.join(' ')}'; next: make one of them again with the other's options and --overwrite`,
    );
  const { name, flags } = parsed(command, files[0] ?? '');
  if (!existsSync(name) && /^[./]|\/$/.test(name))
    throw new CommandError(
      `the parts were made of ${name}, which is not here; next: the same command in the folder where they were made`,
    );
  const { runPrune } = await import('./prune-run.js');
  const { shard: _, ...rest } = flags;
  const own = Object.fromEntries(
    Object.entries({ resume, overwrite, json }).filter(([, value]) => value !== undefined),
  );
  return runPrune(name, { ...rest, ...own, out: target, merge: true }, { partFolders: folders });
}

/** What all parts found, in order. Throws CommandError naming the part that is missing or not done. */
export async function mergedLayers(folders: readonly string[], header: JournalHeader): Promise<LayerRecord[]> {
  const { checkSame, readJournal } = await import('../prune/index.js');
  const files = partFiles(folders);
  return files.flatMap((file, index) => {
    const count = files.length;
    const { header: own, records, complete } = readJournal(file);
    checkSame(own, { ...header, shard: { index, count }, command: own.command }, file);
    if (!complete)
      throw new CommandError(
        `part ${index} of ${count} is not done; next: the same command with --shard ${index}/${count} --resume`,
      );
    return records;
  });
}

/** The files of all parts, in order. Throws CommandError where one is missing, there twice, or of another division. */
function partFiles(folders: readonly string[]): string[] {
  const where = folders.join(', ');
  const parts = folders.flatMap(partsIn);
  const counts = new Set(parts.map(({ count }) => count));
  const [count, ...others] = counts;
  if (count === undefined)
    throw new CommandError(`there are no parts in ${where}; next: the same command with --shard i/n`);
  if (others.length > 0)
    throw new CommandError(
      `${where} holds parts of ${[...counts].join(' and of ')}; next: remove those of the other division`,
    );
  const files: string[] = [];
  for (let index = 0; index < count; index++) {
    const [file, twice] = parts.filter((part) => part.index === index).map((part) => part.file);
    if (file === undefined)
      throw new CommandError(
        `part ${index} of ${count} is missing; next: the same command with --shard ${index}/${count}`,
      );
    if (twice !== undefined)
      throw new CommandError(
        `part ${index} of ${count} is there twice, ${file} and ${twice}; next: remove one of them`,
      );
    files.push(file);
  }
  return files;
}

function partsIn(folder: string): { file: string; index: number; count: number }[] {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return [];
  return readdirSync(folder).flatMap((name) => {
    const match = PART.exec(name);
    return match ? [{ file: join(folder, name), index: Number(match[1]), count: Number(match[2]) }] : [];
  });
}

function parsed(words: readonly string[], file: string): { name: string; flags: PruneFlags } {
  const command = addPruneOptions(new Command('prune').argument('<dir>'))
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  try {
    command.parse(words, { from: 'user' });
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new CommandError(`${file}: the options that it remembers are none: ${what}; next: make the part again`);
  }
  return { name: command.args[0] ?? '', flags: command.opts<PruneFlags>() };
}
