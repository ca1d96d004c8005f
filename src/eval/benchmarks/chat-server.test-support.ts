/** A model behind a chat endpoint, for tests: `node chat-server.test-support.js` (see faulty-server.test-support.ts). */
import { type Exchange, misbehave, serveChat } from './faulty-server.test-support.js';

interface Body {
  temperature: number;
  messages: { content: string | { type: string; text?: string }[] }[];
}

const completion = (content: string | null): string =>
  JSON.stringify({
    choices: [{ message: { role: 'assistant', content } }],
    usage: { prompt_tokens: 100, completion_tokens: 10 },
  });

function reply({ way, time, response }: Exchange<Body>, text: string): void {
  const ok = (content: string | null = 'B'): void => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(completion(content));
  };
  const first = time <= 2;
  if (way === 'cut' && first) {
    response.writeHead(200, { 'content-length': '1000' }).write('{"choi');
    setTimeout(() => response.destroy(), 20);
  } else if (way === 'shapeless' && first) response.writeHead(200).end('{"choices": []}');
  else if (way === 'refused') response.writeHead(401).end('{"error":"who are you?"}');
  else if (way === 'moved') response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end();
  else if (way === 'slow') setTimeout(() => ok(`answer to ${text.slice(0, 200)}`), 60);
  else if (way === 'number') ok(time % 2 === 1 ? 'well, 0.5' : '0.5');
  else if (way === 'empty') ok(null);
  else ok();
}

serveChat<Body>((exchange) => {
  const { temperature, messages } = exchange.body;
  const content = messages[0]?.content ?? '';
  const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  const text = parts.map((part) => part.text ?? '').join('');
  const pictures = parts.filter(({ type }) => type === 'image_url').length;
  if (!misbehave(exchange)) reply(exchange, text);
  return { path: exchange.path, text, pictures, temperature, key: exchange.key, at: Date.now() };
});
