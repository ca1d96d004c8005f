/** Questions about small tables of numbers. */
import type { Random } from '../random.js';
import type { Table } from './drawings.js';
import { onDrawing, type QuestionType } from './question.js';
import { DIGITS, type Digit, isHeldOutCode, type Letter } from './vocabulary.js';

const COLUMNS = ['A', 'C'] as const;
const ROWS = ['X', 'T'] as const;
const CELLS = [0, 1].flatMap((row) => [0, 1].map((column) => [row, column] as const));
const DIGITS_A_CELL = DIGITS.length;

/** Some digits never stand in some cells of training tables. */
const isHeldOutCell = (row: number, column: number, digit: Digit): boolean =>
  isHeldOutCode(2 * row + column, DIGITS.indexOf(digit));

function drawTable(random: Random, seed: number, shown: boolean): Table {
  const swap = random.chance(0.5);
  const [columns, rows] = [random.shuffle(COLUMNS), random.shuffle(ROWS)];
  const cell = (row: number, column: number): Digit => {
    for (;;) {
      const digit = DIGITS[random.int(DIGITS_A_CELL)] as Digit;
      if (shown || !isHeldOutCell(row, column, digit)) return digit;
    }
  };
  return {
    kind: 'table',
    seed,
    columns: (swap ? rows : columns) as [Letter, Letter],
    rows: (swap ? columns : rows) as [Letter, Letter],
    cells: [0, 1].map((row) => [0, 1].map((column) => cell(row, column))),
  };
}

const digitAt = ({ cells }: Table, row: number, column: number): Digit => cells[row]?.[column] as Digit;

const LOOK_UP = onDrawing('table', {
  family: 'table',
  name: 'cell by its row and column',
  weight: 2,
  choosable: true,
  values: () => DIGITS,
  draw: drawTable,
  ask(table, random) {
    const [row, column] = random.pick(CELLS);
    const [r, c] = [table.rows[row], table.columns[column]];
    const answer = digitAt(table, row, column);
    const question = random.pick([
      `What number is in row ${r}, column ${c}?`,
      `What does the table say for column ${c} in row ${r}?`,
      `Read the cell of row ${r} and column ${c}.`,
    ]);
    return { question, answer, heldOut: isHeldOutCell(row, column, answer) };
  },
});

const CORNER = onDrawing('table', {
  family: 'table',
  name: 'cell by its place',
  weight: 1,
  choosable: true,
  values: () => DIGITS,
  draw: drawTable,
  ask(table, random) {
    const [row, column] = random.pick(CELLS);
    const place = `${row === 0 ? 'first' : 'last'} row, ${column === 0 ? 'first' : 'last'} column`;
    const answer = digitAt(table, row, column);
    const question = random.pick([`What is the number in the ${place}?`, `Read the number in the ${place}.`]);
    return { question, answer, heldOut: isHeldOutCell(row, column, answer) };
  },
});

const WHERE = onDrawing('table', {
  family: 'table',
  name: 'row or column of a number',
  weight: 1,
  values: () => ['first', 'last'],
  draw: drawTable,
  ask(table, random) {
    const [row, column] = random.pick(CELLS);
    const digit = digitAt(table, row, column);
    if (table.cells.flat().filter((other) => other === digit).length !== 1) return undefined;
    const line = random.pick(['row', 'column'] as const);
    const question = random.pick([`In which ${line} is the ${digit}?`, `Which ${line} holds the number ${digit}?`]);
    const i = line === 'row' ? row : column;
    const names = line === 'row' ? table.rows : table.columns;
    return {
      question,
      answer: names[i] as Letter,
      value: i === 0 ? 'first' : 'last',
      heldOut: isHeldOutCell(row, column, digit),
    };
  },
});

const LARGER = onDrawing('table', {
  family: 'table',
  name: 'larger of two numbers',
  weight: 1,
  values: () => ['first', 'last'],
  draw: drawTable,
  ask(table, random) {
    const column = random.int(2);
    const [above, below] = [digitAt(table, 0, column), digitAt(table, 1, column)];
    if (Math.abs(Number(above) - Number(below)) < 2) return undefined;
    const larger = random.chance(0.5);
    const question = random.pick([
      `Which row has the ${larger ? 'larger' : 'smaller'} number in column ${table.columns[column]}?`,
      `In column ${table.columns[column]}, which row has the ${larger ? 'larger' : 'smaller'} number?`,
    ]);
    const isFirst = Number(above) > Number(below) === larger;
    return {
      question,
      answer: table.rows[isFirst ? 0 : 1],
      value: isFirst ? 'first' : 'last',
      heldOut: isHeldOutCell(0, column, above) || isHeldOutCell(1, column, below),
    };
  },
});

export const TABLE_TYPES: readonly QuestionType[] = [LOOK_UP, CORNER, WHERE, LARGER];
