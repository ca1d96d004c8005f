/**
 * What the chat servers of tests have in common: each is a process of its own that prints its port, the first part of a path says how it behaves, GET /stats tells
 * what it was asked, and it ends with the test that started it.
 */
import { createServer, type ServerResponse } from 'node:http';

export interface Exchange<Body> {
  /** First part of the path. */
  readonly way: string;
  /** How often this way was taken, this time included. */
  readonly time: number;
  readonly body: Body;
  /** The Authorization header. */
  readonly key: string;
  readonly path: string;
  readonly response: ServerResponse;
}

/** Serves until standard input ends. @param reply answers, and returns what /stats says of the request, or null */
export function serveChat<Body>(reply: (exchange: Exchange<Body>) => object | null): void {
  const asked: object[] = [];
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    const { url: path = '', headers } = request;
    if (path === '/stats') {
      response.end(JSON.stringify(asked));
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const way = path.split('/')[1] ?? '';
      const time = (counts.get(way) ?? 0) + 1;
      counts.set(way, time);
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Body;
      const noted = reply({ way, time, body, key: headers.authorization ?? '', path, response });
      if (noted !== null) asked.push(noted);
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`);
  });
  process.stdin.resume().on('end', () => process.exit(0));
}

/** Faults that every server may have, most of them only the first two times. @returns whether it answered so */
export function misbehave({ way, time, response }: Exchange<unknown>): boolean {
  const first = time <= 2;
  if (way === 'busy' && first) response.writeHead(429, { 'retry-after': '0.3' }).end('{"error":"slow down"}');
  else if (way === 'broken' && first) response.writeHead(503).end();
  else if (way === 'dead') response.writeHead(500).end('out of order');
  else if (way === 'silent' && first) setTimeout(() => response.destroy(), 5_000).unref();
  else if (way === 'garbled' && first) response.writeHead(200).end('{"choices": [');
  else if (way === 'endless') {
    response.writeHead(200);
    const chunk = Buffer.alloc(1 << 20, 32);
    const more = (): void => {
      if (!response.destroyed) response.write(chunk, () => setImmediate(more));
    };
    more();
  } else return false;
  return true;
}
