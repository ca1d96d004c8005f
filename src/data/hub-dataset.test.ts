import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HubError, MissingDatasetError, StorageError } from './errors.js';
import { downloadHubDataset, type HubDownloadOptions, parseHubId } from './hub-dataset.js';
import { FakeHub, type FakeHubOptions } from './hub-server.test-support.js';

const NAME = 'some-one/a.data_set';
const COMMIT = 'a'.repeat(40);
const FILES: Record<string, Buffer> = {
  'README.md': Buffer.from('# a data set'),
  'meta/info.json': Buffer.from('{"codebase_version": "v3.0"}'),
  'meta/empty': Buffer.alloc(0),
  'data/chunk-000/file-000.parquet': Buffer.alloc(300_000, 'rows '),
  'data/chunk-000/file 001 ü.parquet': Buffer.alloc(5_000, 'more rows '),
  'videos/copy-of-file.parquet': Buffer.alloc(300_000, 'rows '),
};
const LARGE = 'data/chunk-000/file-000.parquet';

let base = '';
let hub: FakeHub;
const quick: HubDownloadOptions = { firstWaitMs: 5, idleMs: 10_000 };

async function start(options: Partial<FakeHubOptions> = {}): Promise<void> {
  hub?.stop();
  hub = await FakeHub.start({ folder: join(base, 'on the hub'), name: NAME, ...options });
  vi.stubEnv('HF_ENDPOINT', hub.url);
}

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-hub-'));
  for (const [path, bytes] of Object.entries(FILES)) {
    mkdirSync(join(base, 'on the hub', path, '..'), { recursive: true });
    writeFileSync(join(base, 'on the hub', path), bytes);
  }
  vi.stubEnv('HF_HOME', join(base, 'home'));
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, undefined);
  await start();
});
afterEach(() => {
  hub.stop();
  vi.unstubAllEnvs();
  rmSync(base, { recursive: true, force: true });
});

const id = { name: NAME, revision: 'main', below: '' };
const cache = (): string => join(base, 'home/hub/datasets--some-one--a.data_set');
const fileRequests = (): string[] => hub.requests.filter((line) => !line.includes('/api/'));
/** Compared as a whole: an assertion on each of 300,000 numbers takes seconds. */
const isSame = (folder: string, path: string): boolean =>
  FILES[path]?.equals(readFileSync(join(folder, path))) ?? false;
const expectWhole = (folder: string): void => {
  expect(Object.keys(FILES).filter((path) => !isSame(folder, path))).toEqual([]);
};

describe('names on the Hub', () => {
  it('are told from paths', () => {
    expect(parseHubId('lerobot/pusht')).toEqual({ name: 'lerobot/pusht', revision: 'main', below: '' });
    expect(parseHubId('lerobot/pusht@v2.1')).toEqual({ name: 'lerobot/pusht', revision: 'v2.1', below: '' });
    expect(parseHubId('hf://datasets/a/b@refs%2Fpr%2F1/bridge/1.0.0/')).toEqual({
      name: 'a/b',
      revision: 'refs/pr/1',
      below: 'bridge/1.0.0',
    });
    for (const text of [
      'a',
      '/a/b',
      './a',
      '../a',
      'a/b/c',
      'a/..',
      'a b/c',
      'hf://models/a/b',
      'a/b.git',
      'a--b/c',
      '',
    ])
      expect(parseHubId(text)).toBeUndefined();
  });
});

