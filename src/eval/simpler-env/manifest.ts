/**
 * The 340 runs of SimplerEnv's two robots, as its evaluation scripts start them: environment, scene, look, where robot and things stand, episodes and
 * step limit. Run `i` here is run `i` there, so that results and plans name a run by its number.
 *
 * Source: the scripts of SimplerEnv (Li et al., "Evaluating Real-World Robot Manipulation Policies in Simulation", arXiv 2405.05941).
 * Knows nothing about results.
 */

export const TASKS = ['pick_coke_can', 'move_near', 'drawer', 'put_apple_in_drawer', 'bridge'] as const;
export type SimplerTask = (typeof TASKS)[number];
export type SimplerSetting = 'visual_matching' | 'variant_agg';
/** Lowest value, highest value, how many between them, both ends included. */
export type Range = readonly [number, number, number];

/** Constructor options of an environment. */
export type BuildOptions = Readonly<Record<string, string | boolean>>;

/** One call of SimplerEnv's evaluator. Field names are its own, so that a client can hand them on. */
export interface SimplerRun {
  readonly run: number;
  readonly task: SimplerTask;
  readonly setting: SimplerSetting;
  readonly robot: string;
  readonly env: string;
  readonly scene: string;
  readonly max_episode_steps: number;
  /** Picture laid over the background; none in variant aggregation. */
  readonly rgb_overlay?: string;
  readonly raytracing: boolean;
  readonly env_build_kwargs: BuildOptions;
  /** Metres. */
  readonly robot_init_x_range: Range;
  readonly robot_init_y_range: Range;
  /** Roll, pitch and yaw, radians: three ranges. */
  readonly robot_init_rot_rpy_range: readonly [...Range, ...Range, ...Range];
  readonly obj_variation_mode: 'xy' | 'episode';
  /** Metres; where `obj_variation_mode` is xy. */
  readonly obj_init_x_range?: Range;
  readonly obj_init_y_range?: Range;
  /** First episode and the one after the last; where `obj_variation_mode` is episode. */
  readonly obj_episode_range?: readonly [number, number];
  readonly n_episodes: number;
  /** Runs with other cameras are made, and counted nowhere. */
  readonly in_average: boolean;
}

/** Frequencies of control and physics, Hz, and the orientation at which a robot's ranges are centred (x, y, z, w). */
export const ROBOTS = {
  google_robot_static: { control_freq: 3, sim_freq: 513, robot_init_rot_quat_center: [0, 0, 0, 1] },
  widowx: { control_freq: 5, sim_freq: 500, robot_init_rot_quat_center: [0, 0, 0, 1] },
} as const;

/** InstructVLA runs every WidowX task for this many steps; SimplerEnv only the eggplant. */
export const INSTRUCTVLA_WIDOWX_STEPS = 120;

type Draft = Omit<SimplerRun, 'run'>;

const GOOGLE = 'google_robot_static';
const TABLE = 'google_pick_coke_can_1_v4';
const CABINETS = ['Baked_sc1_staging_objaverse_cabinet1_h870', 'Baked_sc1_staging_objaverse_cabinet2_h870'] as const;
const BACKGROUNDS = [`${TABLE}_alt_background`, `${TABLE}_alt_background_2`] as const;
const APARTMENT = 'frl_apartment_stage_simple';
const ROOMS = ['modern_bedroom_no_roof', 'modern_office_no_roof'] as const;
const [TABLETOP_1, TABLETOP_2, CABINET_1] = [
  'recolor_tabletop_visual_matching_1',
  'recolor_tabletop_visual_matching_2',
  'recolor_cabinet_visual_matching_1',
];
const LIGHTS: readonly BuildOptions[] = [{ slightly_darker_lighting: true }, { slightly_brighter_lighting: true }];

const at = (value: number): Range => [value, value, 1];
const yawOf = (yaw: number): SimplerRun['robot_init_rot_rpy_range'] => [...at(0), ...at(0), ...at(yaw)];

/** The can lying, standing, lying lengthwise: SimplerEnv's horizontal, standing and vertical. */
export const CAN_POSES = { horizontal: 'lr_switch', standing: 'upright', vertical: 'laid_vertically' } as const;

function canRun(setting: SimplerSetting, change: Partial<Draft>): Draft {
  return {
    task: 'pick_coke_can',
    setting,
    robot: GOOGLE,
    env: 'GraspSingleOpenedCokeCanInScene-v0',
    scene: TABLE,
    max_episode_steps: 80,
    raytracing: false,
    env_build_kwargs: {},
    robot_init_x_range: at(0.35),
    robot_init_y_range: at(0.2),
    robot_init_rot_rpy_range: yawOf(0),
    obj_variation_mode: 'xy',
    obj_init_x_range: [-0.35, -0.12, 5],
    obj_init_y_range: [-0.02, 0.42, 5],
    n_episodes: 25,
    in_average: true,
    ...change,
  };
}

