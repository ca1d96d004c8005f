/**
 * From the simulator to files and back: demonstrations are generated, read by the training loader as normalised chunks, and the decoded
 * chunks, played open loop in the simulator, solve the same scenes. A wrong sign, scale, order or frame anywhere in between would show.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeChunk, Loader, type LoaderBatch, PROVENANCE_FILE } from 'dualvla/data';
import { Env, generateDemonstrations, type TaskId } from 'dualvla/sim';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CHUNK = 6;
const TASK: TaskId = 'google/close-drawer';
const EPISODES = 4;
let base = '';
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-actions-'));
  const options = {
    out: base,
    overwrite: true,
    tasks: [TASK],
    episodesPerTask: EPISODES,
    imageSize: 16,
    shadows: false,
  };
  for await (const _ of generateDemonstrations({
    ...options,
    cameras: ['third'],
    workers: 1,
    perturbProbability: 0,
    failedGraspProbability: 0,
  }));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe.each(['cumulative', 'delta'] as const)('chunks as %s', (representation) => {
  it('solve the scenes that they were recorded in', async () => {
    const { episodes } = JSON.parse(readFileSync(join(base, PROVENANCE_FILE), 'utf8')) as {
      episodes: { seed: number }[];
    };
    await using loader = await Loader.open({
      folders: [base],
      batchSize: 1,
      chunk: CHUNK,
      representation,
      shuffle: false,
      epochs: 1,
    });
    const env = await Env.create({ task: TASK, imageSize: 16, cameras: ['third'], shadows: false });
    const batches: LoaderBatch[] = [];
    for await (const batch of loader) batches.push(batch);
    for (const [e, { seed }] of episodes.entries()) {
      const record = loader.table.episodes[e] as (typeof loader.table.episodes)[number];
      const observation = env.reset(seed);
      const first = batches[record.first] as LoaderBatch;
      expect(first.instruction[0]).toBe(observation.instruction);
      expect(first.images.third).toEqual(observation.images.third);
      expect(first.state).toEqual(observation.state);
      let success = false;
      for (let t = 0; t < record.length; t += CHUNK) {
        const { actions, actionMask } = batches[record.first + t] as LoaderBatch;
        const decoded = decodeChunk(actions, loader.chunkStats);
        for (let k = 0; k < CHUNK && actionMask[k] === 1 && !success; k++)
          success = env.step(decoded.subarray(k * 7, (k + 1) * 7)).success;
      }
      expect(success).toBe(true);
    }
    env.dispose();
  });
});