describe('downloading a data set', () => {
  it('brings every file, in the layout of huggingface_hub, and asks for none twice', async () => {
    const seen: { bytes: number; total: number }[] = [];
    const { folder, commit, downloadedBytes } = await downloadHubDataset(id, {
      ...quick,
      onProgress: (progress) => seen.push(progress),
    });
    expectWhole(folder);
    expect(commit).toBe(COMMIT);
    expect(folder).toBe(join(cache(), 'snapshots', COMMIT));
    expect(readFileSync(join(cache(), 'refs/main'), 'utf8')).toBe(COMMIT);
    expect(lstatSync(join(folder, LARGE)).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(cache(), 'blobs')).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    // Two files of equal content are one blob.
    const total = Object.values(FILES).reduce((sum, { length }) => sum + length, 0) - 300_000;
    expect(downloadedBytes).toBe(total);
    expect(seen.at(-1)).toEqual({ bytes: total, total });
    // Pages of three entries: nine files and folders.
    expect(hub.requests.filter((line) => line.includes('/tree/')).length).toBeGreaterThan(2);
    hub.requests.length = 0;
    expect((await downloadHubDataset(id, quick)).downloadedBytes).toBe(0);
    expect(hub.requests).toEqual([expect.stringContaining('/revision/main')]);
  });

  it('fetches the metadata of a LeRobot data set alone where that is enough, the rest later', async () => {
    const { folder } = await downloadHubDataset(id, { ...quick, metadataOnly: true });
    expect(readdirSync(folder)).toEqual(['meta']);
    await downloadHubDataset(id, quick);
    expectWhole(folder);
  });

  it('takes a folder of the repository', async () => {
    const { folder } = await downloadHubDataset({ ...id, below: 'data/chunk-000' }, quick);
    expect(readdirSync(folder).sort()).toEqual(['file 001 ü.parquet', 'file-000.parquet']);
    expect(existsSync(join(folder, '../../README.md'))).toBe(false);
  });

  it('fetches a bounded number of files at a time', async () => {
    await downloadHubDataset(id, { ...quick, concurrency: 2 });
    expect(hub.mostAtOnce).toBeLessThanOrEqual(2);
  });

  it('gives a token to the Hub and never to the server it redirects to', async () => {
    await start({ token: 'hf_secret' });
    await expect(downloadHubDataset(id, quick)).rejects.toThrow(/status 401.*private or gated.*set HF_TOKEN/);
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    expectWhole((await downloadHubDataset(id, quick)).folder);
    expect(hub.leakedTokens).toEqual([]);
    rmSync(cache(), { recursive: true });
    vi.stubEnv('HF_TOKEN', undefined);
    writeFileSync(join(base, 'home/token'), 'hf_secret\n');
    expectWhole((await downloadHubDataset(id, quick)).folder);
  });
});

describe('a network that fails', () => {
  it('is tried again: 429 with its wait, 500, 503, cut, silent and short answers', async () => {
    hub.faults.set('/revision/main', [{ status: 429, headers: { 'retry-after': '0.01' } }, { status: 500 }]);
    hub.faults.set(`/tree/${COMMIT}`, [{ status: 503 }]);
    hub.faults.set('README.md', [{ status: 502 }, { endAfter: 3 }]);
    hub.faults.set(LARGE, [
      { cutAfter: 100_000 },
      { silentAfter: 50_000 },
      { endAfter: 20_000 },
      { ignoreRange: true },
    ]);
    expectWhole((await downloadHubDataset(id, { ...quick, idleMs: 1500 })).folder);
    const ranges = hub.requests.filter((line) => line.includes('file-000.parquet')).map((line) => line.split(' ')[2]);
    // How much of a cut answer arrives is the network's affair.
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1).some((range) => /^bytes=\d+-$/.test(range ?? ''))).toBe(true);
  });

  it('is given up with a sentence, and what has come is continued next time', async () => {
    hub.faults.set(LARGE, [{ cutAfter: 200_000 }, ...Array.from({ length: 9 }, () => ({ cutAfter: 0 }))]);
    await expect(downloadHubDataset(id, { ...quick, attempts: 3 })).rejects.toThrow(
      /file-000\.parquet.* of 300000 bytes.*run the same command again/,
    );
    expect(existsSync(join(cache(), 'refs/main'))).toBe(false);
    hub.faults.clear();
    hub.requests.length = 0;
    expectWhole((await downloadHubDataset(id, quick)).folder);
    expect(fileRequests().find((line) => line.includes('file-000.parquet'))).toMatch(/ bytes=[1-9]\d*-$/);
  });

  it('a file that is not what the Hub says of it is fetched again, then refused', async () => {
    hub.faults.set(LARGE, [{ corrupt: true }]);
    expectWhole((await downloadHubDataset(id, quick)).folder);
    rmSync(cache(), { recursive: true });
    hub.faults.set('README.md', [{ corrupt: true }, { corrupt: true }]);
    await expect(downloadHubDataset(id, quick)).rejects.toThrow(/README\.md sends a file with git-sha1 .*should be/);
    expect(existsSync(join(cache(), 'snapshots', COMMIT, 'README.md'))).toBe(false);
  });

  it('what does not exist is said: data set, revision, server, Hub', async () => {
    const fails = async (change: Partial<typeof id>, message: RegExp): Promise<void> => {
      const error = await downloadHubDataset({ ...id, ...change }, { ...quick, attempts: 2 }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(HubError);
      expect((error as Error).message).toMatch(message);
    };
    await fails({ name: 'no/thing' }, /The Hub has no hf:\/\/datasets\/no\/thing@main \(status 404\)/);
    await fails({ revision: 'v9' }, /has no .*@v9/);
    hub.faults.set('/revision/main', [{ status: 403 }]);
    await fails({}, /status 403.*private or gated/);
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
    await fails({}, /http:\/\/127\.0\.0\.1:1 cannot be reached: .*HF_HUB_OFFLINE=1/);
    hub.extraEntries = [{ type: 'file', path: '../../evil', size: 1, oid: 'b'.repeat(40) }];
    vi.stubEnv('HF_ENDPOINT', hub.url);
    await fails({}, /a file "\.\.\/\.\.\/evil", which leads out/);
    hub.extraEntries = [{ type: 'file', path: 'x', size: 1, oid: '../../../x' }];
    await fails({}, /no checksum of x/);
    vi.stubEnv('HF_ENDPOINT', `${hub.url}/elsewhere`);
    await fails({}, /status 404/);
  });

  it('stops when asked, and leaves what has come', async () => {
    hub.faults.set(LARGE, [{ silentAfter: 100_000 }]);
    const controller = new AbortController();
    const running = downloadHubDataset(id, {
      ...quick,
      idleMs: 30_000,
      signal: controller.signal,
      onProgress: ({ bytes }) => bytes > 60_000 && controller.abort(),
    });
    await expect(running).rejects.toThrow(/abort/i);
    expect(existsSync(join(cache(), 'snapshots', COMMIT, LARGE))).toBe(false);
    expectWhole((await downloadHubDataset(id, quick)).folder);
  });
});

