import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetMetadata } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, describe, expect, it } from 'vitest';
import { ParquetFile, ParquetFiles } from './parquet-read.js';
import { RowGroupTable } from './parquet-row-groups.js';

const folder = mkdtempSync(join(tmpdir(), 'dualvla-row-groups-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Three columns, one of them with a dictionary and compressed, in row groups of four. */
function write(name: string, rows: number): string {
  const path = join(folder, name);
  const range = Array.from({ length: rows }, (_, i) => i);
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'index', data: range.map(BigInt), type: 'INT64' },
      { name: 'task', data: range.map((i) => `task ${i % 2}`), type: 'STRING' },
      { name: 'state', data: range.map((i) => i / 4), type: 'DOUBLE' },
    ],
    rowGroupSize: 4,
  });
  writeFileSync(path, Buffer.from(buffer));
  return path;
}

describe('a table of row groups', () => {
  it('says where columns lie as the footer does', () => {
    const path = write('places.parquet', 22);
    const bytes = readFileSync(path);
    const { row_groups } = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const table = new RowGroupTable(row_groups);
    expect([...table.starts]).toEqual([0, 4, 8, 12, 16, 20, 22]);
    const places = (groups: typeof row_groups): unknown =>
      groups.map(({ num_rows, total_byte_size, columns }) => ({
        num_rows,
        total_byte_size,
        columns: columns.map(({ meta_data }) => {
          const { statistics: _, encoding_stats: __, size_statistics: ___, ...rest } = meta_data ?? {};
          return rest;
        }),
      }));
    expect(places(table.slice())).toEqual(places(row_groups));
    expect(places(table.slice(2, 4))).toEqual(places(row_groups.slice(2, 4)));
    expect(table.slice(3, 3)).toEqual([]);
  });

  it('takes in columns whose coding changes from group to group', () => {
    const path = write('kinds.parquet', 8);
    const bytes = readFileSync(path);
    const { row_groups } = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const second = row_groups[1]?.columns[0]?.meta_data;
    if (second) second.codec = 'GZIP';
    const codecs = new RowGroupTable(row_groups).slice().map(({ columns }) => columns[0]?.meta_data?.codec);
    expect(codecs).toEqual([row_groups[0]?.columns[0]?.meta_data?.codec, 'GZIP']);
  });
});

describe('a data set read in any order', () => {
  it('parses every footer once', async () => {
    const paths = [0, 1, 2].map((i) => write(`file-${i}.parquet`, 4000));
    const files = new ParquetFiles();
    const first = await Promise.all(paths.map((path) => files.open(path)));
    for (const i of [2, 0, 1, 0, 2, 1]) expect(await files.open(paths[i] as string)).toBe(first[i]);
    expect(first.map(({ numRowGroups }) => numRowGroups)).toEqual([1000, 1000, 1000]);
    const last = (await ParquetFile.open(paths[1] as string)).readNumbers('state', 3999);
    expect(last?.values[0]).toBe(3999 / 4);
  });
});