function canRuns(): Draft[] {
  const poses = Object.values(CAN_POSES);
  const matching = ['None', TABLETOP_1, TABLETOP_2, CABINET_1].flatMap((urdf_version) =>
    poses.map((pose) =>
      canRun('visual_matching', {
        rgb_overlay: 'google_coke_can_real_eval_1.png',
        env_build_kwargs: { [pose]: true, urdf_version },
      }),
    ),
  );
  const variants = (changes: readonly Partial<Draft>[]): Draft[] =>
    poses.flatMap((pose) =>
      changes.map((change) =>
        canRun('variant_agg', { ...change, env_build_kwargs: { [pose]: true, ...change.env_build_kwargs } }),
      ),
    );
  const scenes = (names: readonly string[]): Partial<Draft>[] => names.map((scene) => ({ scene }));
  const distractors = 'GraspSingleOpenedCokeCanDistractorInScene-v0';
  const cameras = ['Camera', 'Camera2'].map((camera) => ({
    env: `GraspSingleOpenedCokeCanAltGoogle${camera}InScene-v0`,
    in_average: false,
  }));
  return [
    ...matching,
    ...variants([{}]),
    ...variants(scenes(CABINETS)),
    ...variants([{ env: distractors }, { env: distractors, env_build_kwargs: { distractor_config: 'more' } }]),
    ...variants(scenes(BACKGROUNDS)),
    ...variants(LIGHTS.map((env_build_kwargs) => ({ env_build_kwargs }))),
    ...variants(cameras),
  ];
}

function moveNearRun(setting: SimplerSetting, change: Partial<Draft>): Draft {
  return {
    task: 'move_near',
    setting,
    robot: GOOGLE,
    env: 'MoveNearGoogleInScene-v0',
    scene: TABLE,
    max_episode_steps: 80,
    raytracing: false,
    env_build_kwargs: {},
    robot_init_x_range: at(0.35),
    robot_init_y_range: at(0.21),
    robot_init_rot_rpy_range: yawOf(-0.09),
    obj_variation_mode: 'episode',
    obj_episode_range: [0, 60],
    n_episodes: 60,
    in_average: true,
    ...change,
  };
}

function moveNearRuns(): Draft[] {
  const matching = ['None', TABLETOP_1, TABLETOP_2, CABINET_1].map((urdf_version) =>
    moveNearRun('visual_matching', {
      env: 'MoveNearGoogleBakedTexInScene-v0',
      rgb_overlay: 'google_move_near_real_eval_1.png',
      env_build_kwargs: { urdf_version },
    }),
  );
  const changes: Partial<Draft>[] = [
    {},
    { env_build_kwargs: { no_distractor: true } },
    ...BACKGROUNDS.map((scene) => ({ scene })),
    ...LIGHTS.map((env_build_kwargs) => ({ env_build_kwargs })),
    ...CABINETS.map((scene) => ({ scene })),
    { env: 'MoveNearAltGoogleCameraInScene-v0', in_average: false },
    { env: 'MoveNearAltGoogleCamera2InScene-v0', in_average: false },
  ];
  return [...matching, ...changes.map((change) => moveNearRun('variant_agg', change))];
}

const DRAWERS = ['Open', 'Close'].flatMap((verb) =>
  ['Top', 'Middle', 'Bottom'].map((drawer) => `${verb}${drawer}DrawerCustomInScene-v0`),
);

/** Where the robot stood in the nine photographs that the drawers' scenes are laid over: x, y (metres), yaw (radians). */
const STANDS: readonly (readonly [name: string, x: number, y: number, yaw: number])[] = [
  ['a0', 0.644, -0.179, -0.03],
  ['a1', 0.765, -0.182, -0.02],
  ['a2', 0.889, -0.203, -0.06],
  ['b0', 0.652, 0.009, 0],
  ['b1', 0.752, 0.009, 0],
  ['b2', 0.851, 0.035, 0],
  ['c0', 0.665, 0.224, 0],
  ['c1', 0.765, 0.222, -0.025],
  ['c2', 0.865, 0.222, -0.025],
];

function drawerRun(setting: SimplerSetting, env: string, change: Partial<Draft>): Draft {
  return {
    task: 'drawer',
    setting,
    robot: GOOGLE,
    env,
    scene: APARTMENT,
    max_episode_steps: 113,
    raytracing: false,
    env_build_kwargs: {},
    robot_init_x_range: [0.65, 0.85, 3],
    robot_init_y_range: [-0.2, 0.2, 3],
    robot_init_rot_rpy_range: yawOf(0),
    obj_variation_mode: 'xy',
    obj_init_x_range: at(0),
    obj_init_y_range: at(0),
    n_episodes: 9,
    in_average: true,
    ...change,
  };
}

