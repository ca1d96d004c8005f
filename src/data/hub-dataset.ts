/**
 * Data sets on the Hugging Face Hub as local folders: `owner/name` or `hf://datasets/owner/name@revision/folder` is downloaded into the
 * cache (hub-cache.ts), every file checked against what the Hub says of it, and the snapshot's folder handed back. What is there already is
 * not asked for again; a stopped download is continued.
 *
 * Knows nothing about what the files are, but for `meta/info.json`, which says that a data set can be described by its metadata alone.
 */
import { existsSync, mkdirSync, renameSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataError, HubError, MissingDatasetError, StorageError } from './errors.js';
import { HubCacheFolder, type HubFile, hubEndpoint, hubToken, isOffline } from './hub-cache.js';
import { type LockHolder, ProcessLock } from './process-lock.js';
import { downloadVerified, fetchPatiently, type Patience } from './verified-download.js';

export interface HubDatasetId {
  /** `owner/name`. */
  readonly name: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Folder in the repository, '' for all of it. */
  readonly below: string;
}

export interface HubDownloadOptions extends Patience {
  /** Of a LeRobot data set fetch `meta/` alone: enough to say what it holds. */
  readonly metadataOnly?: boolean;
  /** Files at a time; default 8. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: { readonly bytes: number; readonly total: number }) => void;
  /** Told once when another process is downloading the same and is waited for. */
  readonly onWaiting?: (holder: LockHolder) => void;
}

export interface HubSnapshot {
  readonly folder: string;
  readonly commit: string;
  readonly files: number;
  /** That this call fetched. */
  readonly downloadedBytes: number;
}

const PATTERN = /^([\w.-]+\/[\w.-]+?)(?:@([^/\s]+))?$/;
const URL_PATTERN = /^hf:\/\/datasets\/([\w.-]+\/[\w.-]+?)(?:@([^/\s]+))?(?:\/(.*))?$/;

/** What a text names on the Hub, or undefined: `owner/name`, `owner/name@revision`, `hf://datasets/owner/name@revision/folder`. */
export function parseHubId(text: string): HubDatasetId | undefined {
  const found = URL_PATTERN.exec(text) ?? PATTERN.exec(text);
  const name = found?.[1] ?? '';
  // The Hub's own rules of names.
  if (name === '' || /\.\.|--|\.git$|(^|\/)[.-]|[.-](\/|$)/.test(name)) return undefined;
  const revision = (found?.[2] ?? 'main').replaceAll(/%2f/gi, '/');
  return { name, revision, below: (found?.[3] ?? '').replace(/\/+$/, '') };
}

/** The Hub's id, as people write it. */
export const hubIdText = ({ name, revision, below }: HubDatasetId): string =>
  `hf://datasets/${name}@${revision}${below === '' ? '' : `/${below}`}`;

/**
 * The folder of a data set on the Hub, downloaded as far as it is missing. Heeds HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE.
 * @throws HubError where the Hub cannot be reached, refuses or sends something else; MissingDatasetError where offline and not all there;
 * StorageError where the disk is full or read-only
 */
export async function downloadHubDataset(id: HubDatasetId, options: HubDownloadOptions = {}): Promise<HubSnapshot> {
  const cache = new HubCacheFolder(id.name);
  if (isOffline()) return offlineSnapshot(cache, id, options);
  const commit = await commitOf(cache, id, options);
  let files = cache.files(commit, id.below);
  if (!files) {
    files = await listFiles(id, commit, options);
    for (const { path } of files) cache.pointer(commit, path);
    storing(cache.folder, () => cache.rememberFiles(commit, id.below, files as HubFile[]));
  }
  const wanted = wantedFiles(files, id, options);
  let downloadedBytes = 0;
  if (wanted.some((file) => !cache.has(commit, file))) {
    const lock = await takeLock(cache, options);
    try {
      downloadedBytes = await fetchMissing(cache, id, commit, wanted, options);
    } finally {
      lock.release();
    }
  }
  storing(cache.folder, () => cache.rememberCommit(id.revision, commit));
  return { folder: join(cache.snapshot(commit), id.below), commit, files: wanted.length, downloadedBytes };
}

