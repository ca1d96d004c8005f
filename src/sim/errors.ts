/**
 * Named errors of the simulator. Each says what went wrong, where, and what to do next. Knows nothing of how they are shown.
 */

/** Base of every error that `src/sim` throws on purpose. */
export class SimError extends Error {
  override readonly name: string = 'SimError';
}

/** A task, variant, camera, size or seed that does not exist. `nearest` is the closest valid name, where there is one. */
export class SimOptionError extends SimError {
  override readonly name = 'SimOptionError';
}

/** An action that is not seven finite numbers. */
export class SimActionError extends SimError {
  override readonly name = 'SimActionError';
}

/** The physics diverged (MuJoCo reset itself) or a pose became non-finite. The environment must be reset before the next step. */
export class SimUnstableError extends SimError {
  override readonly name = 'SimUnstableError';
}

/** No valid scene was found for a seed within the allowed number of draws. */
export class SceneSamplingError extends SimError {
  override readonly name = 'SceneSamplingError';
}

/** A method was called in the wrong order: `step` before `reset`, or anything after `dispose`. */
export class SimStateError extends SimError {
  override readonly name = 'SimStateError';
}

/** A worker of an `EnvPool` failed or ended. */
export class EnvPoolError extends SimError {
  override readonly name = 'EnvPoolError';
}

/** Levenshtein distance, for "did you mean". */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Returns `value` typed as one of `valid`, or throws a {@link SimOptionError} that names the nearest valid value. */
export function requireOneOf<T extends string>(kind: string, value: string, valid: readonly T[]): T {
  const found = valid.find((name) => name === value);
  if (found !== undefined) return found;
  const nearest = [...valid].sort((a, b) => editDistance(value, a) - editDistance(value, b))[0];
  throw new SimOptionError(`unknown ${kind} '${value}'; did you mean '${nearest}'? Valid: ${valid.join(', ')}`);
}
