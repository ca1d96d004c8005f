/**
 * Results of SimplerEnv's runs as JSON lines, appended by whoever runs them. A line is an episode,
 * `{"run": 12, "episode": 3, "success": true, "max_episode_steps": 80}`, or a whole run with a character an episode,
 * `{"run": 12, "success": "1101..."}`; docs/simpler-env.md has the fields. A first line may say whose they are.
 *
 * A last line that a crash cut off does not count. Knows nothing about tables.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { SimplerEnvError } from './errors.js';
import { SIMPLER_RUNS, type SimplerRun } from './manifest.js';

/** The first line, where there is one. */
const HEADER = z.strictObject({
  type: z.literal('simpler-env'),
  version: z.literal(1),
  policy: z.string(),
  checkpoint: z.string().optional(),
  seed: z.number().optional(),
  commit: z.string().optional(),
});
export type ResultsHeader = z.infer<typeof HEADER>;

const count = z.number().int().nonnegative();
/** Of every line. Further fields are allowed; those that the manifest has too must say the same. */
const COMMON = z.looseObject({
  run: count.optional(),
  /** Which time the run is made, from 0. */
  repeat: count.default(0),
  max_episode_steps: count.optional(),
});
const EPISODE_LINE = COMMON.extend({
  episode: count,
  success: z.boolean(),
  grasped: z.boolean().optional(),
  steps: count.optional(),
});
const BITS = z.string().regex(/^[01]*$/, 'is not made of 0 and 1');
const RUN_LINE = COMMON.extend({ success: BITS, grasped: BITS.optional() });

/** One episode that was run to its end. */
export interface SimplerEpisode {
  readonly run: number;
  readonly episode: number;
  readonly repeat: number;
  readonly success: boolean;
  /** WidowX: the thing was lifted for a while, SimplerEnv's partial success. */
  readonly grasped?: boolean;
  /** Control steps taken. */
  readonly steps?: number;
  /** Control steps after which the episode is cut off; undefined where the line does not say. */
  readonly maxSteps?: number;
}

export interface SimplerResults {
  readonly header?: ResultsHeader;
  readonly episodes: readonly SimplerEpisode[];
  /** Episodes that a later line has replaced. */
  readonly replaced: number;
  /** Whether the last line was cut off. */
  readonly truncated: boolean;
}

export interface ReadOptions {
  /**
   * Of an episode that is there twice: `same` takes the later line where both say the same, and is an error where they differ; `last` always takes
   * the later one.
   */
  readonly duplicates?: 'same' | 'last';
}

/** Name of an episode: the same one for every policy. */
export const episodeKey = ({ run, episode, repeat }: Pick<SimplerEpisode, 'run' | 'episode' | 'repeat'>): string =>
  `${run}/${episode}/${repeat}`;

/**
 * @param paths result files of one policy, together one result
 * @throws SimplerEnvError with file, line and field for what is no result, an unknown run or episode, files of two policies, or an episode
 * that is there twice
 */
export function readSimplerResults(paths: readonly string[], options: ReadOptions = {}): SimplerResults {
  const reader = new Reader(options.duplicates ?? 'same');
  for (const path of paths) reader.read(path);
  return reader.results;
}

class Reader {
  readonly #episodes = new Map<string, { episode: SimplerEpisode; where: string }>();
  #header: ResultsHeader | undefined;
  #replaced = 0;
  #truncated = false;

  constructor(readonly duplicates: 'same' | 'last') {}

  get results(): SimplerResults {
    return {
      ...(this.#header ? { header: this.#header } : {}),
      episodes: [...this.#episodes.values()].map(({ episode }) => episode),
      replaced: this.#replaced,
      truncated: this.#truncated,
    };
  }

  read(path: string): void {
    const lines = textOf(path).split('\n');
    for (const [i, line] of lines.entries()) {
      if (line.trim() === '') continue;
      const where = `${path}, line ${i + 1}`;
      const value = parse(line, where, i === lines.length - 1);
      if (value === undefined) this.#truncated = true;
      else if (i === 0 && isHeader(value)) this.#setHeader(value, where);
      else for (const episode of episodesOf(value, where)) this.#add(episode, where);
    }
  }

  #setHeader(value: unknown, where: string): void {
    const header = checked(HEADER, value, where);
    if (this.#header && JSON.stringify(this.#header) !== JSON.stringify(header)) {
      throw new SimplerEnvError(
        `${where}: these are results of ${JSON.stringify(header)}, those before of ${JSON.stringify(this.#header)}; score each alone, or compare them with --against`,
      );
    }
    this.#header = header;
  }

  #add(episode: SimplerEpisode, where: string): void {
    const key = episodeKey(episode);
    const before = this.#episodes.get(key);
    if (before) {
      const differ = before.episode.success !== episode.success || before.episode.grasped !== episode.grasped;
      if (differ && this.duplicates === 'same') {
        throw new SimplerEnvError(
          `${where}: run ${episode.run}, episode ${episode.episode}, repeat ${episode.repeat} is there already with another outcome (${before.where}); remove one, number repeated trials with "repeat", or let the later line count with --duplicates last`,
        );
      }
      this.#replaced++;
    }
    this.#episodes.set(key, { episode, where });
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new SimplerEnvError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

/** @returns undefined for a last line that was cut off */
function parse(line: string, where: string, isLast: boolean): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (error) {
    if (isLast) return undefined;
    throw new SimplerEnvError(
      `${where} is no JSON: ${(error as Error).message}; next: remove the line (its episode is then one that is left) and begin a new line before going on`,
    );
  }
}

const isHeader = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'type' in value && !('success' in value);

function checked<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.');
  throw new SimplerEnvError(`${where}${field ? `, field ${field}` : ''}: ${issue?.message}`);
}

