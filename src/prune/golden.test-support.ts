/** The numeric fixtures of ../shared/golden/models, for tests; absent on a bare checkout, where their tests are skipped. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { safetensors, type Tensor } from '../torch/index.js';

const directory = new URL('../../../shared/golden/models/', import.meta.url);
export const goldenPresent = existsSync(directory);

const pathOf = (name: string): string => fileURLToPath(new URL(name, directory));

/** A fixture's JSON; Python's NaN, which JSON does not have, becomes null. */
export function readGoldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(pathOf(`${name}.json`), 'utf8').replace(/\bNaN\b/g, 'null')) as T;
}

/** A fixture's tensors of one kind (`weights`, `inputs`, `outputs`) by name. */
export function readGoldenTensors(name: string, kind: string): Record<string, Tensor> {
  const file = safetensors.open(pathOf(`${name}.safetensors`));
  const keys = file.keys.filter((key) => key.startsWith(`${kind}/`));
  return Object.fromEntries(keys.map((key) => [key.slice(kind.length + 1), file.get(key).clone()]));
}
