/**
 * Episode: the one type every reader produces and every writer takes. Columns over T frames, row-major.
 *
 * Shape legend: T frames, S state dims, A action dims, H x W pixels. Knows nothing about file formats.
 */
import { InvalidEpisodeError } from './errors.js';
import {
  ACTION_KEY,
  AUTOMATIC_FEATURES,
  allocateNumeric,
  cameraKeys,
  type Features,
  featureSize,
  isNumeric,
  LANGUAGE_EVENTS_KEY,
  LANGUAGE_PERSISTENT_KEY,
  type NumericArray,
  type NumericDType,
  STATE_KEY,
} from './features.js';
import { checkLanguageRow, type LanguageEvent, type LanguageRow } from './language.js';

/** T pictures of one camera: `data` is uint8 RGB [T, height, width, 3]. */
export interface ImageSequence {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Any further numeric column: `values` is [T, ...shape]. */
export interface NumericColumn {
  readonly dtype: NumericDType;
  readonly shape: readonly number[];
  readonly values: NumericArray;
}
/** A text column, one string a frame. */
export interface StringColumn {
  readonly dtype: 'string';
  readonly values: readonly string[];
}
export type Column = NumericColumn | StringColumn;

export interface Episode {
  /** Position in its data set. */
  readonly index: number;
  /** The instruction, e.g. "put the carrot on the plate". */
  readonly task: string;
  /** Frames a second. */
  readonly fps: number;
  /** T. */
  readonly length: number;
  /** Proprioception [T, stateDim]; for the embedded robots x y z (m), roll pitch yaw (rad), gripper (1 open, 0 closed). */
  readonly state: Float32Array;
  readonly stateDim: number;
  /** Action [T, actionDim]; for the embedded robots six deltas (m, rad) and the absolute gripper. */
  readonly action: Float32Array;
  readonly actionDim: number;
  /** By camera name. A reader that was told to skip pictures leaves it empty. */
  readonly images: Readonly<Record<string, ImageSequence>>;
  /** Everything else the data set declares, e.g. `reasoning.text`. */
  readonly columns: Readonly<Record<string, Column>>;
  /** Language that stays active from its timestamp until superseded (plan, subtask, motion). */
  readonly languagePersistent: readonly LanguageRow[];
  /** Language tied to one frame; empty or T lists. */
  readonly languageEvents: readonly (readonly LanguageEvent[])[];
  /** Seconds from the episode's start [T]; absent means frame / fps. */
  readonly timestamps?: Float32Array;
  /** Instruction of every frame, where an episode has more than one. */
  readonly frameTasks?: readonly string[];
}

/** One frame as a robot would see it. Views, not copies. */
export interface Frame {
  readonly index: number;
  readonly timestamp: number;
  readonly state: Float32Array;
  readonly action: Float32Array;
  readonly images: Readonly<
    Record<string, { readonly data: Uint8Array; readonly width: number; readonly height: number }>
  >;
}

/** Frame `t` of an episode. Throws RangeError outside [0, T). */
export function frameAt(episode: Episode, t: number): Frame {
  if (!Number.isInteger(t) || t < 0 || t >= episode.length)
    throw new RangeError(`Frame ${t} is outside episode ${episode.index}, which has ${episode.length} frames`);
  const images: Record<string, { data: Uint8Array; width: number; height: number }> = {};
  for (const [camera, { width, height, data }] of Object.entries(episode.images)) {
    const size = width * height * 3;
    images[camera] = { width, height, data: data.subarray(t * size, (t + 1) * size) };
  }
  return {
    index: t,
    timestamp: episode.timestamps?.[t] ?? t / episode.fps,
    state: episode.state.subarray(t * episode.stateDim, (t + 1) * episode.stateDim),
    action: episode.action.subarray(t * episode.actionDim, (t + 1) * episode.actionDim),
    images,
  };
}

/**
 * Checks an episode against the features it is to be stored under (the automatic columns excluded). Cameras in `withoutPixels` may be empty.
 * Throws InvalidEpisodeError naming the episode and the field at the first contradiction.
 */
export function validateEpisode(
  episode: Episode,
  features: Features,
  fps?: number,
  withoutPixels: ReadonlySet<string> = new Set(),
): void {
  const { index, length } = episode;
  const fail: Fail = (what, field, frame) => {
    throw new InvalidEpisodeError(what, { episode: index, field, frame });
  };
  if (!Number.isInteger(length) || length < 1) fail(`An episode needs at least one frame, this has ${length}`);
  if (episode.task.trim() === '') fail('The instruction is empty', 'task');
  if (!(episode.fps > 0)) fail(`fps must be positive, got ${episode.fps}`, 'fps');
  if (fps !== undefined && episode.fps !== fps) fail(`fps is ${episode.fps}, the data set has ${fps}`, 'fps');
  if (episode.frameTasks && episode.frameTasks.length !== length)
    fail(`${episode.frameTasks.length} frame tasks for ${length} frames`, 'task');
  if (episode.timestamps) checkTimestamps(episode.timestamps, episode, fail);

  const cameras = cameraKeys(features);
  const known = new Set<string>([STATE_KEY, ACTION_KEY, LANGUAGE_PERSISTENT_KEY, LANGUAGE_EVENTS_KEY]);
  for (const [key, feature] of Object.entries(features)) {
    if (key in AUTOMATIC_FEATURES) continue;
    if (feature.dtype === 'image' || feature.dtype === 'video') continue;
    if (feature.dtype === 'language') continue;
    known.add(key);
    if (key === STATE_KEY) checkFloats(episode.state, episode.stateDim, featureSize(feature), length, key, fail);
    else if (key === ACTION_KEY)
      checkFloats(episode.action, episode.actionDim, featureSize(feature), length, key, fail);
    else checkColumn(episode.columns[key], key, feature.dtype, featureSize(feature), isNumeric(feature), length, fail);
  }
  if (!(STATE_KEY in features) && episode.state.length > 0) fail('The data set declares no state', STATE_KEY);
  if (!(ACTION_KEY in features) && episode.action.length > 0) fail('The data set declares no action', ACTION_KEY);
  for (const key of Object.keys(episode.columns)) if (!known.has(key)) fail('The column is not declared', key);

  for (const [camera, key] of Object.entries(cameras)) {
    const sequence = episode.images[camera];
    if (withoutPixels.has(camera)) continue;
    if (!sequence) fail('The camera is missing', key);
    const [height = 0, width = 0] = features[key]?.shape ?? [];
    if (sequence.width !== width || sequence.height !== height)
      fail(`Pictures are ${sequence.width}x${sequence.height}, declared are ${width}x${height}`, key);
    const expected = length * width * height * 3;
    if (sequence.data.length !== expected) fail(`${sequence.data.length} bytes of pictures, expected ${expected}`, key);
  }
  for (const camera of Object.keys(episode.images))
    if (!(camera in cameras)) fail('The camera is not declared', camera);

  checkLanguage(episode, features, cameras, fail);
}

type Fail = (what: string, field?: string, frame?: number) => never;

function checkTimestamps(timestamps: Float32Array, episode: Episode, fail: Fail): void {
  if (timestamps.length !== episode.length)
    fail(`${timestamps.length} timestamps for ${episode.length} frames`, 'timestamp');
  for (let t = 0; t < timestamps.length; t++) {
    // The official loader checks consecutive differences against 1 / fps within 1e-4 s; float32 adds its own rounding.
    const expected = t / episode.fps;
    if (!(Math.abs((timestamps[t] ?? Number.NaN) - expected) <= 1e-4 + expected * 1e-6))
      fail(`Timestamp ${timestamps[t]} s, expected ${expected} s at ${episode.fps} frames/s`, 'timestamp', t);
  }
}

function checkFloats(values: Float32Array, dim: number, size: number, length: number, key: string, fail: Fail): void {
  if (dim !== size) fail(`${dim} dimensions, declared are ${size}`, key);
  if (values.length !== length * size) fail(`${values.length} values, expected ${length} x ${size}`, key);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) fail(`Value ${values[bad]} in dimension ${bad % size}`, key, Math.floor(bad / size));
}

