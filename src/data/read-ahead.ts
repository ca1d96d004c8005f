/** Reading one item ahead: while the caller works on an item, the next is being read (a video decoded in a process of its own). */

/**
 * The items of `source` in order; the next is asked for before one is handed out. An error of the source comes where its item would have.
 * Memory: two items at a time.
 */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  const items = source[Symbol.asyncIterator]();
  let next = items.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = items.next();
      // It is looked at when its turn comes; until then it is not unhandled.
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await next.catch(() => undefined);
    await items.return?.();
  }
}
