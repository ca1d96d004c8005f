import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { endWorker } from './end-worker.js';

const start = async (code: string): Promise<Worker> => {
  const worker = new Worker(`const { parentPort } = require('node:worker_threads'); ${code}`, { eval: true });
  await new Promise((resolve) => worker.once('message', resolve));
  return worker;
};

it('waits for what the worker is at', async () => {
  const worker = await start(`
    parentPort.on('message', () => { parentPort.postMessage('last words'); parentPort.close(); });
    parentPort.postMessage('up');`);
  const said: unknown[] = [];
  worker.on('message', (message) => said.push(message));
  let code: number | undefined;
  worker.on('exit', (exit) => {
    code = exit;
  });
  await endWorker(worker, () => worker.postMessage('stop'));
  expect(said).toEqual(['last words']);
  expect(code).toBe(0);
  await endWorker(worker, () => expect.unreachable('an ended worker is not asked'));
});

it('ends by force one that does not listen', async () => {
  const worker = await start(`parentPort.postMessage('up'); for (;;);`);
  const started = performance.now();
  await endWorker(worker, () => worker.postMessage('stop'), 200);
  expect(performance.now() - started).toBeGreaterThan(150);
  expect(worker.threadId).toBe(-1);
});
