/**
 * Where data sets from the Hub lie on disk: the layout of Python's huggingface_hub, so that both find each other's downloads.
 *
 * ```
 * $HF_HUB_CACHE (default $HF_HOME/hub)/datasets--owner--name/
 *   blobs/{checksum}             a file's content, once whole; {checksum}.incomplete until then
 *   snapshots/{commit}/{path}    links to the blobs
 *   refs/{revision}              the commit that a branch or tag was, the last time
 *   dualvla/{commit}.json        ours: the files of that commit, so that one knows when a snapshot is whole
 * ```
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { getHFHubCachePath, getRepoFolderName } from '@huggingface/hub';
import { z } from 'zod';
import { writeDurable } from './durable-file.js';
import { HubError } from './errors.js';
import type { Checksum } from './verified-download.js';

/** A file of a data set on the Hub. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  readonly checksum: Checksum;
}

const listing = z.array(
  z.object({
    path: z.string(),
    bytes: z.number(),
    checksum: z.object({ algorithm: z.enum(['sha256', 'git-sha1']), value: z.string() }),
  }),
);

/** The Hub's address: HF_ENDPOINT, or the public one. */
export const hubEndpoint = (): string => (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');

/** HF_HUB_OFFLINE: nothing is asked of the network. */
export const isOffline = (): boolean => /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '');

/** The access token: HF_TOKEN, or the one that `hf auth login` keeps in $HF_HOME/token. */
export function hubToken(): string | undefined {
  const given = process.env.HF_TOKEN || process.env.HUGGING_FACE_HUB_TOKEN;
  if (given) return given.trim();
  const home = process.env.HF_HOME ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
  const file = process.env.HF_TOKEN_PATH ?? join(home, 'token');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() || undefined : undefined;
}

const isSafe = (path: string): boolean =>
  path !== '' && !/[\\\0]/.test(path) && path.split('/').every((part) => !['', '.', '..'].includes(part));

/** The place of one data set in the cache. */
export class HubCacheFolder {
  readonly folder: string;

  constructor(name: string, root: string = getHFHubCachePath()) {
    this.folder = join(root, getRepoFolderName({ type: 'dataset', name }));
  }

  get lockFile(): string {
    return join(this.folder, 'dualvla', 'download.lock');
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** Where a file's content gathers, and where it lies when whole. @throws HubError for a checksum that is none */
  blob({ path, checksum }: HubFile): string {
    if (!/^[\da-f]{32,64}$/.test(checksum.value))
      throw new HubError(`The Hub names no checksum of ${path}`, { field: checksum.value });
    return join(this.folder, 'blobs', checksum.value);
  }

  /** The file in a snapshot. @throws HubError for a path that leads out of it */
  pointer(commit: string, path: string): string {
    if (!isSafe(path)) throw new HubError(`The Hub names a file "${path}", which leads out of the data set`);
    return join(this.snapshot(commit), path);
  }

  has(commit: string, file: HubFile): boolean {
    const pointer = this.pointer(commit, file.path);
    return existsSync(pointer) && statSync(pointer).size === file.bytes;
  }

  /** Makes the blob appear in the snapshot, by a relative link. */
  link(commit: string, file: HubFile): void {
    const pointer = this.pointer(commit, file.path);
    mkdirSync(dirname(pointer), { recursive: true });
    const temporary = `${pointer}.${randomUUID()}`;
    symlinkSync(relative(dirname(pointer), this.blob(file)), temporary);
    renameSync(temporary, pointer);
  }

  /** The commit that a branch or tag was when it was last downloaded. */
  commitOf(revision: string): string | undefined {
    if (/^[\da-f]{40}$/.test(revision)) return revision;
    const file = this.#ref(revision);
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  }

  rememberCommit(revision: string, commit: string): void {
    if (revision !== commit && this.commitOf(revision) !== commit) writeDurable(this.#ref(revision), commit);
  }

  #ref(revision: string): string {
    if (!isSafe(revision)) throw new HubError(`"${revision}" is no branch, tag or commit`);
    return join(this.folder, 'refs', revision);
  }

  /** The files of a commit below a folder, where they have been listed before. */
  files(commit: string, below: string): HubFile[] | undefined {
    const file = this.#listing(commit, below);
    if (!existsSync(file)) return undefined;
    try {
      return listing.parse(JSON.parse(readFileSync(file, 'utf8')));
    } catch {
      // It is ours and can be had again.
      return undefined;
    }
  }

  rememberFiles(commit: string, below: string, files: readonly HubFile[]): void {
    writeDurable(this.#listing(commit, below), JSON.stringify(files));
  }

  #listing(commit: string, below: string): string {
    const part = below === '' ? '' : `.${createHash('sha256').update(below).digest('hex').slice(0, 12)}`;
    return join(this.folder, 'dualvla', `${commit}${part}.json`);
  }
}
