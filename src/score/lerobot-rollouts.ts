/**
 * Rollouts of a LeRobot data set: pictures of one camera, thoughts from `reasoning.text`, success from a column or from the user.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Episode, LeRobotDataset, resizePixels } from '../data/index.js';
import { fitWithin, type Picture, type Rollout, RolloutError } from './rollout.js';

export const REASONING_COLUMN = 'reasoning.text';
/** Columns that say of a frame whether the task is done; an episode is a success if its last frame, or any (`next.success`), is. */
const SUCCESS_COLUMNS = ['next.success', 'success'] as const;

export interface LeRobotRolloutOptions {
  /** Default: `third` if there is such a one, else the first. */
  readonly camera?: string;
  /** Whose success is not recorded: all, none, or a JSONL file of {"episode": 0, "success": true}. */
  readonly success?: string;
}

const OUTCOME = z.object({ episode: z.int().min(0), success: z.boolean() });

/** @throws RolloutError for an unknown camera or unknown success; DataError for damaged data */
export async function readLeRobotRollouts(folder: string, options: LeRobotRolloutOptions = {}): Promise<Rollout[]> {
  const data = await LeRobotDataset.open(folder);
  const camera = cameraOf(data, options.camera);
  const outcomes = outcomesOf(data, options.success);
  const reasons = REASONING_COLUMN in data.features;
  const rollouts: Rollout[] = [];
  for (const { index } of data.episodes) {
    const episode = await data.episode(index, { images: false });
    const texts = textsOf(episode);
    rollouts.push({
      id: `episode ${index}`,
      task: episode.task,
      instruction: episode.task,
      success: outcomes ? outcomes(index) : successOf(data, episode),
      reasons,
      fps: episode.fps,
      thoughts: texts ?? new Array<null>(episode.length).fill(null),
      pictures: (moments, side) => picturesOf(data, index, camera, moments, side),
    });
  }
  return rollouts;
}

function cameraOf(data: LeRobotDataset, wanted: string | undefined): string {
  const cameras = Object.keys(data.cameras);
  const camera = wanted ?? cameras.find((name) => name === 'third') ?? cameras[0];
  if (camera !== undefined && cameras.includes(camera)) return camera;
  const there = cameras.length === 0 ? 'it has none' : `it has ${cameras.join(', ')}`;
  throw new RolloutError(
    `${data.folder} has no camera ${camera ?? ''}: ${there}; a judge of pictures needs one (--camera)`,
  );
}

function textsOf({ columns }: Episode): (string | null)[] | undefined {
  const column = columns[REASONING_COLUMN];
  return column?.dtype === 'string' ? column.values.map((text) => (text === '' ? null : text)) : undefined;
}

function successOf(data: LeRobotDataset, episode: Episode): boolean {
  const name = SUCCESS_COLUMNS.find((column) => column in episode.columns);
  if (name === undefined) {
    throw new RolloutError(
      `${data.folder} has no column ${SUCCESS_COLUMNS.join(' or ')}: Eq. 8 needs each episode's success; next: --success all, none, or a JSONL file of {"episode": 0, "success": true}`,
    );
  }
  return [...(episode.columns[name]?.values ?? [])].some((value) => Boolean(Number(value)));
}

function outcomesOf(data: LeRobotDataset, given: string | undefined): ((episode: number) => boolean) | undefined {
  if (given === undefined) return undefined;
  if (given === 'all' || given === 'none') return () => given === 'all';
  const known = new Map<number, boolean>();
  for (const [i, line] of readFileSync(given, 'utf8').split('\n').entries()) {
    if (line.trim() === '') continue;
    const parsed = OUTCOME.safeParse(jsonOf(line));
    if (!parsed.success) throw new RolloutError(`${given}, line ${i + 1}: no {"episode": 0, "success": true}`);
    known.set(parsed.data.episode, parsed.data.success);
  }
  return (episode) => {
    const success = known.get(episode);
    if (success === undefined) throw new RolloutError(`${given} says nothing of episode ${episode} of ${data.folder}`);
    return success;
  };
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function picturesOf(
  data: LeRobotDataset,
  index: number,
  camera: string,
  moments: readonly number[],
  side: number,
): Promise<Picture[]> {
  const episodes = await data.readImages({ from: index, to: index + 1 }, [camera]);
  const images = episodes[0] as Record<string, Picture>;
  const { width, height, data: pixels } = images[camera] as Picture;
  const size = width * height * 3;
  const to = fitWithin(width, height, side);
  return Promise.all(
    moments.map(async (moment) => {
      const picture = pixels.slice(moment * size, (moment + 1) * size);
      return { ...to, data: await resizePixels(picture, width, height, to.width, to.height) };
    }),
  );
}
