/**
 * Small made-up episodes for tests and for trying the loader without a simulator: smooth motions, moving-square pictures.
 */
import type { Episode, ImageSequence } from './episode.js';
import { type Features, robotFeatures } from './features.js';
import { mergeRows, transitionRows } from './language.js';

export interface SyntheticOptions {
  readonly length?: number;
  readonly imageSize?: number;
  readonly cameras?: readonly string[];
  readonly fps?: number;
}

const DIMS = ['x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'];

export function syntheticFeatures(options: SyntheticOptions & { imageStorage?: 'image' | 'video' } = {}): Features {
  const size = options.imageSize ?? 16;
  return robotFeatures({
    state: DIMS,
    action: DIMS,
    cameras: (options.cameras ?? ['third', 'wrist']).map((name) => ({ name, width: size, height: size })),
    reasoning: true,
    ...(options.imageStorage ? { imageStorage: options.imageStorage } : {}),
  });
}

/** Episode `index`; the same arguments give the same episode. */
export function syntheticEpisode(index: number, options: SyntheticOptions = {}): Episode {
  const { length = 8 + (index % 5), imageSize = 16, cameras = ['third', 'wrist'], fps = 5 } = options;
  const state = new Float32Array(length * 7);
  const action = new Float32Array(length * 7);
  for (let t = 0; t < length; t++) {
    for (let d = 0; d < 7; d++) {
      state[t * 7 + d] = Math.sin(index + t * 0.3 + d);
      action[t * 7 + d] = d === 6 ? (t < length / 2 ? 1 : 0) : 0.02 * Math.cos(index * 0.7 + t * 0.3 + d);
    }
  }
  const images: Record<string, ImageSequence> = {};
  for (const [c, camera] of cameras.entries()) {
    const data = new Uint8Array(length * imageSize * imageSize * 3);
    for (let t = 0; t < length; t++) {
      for (let y = 0; y < imageSize; y++) {
        for (let x = 0; x < imageSize; x++) {
          const at = ((t * imageSize + y) * imageSize + x) * 3;
          const inside = Math.abs(x - ((t + index) % imageSize)) < 3 && Math.abs(y - imageSize / 2) < 3;
          data[at] = inside ? 200 : x * 3 + c * 40;
          data[at + 1] = y * 4;
          data[at + 2] = (index * 16 + t) & 255;
        }
      }
    }
    images[camera] = { width: imageSize, height: imageSize, data };
  }
  const subtasks = Array.from({ length }, (_, t) => (t < length / 2 ? 'reach for the block' : 'lift the block'));
  const rows = mergeRows(
    transitionRows(['grasp the block and lift it'], 'plan', fps),
    transitionRows(subtasks, 'subtask', fps),
  );
  return {
    index,
    task: index % 2 === 0 ? 'lift the block' : 'push the block',
    fps,
    length,
    state,
    stateDim: 7,
    action,
    actionDim: 7,
    images,
    columns: {
      'reasoning.text': {
        dtype: 'string',
        values: subtasks.map((subtask, t) => (t === 1 ? '' : `SUBTASK: ${subtask}.`)),
      },
      'reasoning.keep': { dtype: 'bool', shape: [1], values: Uint8Array.from(subtasks, (_, t) => (t === 1 ? 0 : 1)) },
      'reasoning.scene_score': { dtype: 'float32', shape: [1], values: new Float32Array(length) },
      'reasoning.motion_score': { dtype: 'float32', shape: [1], values: new Float32Array(length) },
    },
    languagePersistent: rows,
    languageEvents: Array.from({ length }, (_, t) =>
      t === 2 ? [{ role: 'user', content: 'stop', style: 'interjection', camera: null }] : [],
    ),
  };
}
