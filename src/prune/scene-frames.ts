/**
 * Pictures for the scene layer out of LeRobot data sets: some cameras of an episode, scaled to one size, their colours side by side.
 * Knows nothing about networks.
 */
import type { ImageSequence, LeRobotDataset } from '../data/index.js';
import { PruneError } from './errors.js';
import type { SceneFrames } from './scene-events.js';

export interface SceneFrameOptions {
  readonly cameras: readonly string[];
  readonly size: number;
  /** How videos are made smaller; default bicubic. */
  readonly filter?: 'area';
}

/** Frames of episodes [from, to). Throws PruneError when a camera is not there. */
export async function readSceneFrames(
  dataset: LeRobotDataset,
  range: { readonly from: number; readonly to: number },
  options: SceneFrameOptions,
): Promise<SceneFrames[]> {
  const frames = [];
  for await (const one of sceneFramesOf(dataset, range, options)) frames.push(one);
  return frames;
}

/** The same episode by episode, as they are decoded. @param threads of a camera's decoder; default as many as there are cores */
export async function* sceneFramesOf(
  dataset: LeRobotDataset,
  range: { readonly from: number; readonly to: number },
  { cameras, size, filter }: SceneFrameOptions,
  threads?: number,
): AsyncGenerator<SceneFrames> {
  checkCameras(dataset.folder, Object.keys(dataset.cameras), cameras);
  for await (const images of dataset.imagesOf(range, cameras, { imageSize: size, filter, threads }))
    yield interleave(
      cameras.map((camera) => images[camera] as ImageSequence),
      size,
    );
}

/** Throws PruneError naming the cameras there are, when one of `cameras` is not among them. @param folder what errors name */
export function checkCameras(folder: string, known: readonly string[], cameras: readonly string[]): void {
  const absent = cameras.find((camera) => !known.includes(camera));
  if (absent === undefined && cameras.length > 0) return;
  throw new PruneError(`The data set has no camera "${absent ?? ''}"; it has: ${known.join(', ') || 'none'}`, {
    file: folder,
    hint: 'Choose with --camera (train-scene: --cameras), or prune with --scene none --combine motion',
  });
}

/** Several cameras' RGB side by side. */
export function interleave(sequences: readonly ImageSequence[], size: number): SceneFrames {
  const [first] = sequences as [ImageSequence, ...ImageSequence[]];
  const numFrames = first.data.length / (size * size * 3);
  const channels = 3 * sequences.length;
  if (sequences.length === 1) return { data: first.data, numFrames, size, channels };
  const data = new Uint8Array(numFrames * size * size * channels);
  sequences.forEach(({ data: rgb }, s) => {
    for (let pixel = 0; pixel * 3 < rgb.length; pixel++)
      for (let c = 0; c < 3; c++) data[pixel * channels + s * 3 + c] = rgb[pixel * 3 + c] as number;
  });
  return { data, numFrames, size, channels };
}
