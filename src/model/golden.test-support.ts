/** The numeric fixtures of ../shared/golden/models, for tests; absent on a bare checkout, where their tests are skipped. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { safetensors, type Tensor } from '../torch/index.js';

const directory = new URL('../../../shared/golden/models/', import.meta.url);

export const goldenPresent = existsSync(directory);

export function goldenPath(name: string): string {
  return fileURLToPath(new URL(name, directory));
}

export function readGoldenJson<T>(name: string): T {
  // Error estimates of padding positions are NaN, which JSON does not have.
  return JSON.parse(readFileSync(goldenPath(name), 'utf8').replace(/\bNaN\b/g, 'null')) as T;
}

export interface Tolerance {
  atol: number;
  rtol: number;
}

export interface Golden<Config> {
  json: { config: Config; suggested_tolerance: Tolerance };
  tolerance: Tolerance;
  weights: Record<string, Tensor>;
  inputs: Record<string, Tensor>;
  outputs: Record<string, Tensor>;
}

/** A fixture's configuration and tensors; to be called inside beforeAll, which skipped tests do not run. */
export function readGolden<Config>(name: string): Golden<Config> {
  const json = readGoldenJson<Golden<Config>['json']>(`${name}.json`);
  const golden: Golden<Config> = { json, tolerance: json.suggested_tolerance, weights: {}, inputs: {}, outputs: {} };
  const file = safetensors.open(goldenPath(`${name}.safetensors`));
  for (const key of file.keys) {
    const [kind = '', ...rest] = key.split('/');
    golden[kind as 'weights' | 'inputs' | 'outputs'][rest.join('/')] = file.get(key).clone();
  }
  return golden;
}

/** |actual - expected| <= atol + rtol |expected| everywhere, and the same shape. */
export function expectClose(actual: Tensor, expected: Tensor, { atol, rtol }: Tolerance, name = 'tensor'): void {
  expect(actual.shape, name).toEqual(expected.shape);
  const [a, b] = [actual.detach().to('float64'), expected.to('float64')];
  const excess = a.sub(b).abs().sub(b.abs().mul(rtol)).max().item() as number;
  expect(excess, `${name}: largest |actual - expected| - rtol |expected|`).toBeLessThanOrEqual(atol);
}
