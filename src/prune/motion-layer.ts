/**
 * The motion layer of an episode of a data set: which columns hold the motion and what their dimensions mean, from the options or from the
 * data set's own declaration, and the labels of the chosen rule.
 *
 * Knows nothing about pictures, text, or where episodes come from.
 *
 * Shapes: T frames.
 */
import { ACTION_KEY, type Episode, type Feature, type Features, STATE_KEY } from '../data/index.js';
import { locate, PruneError } from './errors.js';
import { type MotionLabels, meanAcceleration } from './kinematics.js';
import {
  type DeltaRotation,
  guessLayout,
  handsOf,
  type MotionColumn,
  STANDARD_LAYOUT,
  trackOfDeltas,
  trackOfJoints,
  trackOfPoses,
} from './motion-layout.js';
import { type MotionRuleOptions, type MotionTrack, motionLabelsOfTrack } from './motion-rules.js';
import { type KinematicChain, Urdf } from './urdf.js';

export const MOTION_SOURCES = ['state', 'action', 'joints'] as const;
/** Absolute poses in `observation.state`, delta actions in `action`, or joints in `observation.state`. */
export type MotionSource = (typeof MOTION_SOURCES)[number];

export interface MotionOptions extends MotionRuleOptions {
  /** Default 'state'. */
  readonly from?: MotionSource;
  /** What the dimensions mean (motion-layout.ts); by default as the data set names them. */
  readonly layout?: readonly string[];
  /** For 'action'; default 'rpy'. */
  readonly deltaRotation?: DeltaRotation;
  /** For 'joints': a description of the robot, and the links whose poses count (the only end link by default). */
  readonly urdf?: string;
  readonly endLinks?: readonly string[];
  /** For 'joints'; default 'rad'. */
  readonly jointUnit?: 'rad' | 'deg';
  /** Gripper values that mean closed and open; by default 0 and 1, or the data set's own range where its values lie outside. */
  readonly gripperRange?: readonly [closed: number, open: number];
}

/** What the motion layer says of an episode. */
export interface EpisodeMotion {
  /** [T]. */
  readonly labels: Uint8Array;
  /** [T]: |T''| over the trajectory's mean. */
  readonly score: Float32Array;
  /** [T]: 1 where a gripper changes state. */
  readonly gripperChange: Uint8Array;
}

/** What a motion layer needs to know of a data set. */
export interface MotionDataset {
  /** What errors name. */
  readonly label: string;
  readonly fps: number;
  readonly features: Features;
  /** Smallest and largest values of a feature's dimensions, where statistics are there. */
  readonly range?:
    | ((feature: string) => readonly [low: ArrayLike<number>, high: ArrayLike<number>] | undefined)
    | undefined;
}

/** Names that a feature gives its dimensions: a list, or the lists of an object one after the other. */
export function dimensionNames({ names }: Feature): string[] | null {
  const lists = Array.isArray(names) ? [names] : names && typeof names === 'object' ? Object.values(names) : [];
  const flat = lists.flat();
  return flat.length > 0 && flat.every((name) => typeof name === 'string') ? flat : null;
}

/** The motion layer for one data set: made once, asked for every episode. */
export class MotionLayer {
  readonly #dataset: MotionDataset;
  readonly #options: MotionOptions;
  readonly #field: string;
  readonly #layout: readonly string[];
  readonly #chains: readonly KinematicChain[];
  readonly #gripperRange: readonly [number, number] | undefined;
  /** A word of warning about how labels come about, or null. */
  readonly warning: string | null;

  /** Throws PruneError where the data set lacks the column, its layout is unknown, or a joint of the robot is not among its dimensions. */
  constructor(dataset: MotionDataset, options: MotionOptions = {}) {
    const { from = 'state' } = options;
    this.#dataset = dataset;
    this.#options = options;
    this.#field = from === 'action' ? ACTION_KEY : STATE_KEY;
    const feature = dataset.features[this.#field];
    if (!feature)
      throw new PruneError(`The motion layer needs ${from === 'action' ? 'actions' : 'states'}, which are not there`, {
        file: dataset.label,
        field: this.#field,
        hint: `Numeric columns: ${numericColumns(dataset.features)}. Use --motion-from state, action or joints, or --motion none`,
      });
    const size = feature.shape[0] ?? 0;
    this.#layout = this.#named(() =>
      from === 'joints' ? jointLayout(feature, size, options.layout) : poseLayout(feature, size, options.layout),
    );
    this.#chains =
      options.urdf === undefined ? [] : this.#named(() => chainsOf(options.urdf as string, options.endLinks));
    const absent = this.#chains.flatMap(({ joints }) => joints).find((joint) => !this.#layout.includes(joint));
    if (absent !== undefined)
      throw new PruneError(`The robot's joint "${absent}" is not among the dimensions of the data`, {
        file: dataset.label,
        field: this.#field,
        hint: `They are: ${this.#layout.join(', ')}. Name them as ${options.urdf} does with --motion-layout`,
      });
    this.#gripperRange = this.#named(() => gripperRange(this.#layout, this.#field, dataset, options.gripperRange));
    this.warning =
      from === 'joints' && options.urdf === undefined
        ? 'joints are compared as they are: a turn of the wrist counts as much as one of the shoulder, which moves the hand further; ' +
          'with --urdf robot.urdf the hand itself is measured, as Eq. 4 has it'
        : null;
  }

