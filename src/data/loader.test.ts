import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeChunk } from './action-chunk.js';
import type { Episode } from './episode.js';
import { CorruptDatasetError, UnsupportedDatasetError } from './errors.js';
import { shiftInto } from './image-shift.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { Loader, type LoaderBatch, type LoaderOptions } from './loader.js';
import { epochOrder, unitsByNeed } from './loader-order.js';
import { SeededRandom } from './random.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';

let base = '';
let folder = '';
const episodes: Episode[] = Array.from({ length: 12 }, (_, i) => syntheticEpisode(i));
const NUM_FRAMES = episodes.reduce((sum, { length }) => sum + length, 0);
const FRAME_BYTES = 2 * 16 * 16 * 3;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'dualvla-loader-'));
  folder = join(base, 'images');
  const writer = await LeRobotWriter.create(folder, {
    fps: 5,
    robotType: 'test',
    features: syntheticFeatures(),
    dataFilesSizeInMb: 0.02,
  });
  for (const episode of episodes) await writer.addEpisode(episode);
  await writer.finish();
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const options = (extra: Partial<LoaderOptions> = {}): LoaderOptions => ({
  folders: [folder],
  batchSize: 10,
  chunk: 4,
  seed: 3,
  ...extra,
});

async function take(count: number, extra: Partial<LoaderOptions> = {}): Promise<LoaderBatch[]> {
  await using loader = await Loader.open(options(extra));
  const batches: LoaderBatch[] = [];
  for (let i = 0; i < count; i++) {
    const batch = await loader.next();
    if (!batch) break;
    batches.push(batch);
  }
  return batches;
}

/** One word for all bytes of an array: the test runner compares long arrays one element at a time. */
const hash = (data: Uint8Array | Float32Array | undefined): string =>
  data
    ? createHash('sha1')
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest('base64')
    : 'none';

/** A batch with hashes in place of its pictures. */
const brief = (batch: LoaderBatch): unknown => ({
  ...batch,
  images: Object.fromEntries(Object.entries(batch.images).map(([camera, data]) => [camera, hash(data)])),
  actions: hash(batch.actions),
});

/** Episode and frame of a global index. */
function locate(index: number): { episode: Episode; t: number } {
  let first = 0;
  for (const episode of episodes) {
    if (index < first + episode.length) return { episode, t: index - first };
    first += episode.length;
  }
  throw new RangeError(String(index));
}

