/**
 * Rollouts as folders: an `episode.json` and pictures (png, jpg, webp) or a video beside it.
 *
 * ```json
 * {"instruction": "put the cup on the plate", "success": true, "fps": 5,
 *  "pictures": ["000.png", "001.png"],                     default: every picture of the folder, by name
 *  "video": "film.mp4",                                    in place of pictures
 *  "reasoning": [{"from": 0, "text": "..."}, {"from": 12, "text": null}],   left out: a policy that does not reason
 *  "task": "cups"}                                         what results are grouped by; default: the instruction
 * ```
 * A text holds until the next one.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { probeVideo } from '../data/index.js';
import { fitWithin, type Picture, type Rollout, RolloutError } from './rollout.js';

export const EPISODE_FILE = 'episode.json';
const PICTURE = /\.(png|jpe?g|webp)$/i;

/** A file of the folder itself: nothing outside it is read. */
const fileName = z.string().refine((name) => name !== '' && basename(name) === name && name !== '..', {
  message: 'must be the name of a file in the folder',
});
export const EPISODE_JSON = z.strictObject({
  instruction: z.string().trim().min(1),
  success: z.boolean(),
  fps: z.number().positive().default(5),
  task: z.string().min(1).optional(),
  pictures: z.array(fileName).min(1).optional(),
  video: fileName.optional(),
  reasoning: z.array(z.strictObject({ from: z.int().min(0), text: z.string().nullable() })).optional(),
});
type EpisodeJson = z.infer<typeof EPISODE_JSON>;

/** Folders with an episode.json: this one, or those in it. */
export function episodeFolders(folder: string): string[] {
  if (existsSync(join(folder, EPISODE_FILE))) return [folder];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, EPISODE_FILE)))
    .map(({ name }) => join(folder, name))
    .sort();
}

/** @throws RolloutError naming the file and field that are wrong */
export async function readFrameRollout(folder: string): Promise<Rollout> {
  const path = join(folder, EPISODE_FILE);
  const episode = read(path);
  const source = await (episode.video === undefined
    ? pictureFiles(folder, episode)
    : filmed(join(folder, episode.video)));
  return {
    id: basename(folder),
    task: episode.task ?? episode.instruction,
    instruction: episode.instruction,
    success: episode.success,
    reasons: episode.reasoning !== undefined,
    fps: episode.fps,
    thoughts: thoughtsOf(path, episode, source.length),
    pictures: source.pictures,
  };
}

function read(path: string): EpisodeJson {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new RolloutError(`${path} cannot be read as JSON: ${(error as Error).message}`);
  }
  const parsed = EPISODE_JSON.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new RolloutError(
    `${path}: ${issue?.path.join('.') || 'episode'}: ${issue?.message}; docs/vla-score.md has the form`,
  );
}

function thoughtsOf(path: string, { reasoning = [] }: EpisodeJson, length: number): (string | null)[] {
  const thoughts = new Array<string | null>(length).fill(null);
  let last = -1;
  for (const { from, text } of reasoning) {
    if (from <= last || from >= length) {
      throw new RolloutError(
        `${path}: reasoning from ${from}: moments rise and lie below ${length}, the number of pictures`,
      );
    }
    thoughts.fill(text === '' ? null : text, from);
    last = from;
  }
  return thoughts;
}

interface Source {
  readonly length: number;
  readonly pictures: Rollout['pictures'];
}

function pictureFiles(folder: string, { pictures }: EpisodeJson): Source {
  const names =
    pictures ??
    readdirSync(folder)
      .filter((name) => PICTURE.test(name))
      .sort(byNumbers);
  if (names.length === 0) {
    throw new RolloutError(`${folder} has no picture (png, jpg, webp), and ${EPISODE_FILE} names no video`);
  }
  for (const name of names) if (!existsSync(join(folder, name))) throw new RolloutError(`${folder} has no ${name}`);
  return {
    length: names.length,
    pictures: (moments, side) =>
      Promise.all(moments.map((moment) => readPicture(join(folder, names[moment] as string), side))),
  };
}

/** `frame2.png` comes before `frame10.png`. */
const byNumbers = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

async function readPicture(path: string, side: number): Promise<Picture> {
  const sharp = (await import('sharp')).default;
  try {
    const { data, info } = await sharp(path)
      .rotate()
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#fff' })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data };
  } catch (error) {
    throw new RolloutError(`${path} is no picture that can be read: ${(error as Error).message}`);
  }
}

/** A video's frames are its moments, at whatever rate it was made. */
async function filmed(path: string): Promise<Source> {
  if (!existsSync(path)) throw new RolloutError(`there is no ${path}`);
  const { width, height, numFrames } = await probeVideo(path);
  if (!(numFrames > 0)) throw new RolloutError(`${path} does not say how many frames it has; remux it to mp4`);
  return {
    length: numFrames,
    pictures: async (moments, side) => {
      const wanted = [...new Set(moments)].sort((a, b) => a - b);
      const size = fitWithin(width, height, side);
      const pixels = await framesOf(path, wanted, size);
      const bytes = size.width * size.height * 3;
      if (pixels.length !== wanted.length * bytes) {
        throw new RolloutError(
          `${path} gave ${Math.floor(pixels.length / bytes)} of ${wanted.length} frames asked for`,
        );
      }
      return moments.map((moment) => {
        const at = wanted.indexOf(moment) * bytes;
        return { ...size, data: pixels.subarray(at, at + bytes) };
      });
    },
  };
}

async function framesOf(path: string, moments: readonly number[], size: { width: number; height: number }) {
  const chosen = moments.map((moment) => `eq(n\\,${moment})`).join('+');
  const filter = `select=${chosen},scale=${size.width}:${size.height}:flags=bicubic`;
  const args = ['-v', 'error', '-i', `file:${path}`, '-vf', filter, '-fps_mode', 'passthrough'].concat([
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    'pipe:1',
  ]);
  const options = { encoding: 'buffer', maxBuffer: 2 ** 30 } as const;
  try {
    const { stdout } = await promisify(execFile)(process.env.FFMPEG ?? 'ffmpeg', args, options);
    return stdout;
  } catch (error) {
    throw new RolloutError(`${path} cannot be decoded by ffmpeg: ${(error as Error).message.split('\n').at(-1)}`);
  }
}
