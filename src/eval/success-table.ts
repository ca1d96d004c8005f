/**
 * Success counts by task and variant, the table every result is read from. A cell is named `<robot>/<task>/<vm|va>`, as
 * in outputs/demo/result.json.
 *
 * Knows nothing about how the episodes came about or how the table is shown.
 */
import type { SuccessRow } from './charts.js';
import type { Count } from './wilson.js';

/** Counts by cell, `widowx/put-carrot-on-plate/vm` -> successes and trials. */
export type SuccessTable = Record<string, Count>;

/** What a table needs to know of an episode. */
export interface TriedEpisode {
  task: string;
  variant: string;
  success: boolean;
}

/** Name of the cell of a task and variant. */
export function cellKey(task: string, variant: string): string {
  return `${task}/${variant}`;
}

/** Splits a cell's name into task and variant; variants may be `vm`, `va` or one factor, `va:lighting`. */
export function parseCellKey(key: string): { task: string; variant: string } {
  const slash = key.lastIndexOf('/');
  return { task: key.slice(0, slash), variant: key.slice(slash + 1) };
}

/** Counts episodes by cell, cells in order of their first episode. */
export function tallySuccess(episodes: Iterable<TriedEpisode>): SuccessTable {
  const table: SuccessTable = {};
  for (const { task, variant, success } of episodes) {
    const key = cellKey(task, variant);
    const count = table[key] ?? { successes: 0, trials: 0 };
    table[key] = { successes: count.successes + (success ? 1 : 0), trials: count.trials + 1 };
  }
  return table;
}

/** The cells of one variant. */
export function cellsOf(table: SuccessTable, variant: string): Count[] {
  return Object.entries(table)
    .filter(([key]) => parseCellKey(key).variant === variant)
    .map(([, count]) => count);
}

/** A row a task with its variants side by side, tasks in order of their first cell. */
export function rowsOf(table: SuccessTable): SuccessRow[] {
  const rows = new Map<string, SuccessRow>();
  for (const [key, count] of Object.entries(table)) {
    const { task, variant } = parseCellKey(key);
    const row = rows.get(task) ?? { label: task, counts: [] };
    row.counts.push({ variant, count });
    rows.set(task, row);
  }
  return [...rows.values()];
}
