/**
 * Features of a LeRobot data set: the `features` table of meta/info.json, one entry a column.
 *
 * Facts: LeRobot v3.0 (`dtype` is a NumPy name, `string`, `image`, `video` or `language`; no "/" in names; five automatic
 * columns of shape [1]). Knows nothing about files.
 */
import { z } from 'zod';
import { UnsupportedDatasetError } from './errors.js';

export const NUMERIC_DTYPES = [
  'float32',
  'float64',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'float16',
  'bool',
] as const;
export type NumericDType = (typeof NUMERIC_DTYPES)[number];
export type FeatureDType = NumericDType | 'string' | 'image' | 'video' | 'language';

/** Values of a numeric column: 64-bit integers are BigInt, `bool` is 0 or 1, `float16` is widened. */
export type NumericArray = Float32Array | Float64Array | Int32Array | Uint32Array | BigInt64Array | Uint8Array;

/** One column's declaration. `shape` excludes the time axis; images are [height, width, 3]. */
export interface Feature {
  readonly dtype: FeatureDType;
  readonly shape: readonly number[];
  readonly names: unknown;
  readonly info?: Readonly<Record<string, unknown>>;
}
export type Features = Readonly<Record<string, Feature>>;

const featureSchema = z.looseObject({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  names: z.unknown().optional(),
  info: z.record(z.string(), z.unknown()).nullish(),
  // Older writers keep the codec facts under this key.
  video_info: z.record(z.string(), z.unknown()).nullish(),
});
export const featuresSchema = z.record(z.string(), featureSchema);

const FEATURE_DTYPES = new Set<string>([...NUMERIC_DTYPES, 'string', 'image', 'video', 'language']);

/** What declares more values a frame is damaged: a depth map has a third of a million, a picture of 8192 x 8192 pixels 200 million. */
const MAX_NUMBERS = 2 ** 20;
const MAX_PIXEL_VALUES = 2 ** 28;
/** Names are lists, or lists by group. */
const MAX_NESTING = 8;

function nestedDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => nestedDeeper(inner, levels - 1));
}

/**
 * Turns the parsed JSON table into typed features.
 * @throws UnsupportedDatasetError for an unknown dtype, a "/" in a name, an impossible shape or endlessly nested names
 */
export function toFeatures(raw: z.infer<typeof featuresSchema>, file: string): Features {
  const features: Record<string, Feature> = {};
  for (const [name, feature] of Object.entries(raw)) {
    if (name.includes('/'))
      throw new UnsupportedDatasetError('A feature name may not contain "/"', { file, field: name });
    if (!FEATURE_DTYPES.has(feature.dtype))
      throw new UnsupportedDatasetError(`Unknown dtype "${feature.dtype}"`, { file, field: name });
    const most = (NUMERIC_DTYPES as readonly string[]).includes(feature.dtype) ? MAX_NUMBERS : MAX_PIXEL_VALUES;
    if (!(feature.shape.reduce((product, size) => product * size, 1) <= most))
      throw new UnsupportedDatasetError(`A frame of it would hold ${feature.shape.join(' x ')} values`, {
        file,
        field: name,
      });
    if (nestedDeeper(feature.names, MAX_NESTING))
      throw new UnsupportedDatasetError(`Its names are lists in lists, more than ${MAX_NESTING} deep`, {
        file,
        field: name,
      });
    const info = feature.info ?? feature.video_info;
    features[name] = {
      dtype: feature.dtype as FeatureDType,
      shape: feature.shape,
      names: feature.names ?? null,
      ...(info ? { info } : {}),
    };
  }
  return features;
}

const scalar = (dtype: FeatureDType): Feature => ({ dtype, shape: [1], names: null });

/** The five columns every data set has; the writer fills them. */
export const AUTOMATIC_FEATURES: Features = {
  timestamp: scalar('float32'),
  frame_index: scalar('int64'),
  episode_index: scalar('int64'),
  index: scalar('int64'),
  task_index: scalar('int64'),
};