describe('offline', () => {
  it('gives what is whole in the cache, and names what is missing', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    await expect(downloadHubDataset(id, quick)).rejects.toThrow(MissingDatasetError);
    vi.stubEnv('HF_HUB_OFFLINE', undefined);
    const { folder } = await downloadHubDataset(id, { ...quick, metadataOnly: true });
    hub.requests.length = 0;
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await downloadHubDataset(id, { metadataOnly: true })).folder).toBe(folder);
    await expect(downloadHubDataset(id)).rejects.toThrow(/4 of 6 files .* are not in the cache.*Unset HF_HUB_OFFLINE/);
    expect(hub.requests).toEqual([]);
  });
});

describe('other processes and other disks', () => {
  const child = (): ChildProcess =>
    spawn(process.execPath, [fileURLToPath(new URL('./hub-download.test-support.js', import.meta.url)), NAME], {
      env: process.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });

  it('killed at any moment, a download leaves nothing half in the snapshot and goes on', async () => {
    for (const bytes of [1_000, 150_000, 290_000]) {
      rmSync(cache(), { recursive: true, force: true });
      hub.faults.set(LARGE, [{ silentAfter: bytes }]);
      const killed = child();
      await once(killed.stdout as NodeJS.ReadableStream, 'data');
      killed.kill('SIGKILL');
      await once(killed, 'exit');
      const snapshot = join(cache(), 'snapshots', COMMIT);
      const half = Object.keys(FILES).filter((path) => existsSync(join(snapshot, path)) && !isSame(snapshot, path));
      expect(half).toEqual([]);
      expect(existsSync(join(cache(), 'refs/main'))).toBe(false);
      expectWhole((await downloadHubDataset(id, quick)).folder);
    }
  });

  it('two at a time: one waits for the other', async () => {
    hub.faults.set(LARGE, [{ silentAfter: 1_000 }]);
    const first = child();
    await once(first.stdout as NodeJS.ReadableStream, 'data');
    const waited: number[] = [];
    const second = downloadHubDataset(id, { ...quick, onWaiting: ({ pid }) => waited.push(pid) });
    await vi.waitFor(() => expect(waited).toEqual([first.pid]), { timeout: 10_000 });
    first.kill('SIGKILL');
    expectWhole((await second).folder);
  });

  it.skipIf(process.getuid?.() === 0)('a cache that cannot be written is a sentence', async () => {
    mkdirSync(join(base, 'home'));
    chmodSync(join(base, 'home'), 0o500);
    await expect(downloadHubDataset(id, quick)).rejects.toThrow(StorageError);
  });

  it('a cache below a file is a sentence', async () => {
    writeFileSync(join(base, 'home'), 'in the way');
    await expect(downloadHubDataset(id, quick)).rejects.toThrow(/The cache cannot be written.*HF_HOME/);
  });
});
