/** Success tables as text: a row a task, a column a variant, every rate with its count and 95 % interval. */
import { cellsOf, parseCellKey, rowsOf, type SuccessTable } from '../eval/success-table.js';
import { type Count, meanRate, wilsonInterval } from '../eval/wilson.js';
import { formatInterval, formatRate, formatTable } from './terminal.js';

/** @returns lines without a final newline */
export function formatSuccessTable(table: SuccessTable): string {
  const variants = [...new Set(Object.keys(table).map((key) => parseCellKey(key).variant))];
  const rows = rowsOf(table).map(({ label, counts }) => [
    label,
    ...variants.flatMap((variant) => cell(counts.find((one) => one.variant === variant)?.count)),
  ]);
  const means = variants.flatMap((variant) => {
    const cells = cellsOf(table, variant).filter(({ trials }) => trials > 0);
    if (cells.length === 0) return ['', '', ''];
    const { rate, interval } = meanRate(cells);
    return [formatRate(rate), '', formatInterval(interval)];
  });
  const head = ['task', ...variants.flatMap((variant) => [variant.toUpperCase(), 'n', '95 %'])];
  const right = head.map((_, i) => i).slice(1);
  return formatTable([head, ...rows, ...(rows.length > 1 ? [['mean', ...means]] : [])], right);
}

function cell(count: Count | undefined): string[] {
  if (count === undefined || count.trials === 0) return ['-', '', ''];
  const rate = formatRate(count.successes / count.trials);
  return [rate, `${count.successes}/${count.trials}`, formatInterval(wilsonInterval(count))];
}
