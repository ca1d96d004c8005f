/**
 * Success rates of SimplerEnv's runs as its scripts average them: trials of a look, looks of a group, groups of a column, columns of the table. Where
 * runs are missing, the mean is over what is there, and says so; SimplerEnv's own script would give NaN.
 */
import { mean } from '../benchmarks/numpy-mean.js';
import { type Interval, meanRate, scoreInterval } from '../wilson.js';
import { type Column, GROUPS, type Group, OTHER_COLUMNS, PAPER_COLUMNS, ROBOT_COLUMNS, type Unit } from './columns.js';
import type { SimplerEpisode, SimplerResults } from './episode-results.js';
import { SIMPLER_RUNS, type SimplerRun } from './manifest.js';

/** Fewer trials than this leave an interval so wide that most differences drown in it. */
export const ADVISED_TRIALS = 75;

export interface ColumnResult {
  readonly name: string;
  /** 0 to 1; null where nothing was run. */
  readonly rate: number | null;
  /** Wilson's at 95 %, of the weighted mean. */
  readonly interval: Interval | null;
  readonly successes: number;
  readonly trials: number;
  /** Trials that the weighted mean is worth: all of them where the column is whole, fewer where its parts were tried unequally often. */
  readonly effectiveTrials: number;
  /** Trials of a whole column; times the repeats, where there are some. */
  readonly expected: number;
  /** Whether trials are missing. */
  readonly partial: boolean;
  /** Step limits that the results state. */
  readonly stepLimits: readonly number[];
}

export interface AverageResult {
  /** 0 to 1; null where nothing was run. */
  readonly rate: number | null;
  readonly interval: Interval | null;
  /** Columns that it is the mean of, and how many it should be. */
  readonly columns: number;
  readonly of: number;
  readonly partial: boolean;
}

export interface SimplerSummary {
  readonly policy?: string;
  readonly episodes: number;
  /** Whether any trial of the nine columns is missing. */
  readonly partial: boolean;
  /** Rates by the names of the paper's nine columns. */
  readonly columns: Readonly<Record<string, number | null>>;
  /** Mean of the nine. */
  readonly average: number | null;
  readonly averages: { readonly nine: AverageResult; readonly google: AverageResult; readonly widowx: AverageResult };
  /** The nine columns, then those that are in no average. */
  readonly details: readonly ColumnResult[];
  /** By the official script's lines; `/partial`: the thing was grasped. */
  readonly groups: Readonly<Record<string, number | null>>;
  readonly notes: readonly string[];
}

/** @param results of one policy */
export function summariseSimpler({ episodes, header, replaced, truncated }: SimplerResults): SimplerSummary {
  const trials = new Trials(episodes);
  const details = [...PAPER_COLUMNS, ...OTHER_COLUMNS].map((column) => columnResult(column, trials));
  const nine = details.slice(0, PAPER_COLUMNS.length);
  const of = (names: readonly string[]): AverageResult => averageOf(nine.filter(({ name }) => names.includes(name)));
  const average = averageOf(nine);
  return {
    ...(header ? { policy: header.policy } : {}),
    episodes: episodes.length,
    partial: average.partial,
    columns: Object.fromEntries(nine.map(({ name, rate }) => [name, rate])),
    average: average.rate,
    averages: { nine: average, google: of(ROBOT_COLUMNS.google), widowx: of(ROBOT_COLUMNS.widowx) },
    details,
    groups: groupRates(trials),
    notes: [
      ...(truncated ? ['The last line was cut off by a crash; its episode does not count.'] : []),
      ...(replaced > 0 ? [`${replaced} episodes were there twice; the later line counts.`] : []),
      ...notesOf(details, episodes),
    ],
  };
}

/** Outcomes by run. */
class Trials {
  readonly #byRun: readonly SimplerEpisode[][] = SIMPLER_RUNS.map(() => []);

  constructor(episodes: readonly SimplerEpisode[]) {
    for (const episode of episodes) this.#byRun[episode.run]?.push(episode);
  }

