/** The specialists in models/ are there, load and act, as the program's help shows it (validation scenes; test scenes are for results). */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test.each([
  ['models/specialist', 'paper-discrete'],
  ['models/specialist-frozen', 'paper-frozen'],
])('%s acts', { timeout: 240_000 }, async (folder, study) => {
  const words = ['eval', '--policy', folder, '--tasks', 'google/open-drawer,google/pick-coke-can'];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['bin/dualvla.js', ...words, '--episodes', '5', '--split', 'validation', '--json'],
    { cwd: root },
  );
  const { recipe, success } = JSON.parse(stdout) as { recipe: string; success: Record<string, { successes: number }> };
  expect(recipe).toBe(study);
  const successes = Object.values(success).map((cell) => cell.successes);
  // They have 100 and 96, and 100 and 98, of 100 test scenes (origin.json in their folders).
  expect(successes.reduce((sum, n) => sum + n, 0)).toBeGreaterThanOrEqual(8);
});