function episodesOf(value: unknown, where: string): SimplerEpisode[] {
  const isRun = typeof value === 'object' && value !== null && 'success' in value && typeof value.success === 'string';
  if (!isRun) {
    const line = checked(EPISODE_LINE, value, where);
    const run = runOf(line, where);
    const { episode, success, grasped, steps } = line;
    if (episode >= run.n_episodes) {
      throw new SimplerEnvError(`${where}: run ${run.run} has episodes 0 to ${run.n_episodes - 1}, not ${episode}`);
    }
    return [{ ...commonOf(line, run), episode, success, ...optional({ grasped, steps }) }];
  }
  const line = checked(RUN_LINE, value, where);
  const run = runOf(line, where);
  const { success, grasped } = line;
  if (success.length > run.n_episodes) {
    throw new SimplerEnvError(
      `${where}: run ${run.run} has ${run.n_episodes} episodes, and ${success.length} are here`,
    );
  }
  if (grasped !== undefined && grasped.length !== success.length) {
    throw new SimplerEnvError(`${where}: ${success.length} episodes in success, ${grasped.length} in grasped`);
  }
  return [...success].map((bit, episode) => ({
    ...commonOf(line, run),
    episode,
    success: bit === '1',
    ...(grasped === undefined ? {} : { grasped: grasped[episode] === '1' }),
  }));
}

type Line = z.infer<typeof COMMON>;

const commonOf = (line: Line, { run }: SimplerRun) => ({
  run,
  repeat: line.repeat,
  ...(line.max_episode_steps === undefined ? {} : { maxSteps: line.max_episode_steps }),
});

function optional<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** What a line may have otherwise than the manifest: another step limit is recorded, fewer episodes are a part of the run. */
const FREE: ReadonlySet<string> = new Set(['run', 'max_episode_steps', 'n_episodes', 'in_average']);
const CHECKED = Object.keys(Object.assign({}, ...SIMPLER_RUNS)).filter((field) => !FREE.has(field));

/** The run of a line: by its number, else by what it says of the environment. */
function runOf(line: Line, where: string): SimplerRun {
  const stated = CHECKED.filter((field) => line[field] !== undefined && line[field] !== null);
  const differs = (run: SimplerRun): string | undefined =>
    stated.find((field) => !same(line[field], run[field as keyof SimplerRun]));
  if (line.run !== undefined) {
    const run = SIMPLER_RUNS[line.run];
    if (!run) {
      throw new SimplerEnvError(`${where}: there is no run ${line.run}; runs are 0 to ${SIMPLER_RUNS.length - 1}`);
    }
    const field = differs(run);
    if (field === undefined) return run;
    throw new SimplerEnvError(
      `${where}, field ${field}: ${JSON.stringify(line[field])}, but run ${line.run} has ${JSON.stringify(run[field as keyof SimplerRun])}; see 'dualvla eval simpler --plan --json'`,
    );
  }
  const found = stated.length === 0 ? [] : SIMPLER_RUNS.filter((run) => differs(run) === undefined);
  if (found.length === 1) return found[0] as SimplerRun;
  throw new SimplerEnvError(
    `${where} has no "run", and its settings are those of ${found.length} runs; next: give the number of 'dualvla eval simpler --plan --json'`,
  );
}

/** Equal as JSON values; the order of keys does not matter. */
function same(a: unknown, b: unknown): boolean {
  const ordered = (value: unknown): string =>
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([x], [y]) => (x < y ? -1 : 1)))
        : inner,
    );
  return ordered(a) === ordered(b);
}
