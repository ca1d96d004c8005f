import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { keyPaths, parseTrainConfig, trainConfigJsonSchema, trainConfigSchema } from './config.js';
import { mergeConfig, parseOverrides, resolveTrainConfig } from './config-sources.js';
import { ConfigError } from './errors.js';
import { editDistance, nearestName } from './nearest-name.js';

function configError(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error as ConfigError;
  }
  throw new Error('expected a ConfigError');
}

test('an empty configuration is complete through its defaults', () => {
  const config = parseTrainConfig({});
  expect(config.optimizer.betas).toEqual([0.9, 0.95]);
  expect(parseTrainConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
});

test('recipe < file < flags', () => {
  const directory = mkdtempSync(join(tmpdir(), 'dualvla-config-'));
  try {
    const configPath = join(directory, 'c.yaml');
    writeFileSync(configPath, 'steps: 20\noptimizer:\n  lr: 0.5\n  eps: 1e-6\n');
    const config = resolveTrainConfig({
      recipe: { name: 'tiny', config: { steps: 10, seed: 3, optimizer: { lr: 0.1, weight_decay: 0 } } },
      configPath,
      overrides: parseOverrides(['--optimizer.lr=1e-4', '--job_name', '007', '--ema.enabled=false', '--tensorboard']),
    });
    expect(config).toMatchObject({ recipe: 'tiny', steps: 20, seed: 3, job_name: '007', tensorboard: true });
    expect(config.optimizer).toMatchObject({ lr: 1e-4, eps: 1e-6, weight_decay: 0 });
    expect(config.ema.enabled).toBe(false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('lists as flags, with and without brackets', () => {
  const of = (value: string) => resolveTrainConfig({ overrides: [{ key: 'dataset.cameras', value }] }).dataset.cameras;
  expect(of('[a, b]')).toEqual(['a', 'b']);
  expect(of('a,b')).toEqual(['a', 'b']);
});

test('a wrong key gives its exact path and the nearest name, from flags and from files', () => {
  const flag = configError(() => resolveTrainConfig({ overrides: parseOverrides(['--optimiser.lr=1']) }));
  expect(flag).toMatchObject({ path: 'optimiser.lr', nearest: 'optimizer.lr' });
  expect(flag.message).toBe('command line: optimiser.lr is not a known key (did you mean optimizer.lr?)');
  expect(configError(() => parseTrainConfig({ optimizer: { clip_norm: 1 } }))).toMatchObject({
    path: 'optimizer.clip_norm',
    nearest: 'optimizer.grad_clip_norm',
  });
  expect(configError(() => parseTrainConfig({ lr: 1 }))).toMatchObject({ path: 'lr', nearest: 'optimizer.lr' });
  expect(configError(() => parseTrainConfig({ 'batch-size': 1 }))).toMatchObject({ nearest: 'batch_size' });
  expect(configError(() => parseTrainConfig({ xyzzy: 1 }))).toMatchObject({ path: 'xyzzy', nearest: null });
  expect(configError(() => parseTrainConfig({ __proto__x: 1, constructor: 2 })).message).toContain('constructor');
});

test('a wrong value names its path and what was expected', () => {
  const error = configError(() =>
    resolveTrainConfig({ overrides: parseOverrides(['--optimizer.lr=fast', '--batch_size=0']) }),
  );
  expect(error.message).toMatch(/optimizer\.lr: .*number/);
  expect(error.message).toMatch(/batch_size: /);
});

test('a missing or broken file is a ConfigError', () => {
  expect(configError(() => resolveTrainConfig({ configPath: '/nowhere.yaml' })).message).toContain('/nowhere.yaml');
});

test('merging leaves its arguments alone and replaces lists', () => {
  const base = { a: { b: 1, c: [1, 2] }, d: 1 };
  expect(mergeConfig(base, { a: { c: [3] } })).toEqual({ a: { b: 1, c: [3] }, d: 1 });
  expect(base).toEqual({ a: { b: 1, c: [1, 2] }, d: 1 });
});

test('the JSON Schema documents every key', () => {
  const schema = trainConfigJsonSchema() as { properties: Record<string, { description?: string }> };
  const top = keyPaths(trainConfigSchema).filter((path) => !path.includes('.'));
  expect(Object.keys(schema.properties)).toEqual(top);
  for (const key of top) expect(schema.properties[key]?.description, key).toBeTruthy();
});

test('nearest names', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(nearestName('stesp', ['steps', 'seed'])).toBe('steps');
  expect(nearestName('zzz', ['steps'])).toBeNull();
});
