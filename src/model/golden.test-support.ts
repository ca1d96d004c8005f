/** The numeric fixtures of ../shared/golden/models, for tests; absent on a bare checkout, where their tests are skipped. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const directory = new URL('../../../shared/golden/models/', import.meta.url);

export const goldenPresent = existsSync(directory);

export function goldenPath(name: string): string {
  return fileURLToPath(new URL(name, directory));
}

export function readGoldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(goldenPath(name), 'utf8')) as T;
}
