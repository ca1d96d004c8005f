/**
 * Reading the formats' files: parquet beside DuckDB, TFRecord with and without checksums beside a plain read of the same bytes.
 *
 *   npx tsx bench/parquet.ts [--rows 1000000] [--records 4000] [--rounds 3] [--json]
 *
 * The parquet file has a float[7] and five scalars a row, a row group every 300 rows, as an episode makes one. DuckDB is no dependency: install
 * it beside (npm install --no-save @duckdb/node-api) or its rows are left out, which is said. Both give the same sums. Rates are by processor
 * time of the whole process, the least of the rounds. Build first (npm run build).
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { frameTfRecord, numericDatasetStats, readTfRecords } from 'dualvla/data';
import { ParquetAppender } from '../dist/data/parquet-append.js';
import { ParquetFile } from '../dist/data/parquet-read.js';
import { leaf, list, root } from '../dist/data/parquet-schema.js';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    records: { type: 'string', default: '4000' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const [rows, records, rounds] = [values.rows, values.records, values.rounds].map(Number) as [number, number, number];
const GROUP = 300;
const SCALARS = ['timestamp', 'a', 'b'] as const;
const INTEGERS = ['frame_index', 'index'] as const;

function writeParquet(path: string): void {
  const nodes = [list('state', leaf('element', 'float32'))]
    .concat(SCALARS.map((name) => leaf(name, 'float32')))
    .concat(INTEGERS.map((name) => leaf(name, 'int64')));
  const file = new ParquetAppender(path, root(nodes));
  for (let at = 0; at < rows; at += GROUP) {
    const count = Math.min(GROUP, rows - at);
    const each = <T>(value: (row: number) => T): T[] => Array.from({ length: count }, (_, i) => value(at + i));
    file.append([
      {
        name: 'state',
        data: each((row) => Array.from({ length: 7 }, (_, d) => Math.fround(Math.sin(row * 0.01 + d)))),
      },
      ...SCALARS.map((name, s) => ({ name, data: each((row) => Math.fround(row * 0.01 + s)) })),
      ...INTEGERS.map((name) => ({ name, data: each((row) => BigInt(row)) })),
    ]);
  }
  file.close();
}

/** The round of least processor time, which on a busy machine says more than the clock. */
async function best<T>(work: () => Promise<T> | T): Promise<{ seconds: number; clock: number; result: T }> {
  let least = { seconds: Number.POSITIVE_INFINITY, clock: 0, result: undefined as T };
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    const before = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    if (seconds < least.seconds) least = { seconds, clock: (performance.now() - start) / 1000, result };
  }
  return least;
}

const columns = ['state', ...SCALARS, ...INTEGERS];

/** Every value one by one, lists as arrays. */
async function readValues(path: string): Promise<number> {
  const file = await ParquetFile.open(path);
  let sum = 0;
  for (const [from, to] of file.rowBlocks(65_536)) {
    const found = await file.read(columns, from, to);
    for (const state of found.get('state') as number[][]) for (const value of state) sum += value;
  }
  return sum;
}

/** Every value as the readers of this project get it: numbers as typed arrays. */
async function readOurs(path: string): Promise<number> {
  const file = await ParquetFile.open(path);
  let sum = 0;
  for (const [from, to] of file.rowBlocks(65_536))
    for (const name of columns) {
      const values = file.readNumbers(name, from, to)?.values;
      if (!values) throw new Error(`${name} is not read at once`);
      if (name === 'state') for (let i = 0; i < values.length; i++) sum += values[i] as number;
    }
  return sum;
}

/** As much of DuckDB's client as is used here; it is not installed with the project. */
interface Chunk {
  readonly rowCount: number;
  getColumnValues(column: number): { items: number[] }[];
}
interface DuckDb {
  readonly DuckDBInstance: {
    create(path: string): Promise<{
      connect(): Promise<{ stream(sql: string): Promise<{ fetchChunk(): Promise<Chunk | null> }> }>;
    }>;
  };
}
const DUCKDB = '@duckdb/node-api';

