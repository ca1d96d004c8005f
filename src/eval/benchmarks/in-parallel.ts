/** Work on many things at once, so many at a time; the first failure stops what has not begun. */

/** @returns the results in the order of the items */
export async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, i: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  let failed = false;
  const run = async (): Promise<void> => {
    while (!failed && next < items.length) {
      const i = next++;
      try {
        results[i] = await work(items[i] as T, i);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const runs = Array.from({ length: Math.min(atOnce, items.length) }, run);
  // Whatever has begun is waited for, so that nothing goes on behind the error.
  const settled = await Promise.allSettled(runs);
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
  return results;
}
