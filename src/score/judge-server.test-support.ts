/**
 * A judge for tests: `node judge-server.test-support.js` (see faulty-server.test-support.ts). POST .../embeddings embeds texts by their
 * letters.
 */
import type { ServerResponse } from 'node:http';
import { misbehave, serveChat } from '../eval/benchmarks/faulty-server.test-support.js';

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

function embed(texts: readonly string[], response: ServerResponse): void {
  const data = texts.map((text, index) => ({
    index,
    embedding: Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => text.split(letter).length - 1),
  }));
  response.end(JSON.stringify({ data: data.reverse(), usage: { prompt_tokens: 7 } }));
}

/** What a request asked for, as /stats tells it. */
function asked(way: string, { messages = [], response_format: format, temperature }: Body) {
  const said = (by: string, between: string): string =>
    messages
      .filter(({ role }) => role === by)
      .map(textOf)
      .join(between);
  const parts = messages.flatMap(({ content }) => (typeof content === 'string' ? [] : content));
  return {
    way,
    system: said('system', ','),
    text: said('user', '\n---\n'),
    pictures: parts.flatMap(({ image_url }) => image_url?.url.slice(0, 23) ?? []),
    format: format?.type ?? 'text',
    temperature,
    turns: messages.length,
  };
}

serveChat<Body>((exchange) => {
  const { way, time, body, response } = exchange;
  if (body.input) {
    embed(body.input, response);
    return null;
  }
  const content = answer(way, time, body);
  const reply = (): void => {
    if (typeof content === 'number')
      response.writeHead(content).end('{"error": {"message": "response_format is not supported"}}');
    else {
      const usage = { prompt_tokens: 900, completion_tokens: 60 };
      response.writeHead(200).end(JSON.stringify({ choices: [{ message: { role: 'assistant', content } }], usage }));
    }
  };
  if (!misbehave(exchange)) setTimeout(reply, way === 'slow' ? 60 : 0);
  return asked(way, body);
});
