/** Downloads from a server that breaks off, lies and redirects; the radar. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { downloadTable, hubSource, TABLE_SOURCES } from './download.js';
import { BENCHMARKS } from './index.js';
import { radar } from './radar.js';

const CONTENT = Buffer.from('index\tquestion\n'.repeat(5_000));
const sum = (algorithm: string): string => createHash(algorithm).update(CONTENT).digest('hex');
const ranges: (string | undefined)[] = [];
let server: Server;
let base: string;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'download-'));
  let broken = 0;
  server = createServer((request, response) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (request.url === '/gone') response.writeHead(404).end();
    else if (request.url?.includes('/resolve/')) {
      const linked = { 'x-linked-etag': `"${sum('sha256')}"`, 'x-linked-size': String(CONTENT.length) };
      response.writeHead(302, { location: '/table', ...linked }).end();
    } else if (request.url === '/plain') response.end(CONTENT);
    else if (request.method === 'HEAD') response.writeHead(200, { 'content-length': String(CONTENT.length) }).end();
    else {
      ranges.push(request.headers.range);
      const headers = { 'content-length': String(CONTENT.length - from) };
      const range = { 'content-range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}` };
      response.writeHead(from > 0 ? 206 : 200, from > 0 ? { ...headers, ...range } : headers);
      if (request.url === '/broken' && broken++ === 0) {
        response.write(CONTENT.subarray(0, 40_000), () => setTimeout(() => response.destroy(), 50));
      } else response.end(CONTENT.subarray(from));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

describe('downloadTable', () => {
  const md5 = (value = sum('md5')) => ({ algorithm: 'md5', value }) as const;

  it('goes on where it broke off', async () => {
    const path = join(folder, 'broken.tsv');
    const source = { url: `${base}/broken`, checksum: md5() };
    await expect(downloadTable(source, path, { attempts: 1 })).rejects.toThrow(/breaks off after \d+ of \d+ bytes/);
    expect(existsSync(path)).toBe(false);
    // How much has arrived by then is the network's affair.
    const size = 40_000;
    writeFileSync(`${path}.part`, CONTENT.subarray(0, size));
    const seen: number[] = [];
    await downloadTable(source, path, { onProgress: (bytes) => seen.push(bytes) });
    expect(ranges.at(-1)).toBe(`bytes=${size}-`);
    expect(seen.at(-1)).toBe(CONTENT.length);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    const asked = ranges.length;
    await downloadTable(source, path);
    expect(ranges).toHaveLength(asked);
  });

  it('keeps nothing with a wrong checksum, and says what the server says', async () => {
    const path = join(folder, 'wrong.tsv');
    const wrong = { url: `${base}/table`, checksum: md5('0'.repeat(32)) };
    await expect(downloadTable(wrong, path)).rejects.toThrow(/md5 .* should be 0000/);
    expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
    await expect(downloadTable({ url: `${base}/gone`, checksum: md5() }, path)).rejects.toThrow(/status 404/);
    await expect(downloadTable({ url: `${base}/plain` }, path)).rejects.toThrow(/no checksum/);
    const nowhere = { url: 'http://127.0.0.1:9/', checksum: md5() };
    await expect(downloadTable(nowhere, path, { attempts: 1 })).rejects.toThrow(/cannot be reached/);
  });

  it('takes the hub at its word', async () => {
    const source = hubSource('hf:someone/tables/MMStar.tsv', base);
    expect(source?.url).toBe(`${base}/datasets/someone/tables/resolve/main/MMStar.tsv`);
    const path = join(folder, 'hub.tsv');
    await downloadTable(source as NonNullable<typeof source>, path);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(hubSource('MMStar')).toBeUndefined();
  });

  it('knows a place for each benchmark', () => {
    for (const { tables } of BENCHMARKS) expect(TABLE_SOURCES.has(tables[0] as string)).toBe(true);
  });
});

describe('radar', () => {
  it('has an axis a benchmark and a shape a model', () => {
    const axes = BENCHMARKS.map(({ name }) => name);
    const full = { name: 'a <model>', results: axes.map((benchmark, i) => ({ benchmark, main: 10 * (i + 1) })) };
    const half = { name: 'b', results: full.results.slice(0, 4).map(({ benchmark }) => ({ benchmark, main: 5 })) };
    const svg = radar([full, half], axes);
    for (const axis of axes) expect(svg).toContain(`>${axis}<`);
    expect(svg).toContain('a &lt;model&gt;');
    expect(svg.match(/fill-opacity/g)).toHaveLength(2);
    // The first axis points up; its best score is at the rim.
    expect(svg).toContain('points="260.0,90.0 ');
    expect(svg).toContain('points="260.0,175.0 ');
    expect(svg).not.toContain('NaN');
    // One model alone: 0 to 100.
    expect(radar([half], axes)).toContain('points="260.0,251.5 ');
  });
});
