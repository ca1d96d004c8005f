import { existsSync, truncateSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DataError, MissingDatasetError, VideoError } from './errors.js';
import { editData, editInfo, readAll, SoundDataset } from './lerobot-damage.test-support.js';
import { LeRobotDataset } from './lerobot-dataset.js';
import { LeRobotWriter } from './lerobot-writer.js';
import { leaf, list, struct } from './parquet-schema.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
import { validateDataset } from './validate-dataset.js';

const SAMPLE = join(fileURLToPath(new URL('../../..', import.meta.url)), 'shared/data/so101-lerobot-v3');

let sound: SoundDataset;
beforeAll(async () => {
  sound = await SoundDataset.write();
});
afterAll(() => sound.remove());

const damaged = (): string => sound.copy();

it('gives signals and timers a turn between episodes, whatever is read', async () => {
  const dataset = await LeRobotDataset.open(sound.folder);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  for (let i = 0; i < 20; i++) await dataset.episode(i % dataset.episodes.length);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});

describe('what other writers do differently', () => {
  it('float64 times, null leaves and missing fields in language columns, plain types elsewhere', async () => {
    const folder = damaged();
    await editData(folder, (name, values) => {
      if (name === 'language_persistent')
        return {
          values: values.map(() => [
            { role: 'assistant', content: 'lift', timestamp: 0.4 },
            { role: 'assistant', content: null, timestamp: 0 },
          ]),
          node: list(
            name,
            struct('element', [leaf('role', 'string'), leaf('content', 'string'), leaf('timestamp', 'float64')]),
          ),
        };
      if (name === 'language_events')
        return { values: values.map(() => null), node: list(name, struct('element', [leaf('role', 'string')])) };
      if (name === 'timestamp') return { values, node: leaf(name, 'float64') };
      return { values };
    });
    const dataset = await LeRobotDataset.open(folder);
    const episode = await dataset.episode(1);
    expect(episode.languagePersistent).toEqual([
      { role: 'assistant', content: null, style: null, camera: null, timestamp: 0 },
      { role: 'assistant', content: 'lift', style: null, camera: null, timestamp: 0.4 },
    ]);
    expect(episode.languageEvents).toEqual(new Array(6).fill([]));
  });

  it('pictures with channels first, and scaled', async () => {
    const folder = damaged();
    editInfo(folder, (info) =>
      Object.assign((info.features as Record<string, object>)['observation.images.third'] as object, {
        shape: [3, 16, 16],
        names: ['channels', 'height', 'width'],
      }),
    );
    const dataset = await LeRobotDataset.open(folder);
    const { third } = (await dataset.episode(0, { images: ['third'], imageSize: 8 })).images;
    expect(third).toMatchObject({ width: 8, height: 8 });
    expect(third?.data).toHaveLength(6 * 8 * 8 * 3);
    await expect(dataset.episode(0, { images: ['side'] })).rejects.toThrow('No camera "side"');
    await expect(dataset.episode(3)).rejects.toThrow(RangeError);
  });

  it('a file with fewer frames of video than promised', async () => {
    const folder = join(sound.base, 'video');
    const features = syntheticFeatures({ cameras: ['third'], imageStorage: 'video' });
    const writer = await LeRobotWriter.create(folder, {
      fps: 5,
      robotType: 'test',
      features,
      video: { codec: 'libx264' },
    });
    for (let i = 0; i < 2; i++) await writer.addEpisode(syntheticEpisode(i, { cameras: ['third'], length: 4 }));
    await writer.finish();
    const video = join(folder, 'videos/observation.images.third/chunk-000/file-000.mp4');
    truncateSync(video, 200);
    expect(await readAll(folder)).toBeInstanceOf(VideoError);
    unlinkSync(video);
    const error = (await readAll(folder)) as DataError;
    expect(error).toBeInstanceOf(MissingDatasetError);
    expect(error).toMatchObject({ file: video, field: 'observation.images.third' });
    expect((await validateDataset(folder)).problems.map(({ message }) => message)).toContain(
      'videos/observation.images.third/chunk-000/file-000.mp4 is missing, with the pictures of 2 episodes',
    );
  });
});

describe.skipIf(!existsSync(SAMPLE))('a real data set (so101, metadata and rows; its videos are not there)', () => {
  it('is read', async () => {
    const dataset = await LeRobotDataset.open(SAMPLE);
    expect(dataset).toMatchObject({
      numEpisodes: 4,
      numFrames: 1492,
      fps: 30,
      tasks: ['Pick the orange cube and place it in the box'],
    });
    expect(Object.keys(dataset.cameras)).toEqual(['front', 'top']);
    const episode = await dataset.episode(2);
    expect(episode).toMatchObject({ length: 372, stateDim: 6, actionDim: 6 });
    expect(episode.state[1]).toBeCloseTo(-81.068, 2);
    const stats = dataset.stats.action;
    expect(stats?.count).toBe(1492);
    expect(dataset.stats['observation.images.top']?.mean[0]).toBeCloseTo(0.6022, 4);
  });

  it('validates but for its missing videos and its merged quantiles', async () => {
    const { problems } = await validateDataset(SAMPLE);
    const others = problems.filter(({ message }) => !/videos?\b.*missing|The video is missing/.test(message));
    expect(others).toEqual([]);
    expect(dirname(SAMPLE)).toContain('shared');
  });
});