function offlineSnapshot(cache: HubCacheFolder, id: HubDatasetId, options: HubDownloadOptions): HubSnapshot {
  const hint = 'Unset HF_HUB_OFFLINE and run it again with a network';
  const commit = cache.commitOf(id.revision);
  const folder = commit === undefined ? '' : join(cache.snapshot(commit), id.below);
  if (commit === undefined || !existsSync(folder))
    throw new MissingDatasetError(`${hubIdText(id)} is not in the cache, and HF_HUB_OFFLINE is set`, {
      file: cache.folder,
      hint,
    });
  // Without our listing Python downloaded it: what is missing then shows when it is read.
  const wanted = wantedFiles(cache.files(commit, id.below) ?? [], id, options);
  const missing = wanted.filter((file) => !cache.has(commit, file));
  if (missing[0])
    throw new MissingDatasetError(
      `${missing.length} of ${wanted.length} files of ${hubIdText(id)} are not in the cache, and HF_HUB_OFFLINE is set`,
      { file: join(cache.snapshot(commit), missing[0].path), hint },
    );
  return { folder, commit, files: wanted.length, downloadedBytes: 0 };
}

/** A request of the Hub's API, made the way `@huggingface/hub` wants its `fetch`. */
function hubFetch(id: HubDatasetId, options: HubDownloadOptions): typeof fetch {
  return async (input, init) => {
    const headers = { ...(init?.headers as Record<string, string>), ...authorization() };
    const { signal } = options;
    try {
      return await fetchPatiently(String(input), { ...init, headers, ...(signal ? { signal } : {}) }, options);
    } catch (error) {
      throw error instanceof HubError ? explained(error, id) : error;
    }
  };
}

const authorization = (): Record<string, string> => {
  const token = hubToken();
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
};

/** What a refusal means to a person. The Hub hides private data sets behind 401 and 404. */
function explained(error: HubError, id: HubDatasetId): HubError {
  const { status } = error;
  const name = hubIdText(id);
  const hasToken = hubToken() !== undefined;
  if (status === 401 || status === 403)
    return new HubError(
      `The Hub does not give out ${name} (status ${status}): there is no such data set, or it is private or gated`,
      {
        status,
        cause: error,
        hint: hasToken
          ? `Check its name, and accept its terms at ${hubEndpoint()}/datasets/${id.name} with the account of your token`
          : 'Check its name; if it is private or gated, set HF_TOKEN',
      },
    );
  if (status === 404)
    return new HubError(`The Hub has no ${name} (status 404)`, {
      status,
      cause: error,
      hint: 'Check the owner, the name, the revision (a branch, tag or commit) and the folder',
    });
  if (status === undefined && error.field !== undefined)
    return new HubError(error.message.replace(/ \(field .*$/, ''), {
      cause: error,
      hint: `Give a local folder, or set HF_HUB_OFFLINE=1 if ${name} has been downloaded before`,
    });
  return error;
}

async function commitOf(cache: HubCacheFolder, id: HubDatasetId, options: HubDownloadOptions): Promise<string> {
  if (/^[\da-f]{40}$/.test(id.revision) && cache.files(id.revision, id.below)) return id.revision;
  const { datasetInfo } = await import('@huggingface/hub');
  const parameters = { name: id.name, revision: id.revision, hubUrl: hubEndpoint(), fetch: hubFetch(id, options) };
  const { sha } = await answered(() => datasetInfo({ ...parameters, additionalFields: ['sha'] }));
  if (typeof sha !== 'string' || !/^[\da-f]{40}$/.test(sha))
    throw new HubError(`The Hub names no commit of ${hubIdText(id)}`, { field: String(sha) });
  return sha;
}

async function listFiles(id: HubDatasetId, commit: string, options: HubDownloadOptions): Promise<HubFile[]> {
  const hub = await import('@huggingface/hub');
  const files: HubFile[] = [];
  await answered(async () => {
    const entries = hub.listFiles({
      repo: { type: 'dataset', name: id.name },
      revision: commit,
      recursive: true,
      hubUrl: hubEndpoint(),
      fetch: hubFetch(id, options),
      ...(id.below === '' ? {} : { path: id.below }),
    });
    for await (const { type, path, size, oid, lfs } of entries) {
      if (type !== 'file') continue;
      // Large files are named by their SHA-256, the others by the id of their git blob.
      const checksum = lfs
        ? { algorithm: 'sha256' as const, value: lfs.oid }
        : { algorithm: 'git-sha1' as const, value: oid ?? '' };
      files.push({ path, bytes: lfs?.size ?? size, checksum });
    }
  });
  if (files.length === 0) throw new HubError(`${hubIdText(id)} holds no files`);
  return files;
}

/** An answer that is no JSON, or other JSON than expected, is the server's fault and not ours. */
async function answered<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DataError || (error as Error).name === 'AbortError') throw error;
    throw new HubError(`${hubEndpoint()} does not answer as the Hub does: ${(error as Error).message}`, {
      hint: 'Check HF_ENDPOINT',
      cause: error,
    });
  }
}