/** Over the photographs: one look of the robot after the other, in each the environments, in each the stands. */
function drawerMatching(envs: readonly string[], stands: typeof STANDS, change: Partial<Draft>): Draft[] {
  return [CABINET_1, TABLETOP_1, TABLETOP_2, 'None'].flatMap((urdf_version) =>
    envs.flatMap((env) =>
      stands.map(([name, x, y, yaw]) =>
        drawerRun('visual_matching', env, {
          scene: 'dummy_drawer',
          rgb_overlay: `open_drawer_${name}.png`,
          raytracing: true,
          robot_init_x_range: at(x),
          robot_init_y_range: at(y),
          robot_init_rot_rpy_range: yawOf(yaw),
          n_episodes: 1,
          ...change,
          env_build_kwargs: {
            station_name: 'mk_station_recolor',
            light_mode: 'simple',
            disable_bad_material: true,
            urdf_version: urdf_version as string,
            ...change.env_build_kwargs,
          },
        }),
      ),
    ),
  );
}

function drawerVariants(envs: readonly string[], change: Partial<Draft>): Draft[] {
  const run = (env: string, more: Partial<Draft>): Draft =>
    drawerRun('variant_agg', env, {
      ...change,
      ...more,
      env_build_kwargs: { ...more.env_build_kwargs, ...change.env_build_kwargs },
    });
  const looks = (options: readonly BuildOptions[]): Draft[] =>
    envs.flatMap((env) => options.map((more) => run(env, { env_build_kwargs: { shader_dir: 'rt', ...more } })));
  return [
    ...envs.map((env) => run(env, { raytracing: true })),
    ...ROOMS.flatMap((scene) => envs.map((env) => run(env, { scene, env_build_kwargs: { shader_dir: 'rt' } }))),
    ...looks([{ light_mode: 'brighter' }, { light_mode: 'darker' }]),
    ...looks([{ station_name: 'mk_station2' }, { station_name: 'mk_station3' }]),
  ];
}

function appleRuns(): Draft[] {
  const envs = ['PlaceIntoClosedTopDrawerCustomInScene-v0'];
  const apple = (model_ids: string, n_episodes: number): Partial<Draft> => ({
    task: 'put_apple_in_drawer',
    max_episode_steps: 200,
    obj_init_x_range: [-0.08, -0.02, 3],
    obj_init_y_range: [-0.02, 0.08, 3],
    n_episodes,
    env_build_kwargs: { model_ids },
  });
  const nearest = STANDS.filter(([name]) => name.endsWith('0'));
  return [
    ...drawerMatching(envs, nearest, apple('baked_apple_v2', 9)),
    ...drawerVariants(envs, { ...apple('apple', 27), robot_init_x_range: at(0.65) }),
  ];
}

function widowxRun(env: string, change: Partial<Draft> = {}): Draft {
  return {
    task: 'bridge',
    setting: 'visual_matching',
    robot: 'widowx',
    env,
    scene: 'bridge_table_1_v1',
    max_episode_steps: 60,
    rgb_overlay: 'bridge_real_eval_1.png',
    raytracing: false,
    env_build_kwargs: {},
    robot_init_x_range: at(0.147),
    robot_init_y_range: at(0.028),
    robot_init_rot_rpy_range: yawOf(0),
    obj_variation_mode: 'episode',
    obj_episode_range: [0, 24],
    n_episodes: 24,
    in_average: true,
    ...change,
  };
}

const widowxRuns = (): Draft[] => [
  widowxRun('PutCarrotOnPlateInScene-v0'),
  widowxRun('StackGreenCubeOnYellowCubeBakedTexInScene-v0'),
  widowxRun('PutSpoonOnTableClothInScene-v0'),
  widowxRun('PutEggplantInBasketScene-v0', {
    robot: 'widowx_sink_camera_setup',
    scene: 'bridge_table_1_v2',
    max_episode_steps: 120,
    rgb_overlay: 'bridge_sink.png',
    robot_init_x_range: at(0.127),
    robot_init_y_range: at(0.06),
  }),
];

/** All runs, `SIMPLER_RUNS[i].run === i`. */
export const SIMPLER_RUNS: readonly SimplerRun[] = [
  ...canRuns(),
  ...moveNearRuns(),
  ...drawerMatching(DRAWERS, STANDS, {}),
  ...drawerVariants(DRAWERS, {}),
  ...appleRuns(),
  ...widowxRuns(),
].map((draft, run) => ({ run, ...draft }));
