/**
 * What SimplerEnv's runs are averaged into: one look of scene and robot (a directory of result videos there), the groups that its scripts print, and
 * the columns of the paper's Table 2.
 *
 * The order within a group is that of the official script, so that means of floating-point numbers are the same to the last digit.
 */
import { CAN_POSES, SIMPLER_RUNS, type SimplerRun } from './manifest.js';

/** Trials that are averaged first: an environment in one look. */
export interface Unit {
  readonly name: string;
  readonly runs: readonly SimplerRun[];
}

/** A line of the official script's output; the mean of its units. */
export interface Group {
  /** `<task>[/<pose or direction>]/<setting>`; on the WidowX `bridge/<task>`. */
  readonly name: string;
  readonly units: readonly Unit[];
}

/** A column of a table; the mean of its groups. */
export interface Column {
  readonly name: string;
  readonly groups: readonly Group[];
}

const WIDOWX_TASKS = new Map([
  ['PutSpoonOnTableClothInScene-v0', 'put_spoon_on_tablecloth'],
  ['PutCarrotOnPlateInScene-v0', 'put_carrot_on_plate'],
  ['StackGreenCubeOnYellowCubeBakedTexInScene-v0', 'stack_green_block_on_yellow_block'],
  ['PutEggplantInBasketScene-v0', 'put_eggplant_in_basket'],
]);

/** The group of a run. */
export function groupName({ task, setting, env, env_build_kwargs: options }: SimplerRun): string {
  if (task === 'bridge') return `bridge/${WIDOWX_TASKS.get(env)}`;
  if (task === 'drawer') return `drawer/${env.startsWith('Open') ? 'open' : 'close'}/${setting}`;
  if (task !== 'pick_coke_can') return `${task}/${setting}`;
  const pose = Object.entries(CAN_POSES).find(([, option]) => options[option] === true);
  return `pick_coke_can/${pose?.[0]}/${setting}`;
}

const URDF_VERSIONS = [
  'None',
  'recolor_tabletop_visual_matching_1',
  'recolor_tabletop_visual_matching_2',
  'recolor_cabinet_visual_matching_1',
];
/** What changes under variant aggregation, in the order of the averages; the first that applies to a run names its look. */
const LOOKS: readonly (readonly [name: string, applies: (run: SimplerRun) => boolean])[] = [
  ['background 1', ({ scene }) => /_alt_background$|^modern_bedroom/.test(scene)],
  ['background 2', ({ scene }) => /_alt_background_2$|^modern_office/.test(scene)],
  ['brighter', ({ env_build_kwargs: o }) => o.slightly_brighter_lighting === true || o.light_mode === 'brighter'],
  ['darker', ({ env_build_kwargs: o }) => o.slightly_darker_lighting === true || o.light_mode === 'darker'],
  ['distractors', ({ env, env_build_kwargs: o }) => env.includes('Distractor') && o.distractor_config === undefined],
  ['more distractors', ({ env_build_kwargs: o }) => o.distractor_config === 'more'],
  ['no distractors', ({ env_build_kwargs: o }) => o.no_distractor === true],
  ['table 1', ({ scene, env_build_kwargs: o }) => /cabinet1/.test(scene) || o.station_name === 'mk_station2'],
  ['table 2', ({ scene, env_build_kwargs: o }) => /cabinet2/.test(scene) || o.station_name === 'mk_station3'],
];

function lookOf(run: SimplerRun): { rank: number; name: string } {
  if (run.task === 'bridge') return { rank: 0, name: 'base' };
  if (run.setting === 'visual_matching') {
    const name = String(run.env_build_kwargs.urdf_version);
    return { rank: URDF_VERSIONS.indexOf(name), name };
  }
  const at = LOOKS.findIndex(([, applies]) => applies(run));
  return at < 0 ? { rank: 0, name: 'base' } : { rank: at + 1, name: (LOOKS[at] as (typeof LOOKS)[number])[0] };
}

function unitsOf(runs: readonly SimplerRun[]): Unit[] {
  const units = new Map<string, { rank: number; runs: SimplerRun[] }>();
  const drawers = [...new Set(runs.map(({ env }) => env))];
  for (const run of runs) {
    const look = lookOf(run);
    // One drawer after the other; elsewhere another environment is another look.
    const drawer = run.task === 'drawer' ? drawers.indexOf(run.env) : 0;
    const name = run.task === 'drawer' ? `${run.env} ${look.name}` : look.name;
    const unit = units.get(name) ?? { rank: 100 * drawer + look.rank, runs: [] };
    units.set(name, unit);
    unit.runs.push(run);
  }
  return [...units].sort(([, a], [, b]) => a.rank - b.rank).map(([name, unit]) => ({ name, runs: unit.runs }));
}

const averaged = SIMPLER_RUNS.filter((run) => run.in_average);

/** All groups by name, in the order of the manifest. */
export const GROUPS: ReadonlyMap<string, Group> = new Map(
  [...new Set(averaged.map(groupName))].map((name) => [
    name,
    { name, units: unitsOf(averaged.filter((run) => groupName(run) === name)) },
  ]),
);

function column(name: string, ...groups: readonly string[]): Column {
  return { name, groups: groups.map((group) => GROUPS.get(group) as Group) };
}

const google = (name: string, task: string, ...parts: readonly string[]): Column[] =>
  [
    ['VM', 'visual_matching'],
    ['VA', 'variant_agg'],
  ].map(([short, setting]) =>
    column(`${name}/${short}`, ...parts.map((part) => `${task}${part === '' ? '' : `/${part}`}/${setting}`)),
  );

/** The nine columns of the paper's Table 2, in its order. */
export const PAPER_COLUMNS: readonly Column[] = [
  ...google('drawer', 'drawer', 'open', 'close'),
  ...google('pick_can', 'pick_coke_can', 'horizontal', 'vertical', 'standing'),
  ...google('move_near', 'move_near', ''),
  column('put_spoon', 'bridge/put_spoon_on_tablecloth'),
  column('put_carrot', 'bridge/put_carrot_on_plate'),
  column('stack_blocks', 'bridge/stack_green_block_on_yellow_block'),
];

/** Run by SimplerEnv, in no average of the paper. */
export const OTHER_COLUMNS: readonly Column[] = [
  ...google('apple_in_drawer', 'put_apple_in_drawer', ''),
  column('put_eggplant', 'bridge/put_eggplant_in_basket'),
];

/** Columns of the robots, as averaged in the paper's ablations. */
export const ROBOT_COLUMNS: Readonly<Record<'google' | 'widowx', readonly string[]>> = {
  google: PAPER_COLUMNS.slice(0, 6).map(({ name }) => name),
  widowx: PAPER_COLUMNS.slice(6).map(({ name }) => name),
};
