/**
 * Where a training configuration comes from: recipe, then a yaml or json file, then `--key=value` flags, each laid over
 * the one before. Lists are replaced as a whole, groups are merged key by key.
 *
 * Knows nothing about which recipes exist.
 */
import { existsSync, readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import {
  type Override,
  parseTrainConfig,
  schemaAt,
  type TrainConfig,
  type TrainConfigInput,
  throwUnknownKey,
  trainConfigSchema,
} from './config.js';
import { ConfigError } from './errors.js';

type Data = Record<string, unknown>;

const isGroup = (value: unknown): value is Data => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Lays `over` on `base`: groups are merged, everything else is replaced. Neither argument is changed. */
export function mergeConfig(base: Readonly<Data>, over: Readonly<Data>): Data {
  const merged: Data = { ...base };
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const below = merged[key];
    merged[key] = isGroup(value) && isGroup(below) ? mergeConfig(below, value) : value;
  }
  return merged;
}

/**
 * Reads a `.yaml`, `.yml` or `.json` configuration file (a `train_config.json` of a checkpoint is one).
 * @throws ConfigError if it is missing, not parsable, or not a mapping
 */
export function readConfigFile(path: string): Data {
  if (!existsSync(path)) throw new ConfigError(`--config_path: there is no file ${path}`, 'config_path');
  let data: unknown;
  try {
    data = parseYaml(readFileSync(path, 'utf8')); // JSON is YAML
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}`, 'config_path');
  }
  if (!isGroup(data)) throw new ConfigError(`${path}: expected a mapping of keys to values`, 'config_path');
  return data;
}

/** The value of a flag: YAML (`1e-4`, `true`, `[a, b]`, `null`), unless only the plain text fits the key. */
function parseFlagValue(schema: z.ZodType, text: string): unknown {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch {
    return text;
  }
  // YAML 1.2 in JavaScript reads `1e-4` as a number; a bare word list such as a,b becomes a list where one is wanted.
  if (schema.safeParse(value).success) return value;
  if (schema.safeParse(text).success) return text;
  const list = text.split(',').map((item) => parseYaml(item.trim()) as unknown);
  return text.includes(',') && schema.safeParse(list).success ? list : value;
}

/**
 * Turns flags into configuration data.
 * @throws ConfigError with the nearest name for a key that the schema does not have
 */
export function overridesToConfig(schema: z.ZodType, overrides: readonly Override[]): Data {
  let config: Data = {};
  for (const { key, value } of overrides) {
    const leaf = schemaAt(schema, key);
    if (leaf === null) throwUnknownKey(schema, key, 'command line');
    const nested = key
      .split('.')
      .reduceRight<unknown>((inner, part) => ({ [part]: inner }), parseFlagValue(leaf, value)) as Data;
    config = mergeConfig(config, nested);
  }
  return config;
}

/**
 * Splits command-line words into `--key=value`, `--key value` and `--flag` (true) overrides.
 * @throws ConfigError for words that are not flags
 */
export function parseOverrides(words: readonly string[]): Override[] {
  const overrides: Override[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (!word.startsWith('--'))
      throw new ConfigError(`unexpected argument ${word}; settings look like --steps=100`, word);
    const equals = word.indexOf('=');
    const next = words[i + 1];
    if (equals >= 0) {
      overrides.push({ key: word.slice(2, equals), value: word.slice(equals + 1) });
    } else if (next !== undefined && !next.startsWith('--')) {
      overrides.push({ key: word.slice(2), value: next });
      i++;
    } else {
      overrides.push({ key: word.slice(2), value: 'true' });
    }
  }
  return overrides;
}

/** What a configuration is resolved from, in rising precedence. */
export interface ConfigSources {
  recipe?: { name: string; config: TrainConfigInput };
  configPath?: string;
  overrides?: readonly Override[];
}

/** Resolves a complete configuration. @throws ConfigError */
export function resolveTrainConfig({ recipe, configPath, overrides = [] }: ConfigSources): TrainConfig {
  let data: Data = {};
  if (recipe !== undefined) data = { ...recipe.config, recipe: recipe.name };
  if (configPath !== undefined) {
    const file = readConfigFile(configPath);
    parseTrainConfig(file, configPath); // wrong keys are reported with the file's name
    data = mergeConfig(data, file);
  }
  data = mergeConfig(data, overridesToConfig(trainConfigSchema, overrides));
  return parseTrainConfig(
    data,
    overrides.length > 0 ? 'command line' : (configPath ?? recipe?.name ?? 'configuration'),
  );
}
