/** Command lines in tests: run in this process, what they print caught. */
import { vi } from 'vitest';
import { run } from './main.js';

/** Runs a command line; gives its exit code and what it printed. */
export async function dualvla(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const texts = { out: '', err: '' };
  const keep =
    (key: 'out' | 'err') =>
    (text: string | Uint8Array): boolean => {
      texts[key] += String(text);
      return true;
    };
  const out = vi.spyOn(process.stdout, 'write').mockImplementation(keep('out'));
  const err = vi.spyOn(process.stderr, 'write').mockImplementation(keep('err'));
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    return { code: await run(args), ...texts };
  } finally {
    process.exitCode = before;
    out.mockRestore();
    err.mockRestore();
  }
}
