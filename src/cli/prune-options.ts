/** Options of `dualvla prune`: what they are called, and what they mean to src/prune. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type {
  Combination,
  DeltaRotation,
  FirstFrame,
  MotionOptions,
  MotionRule,
  MotionSource,
  OpenInputsOptions,
  PruneMode,
  SceneSource,
  Shard,
} from '../prune/index.js';
import { UsageError } from './errors.js';
import { list, oneOf, wholeNumber } from './options.js';

const SCENES = ['ddm-net', 'motion-energy', 'kts', 'labels', 'none'] as const;
const MOTIONS = ['eq4', 'quantile', 'mad', 'primitives', 'c2farm', 'none'] as const;
const MOTION_SOURCES = ['state', 'action', 'joints'] as const;
const DELTA_ROTATIONS = ['rpy', 'axis-angle', 'rpy-difference'] as const;
const COMBINATIONS = ['and', 'or', 'scene', 'motion', 'random'] as const;
const FIRST_FRAMES = ['keep', 'label'] as const;
const MODES = ['drop', 'label-mask'] as const;
const TRANSFORMS = ['bridge', 'fractal', 'plain'] as const;

export interface PruneFlags {
  out?: string;
  scene: (typeof SCENES)[number];
  detector?: string;
  labels: string;
  camera?: string[];
  features: string;
  penalty?: number;
  motion: MotionRule | 'none';
  motionFrom: MotionSource;
  motionLayout?: string[];
  quantile?: number;
  deviations?: number;
  tau?: number;
  stopSpeed?: number;
  deltaRotation?: DeltaRotation;
  urdf?: string;
  endLink?: string[];
  jointUnit?: 'rad' | 'deg';
  gripperRange?: [number, number];
  combine: Combination;
  tolerance: number;
  firstFrame: FirstFrame;
  mode: PruneMode;
  seed: number;
  writeDataset?: string;
  ecot?: string;
  vlaIt?: string;
  exportEcot?: string;
  exportVlaIt?: string;
  stepOffset?: number;
  split?: string;
  transform?: (typeof TRANSFORMS)[number];
  fps?: number;
  timeline?: string;
  report?: string;
  shard?: Shard;
  merge?: boolean;
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
}

/** A number within a range. */
function number(low: number, high = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= low && value <= high))
      throw new UsageError(
        `'${text}' is no number ${high === Number.POSITIVE_INFINITY ? `of ${low} or more` : `from ${low} to ${high}`}`,
      );
    return value;
  };
}

function twoNumbers(text: string): [number, number] {
  const values = text.split(',').map(Number);
  if (values.length !== 2 || !values.every(Number.isFinite))
    throw new UsageError(`'${text}' is not two numbers, e.g. 0,100`);
  return values as [number, number];
}