/** Every value as vectors, the fastest that DuckDB's client gives. */
async function readDuckDb({ DuckDBInstance }: DuckDb, path: string): Promise<number> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const result = await connection.stream(`select ${columns.join(', ')} from read_parquet('${path}')`);
  let sum = 0;
  for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    for (const { items } of chunk.getColumnValues(0)) for (const value of items) sum += value;
  }
  return sum;
}

const base = mkdtempSync(join(tmpdir(), 'dualvla-bench-parquet-'));
const table: { what: string; seconds: number; clock: number; rate: string }[] = [];
try {
  const path = join(base, 'a.parquet');
  writeParquet(path);
  const megarows = (seconds: number): string => `${(rows / seconds / 1e6).toFixed(2)} M rows/s`;
  const slow = await best(() => readValues(path));
  table.push({ what: 'parquet, all columns, value by value', ...slow, rate: megarows(slow.seconds) });
  const ours = await best(() => readOurs(path));
  table.push({ what: 'parquet, all columns, as typed arrays', ...ours, rate: megarows(ours.seconds) });
  if (ours.result !== slow.result) throw new Error(`the sums are ${slow.result} and ${ours.result}`);
  const features = { state: { dtype: 'float32' as const, shape: [7], names: null } };
  const exact = await best(() => numericDatasetStats([path], features));
  table.push({ what: 'statistics of the vector column, held', ...exact, rate: megarows(exact.seconds) });
  const streamed = await best(() => numericDatasetStats([path], features, 1));
  table.push({ what: 'the same by several passes', ...streamed, rate: megarows(streamed.seconds) });
  const duckdb = await (import(DUCKDB) as Promise<DuckDb>).catch(() => undefined);
  if (duckdb) {
    const theirs = await best(() => readDuckDb(duckdb, path));
    if (Math.abs(theirs.result - ours.result) > 1e-6 * rows)
      throw new Error(`${theirs.result}, ours is ${ours.result}`);
    table.push({ what: 'DuckDB, all columns to JavaScript', ...theirs, rate: megarows(theirs.seconds) });
  } else console.error('DuckDB is not installed (npm install --no-save @duckdb/node-api): left out');

  const tf = join(base, 'a.tfrecord');
  const payload = new Uint8Array(100_000).map((_, i) => (i * 31) & 255);
  writeFileSync(tf, Buffer.concat(Array.from({ length: records }, () => frameTfRecord(payload))));
  const megabytes = (seconds: number): string => `${(statSync(tf).size / seconds / 1e6).toFixed(0)} MB/s`;
  const read = (verify: boolean) => (): number => {
    let count = 0;
    for (const _ of readTfRecords(tf, { verify })) count++;
    return count;
  };
  for (const [what, work] of [
    ['TFRecord, checksums checked', read(true)],
    ['TFRecord, not checked', read(false)],
    ['the bytes alone', () => readFileSync(tf).length],
  ] as const) {
    const read = await best(work);
    table.push({ what, ...read, rate: megabytes(read.seconds) });
  }
  const peakMb = process.resourceUsage().maxRSS / 1024;
  if (values.json) console.log(JSON.stringify({ rows, table, peakMb }));
  else {
    console.log(`${cpus()[0]?.model.trim()} (${cpus().length} cores), node ${process.version}; ${rows} rows\n`);
    console.log('| what | processor s | s | rate |\n|---|---|---|---|');
    for (const { what, seconds, clock, rate } of table)
      console.log(`| ${what} | ${seconds.toFixed(2)} | ${clock.toFixed(2)} | ${rate} |`);
    console.log(`\npeak memory of the process: ${peakMb.toFixed(0)} MB`);
  }
} finally {
  rmSync(base, { recursive: true });
}
