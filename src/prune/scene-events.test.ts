import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../data/random.js';
import { PruneError } from './errors.js';
import { boundaryF1 } from './event-boundaries.js';
import {
  type LabelledScene,
  type SceneEventConfig,
  SceneEventModel,
  SMALL_SCENE_EVENTS,
  trainSceneNet,
} from './scene-events.js';

const SIZE = 16;
const config: SceneEventConfig = {
  ...SMALL_SCENE_EVENTS,
  net: {
    ...SMALL_SCENE_EVENTS.net,
    width: 4,
    heads: 2,
    decoder_layers: 1,
    frames_per_side: 2,
    stem_pool: false,
    dropout: 0,
  },
  image_size: SIZE,
};

/** A square that wanders; an event is a change of its colour. */
function scene(seed: number, numFrames = 12): LabelledScene {
  const random = new SeededRandom(seed);
  const data = new Uint8Array(numFrames * SIZE * SIZE * 3).fill(60);
  const boundaries: number[] = [];
  let [x, y, since] = [random.below(8), random.below(8), 0];
  let red = random.below(2) === 1;
  for (let t = 0; t < numFrames; t++) {
    since++;
    if (since > 3 && random.below(2) === 0) {
      red = !red;
      since = 0;
      boundaries.push(t);
    }
    x = Math.min(Math.max(x + random.below(3) - 1, 0), SIZE - 6);
    y = Math.min(Math.max(y + random.below(3) - 1, 0), SIZE - 6);
    for (let dy = 0; dy < 6; dy++)
      for (let dx = 0; dx < 6; dx++)
        data.set(red ? [240, 40, 40] : [40, 240, 40], ((t * SIZE + y + dy) * SIZE + x + dx) * 3);
  }
  return { frames: { data, numFrames, size: SIZE, channels: 3 }, boundaries };
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'scene-events-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('scene events', () => {
  const scenes = Array.from({ length: 24 }, (_, i) => scene(i));

  it('learns from a few labelled episodes what an event looks like, and finds it in others', async () => {
    const losses: number[] = [];
    const net = await trainSceneNet({
      scenes,
      config,
      steps: 60,
      learningRate: 3e-3,
      episodesPerStep: 4,
      onStep: ({ loss }) => losses.push(loss),
    });
    const model = new SceneEventModel(config, net);
    const held = Array.from({ length: 8 }, (_, i) => scene(100 + i));
    const f1 = boundaryF1(
      held.map(({ frames, boundaries }) => ({ truth: boundaries, found: model.boundaries(model.score(frames)) })),
      1,
    ).f1;
    const everySecond = boundaryF1(
      held.map(({ boundaries }) => ({ truth: boundaries, found: [2, 4, 6, 8, 10, 12] })),
      1,
    ).f1;
    expect(losses).toHaveLength(60);
    expect(f1).toBeGreaterThan(0.85);
    expect(f1).toBeGreaterThan(everySecond + 0.1);

    model.save(folder, { note: 'test' });
    const again = SceneEventModel.load(folder);
    const frames = held[0]!.frames;
    expect(again.score(frames)).toEqual(model.score(frames));
    expect(again.config).toEqual(config);
    model.save(join(folder, 'half'), {}, { half: true });
    const half = SceneEventModel.load(join(folder, 'half'));
    expect(statSync(join(folder, 'half', 'model.safetensors')).size).toBeLessThan(
      0.6 * statSync(join(folder, 'model.safetensors')).size,
    );
    half.score(frames).forEach((score, t) => {
      expect(Math.abs(score - (model.score(frames)[t] as number))).toBeLessThan(0.02);
    });
    expect(half.digest()).not.toBe(model.digest());
    expect(again.digest()).toBe(model.digest());
    // The batch that frames go through together does not matter.
    again.score(frames, { batch: 5 }).forEach((score, t) => {
      expect(score).toBeCloseTo(model.score(frames)[t] as number, 5);
    });
  }, 60_000);

  it('gives the same weights for the same seed, others for another', async () => {
    const weights = async (seed: number) =>
      (await trainSceneNet({ scenes, config, steps: 2, seed })).fc.weight.tolist();
    expect(await weights(3)).toEqual(await weights(3));
    expect(await weights(3)).not.toEqual(await weights(4));
  });

  it('uses stretches of long episodes, and says when there is nothing to learn', async () => {
    const long = [scene(1, 60), scene(2, 1)];
    await expect(trainSceneNet({ scenes: long, config, steps: 2, maxFrames: 16 })).resolves.toBeDefined();
    const none = scenes.map((one) => ({ ...one, boundaries: [] }));
    await expect(trainSceneNet({ scenes: none, config, steps: 1 })).rejects.toThrow(/None of the 24 labelled episodes/);
    await expect(trainSceneNet({ scenes, config, steps: 5, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });

  it('names a checkpoint that is none, and frames of another size', () => {
    expect(() => SceneEventModel.load(join(folder, 'nowhere'))).toThrow(/no event detector.*train-scene/);
    const model = SceneEventModel.load(folder);
    expect(() => model.score({ ...scenes[0]!.frames, size: 32 })).toThrow(/trained on 1 cameras at 16 pixels/);
    writeFileSync(join(folder, 'config.json'), '{"type":"scene-events","version":1}');
    expect(() => SceneEventModel.load(folder)).toThrow(PruneError);
  });
});
