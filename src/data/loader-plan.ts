/**
 * What a loader decodes together and how much of it fits into memory. Pure planning; knows nothing about files' contents.
 */
import { UnsupportedDatasetError } from './errors.js';
import { type LeRobotDataset, pictureSize } from './lerobot-dataset.js';
import type { Unit } from './loader-order.js';
import type { LoaderTable } from './loader-table.js';

export interface LoaderUnit extends Unit {
  readonly dataset: number;
  /** Episodes [from, to) of the data set. */
  readonly from: number;
  readonly to: number;
}

/** Frames of a video that are decoded in one go: spawning ffmpeg costs as much as about 100 of them. */
const VIDEO_UNIT_FRAMES = 300;

/** Single episodes where pictures lie in parquet; runs of episodes of one file where they lie in videos. */
export function makeUnits(
  datasets: readonly LeRobotDataset[],
  table: LoaderTable,
  cameras: readonly string[],
): LoaderUnit[] {
  const units: LoaderUnit[] = [];
  for (const { dataset, episode, first, length } of table.episodes) {
    const set = datasets[dataset] as LeRobotDataset;
    const videoKeys = cameras
      .map((camera) => set.cameras[camera] ?? '')
      .filter((key) => set.features[key]?.dtype === 'video');
    const last = units.at(-1);
    const sameFiles = (): boolean => {
      const [a, b] = [set.episodes[episode - 1], set.episodes[episode]];
      return (
        a !== undefined && b !== undefined && videoKeys.every((key) => set.videoPath(a, key) === set.videoPath(b, key))
      );
    };
    if (
      videoKeys.length > 0 &&
      last?.dataset === dataset &&
      last.numFrames + length <= VIDEO_UNIT_FRAMES &&
      sameFiles()
    )
      units[units.length - 1] = { ...last, to: episode + 1, numFrames: last.numFrames + length };
    else units.push({ dataset, from: episode, to: episode + 1, first, numFrames: length });
  }
  return units;
}

/** [width, height] that a camera's pictures get. Throws UnsupportedDatasetError when a data set lacks the camera or has another size. */
export function commonSize(
  datasets: readonly LeRobotDataset[],
  camera: string,
  imageSize: number | undefined,
): readonly [number, number] {
  const sizes = datasets.map((dataset) => {
    const feature = dataset.features[dataset.cameras[camera] ?? ''];
    if (!feature)
      throw new UnsupportedDatasetError(
        `No camera "${camera}"; it has: ${Object.keys(dataset.cameras).join(', ') || 'none'}`,
        { file: dataset.folder },
      );
    const [height, width] = pictureSize(feature);
    return [imageSize ?? width, imageSize ?? height] as const;
  });
  const first = sizes[0] as readonly [number, number];
  const odd = sizes.findIndex(([width, height]) => width !== first[0] || height !== first[1]);
  if (odd >= 0)
    throw new UnsupportedDatasetError(
      `Pictures of camera "${camera}" are ${sizes[odd]?.join('x')}, those of the first data set ${first.join('x')}`,
      {
        file: datasets[odd]?.folder,
        hint: 'Set imageSize to bring them to one size',
      },
    );
  return first;
}

export interface CacheSize {
  /** Frames among which pictures are shuffled; 0 when all of them fit. */
  readonly window: number;
  /** Frames an arena holds. */
  readonly capacity: number;
}

/**
 * Whether all frames fit into `cacheBytes`, and if not how many of them a block has. A given `window` (of a resumed run) is kept.
 * Throws RangeError when the memory is too small for it or for two units.
 */
export function planCache(
  numFrames: number,
  units: readonly LoaderUnit[],
  imageSizes: Readonly<Record<string, readonly [number, number]>>,
  cacheBytes: number,
  givenWindow: number | undefined,
): CacheSize {
  const frameBytes = Object.values(imageSizes).reduce((sum, [width, height]) => sum + width * height * 3, 0);
  const total = numFrames * frameBytes;
  if (givenWindow === 0 || (givenWindow === undefined && total <= cacheBytes)) {
    if (total > cacheBytes)
      throw new RangeError(
        `The run was begun with all pictures in memory, which takes ${total} bytes: raise cacheBytes from ${cacheBytes}`,
      );
    return { window: 0, capacity: numFrames };
  }
  const largest = units.reduce((most, unit) => Math.max(most, unit.numFrames), 0);
  const room = Math.floor(cacheBytes / 2 / frameBytes);
  const window = givenWindow ?? room - largest;
  // A block may end up to one unit behind its share.
  const capacity = window + largest;
  if (window < largest || capacity > room)
    throw new RangeError(
      `cacheBytes ${cacheBytes} holds ${room} frames twice, needed are ${Math.max(capacity, 2 * largest)}: raise it to ${2 * frameBytes * Math.max(capacity, 2 * largest)}`,
    );
  return { window, capacity };
}
