/** The event detector that ships, on scenes that nobody has trained or chosen anything on; and `dualvla prune` without options finds it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  boundariesFromPhases,
  boundaryF1,
  DEFAULT_DETECTOR,
  inputEpisodes,
  openPruneInputs,
  SceneEventModel,
  SceneLayer,
} from 'dualvla/prune';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateDemonstrations } from '../dist/sim/demonstrations.js';

let base = '';
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-detector-'));
  const events = generateDemonstrations({
    out: join(base, 'data'),
    tasks: ['widowx/put-carrot-on-plate', 'google/pick-coke-can'],
    episodesPerTask: 5,
    split: 'validation',
    seedStart: 400_000,
    variants: { vm: 0.5, va: 0.5 },
    imageSize: 64,
    cameras: ['third'],
    workers: 1,
  });
  for await (const _ of events);
}, 240_000);
afterAll(() => rmSync(base, { recursive: true, force: true }));

test('finds events far better than a guess at their density does', async () => {
  const model = SceneEventModel.load(DEFAULT_DETECTOR);
  const found = [];
  const guessed = [];
  for (const input of await openPruneInputs(join(base, 'data'))) {
    const layer = new SceneLayer(input, { kind: 'ddm-net', model });
    expect(layer.warning).toBeNull();
    for await (const { episode, frames } of inputEpisodes(input, 0, input.numEpisodes, layer.pictures)) {
      const truth = boundariesFromPhases(episode);
      found.push({ truth, found: layer.boundaries(episode, frames).boundaries ?? [] });
      guessed.push({ truth, found: Array.from({ length: episode.length >> 1 }, (_, i) => 2 * i + 1) });
    }
  }
  const [exact, chance] = [boundaryF1(found, 0).f1, boundaryF1(guessed, 0).f1];
  expect(exact).toBeGreaterThan(0.6);
  expect(exact).toBeGreaterThan(chance + 0.1);
  expect(boundaryF1(found, 2).f1).toBeGreaterThan(0.75);
});

test('is small, and says how it was made and how good it is', () => {
  const config = JSON.parse(readFileSync(join(DEFAULT_DETECTOR, 'config.json'), 'utf8')) as {
    made_by: string;
    held_out: Record<'vm' | 'va', Record<string, number>>;
  };
  expect(config.made_by).toBe('scripts/make-scene-detector.mjs');
  for (const look of ['vm', 'va'] as const) expect(config.held_out[look].exact).toBeGreaterThan(0.7);
  expect(readFileSync(join(DEFAULT_DETECTOR, 'model.safetensors')).length).toBeLessThan(2_200_000);
});
