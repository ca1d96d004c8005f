/**
 * Between an Episode and the columns of a LeRobot data file, both ways. Pictures pass as encoded bytes.
 *
 * Reading is lenient where official writers differ (float64 times, null leaves, missing language fields) and strict about content:
 * a null, a wrong length or text where numbers belong is an error that names file, episode, frame and field.
 */
import type { ColumnSource } from 'hyparquet-writer';
import type { Column, Episode } from './episode.js';
import { CorruptDatasetError } from './errors.js';
import {
  ACTION_KEY,
  allocateNumeric,
  cameraKeys,
  type Feature,
  type Features,
  featureSize,
  isNumeric,
  LANGUAGE_EVENTS_KEY,
  LANGUAGE_PERSISTENT_KEY,
  type NumericArray,
  type NumericDType,
  STATE_KEY,
} from './features.js';
import type { LanguageEvent, LanguageRow } from './language.js';
import type { NumberChunk } from './parquet-numbers.js';
import type { ParquetFile } from './parquet-read.js';

export interface EncodeColumnsContext {
  readonly features: Features;
  readonly episodeIndex: number;
  /** Global index of the episode's first frame. */
  readonly firstIndex: number;
  readonly taskIndex: (task: string) => number;
  /** feature key -> one encoded picture a frame, for features stored as `image`. */
  readonly pictures: Readonly<Record<string, readonly Uint8Array[]>>;
}

/** Nested lists of one frame's values in the feature's shape; scalars stay scalars. */
function nest(values: readonly unknown[], shape: readonly number[]): unknown {
  if (shape.length <= 1) return shape.length === 1 && shape[0] === 1 ? values[0] : values;
  return nestInner(values, shape);
}
function nestInner(values: readonly unknown[], shape: readonly number[]): unknown[] {
  if (shape.length === 1) return [...values];
  const [outer = 0, ...rest] = shape;
  const step = values.length / outer;
  return Array.from({ length: outer }, (_, i) => nestInner(values.slice(i * step, (i + 1) * step), rest));
}

function encodeNumeric(values: NumericArray, feature: Feature, length: number): unknown[] {
  const size = featureSize(feature);
  const isBool = feature.dtype === 'bool';
  return Array.from({ length }, (_, t) => {
    const row: unknown[] = Array.from(values.subarray(t * size, (t + 1) * size) as ArrayLike<number | bigint>);
    return nest(isBool ? row.map((value) => value === 1) : row, feature.shape);
  });
}

const encodeEvent = ({ role, content, style, camera }: LanguageEvent): Record<string, unknown> => ({
  role,
  content,
  style,
  camera,
  tool_calls: null,
});

/** The columns of one episode's row group, in the order of the features. The episode must be valid. */
export function encodeColumns(episode: Episode, context: EncodeColumnsContext): ColumnSource[] {
  const { features, episodeIndex, firstIndex, taskIndex, pictures } = context;
  const { length, fps } = episode;
  const frames = Array.from({ length }, (_, t) => t);
  const persistent = episode.languagePersistent.map((row) => ({
    ...encodeEvent(row),
    timestamp: Math.fround(row.timestamp),
  }));
  const columns: ColumnSource[] = [];
  const add = (name: string, data: unknown[], options: Partial<ColumnSource> = {}): void => {
    columns.push({ name, data, ...options });
  };
  // Statistics of the index columns let readers skip row groups when they want some episodes only.
  const indexed = { statistics: true };
  for (const [name, feature] of Object.entries(features)) {
    if (name === 'timestamp')
      add(
        name,
        frames.map((t) => Math.fround(episode.timestamps?.[t] ?? t / fps)),
      );
    else if (name === 'frame_index') add(name, frames.map(BigInt), indexed);
    else if (name === 'episode_index')
      add(
        name,
        frames.map(() => BigInt(episodeIndex)),
        indexed,
      );
    else if (name === 'index')
      add(
        name,
        frames.map((t) => BigInt(firstIndex + t)),
        indexed,
      );
    else if (name === 'task_index')
      add(
        name,
        frames.map((t) => BigInt(taskIndex(episode.frameTasks?.[t] ?? episode.task))),
        indexed,
      );
    else if (name === STATE_KEY) add(name, encodeNumeric(episode.state, feature, length));
    else if (name === ACTION_KEY) add(name, encodeNumeric(episode.action, feature, length));
    else if (name === LANGUAGE_PERSISTENT_KEY)
      add(
        name,
        frames.map(() => persistent),
      );
    else if (name === LANGUAGE_EVENTS_KEY)
      add(
        name,
        frames.map((t) => (episode.languageEvents[t] ?? []).map(encodeEvent)),
      );
    else if (feature.dtype === 'image') {
      const encoded = pictures[name];
      // Pictures are compressed already.
      add(
        name,
        frames.map((t) => ({ bytes: encoded?.[t], path: null })),
        { encoding: 'PLAIN', codec: 'UNCOMPRESSED' },
      );
    } else if (feature.dtype !== 'video') {
      const column = episode.columns[name];
      if (column?.dtype === 'string') add(name, [...column.values]);
      else if (column) add(name, encodeNumeric(column.values, feature, length));
    }
  }
  return columns;
}

