/** Named errors of the pruning layer: what is wrong, where, and what to do next. Knows nothing about the methods. */
import { DataError } from '../data/errors.js';

/** A keep-labels or labels file is malformed, or does not belong to the data it is used with. */
export class KeepLabelsError extends DataError {
  override readonly name = 'KeepLabelsError';
}

/** A pruning option or input that cannot be used. */
export class PruneError extends DataError {
  override readonly name = 'PruneError';
}
