/**
 * The paper's Table 2 (arXiv 2511.22134v1): success in SimplerEnv, percent, and which of its averages are what they are said to be, the mean of the
 * nine columns. Others were carried over from elsewhere, where another average was taken, and do not compare with ours.
 */
import { PAPER_COLUMNS } from './columns.js';

export interface PaperRow {
  readonly model: string;
  readonly kind: 'specialist' | 'reasoning';
  /** Percent, in the order of `PAPER_COLUMNS`; null where the paper has none. */
  readonly cells: readonly (number | null)[];
  /** Percent, as printed. */
  readonly average: number | null;
}

/** A row with what its columns say of its average. */
export interface CheckedPaperRow extends PaperRow {
  /** Mean of the nine printed cells, percent; null where one is missing. */
  readonly mean: number | null;
  /** Whether the printed average is the mean of the nine, as far as rounding to one decimal allows. */
  readonly comparable: boolean;
}

type Cells = PaperRow['cells'];
const row = (kind: PaperRow['kind'], model: string, cells: Cells, average: number | null): PaperRow => ({
  model,
  kind,
  cells,
  average,
});

/** Table 2, in its order. */
export const PAPER_TABLE: readonly PaperRow[] = [
  row('specialist', 'RT-1-X', [59.7, 29.4, 56.7, 49.0, 31.7, 32.3, 0.0, 4.2, 0.0], 26.8),
  row('specialist', 'RT-2-X', [25.0, 35.5, 78.7, 82.3, 77.9, 79.2, null, null, null], null),
  row('specialist', 'Octo-Base', [22.7, 1.1, 17.0, 0.6, 4.2, 3.1, 15.8, 12.5, 0.0], 7.0),
  row('specialist', 'RoboVLMs', [43.5, 10.6, 77.3, 75.6, 61.7, 60.0, 45.8, 20.8, 4.2], 38.8),
  row('specialist', 'TraceVLA', [63.1, 61.6, 45.0, 64.3, 63.8, 60.6, 12.5, 16.6, 16.6], 38.6),
  row('specialist', 'OpenVLA', [63.0, 28.8, 18.0, 60.8, 56.3, 67.7, 4.2, 0.0, 0.0], 27.2),
  row('specialist', 'SpatialVLA', [57.4, 41.8, 86.0, 88.0, 77.9, 72.7, 16.7, 25.0, 29.2], 45.9),
  row('specialist', 'InstructVLA-E', [47.2, 60.6, 87.7, 76.0, 68.3, 77.3, 45.8, 20.8, 20.5], 56.0),
  row('reasoning', 'Magma', [9.7, 5.8, 46.0, 46.4, 60.0, 82.0, 45.8, 33.3, 8.3], 30.5),
  row('reasoning', 'ECoT', [0.0, 0.0, 0.0, 0.0, 0.2, 0.2, 4.2, 4.2, 0.0], 1.0),
  row('reasoning', 'Emma-X', [18.3, 20.5, 2.3, 5.3, 3.3, 7.3, 0.0, 0.0, 0.0], 6.3),
  row('reasoning', 'ThinkAct', [50.0, 47.6, 92.0, 84.0, 72.4, 63.8, 58.3, 37.5, 8.7], 57.1),
  row('reasoning', 'InstructVLA-G', [55.0, 55.2, 77.2, 90.8, 54.1, 70.0, 33.3, 29.2, 12.5], 53.0),
  row('reasoning', 'DualVLA', [63.9, 64.0, 93.3, 82.7, 60.9, 75.3, 50.0, 50.0, 8.3], 61.0),
];

/** Cells and average are rounded to 0.1 each: their difference can be half of that twice. */
const ROUNDING = 0.1 + 1e-9;

/** The table with every average checked against its own columns. */
export function checkPaperTable(rows: readonly PaperRow[] = PAPER_TABLE): CheckedPaperRow[] {
  return rows.map((one) => {
    const cells = one.cells.filter((cell) => cell !== null);
    const whole = cells.length === PAPER_COLUMNS.length;
    const mean = whole ? cells.reduce((sum, cell) => sum + cell, 0) / cells.length : null;
    const comparable = mean !== null && one.average !== null && Math.abs(mean - one.average) <= ROUNDING;
    return { ...one, mean, comparable };
  });
}