export const STATE_KEY = 'observation.state';
export const ACTION_KEY = 'action';
export const LANGUAGE_PERSISTENT_KEY = 'language_persistent';
export const LANGUAGE_EVENTS_KEY = 'language_events';
/** 1 where the executed action deliberately differs from the label: actions after it answer the disturbance, not the frame before it. */
export const DISTURBED_KEY = 'execution.disturbed';
/** Name of the true phase of a frame (`approach`, `grasp` ...), in generated demonstrations. */
export const PHASE_KEY = 'phase';
/** Full reasoning text of a frame, "" when the frame has none. */
export const REASONING_TEXT_KEY = 'reasoning.text';
/** Whether the frame's reasoning is kept; dual-layer pruning writes it. */
export const REASONING_KEEP_KEY = 'reasoning.keep';
export const REASONING_SCENE_SCORE_KEY = 'reasoning.scene_score';
export const REASONING_MOTION_SCORE_KEY = 'reasoning.motion_score';

const IMAGE_PREFIX = 'observation.images.';

/** `observation.images.third` -> `third`; a key outside that namespace is its own camera name. */
export function cameraOf(featureKey: string): string {
  if (featureKey.startsWith(IMAGE_PREFIX)) return featureKey.slice(IMAGE_PREFIX.length);
  return featureKey.startsWith('observation.') ? featureKey.slice('observation.'.length) : featureKey;
}

/** camera name -> feature key, for every image or video feature. */
export function cameraKeys(features: Features): Record<string, string> {
  const cameras: Record<string, string> = {};
  for (const [key, feature] of Object.entries(features)) {
    if (feature.dtype === 'image' || feature.dtype === 'video') cameras[cameraOf(key)] = key;
  }
  return cameras;
}

export interface RobotFeatureOptions {
  /** Names of the state's dimensions; their number is its size. */
  readonly state: readonly string[];
  /** Names of the action's dimensions. */
  readonly action: readonly string[];
  readonly cameras: readonly { readonly name: string; readonly width: number; readonly height: number }[];
  /** `image` keeps every pixel (PNG inside the parquet file); `video` is smaller and lossy. */
  readonly imageStorage?: 'image' | 'video';
  /** Adds the language columns and the `reasoning.*` columns. */
  readonly reasoning?: boolean;
  /** Adds `execution.disturbed`, for demonstrations whose execution is disturbed on purpose. */
  readonly disturbed?: boolean;
}

/** Features of a robot data set in the layout this project writes; the automatic columns are added by the writer. */
export function robotFeatures(options: RobotFeatureOptions): Features {
  const features: Record<string, Feature> = {
    [STATE_KEY]: { dtype: 'float32', shape: [options.state.length], names: [...options.state] },
    [ACTION_KEY]: { dtype: 'float32', shape: [options.action.length], names: [...options.action] },
  };
  for (const camera of options.cameras) {
    features[IMAGE_PREFIX + camera.name] = {
      dtype: options.imageStorage ?? 'image',
      shape: [camera.height, camera.width, 3],
      names: ['height', 'width', 'channels'],
    };
  }
  if (options.disturbed) features[DISTURBED_KEY] = scalar('bool');
  if (options.reasoning) {
    features[LANGUAGE_PERSISTENT_KEY] = scalar('language');
    features[LANGUAGE_EVENTS_KEY] = scalar('language');
    features[REASONING_TEXT_KEY] = scalar('string');
    features[REASONING_KEEP_KEY] = scalar('bool');
    features[REASONING_SCENE_SCORE_KEY] = scalar('float32');
    features[REASONING_MOTION_SCORE_KEY] = scalar('float32');
  }
  return features;
}

/** Number of values a frame holds in this feature. */
export function featureSize(feature: Feature): number {
  return feature.shape.reduce((product, size) => product * size, 1);
}

export function isNumeric(feature: Feature): feature is Feature & { readonly dtype: NumericDType } {
  return (NUMERIC_DTYPES as readonly string[]).includes(feature.dtype);
}

/** A zeroed array that can hold `length` values of `dtype`. */
export function allocateNumeric(dtype: NumericDType, length: number): NumericArray {
  switch (dtype) {
    case 'float32':
    case 'float16':
      return new Float32Array(length);
    case 'float64':
      return new Float64Array(length);
    case 'int64':
    case 'uint64':
      return new BigInt64Array(length);
    case 'uint32':
      return new Uint32Array(length);
    case 'uint8':
    case 'bool':
      return new Uint8Array(length);
    case 'int8':
    case 'int16':
    case 'int32':
    case 'uint16':
      return new Int32Array(length);
  }
}
