/** Which of SimplerEnv's runs are done and which are left, from the results so far. */
import type { SimplerEpisode } from './episode-results.js';
import { INSTRUCTVLA_WIDOWX_STEPS, SIMPLER_RUNS, type SimplerRun } from './manifest.js';

/** `official`: SimplerEnv's scripts; `instructvla`: 120 steps for every WidowX task. */
export const STEP_LIMITS = ['official', 'instructvla'] as const;
export type StepLimits = (typeof STEP_LIMITS)[number];

/** A run with what is left of it. */
export interface PlannedRun extends SimplerRun {
  /** Which time it is made, from 0. */
  readonly repeat: number;
  /** Episodes that no result is there for. */
  readonly left: readonly number[];
}

export interface PlanOptions {
  /** Times that every WidowX run is made; the paper's ablations: 5. */
  readonly widowxRepeats?: number;
  readonly stepLimits?: StepLimits;
  /** Also runs that are in none of the paper's averages: other cameras, the apple, the eggplant. */
  readonly everything?: boolean;
}

export interface Plan {
  /** In the order of the manifest; runs with nothing left are not there. */
  readonly runs: readonly PlannedRun[];
  readonly episodes: { readonly done: number; readonly total: number };
  readonly tasks: readonly TaskPlan[];
}

export interface TaskPlan {
  readonly task: string;
  readonly setting: string;
  readonly runs: { readonly done: number; readonly total: number };
  readonly episodes: { readonly done: number; readonly total: number };
}

const inPaper = ({ in_average, task, env }: SimplerRun): boolean =>
  in_average && task !== 'put_apple_in_drawer' && !env.startsWith('PutEggplant');

export function planSimpler(episodes: readonly SimplerEpisode[], options: PlanOptions = {}): Plan {
  const { widowxRepeats = 1, stepLimits = 'official', everything = true } = options;
  const done = new Map<string, Set<number>>();
  for (const { run, repeat, episode } of episodes) {
    const key = `${run}/${repeat}`;
    const there = done.get(key) ?? new Set();
    done.set(key, there.add(episode));
  }
  const all = SIMPLER_RUNS.filter((run) => everything || inPaper(run)).flatMap((run) =>
    Array.from({ length: run.task === 'bridge' ? widowxRepeats : 1 }, (_, repeat): PlannedRun => {
      const there = done.get(`${run.run}/${repeat}`);
      const left = Array.from({ length: run.n_episodes }, (_, episode) => episode).filter((one) => !there?.has(one));
      return { ...withSteps(run, stepLimits), repeat, left };
    }),
  );
  return {
    runs: all.filter(({ left }) => left.length > 0),
    episodes: countEpisodes(all),
    tasks: tasksOf(all),
  };
}

function withSteps(run: SimplerRun, limits: StepLimits): SimplerRun {
  const longer = limits === 'instructvla' && run.task === 'bridge';
  return longer ? { ...run, max_episode_steps: INSTRUCTVLA_WIDOWX_STEPS } : run;
}

function countEpisodes(runs: readonly PlannedRun[]): { done: number; total: number } {
  const total = runs.reduce((sum, { n_episodes }) => sum + n_episodes, 0);
  return { done: total - runs.reduce((sum, { left }) => sum + left.length, 0), total };
}

function tasksOf(runs: readonly PlannedRun[]): TaskPlan[] {
  const keys = [...new Set(runs.map(({ task, setting }) => `${task} ${setting}`))];
  return keys.map((key) => {
    const of = runs.filter(({ task, setting }) => `${task} ${setting}` === key);
    const [task = '', setting = ''] = key.split(' ');
    const done = of.filter(({ left }) => left.length === 0).length;
    return { task, setting, runs: { done, total: of.length }, episodes: countEpisodes(of) };
  });
}
