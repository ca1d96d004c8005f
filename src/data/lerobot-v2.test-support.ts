/** Makes small LeRobot v2.0 and v2.1 data sets for tests: synthetic episodes, a parquet file and mp4 files for each. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { encodeColumns } from './episode-columns.js';
import { AUTOMATIC_FEATURES, cameraKeys, type Features } from './features.js';
import { encodePngs } from './image-codec.js';
import { ParquetAppender } from './parquet-append.js';
import { dataSchema } from './parquet-schema.js';
import { syntheticEpisode, syntheticFeatures } from './synthetic-episode.js';
import { encodeVideo } from './video.js';

export interface V2FixtureOptions {
  readonly version?: 'v2.0' | 'v2.1';
  readonly episodes?: number;
  readonly imageStorage?: 'image' | 'video';
}

/** Features without language columns, which v2 did not have. */
function v2Features(imageStorage: 'image' | 'video'): Features {
  const all = { ...syntheticFeatures({ imageStorage, cameras: ['third'], imageSize: 32 }), ...AUTOMATIC_FEATURES };
  return Object.fromEntries(Object.entries(all).filter(([, { dtype }]) => dtype !== 'language'));
}

/** Writes the data set of `episodes` synthetic episodes at `folder`. */
export async function writeV2(folder: string, options: V2FixtureOptions = {}): Promise<void> {
  const { version = 'v2.1', episodes: numEpisodes = 3, imageStorage = 'image' } = options;
  const features = v2Features(imageStorage);
  const put = (name: string, content: string): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  const tasks: string[] = [];
  const lines: object[] = [];
  let frames = 0;
  for (let e = 0; e < numEpisodes; e++) {
    const episode = syntheticEpisode(e, { cameras: ['third'], imageSize: 32 });
    if (!tasks.includes(episode.task)) tasks.push(episode.task);
    const number = String(e).padStart(6, '0');
    const pictures: Record<string, Uint8Array[]> = {};
    for (const [camera, key] of Object.entries(cameraKeys(features))) {
      const images = episode.images[camera];
      if (!images) throw new Error(`no camera ${camera}`);
      if (imageStorage === 'image') pictures[key] = encodePngs(images);
      else {
        const path = join(folder, `videos/chunk-000/${key}/episode_${number}.mp4`);
        const { width, height, data } = images;
        await encodeVideo({ path, frames: data, width, height, fps: episode.fps, codec: 'libx264' });
      }
    }
    const path = join(folder, `data/chunk-000/episode_${number}.parquet`);
    mkdirSync(dirname(path), { recursive: true });
    const file = new ParquetAppender(path, dataSchema(features));
    const taskIndex = (task: string): number => tasks.indexOf(task);
    file.append(encodeColumns(episode, { features, episodeIndex: e, firstIndex: frames, taskIndex, pictures }));
    file.close();
    lines.push({ episode_index: e, tasks: [episode.task], length: episode.length });
    frames += episode.length;
  }
  const jsonLines = (list: object[]): string => list.map((line) => `${JSON.stringify(line)}\n`).join('');
  put('meta/episodes.jsonl', jsonLines(lines));
  put('meta/tasks.jsonl', jsonLines(tasks.map((task, task_index) => ({ task_index, task }))));
  // Deliberately useless: statistics are computed from the data.
  if (version === 'v2.0') put('meta/stats.json', '{}');
  else put('meta/episodes_stats.jsonl', jsonLines(lines.map((_, episode_index) => ({ episode_index, stats: {} }))));
  const info = {
    codebase_version: version,
    robot_type: 'test',
    total_episodes: numEpisodes,
    total_frames: frames,
    total_tasks: tasks.length,
    total_videos: imageStorage === 'video' ? numEpisodes : 0,
    total_chunks: 1,
    chunks_size: 1000,
    fps: 5,
    splits: { train: `0:${numEpisodes}` },
    data_path: 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
    video_path: 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
    features,
  };
  put('meta/info.json', JSON.stringify(info));
}
