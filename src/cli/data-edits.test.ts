import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LeRobotWriter, syntheticEpisode, syntheticFeatures } from '../data/index.js';
import { dualvla } from './run.test-support.js';

let base = '';
let folder = '';
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-cli-data-'));
  folder = join(base, 'own');
  const writer = await LeRobotWriter.create(folder, { fps: 5, robotType: 'test', features: syntheticFeatures() });
  for (let i = 0; i < 4; i++) await writer.addEpisode(syntheticEpisode(i));
  await writer.finish();
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('dualvla data', () => {
  it('splits, merges and converts, and says what came out', async () => {
    const [parts, merged, converted] = ['parts', 'merged', 'converted'].map((name) => join(base, name)) as [
      string,
      string,
      string,
    ];
    expect(await dualvla('data', 'split', folder, '--output', parts, '--parts', 'train=0.75,val=0.25')).toMatchObject({
      code: 0,
      err: '',
    });
    const { out } = await dualvla(
      'data',
      'merge',
      join(parts, 'train'),
      join(parts, 'val'),
      '--output',
      merged,
      '--json',
    );
    expect(JSON.parse(out)).toEqual({ folder: merged, episodes: 4, frames: 38, leftOut: [], ignored: {} });
    expect(readFileSync(join(merged, 'data/chunk-000/file-000.parquet'))).toEqual(
      readFileSync(join(folder, 'data/chunk-000/file-000.parquet')),
    );
    expect(await dualvla('data', 'convert', merged, '--output', converted)).toMatchObject({
      code: 0,
      out: `${converted}: 4 episodes, 38 frames\n`,
    });
    const refused = await dualvla('data', 'convert', merged, '--output', converted);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('--overwrite') });
    const stats = JSON.parse((await dualvla('data', 'stats', folder, '--json')).out) as Record<
      string,
      { count: number[] }
    >;
    expect(stats.action?.count).toEqual([38]);
  });

  it('validates with file, code and mend in JSON, and mends', async () => {
    expect(JSON.parse((await dualvla('data', 'validate', folder, '--json')).out)).toEqual({
      ok: true,
      errors: [],
      warnings: [],
    });
    const [bad, mended] = [join(base, 'bad'), join(base, 'mended')];
    await dualvla('data', 'split', folder, '--output', bad, '--episodes', '1:3');
    const path = join(bad, 'part/meta/stats.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"mean": \[\s*[-\d.e]+/, '"mean": [ 77'));
    const { code, out } = await dualvla('data', 'validate', bad, '--json');
    expect(code).toBe(1);
    const { ok, errors } = JSON.parse(out) as { ok: boolean; errors: object[] };
    expect(ok).toBe(false);
    expect(errors[0]).toEqual({
      file: 'part/meta/stats.json',
      episode: null,
      frame: null,
      code: 'statistics',
      message: expect.stringContaining('mean[0] is 77'),
      fix: expect.stringContaining('--fix'),
    });
    expect((await dualvla('data', 'validate', bad, '--fix', mended)).code).toBe(0);
    expect((await dualvla('data', 'validate', mended)).code).toBe(0);
  });

  it.each([
    [['split', 'FOLDER', '--output', 'x'], 'give --parts or --episodes'],
    [['split', 'FOLDER', '--output', 'x', '--episodes', '2:9'], "'2:9' names no episodes of 0:4"],
    [['split', 'FOLDER', '--output', 'x', '--parts', 'a=0.9,b=0.9'], 'cannot be split'],
    [['convert', 'FOLDER'], 'option --output <dir> is needed'],
    [['convert', 'FOLDER', '--output', 'x', '--ecot', 'y'], '--ecot is for RLDS'],
    [['convert', '/no/such/folder', '--output', 'x'], 'there is no folder'],
    [['convert', 'FOLDER', '--output', 'x', '--codec', 'h264'], 'there is no codec'],
  ])('%j is wrong usage', async (args, message) => {
    const result = await dualvla('data', ...args.map((word) => (word === 'FOLDER' ? folder : word)));
    expect(result).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) });
    expect(existsSync('x')).toBe(false);
  });
});
