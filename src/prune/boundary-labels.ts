/**
 * Event boundaries that somebody labelled: a JSON Lines file, one episode a line,
 *
 *   {"folder": "widowx", "episode": 3, "boundaries": [4, 6, 7, 14]}
 *
 * A boundary is the first frame of a new event. Here is also how boundaries follow from a data set that says for every frame which
 * phase it is in, as this project's generated data do; those stand in for the paper's hand labels.
 *
 * Knows nothing about pictures or models.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { writeDurable } from '../data/durable-file.js';
import { activeAt, type Episode, LeRobotDataset, PHASE_KEY } from '../data/index.js';
import { KeepLabelsError, PruneError } from './errors.js';

export interface BoundaryLabels {
  /** The data set's folder relative to the root; "" if the root is the data set. */
  readonly folder: string;
  readonly episode: number;
  /** Frames, ascending. */
  readonly boundaries: readonly number[];
}

const schema = z.object({
  folder: z.string().default(''),
  episode: z.number().int().nonnegative(),
  boundaries: z.array(z.number().int().nonnegative()),
});

/** Reads a labels file. Throws KeepLabelsError naming file and line. */
export function readBoundaryLabels(path: string): BoundaryLabels[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeepLabelsError('The labels file cannot be read', { file: path, cause });
  }
  const labels: BoundaryLabels[] = [];
  const seen = new Set<string>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const fail: (what: string) => never = (what) => {
      throw new KeepLabelsError(`Line ${i + 1}: ${what}`, {
        file: path,
        hint: 'A line is {"folder": "", "episode": 0, "boundaries": [4, 9]}',
      });
    };
    let raw: unknown;
    try {
      raw = JSON.parse(line);
    } catch {
      fail('not JSON');
    }
    const parsed = schema.safeParse(raw);
    if (!parsed.success) return fail(`${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}`);
    const { folder, episode, boundaries } = parsed.data;
    if (boundaries.some((frame, k) => k > 0 && frame <= (boundaries[k - 1] as number)))
      fail('boundaries are not ascending');
    if (seen.has(`${folder}\n${episode}`)) fail(`episode ${episode} of "${folder}" comes twice`);
    seen.add(`${folder}\n${episode}`);
    labels.push({ folder, episode, boundaries });
  }
  return labels;
}

/** Writes a labels file in one step. */
export function writeBoundaryLabels(path: string, labels: readonly BoundaryLabels[]): void {
  writeDurable(path, labels.map((label) => `${JSON.stringify(label)}\n`).join(''));
}

/** Frames at which a per-frame name changes. */
export function changesOf(names: ArrayLike<unknown>): number[] {
  const changes: number[] = [];
  for (let t = 1; t < names.length; t++) if (names[t] !== names[t - 1]) changes.push(t);
  return changes;
}

/** Boundaries of an episode from its `phase` column, or, where it has none, from its persistent `subtask` rows. Throws PruneError when it has neither. */
export function boundariesFromPhases(episode: Episode): number[] {
  const phase = episode.columns[PHASE_KEY];
  if (phase) return changesOf(phase.values);
  if (!episode.languagePersistent.some(({ style }) => style === 'subtask'))
    throw new PruneError(
      `The episode has neither a "${PHASE_KEY}" column nor subtask rows to take event boundaries from`,
      {
        episode: episode.index,
        hint: 'Label some episodes by hand and give the file with --labels labels.jsonl',
      },
    );
  const active = Array.from({ length: episode.length }, (_, t) =>
    activeAt(episode.languagePersistent, 'subtask', episode.timestamps?.[t] ?? t / episode.fps),
  );
  return changesOf(active.map((row) => row?.timestamp));
}

/** Names that folders go by in labels: "" for a lone data set at the root, its own name for one below. */
export function folderName(root: string, folder: string): string {
  return folder === root ? '' : basename(folder);
}

/**
 * Labels of all (or the wanted) episodes of data sets, from their phases.
 * @param root what was opened; `folders` are itself or those below it, as `datasetFolders(root)` gives them
 */
export async function labelsFromPhases(
  root: string,
  folders: readonly string[],
  wanted: (folder: string, episode: number) => boolean = () => true,
): Promise<BoundaryLabels[]> {
  const labels: BoundaryLabels[] = [];
  for (const folder of folders) {
    const dataset = await LeRobotDataset.open(folder);
    const name = folderName(root, folder);
    for (const { index } of dataset.episodes) {
      if (!wanted(name, index)) continue;
      labels.push({ folder: name, episode: index, boundaries: boundariesFromPhases(await dataset.episode(index)) });
    }
  }
  return labels;
}
