/**
 * A server that behaves as the Hub does towards data sets: revisions, a listing in pages, files of which the large ones are redirected to
 * another server, byte ranges, access tokens, and faults on demand. Loopback only.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, relative } from 'node:path';

export type Fault =
  /** Answers so, once. */
  | { readonly status: number; readonly headers?: Record<string, string> }
  /** Breaks the connection after some bytes of the body. */
  | { readonly cutAfter: number }
  /** Ends an answer without a length early, which looks whole. */
  | { readonly endAfter: number }
  /** Sends other bytes. */
  | { readonly corrupt: true }
  /** Sends nothing more after some bytes. */
  | { readonly silentAfter: number }
  /** Takes no notice of a range. */
  | { readonly ignoreRange: true };

export interface FakeHubOptions {
  readonly folder: string;
  readonly name: string;
  /** Asked for where given. */
  readonly token?: string;
  readonly pageSize?: number;
  /** From this size on files are stored outside git; default 1000. */
  readonly lfsBytes?: number;
}

const sha = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest('hex');

export class FakeHub {
  /** `METHOD path` of every request, with its range. */
  readonly requests: string[] = [];
  /** Authorization headers that came to the file server. */
  readonly leakedTokens: string[] = [];
  /** Faults by the end of the path, each used once, in order. */
  readonly faults = new Map<string, Fault[]>();
  /** What the listing says besides the folder's files. */
  extraEntries: object[] = [];
  revisions: Record<string, string>;
  readonly #options: FakeHubOptions;
  readonly #servers: Server[] = [];
  #open = 0;
  /** Most requests for files at one time. */
  mostAtOnce = 0;
  url = '';
  #filesUrl = '';

  private constructor(options: FakeHubOptions) {
    this.#options = options;
    this.revisions = { main: 'a'.repeat(40), 'v3.0': 'a'.repeat(40) };
  }

  static async start(options: FakeHubOptions): Promise<FakeHub> {
    const hub = new FakeHub(options);
    const listen = async (answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> => {
      const server = createServer(answer);
      hub.#servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    };
    hub.url = await listen((request, response) => hub.#api(request, response));
    hub.#filesUrl = await listen((request, response) => {
      if (request.headers.authorization) hub.leakedTokens.push(request.headers.authorization);
      hub.#file(request, response, decodeURIComponent((request.url ?? '').slice(1)));
    });
    return hub;
  }

  stop(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }

  #api(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    const path = decodeURIComponent(pathname);
    const { token, name } = this.#options;
    // A file's faults happen where its bytes are.
    const fault = path.startsWith('/api/') ? this.#fault(path) : undefined;
    if (fault && 'status' in fault) return void response.writeHead(fault.status, fault.headers).end();
    if (token && request.headers.authorization !== `Bearer ${token}`)
      return void response.writeHead(401, { 'x-error-message': 'Invalid username or password.' }).end();
    const revision = /^\/api\/datasets\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(path);
    const tree = /^\/api\/datasets\/([^/]+\/[^/]+)\/tree\/([^/]+)(?:\/(.*))?$/.exec(path);
    const file = /^\/datasets\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const known = [revision, tree, file].find(Boolean);
    if (known?.[1] !== name) return void response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end();
    if (revision) {
      this.#log(request);
      const commit = this.revisions[revision[2] as string];
      if (!commit) return void response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end();
      this.#json(response, { _id: '1', id: name, sha: commit, private: false, gated: false });
    } else if (tree) {
      this.#log(request);
      this.#tree(response, tree[3] ?? '', searchParams);
    } else this.#resolve(request, response, file?.[3] ?? '');
  }

  /** Small files come at once, large ones from elsewhere. */
  #resolve(request: IncomingMessage, response: ServerResponse, wanted: string): void {
    if (this.#content(wanted).length < (this.#options.lfsBytes ?? 1000)) this.#file(request, response, wanted);
    else response.writeHead(302, { location: `${this.#filesUrl}/${encodeURIComponent(wanted)}` }).end();
  }

  #tree(response: ServerResponse, below: string, query: URLSearchParams): void {
    const { folder, pageSize = 3, lfsBytes = 1000, name } = this.#options;
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .map((entry) => ({ path: relative(folder, join(entry.parentPath, entry.name)), isFile: entry.isFile() }))
      .filter(({ path }) => below === '' || path.startsWith(`${below}/`))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    const entries = paths.map(({ path, isFile }): object => {
      if (!isFile) return { type: 'directory', oid: '0'.repeat(40), size: 0, path };
      const bytes = this.#content(path);
      const size = bytes.length;
      const oid = sha('sha1', `blob ${size}\0`, bytes);
      if (size < lfsBytes) return { type: 'file', oid, size, path };
      return { type: 'file', oid, size, path, lfs: { oid: sha('sha256', bytes), size, pointerSize: 130 } };
    });
    const all = [...entries, ...this.extraEntries];
    const from = Number(query.get('cursor') ?? 0);
    if (from + pageSize < all.length) {
      const next = new URL(`/api/datasets/${name}/tree/${'a'.repeat(40)}`, this.url);
      next.search = `recursive=true&cursor=${from + pageSize}`;
      response.setHeader('link', `<${next.href}>; rel="next"`);
    }
    this.#json(response, all.slice(from, from + pageSize));
  }

  #file(request: IncomingMessage, response: ServerResponse, path: string): void {
    this.#log(request);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#open);
    response.on('close', () => this.#open--);
    const fault = this.#fault(path);
    if (fault && 'status' in fault) return void response.writeHead(fault.status, fault.headers).end();
    const bytes = Buffer.from(this.#content(path));
    if (fault && 'corrupt' in fault) bytes[0] = (bytes[0] ?? 0) ^ 255;
    const asked = /bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1];
    const from = asked === undefined || (fault && 'ignoreRange' in fault) ? 0 : Number(asked);
    if (from > bytes.length) return void response.writeHead(416).end();
    const body = bytes.subarray(from);
    const headers: Record<string, string> = fault && 'endAfter' in fault ? {} : { 'content-length': `${body.length}` };
    if (from > 0) headers['content-range'] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(from > 0 ? 206 : 200, headers);
    if (fault && 'cutAfter' in fault)
      return void response.write(body.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), 30));
    if (fault && 'silentAfter' in fault) return void response.write(body.subarray(0, fault.silentAfter));
    response.end(fault && 'endAfter' in fault ? body.subarray(0, fault.endAfter) : body);
  }

  #fault(path: string): Fault | undefined {
    const key = [...this.faults.keys()].find((end) => path.endsWith(end));
    return key === undefined ? undefined : this.faults.get(key)?.shift();
  }

  #content(path: string): Uint8Array {
    return readFileSync(join(this.#options.folder, path));
  }

  #log({ method, url, headers }: IncomingMessage): void {
    this.requests.push(`${method} ${decodeURIComponent(url ?? '')}${headers.range ? ` ${headers.range}` : ''}`);
  }

  #json(response: ServerResponse, value: unknown): void {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  }
}
