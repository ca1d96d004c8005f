/**
 * Keep labels: for every frame of a data set whether its reasoning is kept (1) or masked (0), and the two labels that decided it
 * (paper Sec. 3.2.1). A side file beside a data set that is itself never touched: one JSON file, a string of 0 and 1 an episode.
 *
 * Knows nothing about how labels are made, nor about pictures or text.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { writeDurable } from '../data/durable-file.js';
import { KeepLabelsError } from './errors.js';

/** Labels of one episode; every string holds one 0 or 1 a frame. */
export interface EpisodeKeepLabels {
  /** The data set's folder relative to the root that was pruned; "" if the root is the data set. */
  readonly folder: string;
  readonly episode: number;
  readonly keep: string;
  /** Scene layer: an event boundary is near. Absent where the layer was not computed. */
  readonly scene?: string | undefined;
  /** Motion layer, Eq. 4. Absent where the layer was not computed. */
  readonly motion?: string | undefined;
}

export interface KeepLabels {
  readonly type: 'keep-labels';
  readonly version: 1;
  /** The options that made the labels. */
  readonly method: Readonly<Record<string, unknown>>;
  readonly dataset: { readonly numFrames: number };
  /** Frames whose reasoning is kept. */
  readonly kept: number;
  readonly episodes: readonly EpisodeKeepLabels[];
}

/** A data set that labels are applied to: its folder's name as in the labels, and its episodes in order. */
export interface LabelledFolder {
  readonly name: string;
  readonly episodes: readonly { readonly index: number; readonly length: number }[];
}

const bits = z.string().regex(/^[01]*$/, 'only 0 and 1');
const schema = z.object({
  type: z.literal('keep-labels'),
  version: z.literal(1),
  method: z.record(z.string(), z.unknown()),
  dataset: z.object({ numFrames: z.number().int().nonnegative() }),
  kept: z.number().int().nonnegative(),
  episodes: z.array(
    z.object({
      folder: z.string(),
      episode: z.number().int().nonnegative(),
      keep: bits,
      scene: bits.optional(),
      motion: bits.optional(),
    }),
  ),
});

const countOnes = (text: string): number => {
  let ones = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) === 49) ones++;
  return ones;
};

/** Labels of episodes as a file's content; the totals are counted. */
export function keepLabels(
  method: Readonly<Record<string, unknown>>,
  episodes: readonly EpisodeKeepLabels[],
): KeepLabels {
  const numFrames = episodes.reduce((sum, { keep }) => sum + keep.length, 0);
  const kept = episodes.reduce((sum, { keep }) => sum + countOnes(keep), 0);
  return { type: 'keep-labels', version: 1, method, dataset: { numFrames }, kept, episodes };
}

/** Reads a keep-labels file. Throws KeepLabelsError naming the file and the episode where it is missing, malformed or contradicts itself. */
export function readKeepLabels(path: string): KeepLabels {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const hint = 'Make one with: dualvla prune DATASET --out FILE';
    throw new KeepLabelsError(
      missing ? 'There is no such keep-labels file' : 'The keep-labels file is not readable JSON',
      {
        file: path,
        hint,
        cause,
      },
    );
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new KeepLabelsError(`Not a keep-labels file: ${issue?.message}`, {
      file: path,
      field: issue?.path.join('.'),
    });
  }
  checkConsistency(parsed.data, path);
  return parsed.data;
}

/** Replaces `path` by the labels in one step; a reader sees the old file or the new one. Throws KeepLabelsError for contradictory labels. */
export function writeKeepLabels(path: string, labels: KeepLabels): void {
  checkConsistency(labels, path);
  // One episode a line: readable in an editor, and small differences stay small.
  const { episodes, ...head } = labels;
  const lines = episodes.map((episode) => JSON.stringify(episode)).join(',\n');
  writeDurable(path, `${JSON.stringify(head).slice(0, -1)},"episodes":[\n${lines}\n]}\n`);
}

function checkConsistency(labels: KeepLabels, file: string): void {
  const seen = new Set<string>();
  let numFrames = 0;
  let kept = 0;
  for (const { folder, episode, keep, scene, motion } of labels.episodes) {
    const key = `${folder}\n${episode}`;
    if (seen.has(key)) throw new KeepLabelsError(`Episode ${episode} of "${folder}" comes twice`, { file, episode });
    seen.add(key);
    for (const [field, layer] of Object.entries({ scene, motion }))
      if (layer !== undefined && layer.length !== keep.length)
        throw new KeepLabelsError(`${layer.length} labels beside ${keep.length} of keep`, { file, episode, field });
    numFrames += keep.length;
    kept += countOnes(keep);
  }
  if (numFrames !== labels.dataset.numFrames || kept !== labels.kept)
    throw new KeepLabelsError(
      `The episodes hold ${kept} kept of ${numFrames} frames, the head says ${labels.kept} of ${labels.dataset.numFrames}`,
      { file },
    );
}

/**
 * Keep labels [N] as one array over all frames of `folders`, in their order: the global frame numbering of the loader.
 * Throws KeepLabelsError when an episode has no labels or another number of frames, or labels are left over: such labels belong to
 * other data.
 */
export function keepOfFrames(labels: KeepLabels, folders: readonly LabelledFolder[]): Uint8Array {
  const byEpisode = new Map(labels.episodes.map((entry) => [`${entry.folder}\n${entry.episode}`, entry]));
  const total = folders.reduce((sum, { episodes }) => sum + episodes.reduce((n, { length }) => n + length, 0), 0);
  const keep = new Uint8Array(total);
  const hint = 'These labels were made for other data; make new ones with: dualvla prune DATASET --out FILE';
  let at = 0;
  for (const { name, episodes } of folders) {
    const where = name === '' ? 'the data set' : `"${name}"`;
    for (const { index, length } of episodes) {
      const key = `${name}\n${index}`;
      const entry = byEpisode.get(key);
      if (!entry) throw new KeepLabelsError(`No keep labels for this episode of ${where}`, { episode: index, hint });
      if (entry.keep.length !== length)
        throw new KeepLabelsError(`${entry.keep.length} keep labels for ${length} frames of an episode of ${where}`, {
          episode: index,
          hint,
        });
      for (let t = 0; t < length; t++) keep[at + t] = entry.keep.charCodeAt(t) - 48;
      at += length;
      byEpisode.delete(key);
    }
  }
  const [left] = byEpisode.values();
  if (left)
    throw new KeepLabelsError(
      `${byEpisode.size} labelled episodes are not in the data, e.g. ${left.episode} of "${left.folder}"`,
      {
        episode: left.episode,
        hint,
      },
    );
  return keep;
}

/** 0/1 labels as the file's string. */
export function bitsToText(labels: ArrayLike<number | boolean>): string {
  let text = '';
  for (let i = 0; i < labels.length; i++) text += labels[i] ? '1' : '0';
  return text;
}

/** The file's string as 0/1 labels. */
export function textToBits(text: string): Uint8Array {
  return Uint8Array.from(text, (bit) => (bit === '1' ? 1 : 0));
}
