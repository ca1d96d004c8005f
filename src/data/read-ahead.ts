/** Working ahead: while the caller has one result, the next are being made (videos decoded in processes of their own). */

/**
 * What `work` makes of the items of `source`, in order, with `width` of them worked on at a time. An error comes where its item's result would
 * have; by then, or when the caller leaves, `stop` tells the others. Memory: `width` items and their results.
 */
export async function* mapAhead<T, R>(
  source: AsyncIterable<T>,
  width: number,
  work: (item: T, stop: AbortSignal) => Promise<R>,
): AsyncGenerator<R> {
  const items = source[Symbol.asyncIterator]();
  const stopping = new AbortController();
  const running: Promise<R>[] = [];
  const start = (result: Promise<R>): void => {
    result.catch(() => undefined);
    running.push(result);
  };
  let isOpen = true;
  try {
    for (;;) {
      while (isOpen && running.length < width) {
        const next = await items.next().catch((error: unknown) => ({ done: true as const, error }));
        isOpen = !next.done;
        if (!next.done) start(work(next.value, stopping.signal));
        else if ('error' in next) start(Promise.reject(next.error));
      }
      const first = running.shift();
      if (!first) return;
      yield await first;
    }
  } finally {
    stopping.abort();
    await Promise.allSettled(running);
    await items.return?.();
  }
}
