import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { CommandError, describeError, exitCodeOf, UsageError } from './errors.js';

class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

describe('exit codes', () => {
  test.each([
    [new CommanderError(0, 'commander.version', '0.1.0'), 0],
    [new CommanderError(1, 'commander.unknownOption', "error: unknown option '--x'"), 2],
    [new UsageError('no task x'), 2],
    [new ConfigError('steps: expected number'), 2],
    [new CommandError('disk full'), 1],
    [new DOMException('stopped', 'AbortError'), 130],
    ['a string', 1],
  ])('%s', (error, code) => expect(exitCodeOf(error)).toBe(code));
});

describe('what is printed', () => {
  const usage = 'dualvla rollout';

  test('wrong usage points at the help of the verb, on one line', () => {
    const error = new CommanderError(
      1,
      'commander.unknownOption',
      "error: unknown option '--sed'\n(Did you mean --seed?)",
    );
    expect(describeError(error, usage, false)).toBe(
      "error: unknown option '--sed' (did you mean --seed?); next: dualvla rollout --help",
    );
  });

  test('refusals of the system say what they mean and what helps', () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
      syscall: 'write',
    });
    expect(describeError(full, usage, false)).toBe(
      'error: the disk is full: ENOSPC: no space left on device, write; next: make room, then the same command',
    );
    const other = Object.assign(new Error('EBUSY: busy'), { code: 'EBUSY', syscall: 'open' });
    expect(describeError(other, usage, false)).toBe('error: EBUSY: busy');
  });

  test('errors that name their next command are left alone', () => {
    expect(describeError(new UsageError('no task x; next: dualvla sim tasks'), usage, false)).toBe(
      'error: no task x; next: dualvla sim tasks',
    );
    expect(describeError(new CommandError('disk full'), usage, false)).toBe('error: disk full');
  });

  test('a stack trace only for DUALVLA_DEBUG', () => {
    const error = new Error('broken');
    expect(describeError(error, usage, false)).toBe('error: broken');
    expect(describeError(error, usage, true)).toContain('errors.test');
  });
});
