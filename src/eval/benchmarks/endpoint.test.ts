/** The client against a server in a second process that misbehaves in every way, and runs that are killed and go on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChatEndpoint, type ChatEndpointOptions, EndpointError, parseModelAtUrl } from './chat-endpoint.js';
import { EndpointJudge } from './endpoint-judge.js';
import { JudgeError } from './errors.js';
import { readPredictionLines } from './predictions.js';

interface Asked {
  path: string;
  text: string;
  pictures: number;
  temperature: number;
  key: string;
  at: number;
}

const BIN = fileURLToPath(new URL('../../../bin/dualvla.js', import.meta.url));
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC';
let folder: string;
let server: ChildProcess;
let base: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'benchmarks-'));
  server = spawn(process.execPath, [fileURLToPath(new URL('./chat-server.test-support.js', import.meta.url))]);
  const [port] = (await once(server.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  base = `http://127.0.0.1:${port.toString().trim()}`;
});

afterAll(() => {
  server.stdin?.end();
  rmSync(folder, { recursive: true });
});

const asked = async (way: string): Promise<Asked[]> =>
  ((await (await fetch(`${base}/stats`)).json()) as Asked[]).filter(({ path }) => path.startsWith(`/${way}/`));

const endpoint = (way: string, options: Partial<ChatEndpointOptions> = {}): ChatEndpoint =>
  new ChatEndpoint({ baseUrl: `${base}/${way}/v1`, model: 'test', pauseMs: 10, timeoutMs: 1_000, ...options });

const REQUEST = { content: 'hello', maxTokens: 5, temperature: 0 };

describe('the chat client', () => {
  it('counts tokens and cost, and sends the key', async () => {
    const one = endpoint('fine', { apiKey: 'secret', price: { prompt: 2, reply: 10 } });
    expect(await one.complete(REQUEST)).toEqual({ text: 'B', promptTokens: 100, replyTokens: 10 });
    await one.complete(REQUEST);
    expect(one.usage).toEqual({ requests: 2, repeated: 0, promptTokens: 200, replyTokens: 20, cost: 0.0006 });
    expect((await asked('fine')).map(({ key }) => key)).toEqual(['Bearer secret', 'Bearer secret']);
    expect((await endpoint('empty').complete(REQUEST)).text).toBe('');
  });

  it.each(['busy', 'broken', 'cut', 'garbled', 'shapeless', 'silent'])('tries again: %s', async (way) => {
    const one = endpoint(way, way === 'silent' ? { timeoutMs: 150 } : {});
    expect((await one.complete(REQUEST)).text).toBe('B');
    expect(one.usage).toMatchObject({ requests: 3, repeated: 2 });
    const times = (await asked(way)).map(({ at }) => at);
    expect(times).toHaveLength(3);
    // Retry-After is kept to.
    if (way === 'busy') expect((times[1] as number) - (times[0] as number)).toBeGreaterThanOrEqual(290);
  });

  it('gives up in the end, and at once where trying again is no use', async () => {
    await expect(endpoint('dead', { retries: 2 }).complete(REQUEST)).rejects.toThrow(
      /test@.* after 3 tries: status 500: out of order/,
    );
    expect(await asked('dead')).toHaveLength(3);
    for (const way of ['refused', 'endless']) {
      await expect(endpoint(way, { apiKey: 'secret', timeoutMs: 10_000 }).complete(REQUEST)).rejects.toThrow(
        EndpointError,
      );
      expect(await asked(way)).toHaveLength(1);
    }
    await expect(endpoint('refused', { apiKey: 'secret' }).complete(REQUEST)).rejects.not.toThrow(/secret/);
    // A key is not carried to another host.
    await expect(endpoint('moved', { retries: 0 }).complete(REQUEST)).rejects.toThrow(EndpointError);
    await expect(
      new ChatEndpoint({ baseUrl: 'http://127.0.0.1:9/v1', model: 'm', retries: 1, pauseMs: 1 }).complete(REQUEST),
    ).rejects.toThrow(/does not answer after 2 tries/);
    expect(() => new ChatEndpoint({ baseUrl: 'file:///etc', model: 'm' })).toThrow(EndpointError);
  });

  it('keeps to a rate', async () => {
    const one = endpoint('paced', { requestsPerMinute: 600 });
    const start = performance.now();
    await Promise.all([1, 2, 3, 4].map(() => one.complete(REQUEST)));
    // A tenth of a second between two of them; a timer may be a millisecond early.
    expect(performance.now() - start).toBeGreaterThanOrEqual(295);
    expect(await asked('paced')).toHaveLength(4);
  });

  it('is stopped by a signal', async () => {
    const stop = new AbortController();
    const waiting = endpoint('dead', { pauseMs: 30_000 }).complete({ ...REQUEST, signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('reads name@url', () => {
    expect(parseModelAtUrl('a/b@http://h/v1')).toEqual({ model: 'a/b', baseUrl: 'http://h/v1' });
    expect(parseModelAtUrl('outputs/train/x')).toBeUndefined();
  });
});

describe('a judge behind an endpoint', () => {
  const question = { index: 3, prompt: 'which?', attempt: 0, temperature: 0 };

  it('is asked once for the same, also after a crash that cut its file', async () => {
    const journal = join(folder, 'judge.jsonl');
    const judge = new EndpointJudge(endpoint('judge'), journal);
    expect(await judge.ask(question)).toBe('B');
    expect(await judge.ask(question)).toBe('B');
    writeFileSync(journal, '{"key": "cut o', { flag: 'a' });
    const again = new EndpointJudge(endpoint('judge'), journal);
    expect(await again.ask(question)).toBe('B');
    expect(await asked('judge')).toHaveLength(1);
    await again.ask({ ...question, attempt: 1, temperature: 0.5 });
    expect((await asked('judge')).map(({ temperature }) => temperature)).toEqual([0, 0.5]);
    const [first] = readFileSync(journal, 'utf8').split('\n');
    expect(JSON.parse(first as string)).toMatchObject({ judge: judge.name, index: 3, prompt: 'which?', reply: 'B' });
  });

  it('is an error when it does not answer', async () => {
    await expect(new EndpointJudge(endpoint('dead', { retries: 0 })).ask(question)).rejects.toThrow(JudgeError);
  });
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

function dualvla(args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [BIN, 'eval', 'mm', ...args]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  return { child, ended: once(child, 'close').then(([code]) => ({ code, out, err })) };
}

describe('dualvla eval mm', () => {
  const table = (): string => join(folder, 'MMStar.tsv');
  const rows = 24;
  beforeAll(() => {
    const lines = Array.from({ length: rows }, (_, i) =>
      [i, `Which is number ${i}-?`, 'red mug', 'spoon', 'B', 'math', PICTURE].join('\t'),
    );
    writeFileSync(table(), `${['index\tquestion\tA\tB\tanswer\tcategory\timage', ...lines].join('\n')}\n`);
  });

  it('goes on after kill -9 without asking again what was answered', async () => {
    const output = join(folder, 'killed');
    const model = `vlm@${base}/slow/v1`;
    const args = ['--data', table(), '--model', model, '--output', output, '--concurrency', '2', '--json'];
    const answers = join(output, 'mmstar.instructvla.jsonl');
    const { child, ended } = dualvla(args);
    while (!existsSync(answers) || readFileSync(answers, 'utf8').split('\n').length < 8) await pause(10);
    child.kill('SIGKILL');
    await ended;
    await pause(150);
    const answered = [...readPredictionLines(answers).predictions.keys()];
    const before = (await asked('slow')).length;
    expect(before).toBeLessThan(rows);
    // What the crash cut off in the file does not stop the next run.
    writeFileSync(answers, '{"index": 23, "predi', { flag: 'a' });
    const refused = await dualvla(args).ended;
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('--reuse');
    const { code, out } = await dualvla([...args, '--reuse']).ended;
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ benchmark: 'MMStar', numRows: rows, complete: true });
    const requests = await asked('slow');
    const of = (index: string) => requests.filter(({ text }) => text.includes(`number ${index}-?`)).length;
    expect(answered.length).toBeGreaterThanOrEqual(6);
    for (const index of answered) expect(of(index)).toBe(1);
    expect(requests.length).toBe(before + rows - answered.length);
    expect(requests.every(({ pictures }) => pictures === 1)).toBe(true);
    const other = await dualvla([...args.map((arg) => (arg === model ? `other@${base}/slow/v1` : arg)), '--reuse'])
      .ended;
    expect(other).toMatchObject({ code: 1 });
    expect(other.err).toContain('another model');
  }, 60_000);

  it('fails when the judge is down, and scores by rules only when none is named', async () => {
    const predictions = join(folder, 'open.jsonl');
    const lines = Array.from({ length: rows }, (_, index) => JSON.stringify({ index, prediction: 'hard to say' }));
    writeFileSync(predictions, lines.join('\n'));
    const args = ['--data', table(), '--predictions', predictions, '--mode', 'score', '--json'];
    const rules = await dualvla(args).ended;
    expect(JSON.parse(rules.out)).toMatchObject({ judge: 'none', main: 0, uninferableRate: 1 });
    const down = await dualvla([...args, '--judge', `j@${base}/dead/v1`, '--retries', '0']).ended;
    expect(down).toMatchObject({ code: 1, out: '' });
    expect(down.err).toContain('The judge does not answer');
    const up = await dualvla([...args, '--judge', `j@${base}/fine/v1`]).ended;
    expect(JSON.parse(up.out)).toMatchObject({ judge: `j@${base}/fine/v1`, main: 100, uninferableRate: 0 });
  }, 60_000);
});