export function addPruneOptions(prune: Command): Command {
  return prune
    .option('--out <path>', 'keep labels, where it ends in .json; else a pruned copy of the data set')
    .option('--scene <layer>', `scene layer: ${SCENES.join(', ')}`, oneOf('scene layer', SCENES), 'ddm-net')
    .option('--detector <dir>', 'trained by prune train-scene, for --scene ddm-net; default: the one that ships')
    .option(
      '--labels <file|phases>',
      "boundaries for --scene labels: a JSONL file, or the data set's own phases",
      'phases',
    )
    .option('--camera <a,b>', "cameras of the scene layer; default: the detector's, or the first", list)
    .option(
      '--features <what>',
      'for --scene kts: pixels, flow, or the folder of a vision encoder (SigLIP, DINOv2)',
      'flow',
    )
    .option('--penalty <c>', 'for --scene kts: how much a change point must gain; default 1', number(1e-6))
    .option('--motion <rule>', `motion layer: ${MOTIONS.join(', ')}`, oneOf('motion layer', MOTIONS), 'eq4')
    .option(
      '--motion-from <what>',
      'state (absolute poses), action (deltas) or joints',
      oneOf('source', MOTION_SOURCES),
      'state',
    )
    .option('--motion-layout <a,b>', 'what the dimensions are, e.g. x,y,z,qx,qy,qz,qw,gripper; - for none', list)
    .option('--quantile <q>', 'for --motion quantile; default 0.8', number(0, 1))
    .option('--deviations <d>', 'for --motion mad: deviations above the median; default 3', number(0))
    .option('--tau <m>', 'for --motion primitives: metres over four states; default 0.03', number(1e-9))
    .option(
      '--stop-speed <v>',
      'for --motion c2farm: m/s and rad/s below which the robot has stopped; default 0.1',
      number(1e-9),
    )
    .option(
      '--delta-rotation <how>',
      `of --motion-from action: ${DELTA_ROTATIONS.join(', ')}`,
      oneOf('rotation', DELTA_ROTATIONS),
    )
    .option('--urdf <file>', 'description of the robot, for --motion-from joints')
    .option('--end-link <a,b>', "the URDF's tool links; default: the only one", list)
    .option('--joint-unit <u>', 'rad or deg', oneOf('unit', ['rad', 'deg']))
    .option('--gripper-range <closed,open>', 'gripper values of a closed and an open hand', twoNumbers)
    .option('--combine <how>', COMBINATIONS.join(', '), oneOf('combination', COMBINATIONS), 'and')
    .option('--tolerance <frames>', 'frames around a boundary that count as the event', wholeNumber(), 0)
    .option(
      '--first-frame <policy>',
      'keep the first frame of every episode, or leave it to the layers (label)',
      oneOf('policy', FIRST_FRAMES),
      'keep',
    )
    .option(
      '--mode <m>',
      "drop a pruned frame's reasoning, or only mark it so that it is not learned (label-mask)",
      oneOf('mode', MODES),
      'drop',
    )
    .option('--seed <s>', 'for --combine random', wholeNumber(), 0)
    .option('--write-dataset <dir>', 'also write a pruned copy of the data set')
    .option('--ecot <file>', 'ECoT annotations: the reasoning of an RLDS data set, and what --export-ecot prunes')
    .option('--vla-it <file>', 'the same for VLA-IT annotations')
    .option('--export-ecot <file>', 'also write the --ecot file pruned, for embodied-CoT')
    .option('--export-vla-it <file>', 'also write the --vla-it file pruned, for InstructVLA')
    .option(
      '--step-offset <n>',
      'frame t is raw step t + n of the annotations; default: what the data remember',
      wholeNumber(),
    )
    .option('--split <name>', 'of an RLDS data set; default train')
    .option(
      '--transform <name>',
      'of an RLDS data set: bridge, fractal, plain; guessed',
      oneOf('transform', TRANSFORMS),
    )
    .option('--fps <n>', 'of an RLDS data set that is neither Bridge nor Fractal', wholeNumber(1))
    .option('--timeline <file>', 'also draw some episodes with their labels (HTML)')
    .option('--report <path>', 'also report: a folder for report.html and report.json, or one such file')
    .option(
      '--shard <i/n|auto>',
      "only part i (from 0) of n; auto: from SLURM's or Kubernetes' variables, auto/n with n given",
      (text) => shard(text),
    )
    .option(
      '--merge',
      'put the parts together; the same options as theirs (dualvla data merge OUT.shards remembers them)',
    )
    .option('--resume', 'continue an interrupted run')
    .option('--overwrite', 'replace what is there')
    .option('--json', 'print a summary as JSON');
}

/** `2/8`, `auto` or `auto/8`. */
export function shard(text: string, env: NodeJS.ProcessEnv = process.env): Shard {
  const match = /^(auto|\d+)(?:\/(\d+))?$/.exec(text);
  if (!match || (match[1] !== 'auto' && match[2] === undefined))
    throw new UsageError(`'${text}' is no part: give i/n with i from 0, e.g. 0/4, or auto`);
  const whole = (name: string): number | undefined => {
    const value = env[name];
    if (value === undefined || value === '') return undefined;
    if (!/^\d+$/.test(value)) throw new UsageError(`the variable ${name} is '${value}', no whole number`);
    return Number(value);
  };
  const given = match[2] === undefined ? undefined : Number(match[2]);
  const slurm = whole('SLURM_ARRAY_TASK_ID');
  const index =
    match[1] !== 'auto'
      ? Number(match[1])
      : slurm === undefined
        ? whole('JOB_COMPLETION_INDEX')
        : slurm - (whole('SLURM_ARRAY_TASK_MIN') ?? 0);
  if (index === undefined)
    throw new UsageError('--shard auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set; give i/n instead');
  const count = given ?? (slurm === undefined ? whole('JOB_COMPLETIONS') : whole('SLURM_ARRAY_TASK_COUNT'));
  if (count === undefined)
    throw new UsageError(
      '--shard auto: Kubernetes does not say how many parts there are; give auto/n, or set JOB_COMPLETIONS',
    );
  if (count < 1 || index < 0 || index >= count)
    throw new UsageError(`part ${index} of ${count}: parts are 0 to ${Math.max(count - 1, 0)}`);
  return { index, count };
}

