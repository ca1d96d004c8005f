/** Named errors of the pruning layer: what is wrong, where, and what to do next. Knows nothing about the methods. */
import { DataError, type DataErrorLocation } from '../data/errors.js';

/** A keep-labels or labels file is malformed, or does not belong to the data it is used with. */
export class KeepLabelsError extends DataError {
  override readonly name = 'KeepLabelsError';
}

/** A pruning option or input that cannot be used. */
export class PruneError extends DataError {
  override readonly name = 'PruneError';
}

/** The same complaint with more about where: the formulas know the frame, their caller the file and the episode. */
export function locate(error: PruneError, where: DataErrorLocation): PruneError {
  const { file, episode, frame, field, hint } = error;
  const own = { file, episode, frame, field, hint };
  const suffix = new PruneError('', own).message.length;
  const what = error.message.slice(0, error.message.length - suffix);
  return new PruneError(what, { ...own, ...where, cause: error });
}
