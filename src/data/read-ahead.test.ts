import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { readAhead } from './read-ahead.js';

describe('readAhead', () => {
  const log: string[] = [];
  async function* numbers(failAt = -1): AsyncGenerator<number> {
    try {
      for (let i = 0; i < 3; i++) {
        if (i === failAt) throw new Error(`no ${i}`);
        log.push(`read ${i}`);
        await sleep(1);
        yield i;
      }
    } finally {
      log.push('closed');
    }
  }
  const take = async (source: AsyncIterable<number>, stopAt = -1): Promise<void> => {
    for await (const i of source) {
      await sleep(10);
      log.push(`used ${i}`);
      if (i === stopAt) break;
    }
  };

  it('keeps the order and reads the next while one is used', async () => {
    log.length = 0;
    await take(readAhead(numbers()));
    expect(log).toEqual(['read 0', 'read 1', 'used 0', 'read 2', 'used 1', 'closed', 'used 2']);
  });

  it('gives an error its place', async () => {
    log.length = 0;
    await expect(take(readAhead(numbers(1)))).rejects.toThrow('no 1');
    expect(log).toEqual(['read 0', 'closed', 'used 0']);
  });

  it('closes the source when it is left early, also where that would fail', async () => {
    log.length = 0;
    await take(readAhead(numbers()), 0);
    expect(log.at(-1)).toBe('closed');
    await take(readAhead(numbers(1)), 0);
    expect(log.at(-1)).toBe('used 0');
  });
});