/** Where decoded values come from, for error messages. */
export interface ColumnOrigin {
  readonly file: string;
  readonly episode?: number | undefined;
}

/** Numbers of a column, [T, ...shape]; throws CorruptDatasetError for nulls, text and wrong lengths. */
export function decodeNumeric(
  rows: readonly unknown[],
  name: string,
  feature: Feature,
  origin: ColumnOrigin,
): NumericArray {
  const size = featureSize(feature);
  const flatten = (row: unknown): readonly unknown[] =>
    typeof row === 'object' && row !== null
      ? Array.isArray(row)
        ? row.flat(feature.shape.length - 1)
        : Array.from(row as Iterable<unknown>)
      : [row];
  // A declared size counts only once a row has shown that it is meant.
  const isMeant = rows.length > 0 && flatten(rows[0]).length === size;
  const values = allocateNumeric(feature.dtype as NumericDType, isMeant ? rows.length * size : 0);
  const big = values instanceof BigInt64Array;
  for (let t = 0; t < rows.length; t++) {
    const flat = flatten(rows[t]);
    if (flat.length !== size)
      throw new CorruptDatasetError(`${flat.length} values, expected ${size}`, { ...origin, frame: t, field: name });
    for (let i = 0; i < size; i++) {
      const value = flat[i];
      const type = typeof value;
      if (type !== 'number' && type !== 'bigint' && type !== 'boolean')
        throw new CorruptDatasetError(
          `Expected a number, found ${value === null || value === undefined ? 'null' : type}`,
          {
            ...origin,
            frame: t,
            field: name,
          },
        );
      if (big && type === 'number' && !Number.isInteger(value))
        throw new CorruptDatasetError(`Expected a whole number, found ${value}`, { ...origin, frame: t, field: name });
      if (big) values[t * size + i] = BigInt(value as number | bigint | boolean);
      else values[t * size + i] = Number(value);
    }
  }
  return values;
}

/**
 * What `decodeNumeric` gives, of numbers read at once; undefined where it may have something to say (another number of values, numbers that are
 * not whole in a column of 64-bit integers).
 */
export function numbersAs(feature: Feature, found: NumberChunk | undefined): NumericArray | undefined {
  if (found?.size !== featureSize(feature)) return undefined;
  const { values } = found;
  const result = allocateNumeric(feature.dtype as NumericDType, values.length);
  if (result.constructor === values.constructor) return values;
  if (result instanceof BigInt64Array) {
    if (values instanceof BigInt64Array || !(values instanceof Int32Array || values instanceof Uint8Array))
      return undefined;
    for (let i = 0; i < values.length; i++) result[i] = BigInt(values[i] as number);
    return result;
  }
  for (let i = 0; i < values.length; i++) result[i] = Number(values[i]);
  return result;
}

