/**
 * Downloads that can be trusted: continued by range requests after any interruption, tried again where waiting helps, and compared with a
 * checksum before they count. What has come lies at `part` until then.
 *
 * Knows nothing about the Hub: whoever asks says the address, the size and the checksum.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubError, StorageError } from './errors.js';

/** `git-sha1` is the id of a git blob: SHA-1 of "blob {size}\0" and the content. Values in hexadecimal. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'md5' | 'git-sha1';
  readonly value: string;
}

/** How often and how long to wait. */
export interface Patience {
  /** Attempts in a row without progress; default 5. */
  readonly attempts?: number;
  /** Before the second attempt; doubles each time, up to a minute. Default 1000. */
  readonly firstWaitMs?: number;
  /** Of silence until a connection counts as dead; default 30,000. */
  readonly idleMs?: number;
}

export interface VerifiedDownload extends Patience {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the bytes go; what lies there already is continued. It stays when the download is stopped. */
  readonly part: string;
  readonly bytes: number;
  readonly checksum: Checksum;
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes of the file that have come so far. */
  readonly onBytes?: (bytes: number) => void;
}

const RETRY = new Set([408, 425, 429, 500, 502, 503, 504]);
const LONGEST_WAIT_MS = 60_000;

/**
 * Fetches with attempts. Statuses that waiting may cure (429, 5xx) and broken connections are tried again, `Retry-After` is heeded.
 * @returns an answer with a status below 400, or 416
 * @throws HubError for any other answer, or when no attempt got one; what `signal` says when it is aborted
 */
export async function fetchPatiently(url: string, init: RequestInit = {}, patience: Patience = {}): Promise<Response> {
  const { attempts = 5, firstWaitMs = 1000 } = patience;
  for (let attempt = 1; ; attempt++) {
    let wait = Math.min(firstWaitMs * 2 ** (attempt - 1), LONGEST_WAIT_MS);
    try {
      const response = await fetchOnce(url, init, patience.idleMs ?? 30_000);
      if (response.status < 400 || response.status === 416) return response;
      await response.body?.cancel();
      const refused = refusal(url, response);
      if (!RETRY.has(response.status) || attempt >= attempts) throw refused;
      const after = Number(response.headers.get('retry-after'));
      if (after > 0) wait = Math.min(after * 1000, 5 * LONGEST_WAIT_MS);
    } catch (error) {
      init.signal?.throwIfAborted();
      if (error instanceof HubError) throw error;
      if (attempt >= attempts) throw unreachable(url, error);
    }
    await sleep(wait, undefined, init.signal ? { signal: init.signal } : {});
  }
}

/** One request whose headers must come within `idleMs`; the body is the caller's to watch. */
async function fetchOnce(url: string, init: RequestInit, idleMs: number): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${idleMs / 1000} s`)), idleMs);
  const signals = [late.signal, ...(init.signal ? [init.signal] : [])];
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(url: string, error: unknown): HubError {
  const { message, cause } = error as Error;
  const why = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : message;
  return new HubError(`${new URL(url).origin} cannot be reached: ${why}`, { field: url, cause: error });
}

/** The Hub says more in its headers than in its status. */
function refusal(url: string, response: Response): HubError {
  const said = response.headers.get('x-error-message') ?? '';
  return new HubError(`${url} answers with status ${response.status}${said ? `: ${said.slice(0, 300)}` : ''}`, {
    status: response.status,
  });
}

const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);

/**
 * Downloads to `part` until it is whole and its checksum right.
 * @throws HubError where the server refuses, goes silent for good, or sends a file with another checksum twice; StorageError where the disk does
 */
export async function downloadVerified(download: VerifiedDownload): Promise<void> {
  const { url, part, bytes, checksum, signal, attempts = 5, firstWaitMs = 1000 } = download;
  storing(part, () => mkdirSync(dirname(part), { recursive: true }));
  let failures = 0;
  let wrongSums = 0;
  for (;;) {
    signal?.throwIfAborted();
    if (sizeOf(part) > bytes) rmSync(part);
    const have = sizeOf(part);
    let broken: unknown;
    if (have < bytes || !existsSync(part))
      try {
        await fetchRest(download, have);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof HubError || error instanceof StorageError) throw error;
        broken = error;
      }
    if (broken !== undefined || sizeOf(part) !== bytes) {
      failures = sizeOf(part) > have ? 1 : failures + 1;
      if (failures >= attempts)
        throw new HubError(
          `${url} breaks off after ${sizeOf(part)} of ${bytes} bytes${broken ? `: ${(broken as Error).message}` : ''}`,
          { hint: 'What has come is kept: run the same command again', cause: broken },
        );
      await sleep(firstWaitMs * 2 ** (failures - 1), undefined, signal ? { signal } : {});
      continue;
    }
    const found = await checksumOf(part, bytes, checksum.algorithm);
    if (found === checksum.value) return;
    rmSync(part);
    if (++wrongSums > 1)
      throw new HubError(`${url} sends a file with ${checksum.algorithm} ${found}, it should be ${checksum.value}`, {
        hint: 'A proxy may be changing it; nothing of it was kept',
      });
  }
}

/** Asks for the bytes from `have` on and appends them. */
async function fetchRest(download: VerifiedDownload, have: number): Promise<void> {
  const { url, part, bytes, signal, onBytes, idleMs = 30_000 } = download;
  const headers = { ...download.headers, ...(have > 0 ? { range: `bytes=${have}-` } : {}) };
  const silent = new AbortController();
  const stop = AbortSignal.any([silent.signal, ...(signal ? [signal] : [])]);
  const response = await fetchPatiently(url, { headers, signal: stop }, download);
  const from = Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
  // A server that knows no ranges sends all of it; one that finds the range impossible has another file.
  const restart = response.status !== 206 || from !== have;
  if (response.status === 416 || (response.status === 206 && restart)) {
    await response.body?.cancel();
    rmSync(part, { force: true });
    throw new Error('the server has another range');
  }
  let got = restart ? 0 : have;
  const handle = await storing(part, () => open(part, restart ? 'w' : 'a'));
  let timer: NodeJS.Timeout | undefined;
  const expectMore = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silent.abort(new Error(`nothing came for ${idleMs / 1000} s`)), idleMs);
  };
  try {
    expectMore();
    for await (const chunk of response.body ?? []) {
      expectMore();
      if (got + chunk.length > bytes) throw new Error(`more than ${bytes} bytes`);
      await append(handle, part, chunk);
      got += chunk.length;
      onBytes?.(got);
    }
    await storing(part, () => handle.sync());
  } finally {
    clearTimeout(timer);
    await handle.close();
  }
}

async function append(handle: FileHandle, file: string, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const rest = chunk.subarray(at);
    at += (await storing(file, () => handle.write(rest))).bytesWritten;
  }
}

async function checksumOf(path: string, bytes: number, algorithm: Checksum['algorithm']): Promise<string> {
  const hash = createHash(algorithm === 'git-sha1' ? 'sha1' : algorithm);
  if (algorithm === 'git-sha1') hash.update(`blob ${bytes}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function storing<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new StorageError(`The file cannot be written: ${(cause as Error).message}`, {
      file,
      hint: 'Make room or choose another place (HF_HOME), then run it again; what has come is kept',
      cause,
    });
  }
}
