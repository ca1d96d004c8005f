/**
 * How errors reach the user: one line `error: what, where, next command` and an exit code. A stack trace is shown only
 * where DUALVLA_DEBUG is set.
 *
 * Knows nothing about the verbs.
 */
import { CommanderError } from 'commander';

/** Exit codes of every verb. 130 is the shell's for Ctrl-C. */
export const EXIT = { done: 0, failed: 1, wrongUsage: 2, interrupted: 130 } as const;

/** The command line asks for something that does not exist or does not fit together. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Something that was asked for could not be done; the message ends with the next command. Exit code 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Errors of the library whose cause is a wrong name or value on the command line. */
const USAGE_NAMES = new Set([
  'UsageError',
  'ConfigError',
  'SimOptionError',
  'UnknownRecipeError',
  'StudyNameError',
  'NoStudyError',
]);

/** What the system's refusals mean, and what helps; of writes that no part of the library names better. */
const REFUSALS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full|make room, then the same command',
  EDQUOT: "the disk's quota is used up|make room, then the same command",
  EROFS: 'the disk is read-only|give another place',
  EACCES: 'the place may not be written or read|give another place, or change its rights',
  EPERM: 'the place may not be written or read|give another place, or change its rights',
  ENOTDIR: 'a file lies where a folder should be|give another place',
  EEXIST: 'a file lies where a folder should be|give another place',
  EISDIR: 'a folder lies where a file should be|give another name',
};

/** The message of an error of the system with its meaning; others as they are. */
function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : '';
  const [meaning, next] = REFUSALS[code]?.split('|') ?? [];
  return meaning === undefined ? message : `${meaning}: ${message}; next: ${next}`;
}

/** @returns the exit code of a thrown value. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUsage;
  if (isAbort(error)) return EXIT.interrupted;
  return error instanceof Error && USAGE_NAMES.has(error.name) ? EXIT.wrongUsage : EXIT.failed;
}

/** @returns whether a thrown value says that the user stopped the command. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/**
 * @param usage the command whose --help tells more, for wrong usage
 * @returns what is printed for a thrown value, without a final newline
 */
export function describeError(error: unknown, usage: string, debug = Boolean(process.env.DUALVLA_DEBUG)): string {
  if (debug && error instanceof Error && error.stack) return error.stack;
  const what = messageOf(error)
    .trim()
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace('(Did you mean', '(did you mean');
  const wrong = exitCodeOf(error) === EXIT.wrongUsage;
  const next = wrong && !/next:/i.test(what) ? `; next: ${usage} --help` : '';
  return `error: ${next ? what.replace(/\.$/, '') : what}${next}`;
}