function wantedFiles(files: readonly HubFile[], { below }: HubDatasetId, options: HubDownloadOptions): HubFile[] {
  const root = below === '' ? '' : `${below}/`;
  const described = options.metadataOnly === true && files.some(({ path }) => path === `${root}meta/info.json`);
  return files.filter(({ path }) => !described || path.startsWith(`${root}meta/`));
}

async function takeLock(cache: HubCacheFolder, { signal, onWaiting }: HubDownloadOptions): Promise<ProcessLock> {
  storing(cache.folder, () => mkdirSync(dirname(cache.lockFile), { recursive: true }));
  for (let told = false; ; told = true) {
    const taken = storing(cache.folder, () => ProcessLock.take(cache.lockFile));
    if (taken instanceof ProcessLock) return taken;
    if (!told) onWaiting?.(taken);
    await sleep(500, undefined, signal ? { signal } : {});
  }
}

/** Fetches what the snapshot lacks, some files at a time. @returns how many bytes came */
async function fetchMissing(
  cache: HubCacheFolder,
  id: HubDatasetId,
  commit: string,
  wanted: readonly HubFile[],
  options: HubDownloadOptions,
): Promise<number> {
  const { concurrency = 8, onProgress } = options;
  // Files of equal content are one blob.
  const blobs = new Map<string, HubFile[]>();
  for (const file of wanted)
    if (!cache.has(commit, file)) blobs.set(cache.blob(file), [...(blobs.get(cache.blob(file)) ?? []), file]);
  const queue = [...blobs.values()];
  const total = queue.reduce((sum, [file]) => sum + (file?.bytes ?? 0), 0);
  checkRoom(cache.folder, total);
  // The first failure stops the others.
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])]);
  const arrived = new Map<HubFile, number>();
  let bytes = 0;
  const work = async (): Promise<void> => {
    for (let files = queue.shift(); files; files = queue.shift()) {
      const [one] = files as [HubFile];
      await fetchBlob(cache, id, commit, one, { ...options, signal }, (count) => {
        bytes += count - (arrived.get(one) ?? 0);
        arrived.set(one, count);
        onProgress?.({ bytes, total });
      });
      for (const file of files) storing(cache.folder, () => cache.link(commit, file));
    }
  };
  await Promise.allSettled(
    Array.from({ length: Math.min(concurrency, queue.length) }, () =>
      work().catch((error: unknown) => failed.abort(error)),
    ),
  );
  signal.throwIfAborted();
  return bytes;
}

async function fetchBlob(
  cache: HubCacheFolder,
  id: HubDatasetId,
  commit: string,
  file: HubFile,
  options: HubDownloadOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const blob = cache.blob(file);
  if (existsSync(blob)) return onBytes(file.bytes);
  const part = `${blob}.incomplete`;
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  const url = `${hubEndpoint()}/datasets/${id.name}/resolve/${commit}/${path}`;
  const { bytes, checksum } = file;
  // Packed on the way, neither ranges nor sizes would be those of the file.
  const headers = { ...authorization(), 'accept-encoding': 'identity' };
  try {
    await downloadVerified({ ...options, url, headers, part, bytes, checksum, onBytes });
  } catch (error) {
    throw error instanceof HubError ? explained(error, id) : error;
  }
  storing(blob, () => renameSync(part, blob));
}

function checkRoom(folder: string, bytes: number): void {
  const { bavail, bsize } = storing(folder, () => statfsSync(folder));
  const gigabytes = (count: number): string => `${(count / 1e9).toFixed(2)} GB`;
  if (bavail * bsize < bytes)
    throw new StorageError(`${gigabytes(bytes)} are to be downloaded, ${gigabytes(bavail * bsize)} are free`, {
      file: folder,
      hint: 'Make room, or put the cache elsewhere with HF_HOME',
    });
}

function storing<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new StorageError(`The cache cannot be written: ${(cause as Error).message}`, {
      file,
      hint: 'Make room or mend the rights, or put the cache elsewhere with HF_HOME',
      cause,
    });
  }
}
