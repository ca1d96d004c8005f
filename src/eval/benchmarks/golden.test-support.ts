/** The shared official values, where a checkout has them beside it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const GOLDEN = fileURLToPath(new URL('../../../../shared/golden', import.meta.url));

/** Why golden tests are skipped; undefined where they can run. */
export const GOLDEN_MISSING = existsSync(join(GOLDEN, 'expected.json'))
  ? undefined
  : `the shared official values are not there (${GOLDEN})`;

export const goldenPath = (...parts: readonly string[]): string => join(GOLDEN, ...parts);

export const goldenJson = <T>(...parts: readonly string[]): T =>
  JSON.parse(readFileSync(goldenPath(...parts), 'utf8')) as T;

export const goldenLines = <T>(...parts: readonly string[]): T[] =>
  readFileSync(goldenPath(...parts), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
