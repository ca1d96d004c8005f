/**
 * What stands between a policy's predicted chunk and SimplerEnv's robots: overlapping chunks are ensembled, roll, pitch and yaw become a rotation
 * vector, the gripper speaks each robot's language. As the policies of SimplerEnv (Octo) and InstructVLA (which follows CogACT) do it.
 *
 * State lives per session: `reset` at the start of every episode, on one side of the wire only.
 */
import { type Axes, eulerToRotationVector } from './rotation-vector.js';

export type SimplerRobot = 'google_robot' | 'widowx_bridge';
export type SimplerPolicy = 'octo' | 'instructvla';

/** One predicted step: x, y, z (metres), roll, pitch, yaw (radians), gripper (1 open, 0 closed). */
export type ActionStep = readonly number[];

/** After ensembling, before the robot's own terms. */
export interface RawAction {
  readonly world_vector: Axes;
  readonly rotation_delta: Axes;
  readonly open_gripper: number;
}

/** What the environment's `step` takes. */
export interface EnvAction {
  readonly world_vector: Axes;
  /** Axis times angle, radians. */
  readonly rot_axangle: Axes;
  /** WidowX: 1 open, -1 close. Google robot: change of opening, positive closes. */
  readonly gripper: number;
  /** No policy ends an episode itself here: always 0. */
  readonly terminate_episode: number;
}

/** How overlapping chunks become one action. */
type Ensemble =
  /** Mean over the last `window` chunks. */
  | { readonly kind: 'mean'; readonly window: number }
  /** Weights exp(alpha cos(prediction, newest)): predictions that agree with the newest count more. */
  | { readonly kind: 'agreement'; readonly window: number; readonly alpha: number };

export interface Processing {
  readonly ensemble: Ensemble;
  /** Steps that the Google robot's gripper goes on with a change once it has begun. */
  readonly stickySteps: number;
  /**
   * What a change of the Google robot's gripper is measured from: the step before, or the opening when the last held change began (the first one's of an
   * episode before that). With the latter, a jump while another is held is not lost but follows it.
   */
  readonly changeFrom: 'previous' | 'held';
  /** Factor on translation and rotation. */
  readonly actionScale: number;
}

/** The settings of both policies on both robots. */
export const PROCESSING: Readonly<Record<SimplerPolicy, Readonly<Record<SimplerRobot, Processing>>>> = {
  octo: {
    google_robot: { ensemble: { kind: 'mean', window: 4 }, stickySteps: 15, changeFrom: 'previous', actionScale: 1 },
    widowx_bridge: { ensemble: { kind: 'mean', window: 4 }, stickySteps: 1, changeFrom: 'previous', actionScale: 1 },
  },
  instructvla: {
    google_robot: {
      ensemble: { kind: 'agreement', window: 2, alpha: 0.1 },
      stickySteps: 10,
      changeFrom: 'held',
      actionScale: 1,
    },
    widowx_bridge: {
      ensemble: { kind: 'agreement', window: 7, alpha: 0.1 },
      stickySteps: 1,
      changeFrom: 'held',
      actionScale: 1,
    },
  },
};

/** A change of the gripper by more than this is meant. */
const GRIPPER_CHANGE = 0.5;
/** Values of a step: three of translation, three of rotation, the gripper. */
const WIDTH = 7;

/** Turns one session's chunks into actions. */
export class ActionProcessor {
  readonly #ensembler: Ensembler;
  readonly #gripper: StickyGripper;

  constructor(
    readonly robot: SimplerRobot,
    readonly processing: Processing,
  ) {
    this.#ensembler = new Ensembler(processing.ensemble);
    this.#gripper = new StickyGripper(processing);
  }

  /** A new episode. */
  reset(): void {
    this.#ensembler.reset();
    this.#gripper.reset();
  }

  /**
   * @param chunk predicted steps [at least 1, 7], the first one for now
   * @throws RangeError for a chunk of other widths or without a step
   */
  step(chunk: readonly ActionStep[]): { raw: RawAction; action: EnvAction } {
    const wrong = chunk.find((step) => step.length !== WIDTH);
    if (wrong !== undefined) throw new RangeError(`a step of ${wrong.length} numbers, not ${WIDTH}`);
    const [x, y, z, roll, pitch, yaw, open] = this.#ensembler.add(chunk) as unknown as Seven;
    const { actionScale: by } = this.processing;
    const google = this.robot === 'google_robot';
    const rotation = eulerToRotationVector([roll, pitch, yaw]);
    return {
      raw: { world_vector: [x, y, z], rotation_delta: [roll, pitch, yaw], open_gripper: open },
      action: {
        world_vector: [x * by, y * by, z * by],
        rot_axangle: [rotation[0] * by, rotation[1] * by, rotation[2] * by],
        gripper: google ? this.#gripper.step(open) : open > 0.5 ? 1 : -1,
        terminate_episode: 0,
      },
    };
  }
}

type Seven = readonly [number, number, number, number, number, number, number];

/** What the last chunks, each seen from its own time, say of now. */
class Ensembler {
  #chunks: (readonly ActionStep[])[] = [];

  constructor(readonly settings: Ensemble) {}

  reset(): void {
    this.#chunks = [];
  }

  add(chunk: readonly ActionStep[]): number[] {
    this.#chunks.push(chunk);
    if (this.#chunks.length > this.settings.window) this.#chunks.shift();
    const predictions = this.#chunks.map((one, i) => {
      const step = one[this.#chunks.length - 1 - i];
      if (step) return step;
      throw new RangeError(`a chunk of ${one.length} steps is too short for a window of ${this.settings.window}`);
    });
    const weights = this.#weightsOf(predictions);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Array.from({ length: WIDTH }, (_, k) =>
      predictions.reduce((sum, step, i) => sum + ((weights[i] as number) / total) * (step[k] as number), 0),
    );
  }

  #weightsOf(predictions: readonly ActionStep[]): number[] {
    const { settings } = this;
    if (settings.kind === 'mean') return predictions.map(() => 1);
    const newest = predictions.at(-1) as ActionStep;
    return predictions.map((step) => Math.exp(settings.alpha * cosine(step, newest)));
  }
}

/** The constant keeps two motionless predictions from dividing by zero. */
function cosine(a: ActionStep, b: ActionStep): number {
  const dot = (x: ActionStep, y: ActionStep): number => x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
  return dot(a, b) / (Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b)) + 1e-7);
}

/**
 * The Google robot's gripper takes changes of its opening. A policy's opening jumps within a step or two, too short for the fingers, so a jump is held
 * for some steps; meanwhile other changes are not looked at.
 */
class StickyGripper {
  #reference: number | undefined;
  #held: number | undefined;
  #steps = 0;

  constructor(readonly settings: Pick<Processing, 'stickySteps' | 'changeFrom'>) {}

  reset(): void {
    this.#reference = undefined;
    this.#held = undefined;
    this.#steps = 0;
  }

  step(open: number): number {
    const { stickySteps, changeFrom } = this.settings;
    const change = this.#reference === undefined ? 0 : this.#reference - open;
    const begins = this.#held === undefined && Math.abs(change) > GRIPPER_CHANGE;
    if (begins) this.#held = change;
    if (begins || this.#reference === undefined || changeFrom === 'previous') this.#reference = open;
    if (this.#held === undefined) return change;
    const held = this.#held;
    this.#steps++;
    if (this.#steps === stickySteps) {
      this.#held = undefined;
      this.#steps = 0;
    }
    return held;
  }
}
