/**
 * Rows of a batch that go through the language model together. A batch in which one row in seven reasons would otherwise spend most
 * of its time on the padding of the other six.
 *
 * Knows nothing about tokens or tensors.
 */

/** A group's shortest row is at least this share of its longest. */
const SHORTEST = 0.8;

/**
 * Rows of similar length, each group's in their order; the groups from the longest to the shortest. Rows that are all
 * similar are one group.
 * @param lengths tokens of each row, padding excluded
 */
export function groupByLength(lengths: readonly number[]): number[][] {
  const longestFirst = lengths.map((_, row) => row).sort((a, b) => lengthOf(b) - lengthOf(a) || a - b);
  const groups: number[][] = [];
  let longest = 0;
  for (const row of longestFirst) {
    const group = groups.at(-1);
    if (group !== undefined && lengthOf(row) >= SHORTEST * longest) group.push(row);
    else {
      groups.push([row]);
      longest = lengthOf(row);
    }
  }
  for (const group of groups) group.sort((a, b) => a - b);
  return groups;

  function lengthOf(row: number): number {
    return lengths[row] as number;
  }
}