  /** Labels of one episode. Throws PruneError naming episode, frame and dimension. */
  labels(episode: Episode): EpisodeMotion {
    const { labels, acceleration, gripperChange } = this.#named(
      (): MotionLabels => motionLabelsOfTrack(this.#track(episode), this.#options),
      episode.index,
    );
    const mean = meanAcceleration(acceleration);
    return {
      labels,
      score: Float32Array.from(acceleration, (value) => (mean > 0 ? value / mean : 0)),
      gripperChange,
    };
  }

  #track(episode: Episode): MotionTrack {
    const { from = 'state', deltaRotation = 'rpy', jointUnit } = this.#options;
    const { fps } = this.#dataset;
    const isAction = from === 'action';
    const column: MotionColumn = {
      values: isAction ? episode.action : episode.state,
      size: isAction ? episode.actionDim : episode.stateDim,
      layout: this.#layout,
      gripperRange: this.#gripperRange,
    };
    if (from === 'joints') return trackOfJoints(column, fps, this.#field, this.#chains, jointUnit);
    if (!isAction) return trackOfPoses(column, fps, this.#field);
    const start = deltaRotation === 'rpy-difference' ? this.#firstOrientations(episode) : [];
    return trackOfDeltas(column, fps, this.#field, deltaRotation, start);
  }

  #firstOrientations({ state, stateDim }: Episode): (readonly [number, number, number])[] {
    const feature = this.#dataset.features[STATE_KEY];
    const layout = feature && guessLayout(dimensionNames(feature), stateDim);
    if (!layout) return [];
    const { poses } = trackOfPoses({ values: state.subarray(0, stateDim), size: stateDim, layout }, 1, STATE_KEY);
    return poses.map((own) => [own[3] as number, own[4] as number, own[5] as number] as const);
  }

  /** Runs `work`; what it complains of is completed by the data set's name. */
  #named<T>(work: () => T, episode?: number): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof PruneError) || error.file !== undefined) throw error;
      throw locate(error, { file: this.#dataset.label, episode, field: error.field || this.#field });
    }
  }
}

function numericColumns(features: Features): string {
  const names = Object.keys(features).filter((name) => (features[name]?.dtype ?? '').startsWith('float'));
  return names.join(', ') || 'none';
}

function poseLayout(feature: Feature, size: number, given: readonly string[] | undefined): readonly string[] {
  const names = dimensionNames(feature);
  const layout = given ?? guessLayout(names, size);
  if (!layout)
    throw new PruneError(
      `It is not known what the ${size} dimensions mean${names ? `; they are called ${names.join(', ')}` : ''}`,
      {
        hint: `Say it with --motion-layout, e.g. ${STANDARD_LAYOUT.join(',')}; for joints: --motion-from joints`,
      },
    );
  handsOf(layout, size, '');
  return layout;
}

/** Joint names: those given, or the data set's without a `.pos` or `.position` behind them; a dimension called a gripper is one. */
function jointLayout(feature: Feature, size: number, given: readonly string[] | undefined): readonly string[] {
  const names = given ?? dimensionNames(feature);
  if (!names || names.length !== size)
    throw new PruneError(
      names ? `${names.length} names for ${size} dimensions` : `The ${size} dimensions have no names`,
      { hint: 'Name the joints with --motion-layout, e.g. shoulder,elbow,wrist,gripper; - for one that is not used' },
    );
  if (given) return given;
  return names.map((name) => {
    const joint = name.replace(/\.(pos|position)$/, '');
    return /gripper|jaw/i.test(joint) ? 'gripper' : joint;
  });
}

function chainsOf(file: string, endLinks: readonly string[] | undefined): KinematicChain[] {
  const urdf = Urdf.open(file);
  return endLinks ? endLinks.map((link) => urdf.chain(link)) : [urdf.chain()];
}

/** Values outside of 0 to 1 (percent, degrees, millimetres) need a range: the one given, or that of the data set's statistics. */
function gripperRange(
  layout: readonly string[],
  field: string,
  dataset: MotionDataset,
  given: readonly [number, number] | undefined,
): readonly [number, number] | undefined {
  const d = layout.indexOf('gripper');
  if (given) {
    if (given[0] === given[1]) throw new PruneError('The gripper is closed and open at the same value');
    return given;
  }
  const range = d < 0 ? undefined : dataset.range?.(field);
  if (!range) return undefined;
  const [low, high] = [range[0][d] ?? 0, range[1][d] ?? 1];
  return low < -0.1 || high > 1.1 ? [low, high] : undefined;
}