describe('batches', () => {
  it('hold what the episodes hold', async () => {
    await using loader = await Loader.open(options());
    for (let i = 0; i < 2 * Math.ceil(NUM_FRAMES / 10); i++) {
      const batch = (await loader.next()) as LoaderBatch;
      batch.index.forEach((index, b) => {
        const { episode, t } = locate(index);
        expect(batch.instruction[b]).toBe(episode.task);
        expect(batch.reasoning[b]).toBe(episode.columns['reasoning.text']?.values[t]);
        expect(batch.reasoningKeep[b]).toBe(t === 1 ? 0 : 1);
        expect(batch.state.slice(b * 7, b * 7 + 7)).toEqual(episode.state.slice(t * 7, t * 7 + 7));
        for (const camera of ['third', 'wrist']) {
          const size = 16 * 16 * 3;
          expect(hash(batch.images[camera]?.subarray(b * size, (b + 1) * size))).toBe(
            hash(episode.images[camera]?.data.subarray(t * size, (t + 1) * size)),
          );
        }
        const actions = decodeChunk(batch.actions.subarray(b * 28, (b + 1) * 28), loader.chunkStats);
        for (let k = 0; k < 4; k++) {
          expect(batch.actionMask[b * 4 + k]).toBe(t + k < episode.length ? 1 : 0);
          for (let d = 0; d < 7 && t + k < episode.length; d++)
            expect(actions[k * 7 + d]).toBeCloseTo(episode.action[(t + k) * 7 + d] as number, 4);
        }
      });
      const low = Math.min(...batch.stateNormalised);
      const high = Math.max(...batch.stateNormalised);
      expect(low).toBeGreaterThan(-1.5);
      expect(high).toBeLessThan(1.5);
    }
    expect(loader.timing.numBatches).toBeGreaterThan(10);
  });

  it('hold every frame once an epoch, in another order each epoch', async () => {
    const batches = await take(Math.ceil((3 * NUM_FRAMES) / 10));
    const seen = batches.flatMap((batch) => [...batch.index]);
    const epochs = [0, 1, 2].map((epoch) => seen.slice(epoch * NUM_FRAMES, (epoch + 1) * NUM_FRAMES));
    for (const epoch of epochs)
      expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: NUM_FRAMES }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it('depend on the seed alone, not on workers or memory for actions', async () => {
    const one = await take(8, { workers: 1 });
    expect((await take(8, { workers: 2 })).map(brief)).toEqual(one.map(brief));
    expect((await take(8, { seed: 4 }))[0]?.index).not.toEqual(one[0]?.index);
  });

  it('come in order without shuffling, and end after the last epoch with a smaller one', async () => {
    const batches = await take(1000, { shuffle: false, epochs: 1, cameras: [] });
    expect(batches.flatMap((batch) => [...batch.index])).toEqual(Array.from({ length: NUM_FRAMES }, (_, i) => i));
    expect(batches.at(-1)?.size).toBe(NUM_FRAMES % 10 || 10);
    expect(batches[0]?.images).toEqual({});
  });
});

describe('resuming', () => {
  it.each([
    ['all in memory', {}],
    ['streaming', { cacheBytes: 2 * 40 * FRAME_BYTES }],
    ['with random shifts', { shiftPixels: 2 }],
  ])('continues with exactly the batches that would have come (%s)', async (_, extra: Partial<LoaderOptions>) => {
    const straight = await take(30, extra);
    for (const stop of [1, 7, 20]) {
      const state = JSON.parse(JSON.stringify(straight[stop - 1]?.next));
      const rest = await take(30 - stop, { ...extra, seed: 999, state });
      expect(rest.map(brief)).toEqual(straight.slice(stop).map(brief));
    }
  });

  it('refuses a state of other data and memory that is too small for it', async () => {
    await expect(Loader.open(options({ state: { seed: 0, epoch: 0, position: 10_000, window: 0 } }))).rejects.toThrow(
      'at frame 10000',
    );
    await expect(
      Loader.open(options({ cacheBytes: 1000, state: { seed: 0, epoch: 0, position: 0, window: 0 } })),
    ).rejects.toThrow('raise cacheBytes');
    await expect(Loader.open(options({ cacheBytes: 1000 }))).rejects.toThrow('raise it to');
    await expect(Loader.open(options({ cacheBytes: 2 * 30 * FRAME_BYTES, batchSize: 60 }))).rejects.toThrow(
      'raise cacheBytes',
    );
  });
});

describe('ranks', () => {
  it.each([{}, { cacheBytes: 2 * 50 * FRAME_BYTES }])('share the global batches between them (%j)', async (extra) => {
    const whole = await take(8, { ...extra, batchSize: 12 });
    const parts = await Promise.all([0, 1, 2].map((rank) => take(8, { ...extra, batchSize: 4, rank, worldSize: 3 })));
    whole.forEach((batch, i) => {
      expect(parts.flatMap((part) => [...(part[i]?.index ?? [])])).toEqual([...batch.index]);
      expect(hash(parts[1]?.[i]?.images.third)).toBe(hash(batch.images.third?.subarray(4 * 768, 8 * 768)));
      expect(parts[2]?.[i]?.next).toEqual(batch.next);
    });
  });
});

describe('streaming', () => {
  it('gives every frame once an epoch and right pictures from little memory', async () => {
    const batches = await take(Math.ceil((3 * NUM_FRAMES) / 10), { cacheBytes: 2 * 40 * FRAME_BYTES });
    const seen = batches.flatMap((batch) => [...batch.index]);
    for (const epoch of [0, 1, 2])
      expect(seen.slice(epoch * NUM_FRAMES, (epoch + 1) * NUM_FRAMES).sort((a, b) => a - b)).toEqual(
        Array.from({ length: NUM_FRAMES }, (_, i) => i),
      );
    for (const batch of batches) {
      batch.index.forEach((index, b) => {
        const { episode, t } = locate(index);
        expect(hash(batch.images.wrist?.subarray(b * 768, (b + 1) * 768))).toBe(
          hash(episode.images.wrist?.data.subarray(t * 768, (t + 1) * 768)),
        );
      });
    }
  });
});

describe('several data sets', () => {
  it('are one, with statistics over all of them', async () => {
    const other = join(base, 'other');
    const writer = await LeRobotWriter.create(other, { fps: 3, robotType: 'other', features: syntheticFeatures() });
    await writer.addEpisode({ ...syntheticEpisode(40, { fps: 3, length: 5 }), task: 'open the drawer' });
    await writer.finish();
    const batches = await take(1000, { folders: [folder, other], epochs: 1, shuffle: false });
    expect(batches.reduce((sum, batch) => sum + batch.size, 0)).toBe(NUM_FRAMES + 5);
    expect(batches.at(-1)?.instruction.at(-1)).toBe('open the drawer');
    const small = join(base, 'small');
    const second = await LeRobotWriter.create(small, {
      fps: 5,
      robotType: 'test',
      features: syntheticFeatures({ imageSize: 8 }),
    });
    await second.addEpisode(syntheticEpisode(0, { imageSize: 8 }));
    await second.finish();
    await expect(Loader.open(options({ folders: [folder, small] }))).rejects.toThrow(UnsupportedDatasetError);
    const scaled = await take(2, { folders: [folder, small], imageSize: 12 });
    expect(scaled[0]?.images.third).toHaveLength(10 * 12 * 12 * 3);
  });

  it('from videos', async () => {
    const videos = join(base, 'videos');
    const features = syntheticFeatures({ imageStorage: 'video', cameras: ['third'] });
    const writer = await LeRobotWriter.create(videos, {
      fps: 5,
      robotType: 'test',
      features,
      video: { codec: 'libx264', crf: 10 },
    });
    for (let i = 0; i < 4; i++) await writer.addEpisode(syntheticEpisode(i, { cameras: ['third'] }));
    await writer.finish();
    for (const batch of await take(4, { folders: [videos] })) {
      batch.index.forEach((index, b) => {
        const { episode, t } = locate(index);
        const wanted = episode.images.third?.data.slice(t * 768, (t + 1) * 768) as Uint8Array;
        const got = batch.images.third?.slice(b * 768, (b + 1) * 768) as Uint8Array;
        expect(got.reduce((sum, value, i) => sum + Math.abs(value - (wanted[i] as number)), 0) / 768).toBeLessThan(8);
      });
    }
  });
});

describe('errors', () => {
  it('of a decoding worker reach the one who waits', async () => {
    const broken = join(base, 'broken');
    const writer = await LeRobotWriter.create(broken, {
      fps: 5,
      robotType: 'test',
      features: syntheticFeatures({ cameras: ['third'] }),
    });
    const episode = syntheticEpisode(0, { cameras: ['third'], length: 3 });
    await writer.addEpisode(episode, { pngs: { third: [0, 1, 2].map(() => Uint8Array.of(1, 2, 3)) } });
    await writer.finish();
    await using loader = await Loader.open(options({ folders: [broken] }));
    await expect(loader.next()).rejects.toThrow(CorruptDatasetError);
    await expect(loader.next()).rejects.toThrow('does not decode');
  });

  it('of wrong options name them', async () => {
    await expect(Loader.open(options({ cameras: ['side'] }))).rejects.toThrow('it has: third, wrist');
    await expect(Loader.open(options({ batchSize: 0 }))).rejects.toThrow('batchSize');
    await expect(Loader.open(options({ folders: [] }))).rejects.toThrow('folders');
    await expect(Loader.open(options({ rank: 2, worldSize: 2 }))).rejects.toThrow('rank 2 of 2');
    await using loader = await Loader.open(options());
    await expect(Loader.open(options({ chunk: 5, chunkStats: loader.chunkStats }))).rejects.toThrow('chunks of 4 x 7');
  });
});

describe('orders', () => {
  const units = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }).map((sizes) => {
    let first = 0;
    return sizes.map((numFrames) => {
      const unit = { first, numFrames };
      first += numFrames;
      return unit;
    });
  });

  it('are permutations whose blocks keep to their window', () => {
    fc.assert(
      fc.property(units, fc.integer(), fc.nat(5), fc.integer({ min: 0, max: 40 }), (list, seed, epoch, window) => {
        const total = list.reduce((sum, unit) => sum + unit.numFrames, 0);
        const order = epochOrder(list, seed, epoch, window, true);
        expect([...order.frames].sort((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, i) => i));
        expect(order.blocks.at(-1)?.to).toBe(total);
        for (const block of order.blocks) {
          if (window > 0) expect(block.to - block.from).toBeLessThanOrEqual(window + 9);
          const unitOfFrame = Int32Array.from({ length: total }, (_, frame) =>
            list.findIndex(({ first, numFrames }) => frame >= first && frame < first + numFrames),
          );
          expect([...unitsByNeed(order, block, unitOfFrame, 0)].sort((a, b) => a - b)).toEqual(
            [...block.units].sort((a, b) => a - b),
          );
        }
        expect(epochOrder(list, seed, epoch, window, true)).toEqual(order);
      }),
    );
  });
});

