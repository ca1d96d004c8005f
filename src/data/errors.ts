/**
 * Named errors of the data layer. Each says what is wrong, where (file, episode, field), and what to do next.
 *
 * Knows nothing about the formats themselves: readers and writers fill in the details.
 */

/** Where in a data set something went wrong. Absent keys mean "not specific to one". */
export interface DataErrorLocation {
  readonly file?: string | undefined;
  readonly episode?: number | undefined;
  readonly frame?: number | undefined;
  readonly field?: string | undefined;
  /** The command or action that helps. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** Base class of every error thrown by `src/data`. */
export class DataError extends Error {
  override readonly name: string = 'DataError';
  readonly file: string | undefined;
  readonly episode: number | undefined;
  readonly frame: number | undefined;
  readonly field: string | undefined;
  readonly hint: string | undefined;

  constructor(what: string, location: DataErrorLocation = {}) {
    const where = [
      location.file && `file ${location.file}`,
      location.episode !== undefined && `episode ${location.episode}`,
      location.frame !== undefined && `frame ${location.frame}`,
      location.field && `field ${location.field}`,
    ].filter((part): part is string => typeof part === 'string');
    const suffix = `${where.length > 0 ? ` (${where.join(', ')})` : ''}${location.hint ? `. ${location.hint}` : ''}`;
    super(what + suffix, location.cause === undefined ? undefined : { cause: location.cause });
    this.file = location.file;
    this.episode = location.episode;
    this.frame = location.frame;
    this.field = location.field;
    this.hint = location.hint;
  }
}

/** An episode that breaks its own declaration: wrong length, dtype, shape, NaN, empty task. */
export class InvalidEpisodeError extends DataError {
  override readonly name = 'InvalidEpisodeError';
}

/** A file of a data set cannot be read or contradicts another one. */
export class CorruptDatasetError extends DataError {
  override readonly name = 'CorruptDatasetError';
}

/** The directory holds no data set, or one that was never finished. */
export class MissingDatasetError extends DataError {
  override readonly name = 'MissingDatasetError';
}

/** A well-formed data set that this reader does not handle (other version, unknown dtype). */
export class UnsupportedDatasetError extends DataError {
  override readonly name = 'UnsupportedDatasetError';
}

/** The output exists already, another writer holds it, or a resumed run asks for something else. */
export class DatasetConflictError extends DataError {
  override readonly name = 'DatasetConflictError';
}

/** The disk refuses: full, read-only, failing. */
export class StorageError extends DataError {
  override readonly name = 'StorageError';
}

/** ffmpeg is missing or failed, or a video does not have the frames that the metadata promises. */
export class VideoError extends DataError {
  override readonly name = 'VideoError';
}

/** A picture that cannot be decoded. */
export class ImageError extends DataError {
  override readonly name = 'ImageError';
}

/** The Hub, or another server, cannot be reached, refuses, or sends something else than it said. */
export class HubError extends DataError {
  override readonly name = 'HubError';
  /** Status of the answer; undefined where there was none. */
  readonly status: number | undefined;

  constructor(what: string, location: DataErrorLocation & { readonly status?: number | undefined } = {}) {
    super(what, location);
    this.status = location.status;
  }
}
