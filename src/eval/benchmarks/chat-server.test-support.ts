/**
 * A chat server of its own process for tests: `node chat-server.test-support.js`. It prints its port. The first part of the path says how it misbehaves;
 * GET /stats tells what it was asked.
 */
import { createServer, type ServerResponse } from 'node:http';

const asked: { path: string; text: string; pictures: number; temperature: number; key: string; at: number }[] = [];
/** How often each way was taken. */
const counts = new Map<string, number>();

const completion = (content: string | null): string =>
  JSON.stringify({
    choices: [{ message: { role: 'assistant', content } }],
    usage: { prompt_tokens: 100, completion_tokens: 10 },
  });

function reply(way: string, time: number, text: string, response: ServerResponse): void {
  const ok = (content: string | null = 'B'): void => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(completion(content));
  };
  const first = time <= 2;
  if (way === 'busy' && first) response.writeHead(429, { 'retry-after': '0.3' }).end('{"error":"slow down"}');
  else if (way === 'broken' && first) response.writeHead(503).end();
  else if (way === 'dead') response.writeHead(500).end('out of order');
  else if (way === 'cut' && first) {
    response.writeHead(200, { 'content-length': '1000' }).write('{"choi');
    setTimeout(() => response.destroy(), 20);
  } else if (way === 'garbled' && first) response.writeHead(200).end('{"choices": [');
  else if (way === 'shapeless' && first) response.writeHead(200).end('{"choices": []}');
  else if (way === 'refused') response.writeHead(401).end('{"error":"who are you?"}');
  else if (way === 'silent' && first) setTimeout(() => response.destroy(), 5_000).unref();
  else if (way === 'moved') response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end();
  else if (way === 'endless') {
    response.writeHead(200);
    const chunk = Buffer.alloc(1 << 20, 32);
    const more = (): void => {
      if (!response.destroyed) response.write(chunk, () => setImmediate(more));
    };
    more();
  } else if (way === 'slow') setTimeout(() => ok(`answer to ${text.slice(0, 200)}`), 60);
  else if (way === 'number') ok(time % 2 === 1 ? 'well, 0.5' : '0.5');
  else if (way === 'empty') ok(null);
  else ok();
}

const server = createServer((request, response) => {
  if (request.url === '/stats') {
    response.end(JSON.stringify(asked));
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const way = request.url?.split('/')[1] ?? '';
    const time = (counts.get(way) ?? 0) + 1;
    counts.set(way, time);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as {
      temperature: number;
      messages: { content: string | { type: string; text?: string }[] }[];
    };
    const content = body.messages[0]?.content ?? '';
    const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    const text = parts.map((part) => part.text ?? '').join('');
    const pictures = parts.filter(({ type }) => type === 'image_url').length;
    const key = request.headers.authorization ?? '';
    asked.push({ path: request.url ?? '', text, pictures, temperature: body.temperature, key, at: Date.now() });
    reply(way, time, text, response);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`);
});
// The test's end is its end.
process.stdin.resume().on('end', () => process.exit(0));
