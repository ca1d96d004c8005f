/**
 * From RLDS steps to the project's Episode, by the standard transforms of the data sets (Open X-Embodiment, OpenVLA): Bridge, Fractal
 * (RT-1), and `plain` for data that need none.
 *
 * Bridge: step 0 is dropped; the gripper command is binarised; the six other action dimensions become state[t+1] - state[t], for which the
 * last step is dropped too. Frame t of the Episode is therefore **raw step t + 1**, and annotations that count raw steps are off by one for
 * whoever counts frames: `firstStep` says by how much.
 * Fractal: the relative gripper command becomes an absolute one (1 open, 0 closed); frame t is raw step t.
 */
import type { Episode, ImageSequence } from './episode.js';
import { CorruptDatasetError, type DataErrorLocation, UnsupportedDatasetError } from './errors.js';
import { decodeImage } from './image-codec.js';
import type { RldsColumn, RldsEpisode } from './rlds-episode.js';

export const RLDS_TRANSFORMS = ['bridge', 'fractal', 'plain'] as const;
export type RldsTransformName = (typeof RLDS_TRANSFORMS)[number];

/** An episode without decoded pictures, and where its frames come from. */
export interface TransformedEpisode {
  readonly episode: Episode;
  /** camera -> one encoded picture a frame. */
  readonly encoded: Readonly<Record<string, readonly Uint8Array[]>>;
  /** Raw step of frame 0. */
  readonly firstStep: number;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
}

export interface RldsTransformOptions {
  /** Frames a second; the transform's own (Bridge 5, Fractal 3) if absent. */
  readonly fps?: number | undefined;
}

const POSE = ['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'];
const FPS: Readonly<Partial<Record<RldsTransformName, number>>> = { bridge: 5, fractal: 3 };

/** The transform that a data set's columns ask for. */
export function guessRldsTransform(paths: ReadonlySet<string>): RldsTransformName {
  const has = (...wanted: string[]): boolean => wanted.every((path) => paths.has(`steps/${path}`));
  if (has('action/world_vector', 'action/rotation_delta', 'action/gripper_closedness_action')) return 'fractal';
  if (has('observation/image_0', 'observation/state', 'action') && paths.has('episode_metadata/file_path'))
    return 'bridge';
  return 'plain';
}

/** Frames a second of a transformed episode. Throws UnsupportedDatasetError where nobody says: RLDS does not store it. */
export function rldsFps(name: RldsTransformName, options: RldsTransformOptions): number {
  const fps = options.fps ?? FPS[name];
  if (fps === undefined)
    throw new UnsupportedDatasetError('RLDS does not say how many frames a second it has', {
      field: 'fps',
      hint: 'Give them with --fps',
    });
  return fps;
}

/**
 * Applies a transform. Throws CorruptDatasetError where a column it needs is absent or of another shape, UnsupportedDatasetError for an
 * episode too short to have a frame.
 */
export function transformRlds(
  raw: RldsEpisode,
  name: RldsTransformName,
  options: RldsTransformOptions = {},
): TransformedEpisode {
  const steps = new Steps(raw);
  const fps = rldsFps(name, options);
  if (name === 'bridge') return bridge(steps, fps);
  return name === 'fractal' ? fractal(steps, fps) : plain(steps, fps);
}

/** Decodes the pictures; memory of one episode's pixels. Throws CorruptDatasetError naming the frame of a picture that does not decode. */
export async function decodeTransformed(
  { episode, encoded }: TransformedEpisode,
  sizes: Readonly<Record<string, readonly [height: number, width: number]>>,
  origin: DataErrorLocation,
): Promise<Episode> {
  const images: Record<string, ImageSequence> = {};
  for (const [camera, pictures] of Object.entries(encoded)) {
    const [height, width] = sizes[camera] ?? [0, 0];
    const data = new Uint8Array(pictures.length * height * width * 3);
    for (const [frame, bytes] of pictures.entries()) {
      try {
        data.set(await decodeImage(bytes, width, height), frame * height * width * 3);
      } catch (cause) {
        const what = cause instanceof Error ? cause.message : String(cause);
        throw new CorruptDatasetError(what, { ...origin, frame, field: camera, cause });
      }
    }
    images[camera] = { width, height, data };
  }
  return { ...episode, images };
}

