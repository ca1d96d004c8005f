import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { mapAhead } from './read-ahead.js';

describe('mapAhead', () => {
  async function* waits(...all: number[]): AsyncGenerator<number> {
    for (const ms of all) {
      if (ms < 0) throw new Error('no more');
      yield ms;
    }
  }

  it('keeps the order, and works on so many at a time', async () => {
    let [running, most] = [0, 0];
    const work = async (ms: number): Promise<number> => {
      most = Math.max(most, ++running);
      await sleep(ms);
      running--;
      return ms;
    };
    const results = [];
    for await (const result of mapAhead(waits(30, 1, 20, 2, 3), 3, work)) results.push(result);
    expect(results).toEqual([30, 1, 20, 2, 3]);
    expect(most).toBe(3);
  });

  it('gives errors of the work and of the source their place, and stops the others', async () => {
    const stops: boolean[] = [];
    const work = async (ms: number, stop: AbortSignal): Promise<number> => {
      await sleep(ms);
      stops.push(stop.aborted);
      if (ms === 5) throw new Error('bad');
      return ms;
    };
    const results: number[] = [];
    const read = async (...all: number[]): Promise<void> => {
      for await (const result of mapAhead(waits(...all), 2, work)) results.push(result);
    };
    await expect(read(1, 5, 60, 1)).rejects.toThrow('bad');
    expect(results).toEqual([1]);
    expect(stops).toEqual([false, false, true]);
    await expect(read(20, -1)).rejects.toThrow('no more');
    expect(results).toEqual([1, 20]);
  });
});