/** Numbers [T, ...shape] of a column in rows [rowStart, rowEnd) of a file. Throws what `decodeNumeric` and the file throw. */
export async function readNumeric(
  file: ParquetFile,
  name: string,
  feature: Feature,
  [rowStart, rowEnd]: readonly [number, number],
  origin: ColumnOrigin,
): Promise<NumericArray> {
  const quick = numbersAs(feature, file.readNumbers(name, rowStart, rowEnd));
  return quick ?? decodeNumeric((await file.read([name], rowStart, rowEnd)).get(name) ?? [], name, feature, origin);
}

/** Text of a column; throws CorruptDatasetError for anything that is not text. */
export function decodeStrings(rows: readonly unknown[], name: string, origin: ColumnOrigin): string[] {
  return rows.map((value, frame) => {
    if (typeof value !== 'string')
      throw new CorruptDatasetError(
        `Expected text, found ${value === null || value === undefined ? 'null' : typeof value}`,
        {
          ...origin,
          frame,
          field: name,
        },
      );
    return value;
  });
}

/** The encoded bytes of a picture column; throws CorruptDatasetError when a picture is only a path to a file outside. */
export function decodePictureBytes(rows: readonly unknown[], name: string, origin: ColumnOrigin): Uint8Array[] {
  return rows.map((value, frame) => {
    const bytes = (value as { bytes?: unknown } | null)?.bytes;
    if (!(bytes instanceof Uint8Array) || bytes.length === 0)
      throw new CorruptDatasetError('The picture has no bytes', { ...origin, frame, field: name });
    return bytes;
  });
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function decodeEvent(value: unknown, name: string, origin: ColumnOrigin, frame: number): LanguageEvent {
  const row = value as Record<string, unknown> | null;
  if (typeof row?.role !== 'string')
    throw new CorruptDatasetError('A language row needs a role', { ...origin, frame, field: name });
  return { role: row.role, content: text(row.content), style: text(row.style), camera: text(row.camera) };
}

/** The rows in one frame's cell: a list, or nothing. */
function languageList(cell: unknown, name: string, origin: ColumnOrigin, frame: number): readonly unknown[] {
  if (cell === null || cell === undefined) return [];
  if (!Array.isArray(cell))
    throw new CorruptDatasetError(`Expected a list of language rows, found ${typeof cell}`, {
      ...origin,
      frame,
      field: name,
    });
  return cell;
}

/** Persistent rows of an episode, in time order: every frame holds the same list, so the first one counts. */
export function decodePersistent(rows: readonly unknown[], origin: ColumnOrigin): LanguageRow[] {
  return languageList(rows[0], LANGUAGE_PERSISTENT_KEY, origin, 0)
    .map((value) => {
      const timestamp = Number((value as Record<string, unknown>)?.timestamp ?? Number.NaN);
      if (!Number.isFinite(timestamp))
        throw new CorruptDatasetError('A persistent row needs a timestamp', {
          ...origin,
          field: LANGUAGE_PERSISTENT_KEY,
        });
      return { ...decodeEvent(value, LANGUAGE_PERSISTENT_KEY, origin, 0), timestamp };
    })
    .sort((a, b) => a.timestamp - b.timestamp);
}

export function decodeEvents(rows: readonly unknown[], origin: ColumnOrigin): LanguageEvent[][] {
  return rows.map((row, t) =>
    languageList(row, LANGUAGE_EVENTS_KEY, origin, t).map((value) =>
      decodeEvent(value, LANGUAGE_EVENTS_KEY, origin, t),
    ),
  );
}

/** Names of the columns that carry an episode's content apart from pictures. */
export function contentColumns(features: Features): string[] {
  const pictures = new Set(Object.values(cameraKeys(features)));
  return Object.keys(features).filter((name) => !pictures.has(name));
}

/** The further columns of an episode (neither automatic, state, action, pictures nor language). */
export function decodeColumn(rows: readonly unknown[], name: string, feature: Feature, origin: ColumnOrigin): Column {
  if (feature.dtype === 'string') return { dtype: 'string', values: decodeStrings(rows, name, origin) };
  if (!isNumeric(feature))
    throw new CorruptDatasetError(`dtype ${feature.dtype} has no column`, { ...origin, field: name });
  return { dtype: feature.dtype, shape: feature.shape, values: decodeNumeric(rows, name, feature, origin) };
}