function checkColumn(
  column: Column | undefined,
  key: string,
  dtype: string,
  size: number,
  numeric: boolean,
  length: number,
  fail: Fail,
): void {
  if (!column) fail('The declared column is missing', key);
  if (column.dtype !== dtype) fail(`dtype is ${column.dtype}, declared is ${dtype}`, key);
  const expected = length * (numeric ? size : 1);
  if (column.values.length !== expected) fail(`${column.values.length} values, expected ${expected}`, key);
  if (column.dtype === 'string') {
    // A null would become a null in parquet, which the official loader cannot collate.
    const bad = column.values.findIndex((value) => typeof value !== 'string');
    if (bad >= 0) fail('Text must be a string, "" for none', key, bad);
    return;
  }
  const wanted = allocateNumeric(column.dtype, 0);
  if (column.values.constructor !== wanted.constructor)
    fail(`Values are ${column.values.constructor.name}, expected ${wanted.constructor.name}`, key);
}

function checkLanguage(episode: Episode, features: Features, cameras: Record<string, string>, fail: Fail): void {
  if (episode.languagePersistent.length > 0 && !(LANGUAGE_PERSISTENT_KEY in features))
    fail('The column is not declared', LANGUAGE_PERSISTENT_KEY);
  if (episode.languageEvents.length > 0) {
    if (!(LANGUAGE_EVENTS_KEY in features)) fail('The column is not declared', LANGUAGE_EVENTS_KEY);
    if (episode.languageEvents.length !== episode.length)
      fail(`${episode.languageEvents.length} lists for ${episode.length} frames`, LANGUAGE_EVENTS_KEY);
  }
  const keys = new Set(Object.values(cameras));
  let previous = Number.NEGATIVE_INFINITY;
  for (const row of episode.languagePersistent) {
    const problem = checkLanguageRow(row, 'persistent', keys);
    if (problem) fail(problem, LANGUAGE_PERSISTENT_KEY);
    if (!(row.timestamp >= previous))
      fail(`Rows must be sorted by timestamp, ${row.timestamp} s follows ${previous} s`, LANGUAGE_PERSISTENT_KEY);
    if (row.timestamp < 0 || row.timestamp > (episode.length - 1) / episode.fps + 1e-4)
      fail(`Timestamp ${row.timestamp} s is outside the episode`, LANGUAGE_PERSISTENT_KEY);
    previous = row.timestamp;
  }
  for (const [t, rows] of episode.languageEvents.entries()) {
    for (const row of rows) {
      const problem = checkLanguageRow(row, 'event', keys);
      if (problem) fail(problem, LANGUAGE_EVENTS_KEY, t);
    }
  }
}
