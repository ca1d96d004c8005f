/**
 * Pruned annotation files in the formats of the original code bases: an ECoT or VLA-IT JSON joined with keep labels, so that embodied-CoT and
 * InstructVLA train on it unchanged.
 *
 * The join: an episode by its file path and episode id, which RLDS data sets have and conversion remembers (meta/dualvla.json); frame t is
 * raw step t + first step (1 on Bridge, whose transform drops step 0), or t + stepOffset where that is given. Steps without a frame are given
 * up: nobody trains on them. Episodes that are not among the data stay as they are, and are counted.
 *
 * Knows nothing about how labels are made.
 */
import { type PrunedAnnotations, writePrunedEcot, writePrunedVlaIt } from '../data/index.js';
import { PruneError } from './errors.js';
import type { PrunedEpisode } from './prune-dataset.js';
import type { PruneInput } from './prune-input.js';

export const ANNOTATION_FORMATS = ['ecot', 'vla-it'] as const;
export type AnnotationFormat = (typeof ANNOTATION_FORMATS)[number];

export interface ExportOptions {
  readonly format: AnnotationFormat;
  readonly input: string;
  /** Replaced in one step. */
  readonly output: string;
  readonly episodes: readonly PrunedEpisode[];
  /** Raw step of frame 0, for all episodes; by default what each remembers. */
  readonly stepOffset?: number | undefined;
}

export interface ExportSummary extends PrunedAnnotations {
  /** Episodes of the file that the labels speak of, and those that they do not and that stay whole. */
  readonly joined: number;
  readonly untouched: number;
  /** Steps with reasoning that belong to no frame; they lose it. */
  readonly withoutFrame: number;
}

/** Writes the pruned file. Throws PruneError when no episode can be joined, and what the writers throw. */
export function exportAnnotations({ format, input, output, episodes, stepOffset }: ExportOptions): ExportSummary {
  const byOrigin = new Map<string, { readonly keep: Uint8Array; readonly firstStep: number }>();
  for (const { origin, keep } of episodes)
    if (origin)
      byOrigin.set(keyOf(origin.filePath, origin.episodeId), { keep, firstStep: stepOffset ?? origin.firstStep });
  if (byOrigin.size === 0) checkOrigins({ label: input, hasOrigins: false });
  const joined = new Set<string>();
  const untouched = new Set<string>();
  let withoutFrame = 0;
  const write = format === 'ecot' ? writePrunedEcot : writePrunedVlaIt;
  const summary = write(input, output, ({ filePath, episodeId, step }) => {
    const key = keyOf(filePath, episodeId);
    const own = byOrigin.get(key);
    if (!own) {
      untouched.add(key);
      return true;
    }
    joined.add(key);
    const kept = own.keep[step - own.firstStep];
    if (kept === undefined) withoutFrame++;
    return kept === 1;
  });
  return { ...summary, joined: joined.size, untouched: untouched.size, withoutFrame };
}

/** Throws PruneError where a data set's episodes cannot be found in an annotation file. */
export function checkOrigins({ label, hasOrigins }: Pick<PruneInput, 'label' | 'hasOrigins'>): void {
  if (hasOrigins) return;
  throw new PruneError('The data set does not remember which episodes of an annotation file its own are', {
    file: label,
    field: 'file_path, episode_id',
    hint: 'Prune the RLDS data set itself, or one that dualvla data convert made from it',
  });
}

const keyOf = (filePath: string, episodeId: string): string => `${filePath}\0${episodeId}`;
