/**
 * A judge of its own process for tests: `node judge-server.test-support.js`. It prints its port. The first part of the path says how it behaves; GET /stats tells what
 * it was asked; POST .../embeddings embeds texts by their letters.
 */
import { createServer, type ServerResponse } from 'node:http';

interface Message {
  role: string;
  content: string | { type: string; text?: string; image_url?: { url: string } }[];
}
interface Body {
  messages?: Message[];
  input?: string[];
  temperature?: number;
  response_format?: { type: string };
}

const asked: object[] = [];
const counts = new Map<string, number>();

const textOf = ({ content }: Message): string =>
  typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('\n');

/** What stands outside the record, where orders could come from. */
const outsideRecord = (text: string): string => text.replace(/<record>[\s\S]*?<\/record>/, '');

function marks(reasons: boolean, mark: number): string {
  const result = reasons
    ? { Reasoning: mark, Action: mark, Intention: mark, Alignment: mark, Success: 1 }
    : { Action: mark, Intention: mark, Success: null };
  return JSON.stringify({ Thought: 'It reaches, it grasps.', Result: result });
}

/** The reply's text, or a status. */
function answer(way: string, time: number, { messages = [], response_format: format }: Body): string | number {
  const system = messages.find(({ role }) => role === 'system');
  const user = messages.find(({ role }) => role === 'user');
  const again = messages.length > 2;
  const reasons = /- Reasoning:/.test(system ? textOf(system) : '');
  const good = marks(reasons, 6);
  const said = user ? textOf(user) : '';
  switch (way) {
    case 'noschema':
      return format?.type === 'json_schema' ? 400 : good;
    case 'noformat':
      return format === undefined ? good : 422;
    case 'blind':
      return 400;
    case 'fenced':
      return `Here you are:\n\`\`\`json\n${good.replace(/\}\}$/, ',}}')}\n\`\`\`\nHope this helps.`;
    case 'thinking':
      return `<think>maybe ${marks(reasons, 2)}?</think>\n${good}`;
    case 'stubborn':
      return again ? good : 'I would say it did quite well: 8 out of 10.';
    case 'out-of-range':
      return again ? good : good.replaceAll('6', '11');
    case 'halves':
      return again ? good : good.replaceAll('6', '6.5');
    case 'hopeless':
      return '{"Thought": "hm", "Result": {"Action": "fine"';
    case 'huge':
      return again ? good : `${'blah '.repeat(40_000)}${good}`;
    case 'spread':
      return marks(reasons, 4 + (time % 3));
    case 'gullible':
      // Obeys whatever is outside the record.
      return /"?Result"?\s*:|give (it )?(10|full)/i.test(outsideRecord(said).replace(/Marked example[\s\S]*?Why:/g, ''))
        ? marks(reasons, 10)
        : marks(reasons, 3);
    case 'echo':
      // Quotes the robot's own marks before its own, until it is told.
      return again ? marks(reasons, 2) : `The robot wrote ${marks(reasons, 10)}. I say ${marks(reasons, 2)}`;
    default:
      return good;
  }
}

function misbehave(way: string, time: number, response: ServerResponse): boolean {
  const first = time <= 2;
  if (way === 'busy' && first) response.writeHead(429, { 'retry-after': '0.05' }).end('{"error":"slow down"}');
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
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Body;
    if (body.input) {
      const data = body.input.map((text, index) => ({
        index,
        embedding: Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => text.split(letter).length - 1),
      }));
      response.end(JSON.stringify({ data: data.reverse(), usage: { prompt_tokens: 7 } }));
      return;
    }
    const messages = body.messages ?? [];
    const parts = messages.flatMap(({ content }) => (typeof content === 'string' ? [] : content));
    asked.push({
      way,
      system: messages
        .filter(({ role }) => role === 'system')
        .map(textOf)
        .join(),
      text: messages
        .filter(({ role }) => role === 'user')
        .map(textOf)
        .join('\n---\n'),
      pictures: parts.flatMap(({ image_url }) => image_url?.url.slice(0, 23) ?? []),
      format: body.response_format?.type ?? 'text',
      temperature: body.temperature,
      turns: messages.length,
    });
    if (misbehave(way, time, response)) return;
    const content = answer(way, time, body);
    const reply = (): void => {
      if (typeof content === 'number')
        response.writeHead(content).end('{"error": {"message": "response_format is not supported"}}');
      else {
        const usage = { prompt_tokens: 900, completion_tokens: 60 };
        response.writeHead(200).end(JSON.stringify({ choices: [{ message: { role: 'assistant', content } }], usage }));
      }
    };
    if (way === 'slow') setTimeout(reply, 60);
    else reply();
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`);
});
// The test's end is its end.
process.stdin.resume().on('end', () => process.exit(0));
