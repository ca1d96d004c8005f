import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CorruptDatasetError, DataError, MissingDatasetError, UnsupportedDatasetError } from './errors.js';
import { readMultimodal } from './multimodal-dataset.js';
import { type MultimodalBatch, MultimodalLoader } from './multimodal-loader.js';
import { encodePng } from './png.js';

const SIDE = 16;
const PICTURES = 12;
let root: string;

/** A picture whose pixels tell its number. */
const picture = (i: number, side = SIDE): Uint8Array =>
  encodePng(new Uint8Array(side * side * 3).fill(10 + i), side, side);

const entry = (i: number) => ({
  id: `p${i}`,
  image: `images/${i}.png`,
  family: i % 2 ? 'odd' : 'even',
  conversations: [
    { from: 'human', value: `<image>\nnumber of ${i}?` },
    { from: 'gpt', value: String(i) },
    { from: 'human', value: `and next after ${i}?` },
    { from: 'gpt', value: String(i + 1) },
  ],
});

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'multimodal-loader-'));
  mkdirSync(join(root, 'images'));
  for (let i = 0; i < PICTURES; i++) writeFileSync(join(root, 'images', `${i}.png`), picture(i, i === 3 ? 24 : SIDE));
  writeFileSync(join(root, 'train.json'), JSON.stringify(Array.from({ length: PICTURES }, (_, i) => entry(i))));
});

afterAll(() => rmSync(root, { recursive: true }));

const open = (more: object = {}) => MultimodalLoader.open({ root, batchSize: 5, imageSize: SIDE, seed: 7, ...more });

async function take(loader: MultimodalLoader, batches: number): Promise<MultimodalBatch[]> {
  const out: MultimodalBatch[] = [];
  for (let i = 0; i < batches; i++) out.push(await loader.next());
  return out;
}

describe('MultimodalLoader', () => {
  it('gives every sample once an epoch, each with its own picture, question and answer', async () => {
    await using loader = await open();
    expect(loader.numSamples).toBe(2 * PICTURES);
    const batches = await take(loader, 24);
    const seen = batches.flatMap(({ index }) => [...index]);
    for (let epoch = 0; epoch < 5; epoch++) expect(new Set(seen.slice(epoch * 24, (epoch + 1) * 24)).size).toBe(24);
    expect(seen.slice(0, 24)).not.toEqual(seen.slice(24, 48));
    for (const { images, question, answer, family, index, size } of batches) {
      expect([size, images.length]).toEqual([5, 5 * SIDE * SIDE * 3]);
      for (let b = 0; b < size; b++) {
        const i = Math.floor((index[b] as number) / 2);
        expect(images[b * SIDE * SIDE * 3 + 100]).toBe(10 + i);
        expect(family[b]).toBe(i % 2 ? 'odd' : 'even');
        const second = (index[b] as number) % 2 === 1;
        expect(question[b]).toBe(second ? `and next after ${i}?` : `number of ${i}?`);
        expect(answer[b]).toBe(String(second ? i + 1 : i));
      }
    }
    expect(new Set(loader.texts).size).toBe(loader.texts.length);
    expect(loader.texts).toContain('number of 3?');
    expect(loader.texts).toContain('12');
  });

  it('reads no more than the first samples where it is told so', async () => {
    await using loader = await open({ maxSamples: 5, batchSize: 2 });
    expect(loader.numSamples).toBe(5);
    const seen = (await take(loader, 5)).flatMap(({ index }) => [...index]);
    expect([...new Set(seen)].sort()).toEqual([0, 1, 2, 3, 4]);
    await using all = await open({ maxSamples: 1000 });
    expect(all.numSamples).toBe(2 * PICTURES);
  });

  it('resumes bit for bit from any state, also with a cache smaller than the data set', async () => {
    await using loader = await open();
    const whole = await take(loader, 14);
    const fitting = 10 * SIDE * SIDE * 3;
    for (const more of [{}, { cacheBytes: fitting, workers: 2 }]) {
      for (const from of 'workers' in more ? [0, 9] : [4]) {
        const state =
          from === 0 ? undefined : (JSON.parse(JSON.stringify(whole[from - 1]?.next)) as MultimodalBatch['next']);
        await using other = await open({ ...more, ...(state ? { state } : {}) });
        expect(await take(other, 14 - from)).toEqual(whole.slice(from));
      }
    }
  });

  it('shares the global batch between ranks', async () => {
    await using both = await open({ batchSize: 6 });
    await using first = await open({ batchSize: 3, rank: 0, worldSize: 2 });
    await using second = await open({ batchSize: 3, rank: 1, worldSize: 2 });
    for (let i = 0; i < 10; i++) {
      const [all, a, b] = [await both.next(), await first.next(), await second.next()];
      expect([...a.index, ...b.index]).toEqual([...all.index]);
      expect(Buffer.concat([a.images, b.images]).equals(all.images)).toBe(true);
      expect(a.next).toEqual(all.next);
    }
  });

  it('names what is wrong with a file, an entry, a field', async () => {
    const broken = (entries: unknown) => {
      writeFileSync(join(root, 'broken.json'), typeof entries === 'string' ? entries : JSON.stringify(entries));
      return () => readMultimodal({ root, split: 'broken' });
    };
    expect(() => readMultimodal({ root, split: 'absent' })).toThrow(MissingDatasetError);
    expect(broken('[{')).toThrow(CorruptDatasetError);
    expect(broken([])).toThrow(/no question/);
    expect(broken([entry(0), { ...entry(1), image: 'images/none.png' }])).toThrow(/entry 1 \(id p1\), image/);
    expect(broken([{ ...entry(0), conversations: entry(0).conversations.slice(0, 1) }])).toThrow(/without an answer/);
    expect(
      broken([
        {
          ...entry(0),
          conversations: [
            { from: 'gpt', value: 'x' },
            { from: 'human', value: 'y' },
          ],
        },
      ]),
    ).toThrow(/conversations\[0\]\.from/);
    expect(
      broken([
        {
          ...entry(0),
          conversations: [
            { from: 'human', value: 'x' },
            { from: 'gpt', value: 3 },
          ],
        },
      ]),
    ).toThrow(/conversations\[1\]\.value/);
    const text = { id: 't', conversations: entry(0).conversations };
    expect(broken([text, entry(1)])).toThrow(UnsupportedDatasetError);
    broken([text, entry(1)]);
    expect(readMultimodal({ root, split: 'broken', textOnly: 'skip' })).toMatchObject({ numTextOnly: 1 });
  });

  it('says which picture does not decode, and refuses the state of another data set', async () => {
    writeFileSync(join(root, 'images', 'bad.png'), picture(1).subarray(0, 60));
    writeFileSync(join(root, 'damaged.json'), JSON.stringify([{ ...entry(0), image: 'bad.png' }]));
    await using loader = await open({ split: 'damaged', batchSize: 1 });
    await expect(loader.next()).rejects.toThrow(CorruptDatasetError);
    await expect(loader.next()).rejects.toThrow(/bad\.png.*entry 0, image/);
    const state = { seed: 7, epoch: 0, position: 0, numSamples: 3 };
    await expect(open({ state })).rejects.toThrow(DataError);
    await expect(open({ cacheBytes: 9 * SIDE * SIDE * 3 })).rejects.toThrow(RangeError);
  });
});