describe('random numbers', () => {
  it('are the same for the same words, uniform, and differ between words', () => {
    const draw = (...words: number[]): number[] => {
      const random = new SeededRandom(...words);
      return Array.from({ length: 4 }, () => random.uint32());
    };
    expect(draw(1, 2)).toEqual(draw(1, 2));
    expect(draw(1, 2)).not.toEqual(draw(2, 1));
    expect(draw(0)).not.toEqual(draw(0, 0));
    expect(draw(5)).not.toEqual(draw(5 + 2 ** 32));
    const random = new SeededRandom(11);
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 60_000; i++) (counts[random.below(6)] as number) += 1;
    // Five standard deviations of a fair die.
    for (const count of counts)
      expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(60_000 * (1 / 6) * (5 / 6)));
  });
});

describe('random shift', () => {
  it('reads out(y, x) = source(y + dy, x + dx) with repeated edges', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: -8, max: 8 }),
        fc.integer({ min: -8, max: 8 }),
        (width, height, dx, dy) => {
          const source = Uint8Array.from({ length: width * height * 3 }, (_, i) => i + 1);
          const out = new Uint8Array(source.length);
          shiftInto(source, out, width, height, dx, dy);
          const clamp = (value: number, most: number): number => Math.min(Math.max(value, 0), most - 1);
          for (let y = 0; y < height; y++)
            for (let x = 0; x < width; x++)
              for (let c = 0; c < 3; c++)
                expect(out[(y * width + x) * 3 + c]).toBe(
                  source[(clamp(y + dy, height) * width + clamp(x + dx, width)) * 3 + c],
                );
        },
      ),
    );
  });
});