/** Access to an episode's columns with errors that name them. */
class Steps {
  constructor(readonly raw: RldsEpisode) {}

  get length(): number {
    return this.raw.length;
  }

  fail(what: string, field?: string): never {
    throw new CorruptDatasetError(what, { file: this.raw.file, episode: this.raw.index, field });
  }

  find(path: string): RldsColumn | undefined {
    return this.raw.steps[path];
  }

  /** Numbers [T, size] of a column. */
  floats(path: string, size?: number): Float32Array {
    const column = this.find(path);
    if (column?.kind !== 'numeric') return this.fail('The steps have no such numbers', path);
    const values = Float32Array.from(column.values as ArrayLike<number | bigint>, Number);
    if (size !== undefined && values.length !== size * this.length)
      this.fail(`${values.length / this.length} values a step, expected ${size}`, path);
    return values;
  }

  /** Instruction of every step, "" where there is none. */
  instructions(): readonly string[] {
    for (const path of [
      'language_instruction',
      'observation/natural_language_instruction',
      'observation/language_instruction',
    ]) {
      const column = this.find(path);
      if (column?.kind === 'text') return column.values.map((text) => text.trim());
    }
    return new Array<string>(this.length).fill('');
  }

  /** camera -> encoded pictures of steps [from, to). */
  pictures(from: number, to: number): Record<string, readonly Uint8Array[]> {
    const cameras: Record<string, readonly Uint8Array[]> = {};
    for (const [path, column] of Object.entries(this.raw.steps)) {
      if (column.kind !== 'image') continue;
      cameras[path.replace(/^observation\//, '').replaceAll('/', '.')] = column.encoded.slice(from, to);
    }
    return cameras;
  }

  build(fields: {
    fps: number;
    from: number;
    to: number;
    state: Float32Array;
    stateNames: readonly string[];
    action: Float32Array;
    actionNames: readonly string[];
  }): TransformedEpisode {
    const { fps, from, to, state, stateNames, action, actionNames } = fields;
    const length = to - from;
    if (length < 1)
      throw new UnsupportedDatasetError(`${this.length} raw steps leave no frame`, {
        file: this.raw.file,
        episode: this.raw.index,
      });
    const tasks = this.instructions().slice(from, to);
    const task = tasks.find((text) => text !== '') ?? '';
    const episode: Episode = {
      index: this.raw.index,
      task,
      fps,
      length,
      state,
      stateDim: stateNames.length,
      action,
      actionDim: actionNames.length,
      images: {},
      columns: {},
      languagePersistent: [],
      languageEvents: [],
      ...(tasks.some((other) => other !== task) ? { frameTasks: tasks.map((text) => text || task) } : {}),
    };
    return { episode, encoded: this.pictures(from, to), firstStep: from, stateNames, actionNames };
  }
}

/** Gripper commands to 1 (open, above 0.95) or 0 (closed, below 0.05); those between take the next decided one, at the end the last value. */
export function binarizeGripper(values: Float32Array): Float32Array {
  const result = new Float32Array(values.length);
  let carry = values.at(-1) ?? 0;
  for (let t = values.length - 1; t >= 0; t--) {
    const value = values[t] as number;
    if (value > 0.95) carry = 1;
    else if (value < 0.05) carry = 0;
    result[t] = carry;
  }
  return result;
}

/** Relative commands (above 0.1 closes, below -0.1 opens) to absolute ones (1 open, 0 closed); the first command shows where it began. */
export function absoluteGripper(values: Float32Array): Float32Array {
  const command = Array.from(values, (value) => (value < -0.1 ? 1 : value > 0.1 ? -1 : 0));
  const first = command.find((one) => one !== 0);
  // Without any command it is open throughout.
  let carry = first === undefined ? 1 : -first;
  return Float32Array.from(command, (one) => {
    if (one !== 0) carry = one;
    return carry / 2 + 0.5;
  });
}

function bridge(steps: Steps, fps: number): TransformedEpisode {
  const raw = steps.floats('observation/state', 7);
  const commands = steps.floats('action', 7);
  const from = 1;
  const to = steps.length - 1;
  const length = Math.max(0, to - from);
  // Binarised after step 0 is dropped and before the last one is, as the transform does.
  const gripper = binarizeGripper(
    Float32Array.from({ length: Math.max(0, steps.length - 1) }, (_, t) => commands[(t + 1) * 7 + 6] as number),
  );
  const action = new Float32Array(length * 7);
  for (let t = 0; t < length; t++) {
    for (let d = 0; d < 6; d++)
      action[t * 7 + d] = (raw[(t + from + 1) * 7 + d] as number) - (raw[(t + from) * 7 + d] as number);
    action[t * 7 + 6] = gripper[t] as number;
  }
  const state = raw.slice(from * 7, Math.max(from, to) * 7);
  return steps.build({ fps, from, to, state, stateNames: POSE, action, actionNames: POSE });
}

function fractal(steps: Steps, fps: number): TransformedEpisode {
  const { length } = steps;
  const world = steps.floats('action/world_vector', 3);
  const rotation = steps.floats('action/rotation_delta', 3);
  const gripper = absoluteGripper(steps.floats('action/gripper_closedness_action', 1));
  const pose = steps.floats('observation/base_pose_tool_reached', 7);
  const closed = steps.floats('observation/gripper_closed', 1);
  const state = new Float32Array(length * 8);
  const action = new Float32Array(length * 7);
  for (let t = 0; t < length; t++) {
    action.set(world.subarray(t * 3, t * 3 + 3), t * 7);
    action.set(rotation.subarray(t * 3, t * 3 + 3), t * 7 + 3);
    action[t * 7 + 6] = gripper[t] as number;
    state.set(pose.subarray(t * 7, t * 7 + 7), t * 8);
    state[t * 8 + 7] = closed[t] as number;
  }
  const stateNames = ['x', 'y', 'z', 'qx', 'qy', 'qz', 'qw', 'gripper_closed'];
  return steps.build({ fps, from: 0, to: length, state, stateNames, action, actionNames: POSE });
}

/** State and action as they are; an action of several tensors is joined in the order of their names. */
function plain(steps: Steps, fps: number): TransformedEpisode {
  const numeric = (wanted: (path: string) => boolean): string[] =>
    Object.keys(steps.raw.steps)
      .filter((path) => wanted(path) && steps.raw.steps[path]?.kind === 'numeric')
      .sort();
  const join = (paths: readonly string[]): { values: Float32Array; names: string[] } => {
    const parts = paths.map((path) => ({ path, values: steps.floats(path) }));
    const sizes = parts.map(({ values }) => values.length / steps.length);
    const width = sizes.reduce((sum, size) => sum + size, 0);
    const values = new Float32Array(width * steps.length);
    const names: string[] = [];
    let column = 0;
    for (const [i, part] of parts.entries()) {
      const size = sizes[i] as number;
      for (let t = 0; t < steps.length; t++)
        values.set(part.values.subarray(t * size, (t + 1) * size), t * width + column);
      const name = part.path.split('/').at(-1) ?? part.path;
      for (let d = 0; d < size; d++) names.push(size === 1 ? name : `${name}_${d}`);
      column += size;
    }
    return { values, names };
  };
  const action = join(numeric((path) => path === 'action' || path.startsWith('action/')));
  if (action.names.length === 0) steps.fail('The steps have no action', 'action');
  const stateColumn = ['observation/state', 'observation/proprio'].find((path) => steps.find(path)?.kind === 'numeric');
  const state = join(stateColumn === undefined ? [] : [stateColumn]);
  return steps.build({
    fps,
    from: 0,
    to: steps.length,
    state: state.values,
    stateNames: state.names,
    action: action.values,
    actionNames: action.names,
  });
}