/** Options that ask for what is not there, or for nothing. */
export function checkFlags(flags: PruneFlags): void {
  const fail = (what: string): never => {
    throw new UsageError(what);
  };
  if (flags.ecot !== undefined && flags.vlaIt !== undefined) fail('give --ecot or --vla-it, not both');
  if (flags.exportEcot !== undefined && flags.ecot === undefined)
    fail('--export-ecot needs the file to prune: --ecot FILE');
  if (flags.exportVlaIt !== undefined && flags.vlaIt === undefined)
    fail('--export-vla-it needs the file to prune: --vla-it FILE');
  if (flags.mode === 'label-mask' && (flags.exportEcot ?? flags.exportVlaIt) !== undefined)
    fail('these formats have no place for a label mask: a step has reasoning or none; use --mode drop');
  if (flags.shard && flags.merge) fail('--shard makes a part, --merge puts parts together: give one of them');
  if (flags.urdf !== undefined && flags.motionFrom !== 'joints') fail('--urdf is for --motion-from joints');
  if (flags.scene === 'kts' && (flags.camera?.length ?? 1) !== 1) fail('--scene kts looks through one camera');
  if (flags.scene === 'motion-energy' && (flags.camera?.length ?? 1) !== 1)
    fail('--scene motion-energy looks through one camera');
}

export function motionOptions(flags: PruneFlags): MotionOptions | 'none' {
  if (flags.motion === 'none') return 'none';
  const { quantile, deviations, tau, stopSpeed, deltaRotation, urdf, jointUnit, gripperRange } = flags;
  const given = { quantile, deviations, tau, stopSpeed, deltaRotation, urdf, jointUnit, gripperRange };
  const options: MotionOptions = {
    rule: flags.motion,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(flags.motionFrom === 'state' ? {} : { from: flags.motionFrom }),
    ...(flags.motionLayout ? { layout: flags.motionLayout } : {}),
    ...(flags.endLink ? { endLinks: flags.endLink } : {}),
  };
  return options;
}

/** Where the boundaries come from; loads a detector or encoder. */
export async function sceneSource(flags: PruneFlags): Promise<SceneSource> {
  const { DEFAULT_DETECTOR, readBoundaryLabels, SceneEventModel } = await import('../prune/index.js');
  const [camera] = flags.camera ?? [];
  const one = camera === undefined ? {} : { camera };
  switch (flags.scene) {
    case 'none':
      return { kind: 'none' };
    case 'labels':
      return { kind: 'labels', labels: flags.labels === 'phases' ? 'phases' : readBoundaryLabels(flags.labels) };
    case 'motion-energy':
      return { kind: 'motion-energy', ...one };
    case 'kts': {
      const options = flags.penalty === undefined ? {} : { options: { penalty: flags.penalty } };
      const { features } = flags;
      if (features === 'pixels' || features === 'flow') return { kind: 'kts', features, ...one, ...options };
      if (!existsSync(features)) throw new UsageError(`--features ${features}: neither pixels, nor flow, nor a folder`);
      const { openFrameEncoder } = await import('./prune-encoder.js');
      return { kind: 'kts', features: await openFrameEncoder(features), ...one, ...options };
    }
    case 'ddm-net': {
      const folder = flags.detector ?? DEFAULT_DETECTOR;
      if (flags.detector === undefined && !existsSync(folder))
        throw new UsageError(
          '--scene ddm-net needs --detector <dir>: the one that ships is not here; next: dualvla prune train-scene DATASET --out DIR, or --scene motion-energy, which needs none',
        );
      return {
        kind: 'ddm-net',
        model: SceneEventModel.load(folder),
        ...(flags.camera ? { cameras: flags.camera } : {}),
      };
    }
  }
}

/** How the data set is read; of an RLDS one with its annotations. */
export function inputOptions(flags: PruneFlags, isRlds: boolean): OpenInputsOptions {
  const file = flags.ecot ?? flags.vlaIt;
  if (!isRlds) return {};
  return {
    split: flags.split ?? 'train',
    transform: flags.transform,
    fps: flags.fps,
    stepOffset: flags.stepOffset,
    annotations: file === undefined ? undefined : { format: flags.ecot === undefined ? 'vla-it' : 'ecot', file },
  };
}
