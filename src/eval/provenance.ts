/**
 * Where a result comes from: commit, engine, machine. A result without them cannot be repeated.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';

/**
 * The commit of a work tree, with `-dirty` where files differ from it; `unknown` outside one.
 * @param root the project's folder
 */
export function commitOf(root: string): string {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const commit = git('rev-parse', 'HEAD');
    return git('status', '--porcelain') === '' ? commit : `${commit}-dirty`;
  } catch {
    return readHead(join(root, '.git')) ?? 'unknown';
  }
}

/** The commit without the git command: HEAD names it, or a reference that does. */
function readHead(git: string): string | undefined {
  const read = (name: string): string | undefined => {
    const path = join(git, name);
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
  };
  const head = read('HEAD');
  const reference = head?.match(/^ref: (.*)$/)?.[1];
  if (reference === undefined) return head;
  return read(reference) ?? read('packed-refs')?.match(new RegExp(`^([0-9a-f]{40}) ${reference}$`, 'm'))?.[1];
}

/** `2 cores of AMD EPYC` */
export function machineName(): string {
  const cores = availableParallelism();
  const model = cpus()[0]?.model.replace(/\s+/g, ' ').trim() ?? 'unknown processor';
  return `${cores} core${cores === 1 ? '' : 's'} of ${model}`;
}