  of(runs: readonly SimplerRun[]): SimplerEpisode[] {
    return runs.flatMap(({ run }) => this.#byRun[run] ?? []);
  }
}

/** A mean, and what its parts weigh: `spread` is sum(w^2 / n), the inverse of the trials that it is worth. */
interface Weighted {
  rate: number;
  spread: number;
}

type Outcome = (episode: SimplerEpisode) => boolean;
const succeeded: Outcome = ({ success }) => success;

function unitRate(unit: Unit, trials: Trials, outcome: Outcome): Weighted | undefined {
  const there = trials.of(unit.runs);
  if (there.length === 0) return undefined;
  return { rate: there.filter(outcome).length / there.length, spread: 1 / there.length };
}

/** numpy's mean of the parts that are there. */
function meanOf(parts: readonly (Weighted | undefined)[]): Weighted | undefined {
  const there = parts.filter((part) => part !== undefined);
  if (there.length === 0) return undefined;
  const spread = there.reduce((sum, part) => sum + part.spread, 0) / there.length ** 2;
  return { rate: mean(there.map(({ rate }) => rate)), spread };
}

const groupRate = ({ units }: Group, trials: Trials, outcome: Outcome = succeeded): Weighted | undefined =>
  meanOf(units.map((unit) => unitRate(unit, trials, outcome)));

function columnResult({ name, groups }: Column, trials: Trials): ColumnResult {
  const runs = groups.flatMap(({ units }) => units.flatMap((unit) => unit.runs));
  const episodes = trials.of(runs);
  const whole = meanOf(groups.map((group) => groupRate(group, trials)));
  const repeats = new Set(episodes.map(({ repeat }) => repeat)).size;
  const expected = Math.max(1, repeats) * runs.reduce((sum, { n_episodes }) => sum + n_episodes, 0);
  const limits = episodes.flatMap(({ maxSteps }) => (maxSteps === undefined ? [] : [maxSteps]));
  return {
    name,
    rate: whole?.rate ?? null,
    interval: whole ? scoreInterval(whole.rate, 1 / whole.spread) : null,
    successes: episodes.filter(succeeded).length,
    trials: episodes.length,
    effectiveTrials: whole ? 1 / whole.spread : 0,
    expected,
    partial: episodes.length < expected,
    stepLimits: [...new Set(limits)].sort((a, b) => a - b),
  };
}

function averageOf(columns: readonly ColumnResult[]): AverageResult {
  const there = columns.filter(({ rate }) => rate !== null);
  const partial = columns.some((column) => column.partial);
  const base = { columns: there.length, of: columns.length, partial };
  if (there.length === 0) return { rate: null, interval: null, ...base };
  return {
    rate: mean(there.map(({ rate }) => rate as number)),
    interval: meanRate(
      there.map(({ rate, effectiveTrials: trials }) => ({ successes: (rate as number) * trials, trials })),
    ).interval,
    ...base,
  };
}

function groupRates(trials: Trials): Record<string, number | null> {
  const rates: Record<string, number | null> = {};
  for (const group of GROUPS.values()) {
    rates[group.name] = groupRate(group, trials)?.rate ?? null;
    if (!group.name.startsWith('bridge/')) continue;
    const known = group.units.flatMap((unit) => trials.of(unit.runs)).every(({ grasped }) => grasped !== undefined);
    const grasped = known ? groupRate(group, trials, (episode) => episode.grasped === true) : undefined;
    rates[`${group.name}/partial`] = grasped?.rate ?? null;
  }
  return rates;
}

function notesOf(details: readonly ColumnResult[], episodes: readonly SimplerEpisode[]): string[] {
  const notes: string[] = [];
  const run = details.filter(({ trials }) => trials > 0);
  const nine = details.slice(0, PAPER_COLUMNS.length);
  const missing = nine.filter((column) => column.partial);
  if (missing.length > 0 && run.length > 0) {
    const shown = missing.map(({ name, trials, expected }) => `${name} ${trials}/${expected}`).join(', ');
    notes.push(`Partial: trials are missing (${shown}). The averages are over what is there.`);
  }
  const few = run.filter(({ trials }) => trials < ADVISED_TRIALS);
  if (few.length > 0) {
    const shown = few.map(({ name, trials, interval }) => `${name}: ${trials}, +-${halfWidth(interval)} points`);
    notes.push(
      `Too few trials to tell models apart (${shown.join('; ')}); ${ADVISED_TRIALS} or more are advised, say by repeats.`,
    );
  }
  for (const { name, stepLimits } of run) {
    if (stepLimits.length > 1) notes.push(`${name} mixes step limits: ${stepLimits.join(', ')}.`);
  }
  const other = new Set(
    episodes
      .filter(({ run: at, maxSteps }) => maxSteps !== undefined && maxSteps !== SIMPLER_RUNS[at]?.max_episode_steps)
      .map(
        ({ run: at, maxSteps }) => `${SIMPLER_RUNS[at]?.env} ${maxSteps} for ${SIMPLER_RUNS[at]?.max_episode_steps}`,
      ),
  );
  if (other.size > 0) notes.push(`Step limits other than SimplerEnv's: ${[...other].join(', ')}.`);
  const unstated = episodes.filter(({ maxSteps }) => maxSteps === undefined).length;
  if (unstated > 0) notes.push(`${unstated} episodes do not state their step limit (max_episode_steps).`);
  return notes;
}

const halfWidth = (interval: Interval | null): string =>
  interval === null ? '?' : ((100 * (interval.high - interval.low)) / 2).toFixed(0);
