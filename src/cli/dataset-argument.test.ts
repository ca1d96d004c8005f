/** Data sets on the Hub, wherever a verb takes a folder, against a server that behaves as the Hub does. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FakeHub } from '../data/hub-server.test-support.js';
import { LeRobotWriter, syntheticEpisode, syntheticFeatures } from '../data/index.js';
import { dualvla } from './run.test-support.js';

const NAME = 'some-one/demos';
let base = '';
let hub: FakeHub;
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-cli-hub-'));
  const folder = join(base, 'own');
  const writer = await LeRobotWriter.create(folder, { fps: 5, robotType: 'test', features: syntheticFeatures() });
  for (let i = 0; i < 2; i++) await writer.addEpisode(syntheticEpisode(i));
  await writer.finish();
  hub = await FakeHub.start({ folder, name: NAME });
  vi.stubEnv('HF_ENDPOINT', hub.url);
  vi.stubEnv('HF_HOME', join(base, 'home'));
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_TOKEN', 'HF_HUB_OFFLINE'])
    vi.stubEnv(name, undefined);
});
afterAll(() => {
  hub.stop();
  vi.unstubAllEnvs();
  rmSync(base, { recursive: true, force: true });
});

describe('a data set on the Hub', () => {
  it('is described by its metadata alone', async () => {
    const { code, out, err } = await dualvla('data', 'info', NAME, '--json');
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining(`hf://datasets/${NAME}@main`) });
    expect(JSON.parse(out)[0]).toMatchObject({ episodes: 2, robot: 'test' });
    expect(hub.requests.some((line) => line.endsWith('.parquet') && line.includes('data/'))).toBe(false);
  });

  it('is validated, converted, pruned', async () => {
    expect((await dualvla('data', 'validate', `hf://datasets/${NAME}@v3.0`)).out).toMatch(/: valid, 2 episodes/);
    const converted = join(base, 'converted');
    expect((await dualvla('data', 'convert', NAME, '--output', converted)).code).toBe(0);
    expect(JSON.parse(readFileSync(join(converted, 'meta/info.json'), 'utf8')).total_episodes).toBe(2);
    const keep = join(base, 'keep.json');
    const pruned = await dualvla('prune', NAME, '--scene', 'none', '--combine', 'motion', '--out', keep);
    expect({ code: pruned.code, there: existsSync(keep) }).toEqual({ code: 0, there: true });
  });

  it('that is not there, or was meant as a folder, is a sentence', async () => {
    expect(await dualvla('data', 'info', 'some-one/else')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/there is no folder some-one\/else; looking on the Hub[\s\S]*error: The Hub has no /),
    });
    // There is a folder src here, so that src/nothing is no name on the Hub.
    expect(await dualvla('data', 'info', 'src/nothing')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no folder src/nothing'),
    });
    expect((await dualvla('train', '--recipe', 'debug', '--dataset.root', 'some-one/else')).err).toContain(
      'The Hub has no',
    );
  });

  it('offline comes from the cache', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const before = hub.requests.length;
    expect((await dualvla('data', 'validate', NAME)).code).toBe(0);
    expect(hub.requests).toHaveLength(before);
    vi.stubEnv('HF_HUB_OFFLINE', undefined);
  });
});
